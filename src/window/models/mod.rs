//! The page of models: those that are here, those of the hub, and how they are loaded.

mod here;
mod hub;
mod options;
mod picture;

use egui::{ScrollArea, TextEdit};

use super::action::{Action, Overlay};
use super::dialog::Dialog;
use super::icons::Icon;
use super::scrolling;
use super::state::State;
use super::theme::{self, GRID};
use super::widgets::{labelled_button, name, section};
use crate::checkpoint::shapes;

/// The widest that the page gets.
const MOST_WIDTH: f32 = 760.0;

/// What only this view needs: nothing else reads it.
#[derive(Default)]
pub struct ModelsView {
    /// The path in the making.
    path: String,
    /// A name on the hub in the making.
    name: String,
}

impl ModelsView {
    pub fn show(&mut self, ui: &egui::Ui, state: &State, actions: &mut Vec<Action>) {
        if !state.is_shown(Overlay::Models) {
            return;
        }
        let page = Dialog {
            overlay: Overlay::Models,
            title: "Models",
            close: "Close the page of models",
            most_width: MOST_WIDTH,
        };
        page.show(ui, actions, |ui, actions| {
            ScrollArea::vertical()
                .auto_shrink([false, true])
                .show_viewport(ui, |ui, viewport| {
                    scrolling::by_page(ui, viewport.height());
                    // Cards end before the scroll bar.
                    ui.set_max_width(ui.available_width() - GRID);
                    section(ui, "On this machine");
                    here::show(ui, state, actions);
                    self.open(ui, actions);
                    section(ui, "From the Hugging Face hub");
                    hub::show(ui, state, &mut self.name, actions);
                    section(ui, "How it is loaded");
                    options::show(ui, state, actions);
                    section(ui, "Random weights of a true shape");
                    random(ui, actions);
                });
        });
    }

    /// A model that lies elsewhere.
    fn open(&mut self, ui: &mut egui::Ui, actions: &mut Vec<Action>) {
        ui.label(theme::aside(
            "A folder with config.json and safetensors, or a GGUF file: drop it on the window, or",
        ));
        ui.horizontal(|ui| {
            if labelled_button(ui, Icon::Folder, "Open folder…", "").clicked() {
                actions.push(Action::PickModel);
            }
            let width = (ui.available_width() - 80.0).max(80.0);
            let edit = TextEdit::singleline(&mut self.path)
                .hint_text("/path/to/OpenELM-270M-Instruct")
                .desired_width(width);
            let response = ui.add(edit);
            name(ui, &response, "Path of a model");
            let entered = response.lost_focus() && ui.input(|i| i.key_pressed(egui::Key::Enter));
            let path = self.path.trim();
            if (ui.button("Load").clicked() || entered) && !path.is_empty() {
                actions.push(Action::Load(path.to_owned()));
            }
        });
    }
}

/// Models that write nonsense, at the speed of the real ones.
fn random(ui: &mut egui::Ui, actions: &mut Vec<Action>) {
    let what =
        "To measure speed without any file: they write nonsense, at the speed of the real one.";
    ui.label(theme::aside(what));
    ui.horizontal_wrapped(|ui| {
        for shape in shapes::NAMES {
            let label = format!("shape:{shape}");
            if ui.button(&label).clicked() {
                actions.push(Action::Load(label));
            }
        }
    });
}

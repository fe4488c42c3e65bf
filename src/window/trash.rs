//! The page of the trash: what was deleted, how long it stays, and what can be done with it.

use egui::ScrollArea;

use super::action::{Action, Overlay};
use super::calendar::Calendar;
use super::dialog::Dialog;
use super::scrolling;
use super::state::State;
use super::store::Thrown;
use super::theme::{self, GRID};
use super::widgets::{card, name};

/// The widest that the page gets.
const MOST_WIDTH: f32 = 560.0;

/// What only this view needs: nothing else reads it.
#[derive(Default)]
pub struct TrashView {
    /// The conversation that is to be deleted for good, if that is meant.
    asked: Option<String>,
}

impl TrashView {
    pub fn show(&mut self, ui: &egui::Ui, state: &State, actions: &mut Vec<Action>) {
        if !state.is_shown(Overlay::Trash) {
            self.asked = None;
            return;
        }
        let page = Dialog {
            overlay: Overlay::Trash,
            title: "Trash",
            close: "Close the trash",
            most_width: MOST_WIDTH,
        };
        page.show(ui, actions, |ui, actions| {
            ui.label(theme::aside(
                "What you delete stays here for 30 days, and is then gone.",
            ));
            ui.add_space(GRID);
            ScrollArea::vertical()
                .auto_shrink([false, true])
                .show_viewport(ui, |ui, viewport| {
                    scrolling::by_page(ui, viewport.height());
                    self.list(ui, state, actions);
                });
        });
    }

    fn list(&mut self, ui: &mut egui::Ui, state: &State, actions: &mut Vec<Action>) {
        let Some(thrown) = &state.trash else {
            ui.label(theme::aside("Looking…"));
            return;
        };
        if thrown.is_empty() {
            ui.label("Nothing is in the trash.");
        }
        let calendar = Calendar::here();
        for one in thrown {
            ui.push_id(&one.id, |ui| {
                card(ui, |ui| {
                    ui.set_width(ui.available_width());
                    ui.add(egui::Label::new(theme::strong(&one.title)).truncate());
                    let thrown = calendar.ago(one.thrown);
                    let left = match one.days_left {
                        0 | 1 => "the last day".to_owned(),
                        days => format!("{days} days left"),
                    };
                    ui.label(theme::aside(format!("deleted {thrown}, {left}")));
                    ui.horizontal_wrapped(|ui| self.buttons(ui, one, actions));
                });
            });
            ui.add_space(GRID);
        }
    }

    fn buttons(&mut self, ui: &mut egui::Ui, one: &Thrown, actions: &mut Vec<Action>) {
        let button = |ui: &mut egui::Ui, can: bool, label: &str, full: &str| {
            let response = ui.add_enabled(can, egui::Button::new(label));
            name(ui, &response, &format!("{full} {}", one.title));
            response.clicked()
        };
        if self.asked.as_ref() == Some(&one.id) {
            ui.label("There is no way back.");
            if button(ui, true, "Delete", "Really delete") {
                self.asked = None;
                actions.push(Action::DeleteForGood(one.id.clone()));
            }
            if button(ui, true, "Keep", "Keep") {
                self.asked = None;
            }
            return;
        }
        if button(ui, one.entry.is_some(), "Restore", "Restore") {
            actions.push(Action::RestoreThrown(one.id.clone()));
        }
        if button(ui, true, "Delete for good", "Delete for good") {
            self.asked = Some(one.id.clone());
        }
    }
}

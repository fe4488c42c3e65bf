//! Choosing a model: the demo, those loaded before, a folder, random weights; and how to get real ones.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use egui::{ComboBox, RichText, ScrollArea, TextEdit};

use super::app::{Action, App};
use super::name;
use crate::checkpoint::shapes;
use crate::dtype::Dtype;
use crate::gpu::adapters;

/// How to get weights and their tokenizer, in commands.
const HOW: [(&str, &str); 3] = [
    (
        "Apple's weights are open: huggingface.co/apple/OpenELM-270M-Instruct is the smallest that can chat (0.5 GB).",
        "hf download apple/OpenELM-270M-Instruct --local-dir OpenELM-270M-Instruct",
    ),
    (
        "The tokenizer is Llama 2's: accept Meta's licence at huggingface.co/meta-llama/Llama-2-7b-hf, then",
        "hf download meta-llama/Llama-2-7b-hf tokenizer.json --local-dir OpenELM-270M-Instruct",
    ),
    (
        "The command comes with Hugging Face's Python package:",
        "pip install huggingface_hub",
    ),
];

/// What only this window knows.
#[derive(Default)]
pub struct ModelsView {
    pub open: bool,
    pub device: Option<String>,
    /// Where measurements of the adapter are kept.
    pub tuning_cache: Option<PathBuf>,
    /// Named on the command line, for this time only.
    pub tokenizer: Option<PathBuf>,
    path: String,
    /// Found once, and not by this thread: asking drivers takes a while.
    adapters: Option<Arc<OnceLock<Vec<String>>>>,
}

impl ModelsView {
    pub fn show(ui: &egui::Ui, app: &mut App, actions: &mut Vec<Action>) {
        if !app.models.open {
            return;
        }
        let mut open = true;
        let size = ui.ctx().content_rect().size() - egui::vec2(60.0, 90.0);
        egui::Window::new("Choose a model")
            .open(&mut open)
            .pivot(egui::Align2::CENTER_CENTER)
            .default_pos(ui.ctx().content_rect().center())
            .default_size([560.0_f32.min(size.x), 600.0_f32.min(size.y)])
            .max_height(size.y.max(100.0))
            .max_width(size.x.max(100.0))
            .collapsible(false)
            .show(ui.ctx(), |ui| {
                ScrollArea::both()
                    .auto_shrink([false, true])
                    .show(ui, |ui| {
                        choose(ui, app, actions);
                        ui.separator();
                        options(ui, app, actions);
                        ui.separator();
                        how(ui);
                    });
            });
        // Whatever was chosen has closed it as well.
        app.models.open &= open;
    }
}

fn choose(ui: &mut egui::Ui, app: &mut App, actions: &mut Vec<Action>) {
    ui.strong("Here already");
    let button = |ui: &mut egui::Ui, label: &str, hint: &str, actions: &mut Vec<Action>| {
        if ui.button(label).on_hover_text(hint).clicked() {
            actions.push(Action::Load(label.to_owned()));
        }
    };
    ui.horizontal_wrapped(|ui| {
        button(
            ui,
            "demo",
            "2.8 million parameters, knows old fairy tales; built in",
            actions,
        );
        let recent = app.settings.recent.iter();
        for model in recent.filter(|model| *model != "demo" && !model.starts_with("shape:")) {
            button(ui, model, "Loaded before", actions);
        }
    });
    ui.add_space(6.0);
    ui.strong("A folder with config.json and safetensors");
    ui.horizontal(|ui| {
        if ui.button("Open folder…").clicked() {
            actions.push(Action::PickModel);
        }
        ui.weak("or drop it on the window, or type its path:");
    });
    ui.horizontal(|ui| {
        let width = (ui.available_width() - 70.0).max(80.0);
        let edit = TextEdit::singleline(&mut app.models.path)
            .hint_text("/path/to/OpenELM-270M-Instruct")
            .desired_width(width);
        let response = ui.add(edit);
        name(ui, &response, "Path of a model");
        let entered = response.lost_focus() && ui.input(|i| i.key_pressed(egui::Key::Enter));
        let path = app.models.path.trim();
        if (ui.button("Load").clicked() || entered) && !path.is_empty() {
            actions.push(Action::Load(path.to_owned()));
        }
    });
    ui.add_space(6.0);
    ui.strong("Random weights of a true shape, to measure speed without any file");
    ui.horizontal_wrapped(|ui| {
        for name in shapes::NAMES {
            let what = "Writes nonsense, at the speed of the real one";
            button(ui, &format!("shape:{name}"), what, actions);
        }
    });
}

fn options(ui: &mut egui::Ui, app: &mut App, actions: &mut Vec<Action>) {
    ui.strong("How it is loaded");
    ui.weak("These count for the next model that is loaded.");
    egui::Grid::new("options").num_columns(2).show(ui, |ui| {
        ui.label("Weights");
        let shown = app.settings.dtype.clone();
        let weights = ComboBox::from_id_salt("dtype")
            .selected_text(shown.as_deref().unwrap_or("as stored (f32 as f16)"))
            .show_ui(ui, |ui| {
                let dtype = &mut app.settings.dtype;
                ui.selectable_value(dtype, None, "as stored (f32 as f16)");
                for choice in Dtype::ALL {
                    ui.selectable_value(dtype, Some(choice.name().to_owned()), choice.name());
                }
            });
        name(ui, &weights.response, "Weights format");
        ui.end_row();
        ui.label("Context");
        ui.horizontal(|ui| {
            let mut is_own = app.settings.context_size.is_some();
            ui.checkbox(&mut is_own, "at most so many positions")
                .on_hover_text("Fewer take less memory; never more than the model has");
            match (app.settings.context_size, is_own) {
                (None, true) => app.settings.context_size = Some(1024),
                (Some(_), false) => app.settings.context_size = None,
                _ => {}
            }
            if let Some(size) = &mut app.settings.context_size {
                let response = ui.add(egui::DragValue::new(size).range(16..=1_000_000));
                name(ui, &response, "Context size");
            }
        });
        ui.end_row();
        ui.label("Tokenizer");
        ui.horizontal(|ui| {
            let chosen = app.models.tokenizer.as_ref();
            match chosen.or(app.settings.tokenizer.as_ref()) {
                Some(path) => ui.monospace(path.display().to_string()),
                None => ui.label("the one in the model's folder"),
            };
            if ui.small_button("Find…").clicked() {
                actions.push(Action::PickTokenizer);
            }
            let is_own = app.models.tokenizer.is_none() && app.settings.tokenizer.is_none();
            if !is_own && ui.small_button("The model's own").clicked() {
                app.models.tokenizer = None;
                app.settings.tokenizer = None;
            }
        });
        ui.end_row();
        ui.label("Adapter");
        let adapter = ComboBox::from_id_salt("adapter")
            .selected_text(app.models.device.as_deref().unwrap_or("the best there is"))
            .show_ui(ui, |ui| {
                let found = app.models.adapters.get_or_insert_with(find_adapters);
                ui.selectable_value(&mut app.models.device, None, "the best there is");
                for name in found.get().into_iter().flatten() {
                    let wish = Some(name.clone());
                    ui.selectable_value(&mut app.models.device, wish, name.as_str());
                }
            });
        name(ui, &adapter.response, "Adapter to use");
        ui.end_row();
    });
}

/// Asks the drivers, off this thread. The list stays empty where there is no thread to be had.
fn find_adapters() -> Arc<OnceLock<Vec<String>>> {
    let found = Arc::new(OnceLock::new());
    let filled = Arc::clone(&found);
    let spawned = std::thread::Builder::new().spawn(move || {
        let names = adapters().into_iter().map(|adapter| adapter.name);
        // Set once, by this thread alone.
        let _ = filled.set(names.collect());
    });
    drop(spawned);
    found
}

fn how(ui: &mut egui::Ui) {
    ui.strong("Real weights");
    for (what, command) in HOW {
        ui.horizontal_wrapped(|ui| {
            ui.spacing_mut().item_spacing.x = 0.0;
            for word in what.split_inclusive(' ') {
                match word.trim_end_matches([' ', ',', ':']) {
                    address if address.starts_with("huggingface.co/") => {
                        ui.hyperlink_to(word, format!("https://{address}"));
                    }
                    _ => {
                        ui.label(word);
                    }
                }
            }
        });
        ui.horizontal(|ui| {
            if ui.small_button("Copy").clicked() {
                ui.ctx().copy_text(command.to_owned());
            }
            ui.add(egui::Label::new(RichText::new(command).monospace()).wrap());
        });
    }
}

//! Choosing a model: the demo, those loaded before, a folder, random weights, or real ones from the hub.

use egui::{ComboBox, ProgressBar, ScrollArea, TextEdit};

use super::action::{Action, Overlay};
use super::settings::Setting;
use super::state::{ModelState, State};
use super::widgets::name;
use crate::checkpoint::shapes;
use crate::dtype::Dtype;

/// Sizes of the models that Apple has on the hub.
const APPLES: [&str; 4] = ["270M", "450M", "1_1B", "3B"];

/// What a person must know who fetches them.
const LICENCES: [&str; 2] = [
    "Apple's weights are open, under the licence at huggingface.co/apple/OpenELM",
    "The tokenizer is Llama 2's: accept Meta's licence at huggingface.co/meta-llama/Llama-2-7b-hf, make a token at \
     huggingface.co/settings/tokens, and set HF_TOKEN to it, or use any tokenizer.json that you have:",
];

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
                        self.choose(ui, state, actions);
                        ui.separator();
                        self.fetch(ui, state, actions);
                        ui.separator();
                        options(ui, state, actions);
                    });
            });
        if !open {
            actions.push(Action::HideOverlay(Overlay::Models));
        }
    }

    fn fetch(&mut self, ui: &mut egui::Ui, state: &State, actions: &mut Vec<Action>) {
        ui.strong("From the Hugging Face hub, kept in its cache on this machine");
        if let ModelState::Loading {
            name,
            is_download: true,
            done,
            total,
        } = &state.model
        {
            let share = *done as f32 / (*total).max(1) as f32;
            ui.horizontal(|ui| {
                ui.add(ProgressBar::new(share).desired_width(260.0).text(name));
                if ui.small_button("Cancel fetching").clicked() {
                    actions.push(Action::CancelLoading);
                }
            });
        }
        for (suffix, what) in [("-Instruct", "to chat with"), ("", "continue texts")] {
            ui.horizontal_wrapped(|ui| {
                for size in APPLES {
                    let name = format!("apple/OpenELM-{size}{suffix}");
                    let hint = format!("{name}: {what}; fetched once");
                    let label = format!("OpenELM-{size}{suffix}");
                    if ui.button(label).on_hover_text(hint).clicked() {
                        actions.push(Action::Load(name));
                    }
                }
            });
        }
        ui.horizontal(|ui| {
            let width = (ui.available_width() - 70.0).max(80.0);
            let edit = TextEdit::singleline(&mut self.name)
                .hint_text("another by its name, ORG/NAME or ORG/NAME@REVISION")
                .desired_width(width);
            let response = ui.add(edit);
            name(ui, &response, "Name on the hub");
            let entered = response.lost_focus() && ui.input(|i| i.key_pressed(egui::Key::Enter));
            let model = self.name.trim();
            if (ui.button("Fetch").clicked() || entered) && !model.is_empty() {
                actions.push(Action::Load(model.to_owned()));
            }
        });
        for what in LICENCES {
            linked(ui, what);
        }
    }

    fn choose(&mut self, ui: &mut egui::Ui, state: &State, actions: &mut Vec<Action>) {
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
            let recent = state.settings.recent.iter();
            for model in recent.filter(|model| *model != "demo" && !model.starts_with("shape:")) {
                button(ui, model, "Loaded before", actions);
            }
        });
        ui.add_space(6.0);
        ui.strong("A folder with config.json and safetensors, or a GGUF file");
        ui.horizontal(|ui| {
            if ui.button("Open folder…").clicked() {
                actions.push(Action::PickModel);
            }
            ui.weak("or drop it on the window, or type its path:");
        });
        ui.horizontal(|ui| {
            let width = (ui.available_width() - 70.0).max(80.0);
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
        ui.add_space(6.0);
        ui.strong("Random weights of a true shape, to measure speed without any file");
        ui.horizontal_wrapped(|ui| {
            for name in shapes::NAMES {
                let what = "Writes nonsense, at the speed of the real one";
                button(ui, &format!("shape:{name}"), what, actions);
            }
        });
    }
}

fn options(ui: &mut egui::Ui, state: &State, actions: &mut Vec<Action>) {
    ui.strong("How it is loaded");
    ui.weak("These count for the next model that is loaded.");
    egui::Grid::new("options").num_columns(2).show(ui, |ui| {
        ui.label("Weights");
        dtype(ui, state, actions);
        ui.end_row();
        ui.label("Context");
        context(ui, state, actions);
        ui.end_row();
        ui.label("Tokenizer");
        tokenizer(ui, state, actions);
        ui.end_row();
        ui.label("Adapter");
        adapter(ui, state, actions);
        ui.end_row();
    });
}

fn dtype(ui: &mut egui::Ui, state: &State, actions: &mut Vec<Action>) {
    const AS_STORED: &str = "as stored (f32 as f16)";
    let chosen = state.settings.dtype.as_deref();
    let weights = ComboBox::from_id_salt("dtype")
        .selected_text(chosen.unwrap_or(AS_STORED))
        .show_ui(ui, |ui| {
            let names = Dtype::ALL.into_iter().map(|dtype| Some(dtype.name()));
            for name in std::iter::once(None).chain(names) {
                let label = name.unwrap_or(AS_STORED);
                if ui.selectable_label(chosen == name, label).clicked() {
                    let name = name.map(str::to_owned);
                    actions.push(Action::Set(Setting::Dtype(name)));
                }
            }
        });
    name(ui, &weights.response, "Weights format");
}

fn context(ui: &mut egui::Ui, state: &State, actions: &mut Vec<Action>) {
    let mut size = state.settings.context_size;
    ui.horizontal(|ui| {
        let mut is_own = size.is_some();
        ui.checkbox(&mut is_own, "at most so many positions")
            .on_hover_text("Fewer take less memory; never more than the model has");
        size = is_own.then(|| size.unwrap_or(1024));
        if let Some(size) = &mut size {
            let response = ui.add(egui::DragValue::new(size).range(16..=1_000_000));
            name(ui, &response, "Context size");
        }
    });
    if size != state.settings.context_size {
        actions.push(Action::Set(Setting::ContextSize(size)));
    }
}

fn tokenizer(ui: &mut egui::Ui, state: &State, actions: &mut Vec<Action>) {
    let chosen = state.load.tokenizer.as_ref();
    let chosen = chosen.or(state.settings.tokenizer.as_ref());
    ui.horizontal(|ui| {
        match chosen {
            Some(path) => ui.monospace(path.display().to_string()),
            None => ui.label("the one in the model's folder"),
        };
        if ui.small_button("Find…").clicked() {
            actions.push(Action::PickTokenizer);
        }
        if chosen.is_some() && ui.small_button("The model's own").clicked() {
            actions.push(Action::ForgetTokenizer);
        }
    });
}

fn adapter(ui: &mut egui::Ui, state: &State, actions: &mut Vec<Action>) {
    const BEST: &str = "the best there is";
    let chosen = state.load.device.as_deref();
    let adapter = ComboBox::from_id_salt("adapter")
        .selected_text(chosen.unwrap_or(BEST))
        .show_ui(ui, |ui| {
            if state.adapters.is_none() {
                actions.push(Action::FindAdapters);
            }
            let found = state.adapters.iter().flatten();
            let names = found.map(|name| Some(name.as_str()));
            for name in std::iter::once(None).chain(names) {
                let label = name.unwrap_or(BEST);
                if ui.selectable_label(chosen == name, label).clicked() {
                    actions.push(Action::SetDevice(name.map(str::to_owned)));
                }
            }
        });
    name(ui, &adapter.response, "Adapter to use");
}

/// A text in which addresses can be clicked.
fn linked(ui: &mut egui::Ui, text: &str) {
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = 0.0;
        for word in text.split_inclusive(' ') {
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
}

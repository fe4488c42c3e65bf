//! How models are loaded.

use egui::ComboBox;

use super::super::action::Action;
use super::super::settings::Setting;
use super::super::state::State;
use super::super::theme;
use super::super::widgets::{name, switch};
use crate::dtype::Dtype;

pub fn show(ui: &mut egui::Ui, state: &State, actions: &mut Vec<Action>) {
    ui.label(theme::aside(
        "These count for the next model that is loaded.",
    ));
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
    const AS_STORED: &str = "auto: as stored, or smaller";
    let hint = "As stored (f32 as f16); where that does not fit, q8, then q4";
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
    weights.response.on_hover_text(hint);
}

fn context(ui: &mut egui::Ui, state: &State, actions: &mut Vec<Action>) {
    let mut size = state.settings.context_size;
    ui.horizontal(|ui| {
        let (response, is_own) = switch(ui, size.is_some(), "at most so many positions");
        response.on_hover_text("Fewer take less memory; never more than the model has");
        match is_own {
            Some(true) => size = Some(1024),
            Some(false) => size = None,
            None => {}
        }
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

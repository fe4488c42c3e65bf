//! How tokens are chosen: named presets, and each number.

use egui::{ComboBox, DragValue, Slider, SliderClamping, TextEdit, vec2};

use super::super::action::Action;
use super::super::icons::Icon;
use super::super::sampling::{Preset, SamplingSettings};
use super::super::settings::Setting;
use super::super::state::State;
use super::super::theme::{self, CONTROL};
use super::super::widgets::{icon_button, name, switch};

/// Widths of a number's label, of its figure and of the slider between them.
const LABEL: f32 = 108.0;
const FIGURE: f32 = 52.0;
const LEAST_SLIDER: f32 = 32.0;
const MOST_SLIDER: f32 = 200.0;

/// What the model suggests, as a preset.
const MODELS: &str = "As the model suggests";

/// What only this view needs: nothing else reads it.
#[derive(Default)]
pub struct SamplingView {
    /// The name of a preset in the making.
    naming: Option<String>,
}

impl SamplingView {
    pub fn show(&mut self, ui: &mut egui::Ui, state: &State, actions: &mut Vec<Action>) {
        self.presets(ui, state, actions);
        params(ui, state, actions);
        for_model(ui, state, actions);
    }

    fn presets(&mut self, ui: &mut egui::Ui, state: &State, actions: &mut Vec<Action>) {
        let own = state.settings.presets.iter().cloned();
        let presets: Vec<Preset> = Preset::built_in().chain(own).collect();
        let sampling = &state.settings.sampling;
        let suggested = state
            .info()
            .map(|info| SamplingSettings::from(&info.sampling));
        let is_suggested = |sampling: &SamplingSettings| {
            suggested
                .as_ref()
                .is_some_and(|model| sampling.is_like(model))
        };
        let chosen = presets
            .iter()
            .find(|preset| sampling.is_like(&preset.sampling));
        let label = match chosen {
            _ if is_suggested(sampling) => MODELS,
            Some(preset) => &preset.name,
            None => "Custom",
        };
        ui.horizontal_wrapped(|ui| {
            let list = ComboBox::from_id_salt("preset")
                .selected_text(label)
                .width(120.0)
                .show_ui(ui, |ui| {
                    if let Some(suggested) = suggested
                        && ui.selectable_label(label == MODELS, MODELS).clicked()
                    {
                        let seed = sampling.seed;
                        let to = SamplingSettings { seed, ..suggested };
                        actions.push(Action::Set(Setting::SamplingParams(to)));
                    }
                    for preset in &presets {
                        if ui
                            .selectable_label(label == preset.name, &preset.name)
                            .clicked()
                        {
                            let to = SamplingSettings {
                                own: true,
                                seed: sampling.seed,
                                ..preset.sampling.clone()
                            };
                            actions.push(Action::Set(Setting::SamplingParams(to)));
                        }
                    }
                });
            name(ui, &list.response, "Preset");
            if let Some(preset) = chosen.filter(|preset| !Preset::is_built_in(&preset.name)) {
                let delete = icon_button(ui, Icon::Delete, "Delete this preset", "");
                if delete.clicked() {
                    let name = preset.name.clone();
                    actions.push(Action::Set(Setting::DeletePreset(name)));
                }
            }
            if label == "Custom"
                && self.naming.is_none()
                && icon_button(ui, Icon::Add, "Save as a preset", "").clicked()
            {
                self.naming = Some(String::new());
            }
        });
        self.name(ui, actions);
    }

    /// The field for a preset's name.
    fn name(&mut self, ui: &mut egui::Ui, actions: &mut Vec<Action>) {
        let Some(naming) = &mut self.naming else {
            return;
        };
        let mut is_done = false;
        ui.horizontal(|ui| {
            let edit = TextEdit::singleline(naming)
                .hint_text("its name")
                .char_limit(40)
                .desired_width((ui.available_width() - 72.0).max(60.0));
            let response = ui.add(edit);
            name(ui, &response, "Name of the preset");
            let entered =
                response.lost_focus() && ui.input(|input| input.key_pressed(egui::Key::Enter));
            let saves = ui.button("Save preset").clicked() || entered;
            if saves && !naming.trim().is_empty() {
                actions.push(Action::Set(Setting::SavePreset(naming.clone())));
            }
            is_done = saves;
        });
        if is_done {
            self.naming = None;
        }
    }
}

/// Whether these numbers are the model's, whenever it is loaded.
fn for_model(ui: &mut egui::Ui, state: &State, actions: &mut Vec<Action>) {
    if state.info().is_none() {
        return;
    }
    let model = &state.settings.model;
    let kept = state.settings.model_sampling.get(model);
    let is_kept = kept == Some(&state.settings.sampling);
    let (response, keeps) = switch(ui, is_kept, "Keep for this model");
    response.on_hover_text(format!("Used whenever {model} is loaded"));
    if let Some(keeps) = keeps {
        actions.push(Action::Set(Setting::KeepSampling(model.clone(), keeps)));
    }
}

fn params(ui: &mut egui::Ui, state: &State, actions: &mut Vec<Action>) {
    let before = &state.settings.sampling;
    let mut sampling = before.clone();
    sampling.own |= numbers(ui, &mut sampling);
    seed(ui, &mut sampling);
    if sampling != *before {
        actions.push(Action::Set(Setting::SamplingParams(sampling)));
    }
    let (response, looks) = switch(ui, state.settings.prompt_lookup, "Prompt-lookup decoding");
    response
        .on_hover_text("The same text, sooner where it repeats itself: lists, code, quotations");
    if let Some(looks) = looks {
        actions.push(Action::Set(Setting::PromptLookup(looks)));
    }
}

/// Returns whether one was changed.
fn numbers(ui: &mut egui::Ui, sampling: &mut SamplingSettings) -> bool {
    let mut has_changed = false;
    let mut number = |ui: &mut egui::Ui,
                      value: &mut f32,
                      range: std::ops::RangeInclusive<f32>,
                      text: &str,
                      hint: &str| {
        // Ranges that go so far are those of counts.
        let is_count = *range.end() > 10.0;
        // What the model suggests may lie outside, or be finer; showing it must not change it.
        let mut shown = *value;
        let response = ui.horizontal(|ui| {
            let from_left = egui::Layout::left_to_right(egui::Align::Center);
            let label = egui::Label::new(theme::aside(text)).truncate();
            ui.allocate_ui_with_layout(vec2(LABEL, CONTROL), from_left, |ui| {
                ui.set_min_width(LABEL);
                ui.add(label).on_hover_text(hint);
            });
            let slider = (ui.available_width() - FIGURE - ui.spacing().item_spacing.x).max(0.0);
            let mut response = None;
            if slider >= LEAST_SLIDER {
                ui.spacing_mut().slider_width = slider.min(MOST_SLIDER);
                let slider = Slider::new(&mut shown, range.clone())
                    .show_value(false)
                    .step_by(if is_count { 1.0 } else { 0.0 })
                    .clamping(SliderClamping::Edits);
                let slid = ui.add(slider);
                name(ui, &slid, text);
                response = Some(slid.on_hover_text(hint));
            }
            let drag = DragValue::new(&mut shown)
                .range(range)
                .clamp_existing_to_range(false)
                .speed(if is_count { 1.0 } else { 0.01 })
                .max_decimals(if is_count { 0 } else { 3 });
            let figure = ui.add_sized([FIGURE, CONTROL], drag);
            name(ui, &figure, &format!("{text}, figure"));
            response.map_or(figure.clone(), |slid| slid | figure)
        });
        if response.inner.changed() {
            *value = shown;
            has_changed = true;
        }
    };
    let hint = "0: always the most probable token";
    number(
        ui,
        &mut sampling.temperature,
        0.0..=2.0,
        "Temperature",
        hint,
    );
    let hint = "Only the most probable tokens that together reach this";
    number(ui, &mut sampling.top_p, 0.0..=1.0, "Top-p", hint);
    let hint = "Only tokens at least so many times as probable as the most probable one";
    number(ui, &mut sampling.min_p, 0.0..=1.0, "Min-p", hint);
    let hint = "Only so many of the most probable tokens; 0: all";
    let top_k = sampling.top_k as f32;
    let mut shown = top_k;
    number(ui, &mut shown, 0.0..=200.0, "Top-k", hint);
    if shown != top_k {
        sampling.top_k = shown.max(0.0) as u32;
    }
    let hint = "Makes tokens that occurred less likely; 1: off";
    let penalty = &mut sampling.repetition_penalty;
    number(ui, penalty, 0.5..=2.0, "Repetition penalty", hint);
    has_changed
}

fn seed(ui: &mut egui::Ui, sampling: &mut SamplingSettings) {
    let (response, is_fixed) = switch(ui, sampling.seed.is_some(), "Fixed seed");
    response.on_hover_text("The same seed gives the same text");
    match is_fixed {
        Some(true) => sampling.seed = Some(42),
        Some(false) => sampling.seed = None,
        None => {}
    }
    if let Some(seed) = &mut sampling.seed {
        let response = ui.add(DragValue::new(seed));
        name(ui, &response, "Seed");
    }
}

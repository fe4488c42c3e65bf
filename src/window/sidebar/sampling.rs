//! How tokens are chosen: named presets, and each number.

use egui::{ComboBox, DragValue, Slider, SliderClamping, TextEdit, vec2};

use super::super::action::Action;
use super::super::conversation::Mode;
use super::super::icons::Icon;
use super::super::sampling::{Preset, SamplingSettings};
use super::super::settings::{MOST_ANSWERS, Setting, Settings};
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
pub struct SamplingView {
    /// The name of a preset in the making.
    naming: Option<String>,
    /// Whether the system prompt goes with it.
    with_system: bool,
}

impl Default for SamplingView {
    fn default() -> Self {
        Self {
            naming: None,
            with_system: true,
        }
    }
}

/// Whether the conversation in sight has room for a system prompt, and whether it has one.
fn has_system(state: &State) -> bool {
    state.conversation().mode == Mode::Chat
}

fn has_own_system(state: &State) -> bool {
    has_system(state) && !state.conversation().system.trim().is_empty()
}

/// Whether all is as a preset has it.
fn is_in_use(preset: &Preset, state: &State) -> bool {
    let is_said = |system: &String| *system == state.conversation().system;
    let is_told = !has_system(state) || preset.system.as_ref().is_none_or(is_said);
    is_told && state.settings.sampling.is_like(&preset.sampling)
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
        let chosen = presets.iter().find(|preset| is_in_use(preset, state));
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
                            if has_system(state)
                                && let Some(system) = &preset.system
                            {
                                actions.push(Action::TakeSystem(system.clone()));
                            }
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
            // A system prompt is worth a preset too.
            let has_prompt =
                has_own_system(state) && chosen.is_none_or(|preset| preset.system.is_none());
            let has_news = label == "Custom" || has_prompt;
            if has_news
                && self.naming.is_none()
                && icon_button(ui, Icon::Add, "Save as a preset", "").clicked()
            {
                self.naming = Some(String::new());
            }
        });
        self.name(ui, state, actions);
    }

    /// The field for a preset's name.
    fn name(&mut self, ui: &mut egui::Ui, state: &State, actions: &mut Vec<Action>) {
        let Some(naming) = &mut self.naming else {
            return;
        };
        let mut is_done = false;
        let is_free = !Preset::is_built_in(naming.trim());
        let is_called_so = |preset: &Preset| preset.name == naming.trim();
        let is_own = state.settings.presets.iter().any(is_called_so);
        ui.horizontal(|ui| {
            let edit = TextEdit::singleline(naming)
                .hint_text("its name")
                .char_limit(40)
                .desired_width((ui.available_width() - 128.0).max(60.0));
            let response = ui.add(edit);
            name(ui, &response, "Name of the preset");
            let entered =
                response.lost_focus() && ui.input(|input| input.key_pressed(egui::Key::Enter));
            let can_save = is_free && !naming.trim().is_empty();
            let save = ui.add_enabled(can_save, egui::Button::new("Save"));
            name(ui, &save, "Save preset");
            let escaped =
                response.lost_focus() && ui.input(|input| input.key_pressed(egui::Key::Escape));
            let cancel = ui.button("Cancel");
            name(ui, &cancel, "Save no preset");
            let saves = can_save && (save.clicked() || entered);
            is_done = saves || escaped || cancel.clicked();
            if saves {
                let system = &state.conversation().system;
                let system = (has_own_system(state) && self.with_system).then(|| system.clone());
                actions.push(Action::Set(Setting::SavePreset(naming.clone(), system)));
            }
        });
        if !is_free {
            ui.label(theme::aside("A preset of the program is called that."));
        } else if is_own {
            let what = "It takes the place of your preset of that name.";
            ui.label(theme::aside(what));
        }
        if has_own_system(state) {
            let (_, with) = switch(ui, self.with_system, "With the system prompt");
            self.with_system = with.unwrap_or(self.with_system);
        }
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
    let model = &state.loaded;
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
    answers(ui, &state.settings, actions);
    let (response, looks) = switch(ui, state.settings.prompt_lookup, "Prompt-lookup decoding");
    response
        .on_hover_text("The same text, sooner where it repeats itself: lists, code, quotations");
    if let Some(looks) = looks {
        actions.push(Action::Set(Setting::PromptLookup(looks)));
    }
}

/// Returns whether one was changed.
fn numbers(ui: &mut egui::Ui, sampling: &mut SamplingSettings) -> bool {
    let hint = "0: always the most probable token";
    let temperature = &mut sampling.temperature;
    let mut has_changed = number(ui, temperature, 0.0..=2.0, "Temperature", hint);
    let hint = "Only the most probable tokens that together reach this";
    has_changed |= number(ui, &mut sampling.top_p, 0.0..=1.0, "Top-p", hint);
    let hint = "Only tokens at least so many times as probable as the most probable one";
    has_changed |= number(ui, &mut sampling.min_p, 0.0..=1.0, "Min-p", hint);
    let hint = "Only so many of the most probable tokens; 0: all";
    let top_k = sampling.top_k as f32;
    let mut shown = top_k;
    has_changed |= figure(ui, &mut shown, 0.0..=200.0, ("Top-k", hint), true);
    if shown != top_k {
        sampling.top_k = shown.max(0.0) as u32;
    }
    let hint = "Makes tokens that occurred less likely; 1: off";
    let penalty = &mut sampling.repetition_penalty;
    has_changed | number(ui, penalty, 0.5..=2.0, "Repetition penalty", hint)
}

/// Returns whether it was changed.
fn number(
    ui: &mut egui::Ui,
    value: &mut f32,
    range: std::ops::RangeInclusive<f32>,
    text: &str,
    hint: &str,
) -> bool {
    figure(ui, value, range, (text, hint), false)
}

/// As [`number`]; if it `is_whole` there is nothing between 1 and 2.
fn figure(
    ui: &mut egui::Ui,
    value: &mut f32,
    range: std::ops::RangeInclusive<f32>,
    (text, hint): (&str, &str),
    is_whole: bool,
) -> bool {
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
                .clamping(SliderClamping::Edits);
            // A key moves it by a pixel otherwise, which is less than one.
            let slid = ui.add(match is_whole {
                true => slider.integer(),
                false => slider,
            });
            name(ui, &slid, text);
            response = Some(slid.on_hover_text(hint));
        }
        let drag = DragValue::new(&mut shown)
            .range(range)
            .clamp_existing_to_range(false)
            .speed(if is_whole { 1.0 } else { 0.01 })
            .max_decimals(if is_whole { 0 } else { 3 });
        let figure = ui.add_sized([FIGURE, CONTROL], drag);
        name(ui, &figure, &format!("{text}, figure"));
        response.map_or(figure.clone(), |slid| slid | figure)
    });
    let has_changed = response.inner.changed();
    if has_changed {
        *value = shown;
    }
    has_changed
}

/// How many answers are written together.
fn answers(ui: &mut egui::Ui, settings: &Settings, actions: &mut Vec<Action>) {
    let mut shown = settings.answers as f32;
    let range = 1.0..=MOST_ANSWERS as f32;
    let hint = "So many are written together, to choose from";
    if figure(ui, &mut shown, range, ("Answers", hint), true) {
        let count = shown.round().max(1.0) as usize;
        actions.push(Action::Set(Setting::Answers(count)));
    }
    if settings.answers > 1 && !settings.sampling.has_chance() {
        let text = "One is written: at temperature 0 all would be the same.";
        ui.label(theme::aside(text));
    }
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

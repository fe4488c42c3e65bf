//! Conversations, and the settings of the one that is open.

use egui::containers::menu::MenuButton;
use egui::{Button, ComboBox, DragValue, RichText, ScrollArea, Slider, SliderClamping};

use super::action::{Action, Export, Overlay};
use super::conversation::{MODELS_OWN, Mode};
use super::settings::{Appearance, SamplingSettings, Setting};
use super::state::State;
use super::template::TemplateEditor;
use super::widgets::{line, lines, name};
use super::zoom;
use crate::text::ChatTemplate;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Tab {
    #[default]
    Conversations,
    Settings,
}

/// What only the sidebar needs: nothing else reads it.
#[derive(Default)]
pub struct Sidebar {
    tab: Tab,
    template: TemplateEditor,
}

impl Sidebar {
    pub fn show(&mut self, ui: &mut egui::Ui, state: &State, actions: &mut Vec<Action>) {
        ui.add_space(2.0);
        ui.horizontal(|ui| {
            ui.selectable_value(&mut self.tab, Tab::Conversations, "History");
            ui.selectable_value(&mut self.tab, Tab::Settings, "Settings");
        });
        ui.separator();
        match self.tab {
            Tab::Conversations => conversations(ui, state, actions),
            Tab::Settings => {
                ScrollArea::vertical()
                    .auto_shrink(false)
                    .show(ui, |ui| self.settings(ui, state, actions));
            }
        }
    }

    fn settings(&mut self, ui: &mut egui::Ui, state: &State, actions: &mut Vec<Action>) {
        self.conversation(ui, state, actions);
        heading(ui, "Sampling");
        sampling(ui, state, actions);
        heading(ui, "Ending");
        ending(ui, state, actions);
        heading(ui, "Appearance");
        appearance(ui, state.settings.appearance, actions);
        zoom::control(ui, state.settings.zoom(), actions);
        ui.add_space(8.0);
        if ui.button("Keyboard shortcuts (F1)").clicked() {
            actions.push(Action::ShowOverlay(Overlay::Shortcuts));
        }
    }

    /// What counts for the conversation in sight alone.
    fn conversation(&mut self, ui: &mut egui::Ui, state: &State, actions: &mut Vec<Action>) {
        ui.label(RichText::new("This conversation").strong());
        let conversation = state.conversation();
        ui.horizontal(|ui| {
            for (mode, name) in [(Mode::Completion, "Text"), (Mode::Chat, "Chat")] {
                let is_it = conversation.mode == mode;
                if ui.selectable_label(is_it, name).clicked() && !is_it {
                    actions.push(Action::SetMode(mode));
                }
            }
        });
        let title = line(ui, "Title", &conversation.title);
        actions.extend(title.map(Action::SetTitle));
        if conversation.mode == Mode::Chat {
            let system = lines(ui, "System prompt", &conversation.system, 2);
            actions.extend(system.map(Action::SetSystem));
            self.templates(ui, state, actions);
        }
    }

    fn templates(&mut self, ui: &mut egui::Ui, state: &State, actions: &mut Vec<Action>) {
        let chosen = &state.conversation().template;
        ui.horizontal(|ui| {
            ComboBox::from_label("Template")
                .selected_text(chosen.clone())
                .width(100.0)
                .show_ui(ui, |ui| {
                    let own = (state.template_for(Mode::Chat) == MODELS_OWN)
                        .then(|| MODELS_OWN.to_owned());
                    for name in own.into_iter().chain(state.settings.template_names()) {
                        let is_it = name == *chosen;
                        if ui.selectable_label(is_it, &name).clicked() && !is_it {
                            actions.push(Action::SetTemplate(name));
                        }
                    }
                });
            if let ChatTemplate::Parts(template) = state.template()
                && !self.template.is_open()
                && ui.small_button("Edit template").clicked()
            {
                self.template.open(template, chosen);
            }
        });
        let used = state.template().name();
        if used != *chosen {
            ui.weak(format!("in use: {used}"));
        }
        self.template.show(ui, &state.settings.templates, actions);
    }
}

fn conversations(ui: &mut egui::Ui, state: &State, actions: &mut Vec<Action>) {
    ui.horizontal_wrapped(|ui| {
        if ui
            .button("New text")
            .on_hover_text("A text that you and the model write together (Ctrl+N)")
            .clicked()
        {
            actions.push(Action::New(Mode::Completion));
        }
        if ui
            .button("New chat")
            .on_hover_text("Questions and answers, for Instruct models")
            .clicked()
        {
            actions.push(Action::New(Mode::Chat));
        }
        ui.menu_button("Export", |ui| {
            if ui.button("Markdown file…").clicked() {
                actions.push(Action::Save(Export::ConversationMarkdown));
            }
            if ui.button("JSON file…").clicked() {
                actions.push(Action::Save(Export::ConversationJson));
            }
            if ui.button("Copy as Markdown").clicked() {
                actions.push(Action::CopyMarkdown);
            }
        });
    });
    ui.add_space(4.0);
    let rows = state.conversations.len();
    let height = ui.spacing().interact_size.y;
    ScrollArea::vertical()
        .auto_shrink(false)
        .show_rows(ui, height, rows, |ui, range| {
            // Latest first.
            for at in range.map(|row| rows - 1 - row) {
                let conversation = &state.conversations[at];
                ui.horizontal(|ui| {
                    let width = (ui.available_width() - 28.0).max(40.0);
                    let button = Button::selectable(at == state.current, "")
                        .left_text(conversation.name())
                        .truncate()
                        .min_size(egui::vec2(width, 0.0));
                    let response = ui.add_sized([width, height], button);
                    name(ui, &response, conversation.name());
                    if response.clicked() {
                        actions.push(Action::Open(at));
                    }
                    let menu = MenuButton::from_button(Button::new("×").frame(false));
                    let (response, _) = menu.ui(ui, |ui| {
                        if ui.button("Delete for good").clicked() {
                            actions.push(Action::DeleteConversation(at));
                        }
                    });
                    let what = format!("Delete conversation {}", conversation.name());
                    name(ui, &response, &what);
                });
            }
        });
}

fn appearance(ui: &mut egui::Ui, chosen: Appearance, actions: &mut Vec<Action>) {
    ui.horizontal(|ui| {
        for (appearance, name) in [
            (Appearance::System, "System"),
            (Appearance::Dark, "Dark"),
            (Appearance::Light, "Light"),
        ] {
            if ui.selectable_label(chosen == appearance, name).clicked() {
                actions.push(Action::Set(Setting::Appearance(appearance)));
            }
        }
    });
}

fn heading(ui: &mut egui::Ui, text: &str) {
    ui.add_space(10.0);
    ui.label(RichText::new(text).strong());
}

fn sampling(ui: &mut egui::Ui, state: &State, actions: &mut Vec<Action>) {
    let defaults = state
        .info()
        .map(|info| SamplingSettings::from(&info.sampling));
    let mut sampling = state.settings.sampling.clone();
    ui.spacing_mut().slider_width = 70.0;
    let mut has_changed = false;
    let mut number = |ui: &mut egui::Ui, value: &mut f32, range, text: &str, hint: &str| {
        // What the model suggests may lie outside, or be finer; showing it must not change it.
        let mut shown = *value;
        let slider = Slider::new(&mut shown, range)
            .text(text)
            .max_decimals(3)
            .clamping(SliderClamping::Edits);
        if ui.add(slider).on_hover_text(hint).changed() {
            *value = shown;
            has_changed = true;
        }
    };
    let hint = "0: always the most probable token";
    number(
        ui,
        &mut sampling.temperature,
        0.0..=2.0,
        "temperature",
        hint,
    );
    let hint = "Only the most probable tokens that together reach this";
    number(ui, &mut sampling.top_p, 0.0..=1.0, "top-p", hint);
    let hint = "Only tokens at least so many times as probable as the most probable one";
    number(ui, &mut sampling.min_p, 0.0..=1.0, "min-p", hint);
    let hint = "Makes tokens that occurred less likely; 1: off";
    number(
        ui,
        &mut sampling.repetition_penalty,
        0.5..=2.0,
        "repetition",
        hint,
    );
    let top_k = sampling.top_k as f32;
    let mut shown = top_k;
    let hint = "Only so many of the most probable tokens; 0: all";
    number(ui, &mut shown, 0.0..=200.0, "top-k", hint);
    if shown != top_k {
        sampling.top_k = shown.max(0.0) as u32;
    }
    ui.horizontal(|ui| {
        let mut is_fixed = sampling.seed.is_some();
        ui.checkbox(&mut is_fixed, "same seed")
            .on_hover_text("The same seed gives the same text");
        match (&mut sampling.seed, is_fixed) {
            (None, true) => sampling.seed = Some(42),
            (Some(_), false) => sampling.seed = None,
            _ => {}
        }
        if let Some(seed) = &mut sampling.seed {
            let response = ui.add(DragValue::new(seed));
            name(ui, &response, "seed");
        }
    });
    let mut looks = state.settings.prompt_lookup;
    ui.checkbox(&mut looks, "Propose repetitions (prompt lookup)")
        .on_hover_text("The same text, sooner where it repeats itself: lists, code, quotations");
    if looks != state.settings.prompt_lookup {
        actions.push(Action::Set(Setting::PromptLookup(looks)));
    }
    sampling.own |= has_changed;
    if let Some(defaults) = defaults
        && sampling.own
        && ui.small_button("As the model suggests").clicked()
    {
        sampling = defaults;
    }
    if sampling != state.settings.sampling {
        actions.push(Action::Set(Setting::SamplingParams(sampling)));
    }
}

fn ending(ui: &mut egui::Ui, state: &State, actions: &mut Vec<Action>) {
    let settings = &state.settings;
    ui.horizontal(|ui| {
        let named = ui.label("At most");
        let mut most = settings.max_tokens;
        let drag = DragValue::new(&mut most).range(1..=1_000_000);
        ui.add(drag).labelled_by(named.id);
        if most != settings.max_tokens {
            actions.push(Action::Set(Setting::MaxTokens(most)));
        }
        ui.label("tokens");
    });
    let stops = settings.stop.join("\n");
    if let Some(stops) = lines(ui, "Stop at (a text a line)", &stops, 1) {
        let stops = stops.split('\n').map(str::to_owned).collect();
        actions.push(Action::Set(Setting::Stop(stops)));
    }
    let mut ignores = settings.ignore_eos;
    ui.checkbox(&mut ignores, "Go on after the end of text");
    if ignores != settings.ignore_eos {
        actions.push(Action::Set(Setting::IgnoreEos(ignores)));
    }
}

//! Settings: of the conversation in sight, of generation, of the window.

use egui::{ComboBox, DragValue};

use super::super::action::{Action, Overlay};
use super::super::conversation::{MODELS_OWN, Mode};
use super::super::icons::Icon;
use super::super::settings::{Appearance, Setting};
use super::super::state::State;
use super::super::template::TemplateEditor;
use super::super::theme::{self, GRID};
use super::super::widgets::{labelled_button, lines, section, segments, switch};
use super::super::zoom;
use super::sampling::SamplingView;
use crate::text::ChatTemplate;

pub fn show(
    ui: &mut egui::Ui,
    state: &State,
    template: &mut TemplateEditor,
    sampling: &mut SamplingView,
    actions: &mut Vec<Action>,
) {
    conversation(ui, state, template, actions);
    section(ui, "Sampling");
    sampling.show(ui, state, actions);
    section(ui, "Length and end");
    ending(ui, state, actions);
    section(ui, "Appearance");
    appearance(ui, state.settings.appearance, actions);
    zoom::control(ui, state.settings.zoom(), actions);
    ui.add_space(2.0 * GRID);
    if labelled_button(ui, Icon::Keyboard, "Keyboard shortcuts", "F1").clicked() {
        actions.push(Action::ShowOverlay(Overlay::Shortcuts));
    }
}

/// What counts for the conversation in sight alone.
fn conversation(
    ui: &mut egui::Ui,
    state: &State,
    template: &mut TemplateEditor,
    actions: &mut Vec<Action>,
) {
    section(ui, "This conversation");
    let mode = state.conversation().mode;
    let modes = [(Mode::Completion, "Text"), (Mode::Chat, "Chat")];
    actions.extend(segments(ui, mode, &modes).map(Action::SetMode));
    if mode == Mode::Chat {
        let system = lines(ui, "System prompt", &state.conversation().system, 2);
        actions.extend(system.map(Action::SetSystem));
        templates(ui, state, template, actions);
    }
}

fn templates(
    ui: &mut egui::Ui,
    state: &State,
    editor: &mut TemplateEditor,
    actions: &mut Vec<Action>,
) {
    let chosen = &state.conversation().template;
    ui.horizontal_wrapped(|ui| {
        ComboBox::from_label("Template")
            .selected_text(chosen.clone())
            .width(100.0)
            .show_ui(ui, |ui| {
                let own =
                    (state.template_for(Mode::Chat) == MODELS_OWN).then(|| MODELS_OWN.to_owned());
                for name in own.into_iter().chain(state.settings.template_names()) {
                    let is_it = name == *chosen;
                    if ui.selectable_label(is_it, &name).clicked() && !is_it {
                        actions.push(Action::SetTemplate(name));
                    }
                }
            });
        if let ChatTemplate::Parts(template) = state.template()
            && !editor.is_open()
            && ui.small_button("Edit template").clicked()
        {
            editor.open(template, chosen);
        }
    });
    let used = state.template().name();
    if used != *chosen {
        ui.label(theme::aside(format!("in use: {used}")));
    }
    editor.show(ui, &state.settings.templates, actions);
}

fn ending(ui: &mut egui::Ui, state: &State, actions: &mut Vec<Action>) {
    let settings = &state.settings;
    ui.horizontal(|ui| {
        let named = ui.label("Max new tokens");
        let mut most = settings.max_tokens;
        let drag = DragValue::new(&mut most).range(1..=1_000_000);
        ui.add(drag).labelled_by(named.id);
        if most != settings.max_tokens {
            actions.push(Action::Set(Setting::MaxTokens(most)));
        }
    });
    let stops = settings.stop.join("\n");
    if let Some(stops) = lines(ui, "Stop sequences (one a line)", &stops, 1) {
        let stops = stops.split('\n').map(str::to_owned).collect();
        actions.push(Action::Set(Setting::Stop(stops)));
    }
    let (response, ignores) = switch(ui, settings.ignore_eos, "Ignore end-of-text token");
    response.on_hover_text("Goes on after the token with which the model ends a text");
    if let Some(ignores) = ignores {
        actions.push(Action::Set(Setting::IgnoreEos(ignores)));
    }
}

fn appearance(ui: &mut egui::Ui, chosen: Appearance, actions: &mut Vec<Action>) {
    let choices = [
        (Appearance::System, "System"),
        (Appearance::Dark, "Dark"),
        (Appearance::Light, "Light"),
    ];
    let picked = segments(ui, chosen, &choices);
    actions.extend(picked.map(|appearance| Action::Set(Setting::Appearance(appearance))));
}

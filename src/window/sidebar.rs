//! Conversations, and the settings of the one that is open.

use egui::containers::menu::MenuButton;
use egui::{Button, ComboBox, DragValue, RichText, ScrollArea, Slider, SliderClamping, TextEdit};

use super::app::{Action, App, Export};
use super::conversation::{Mode, template_for};
use super::settings::{Appearance, SamplingSettings};
use super::{name, theme};
use crate::text::Template;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Tab {
    #[default]
    Conversations,
    Settings,
}

/// What only the sidebar knows.
#[derive(Default)]
pub struct Sidebar {
    tab: Tab,
    /// A template that is being edited, and the name that it had.
    template: Option<(String, Template)>,
}

impl Sidebar {
    pub fn show(ui: &mut egui::Ui, app: &mut App, actions: &mut Vec<Action>) {
        ui.add_space(2.0);
        ui.horizontal(|ui| {
            let tab = &mut app.sidebar.tab;
            ui.selectable_value(tab, Tab::Conversations, "History");
            ui.selectable_value(tab, Tab::Settings, "Settings");
        });
        ui.separator();
        match app.sidebar.tab {
            Tab::Conversations => conversations(ui, app, actions),
            Tab::Settings => {
                ScrollArea::vertical()
                    .auto_shrink(false)
                    .show(ui, |ui| settings(ui, app, actions));
            }
        }
    }
}

fn conversations(ui: &mut egui::Ui, app: &App, actions: &mut Vec<Action>) {
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
    let rows = app.conversations.len();
    let height = ui.spacing().interact_size.y;
    ScrollArea::vertical()
        .auto_shrink(false)
        .show_rows(ui, height, rows, |ui, range| {
            // Latest first.
            for at in range.map(|row| rows - 1 - row) {
                let conversation = &app.conversations[at];
                ui.horizontal(|ui| {
                    let width = (ui.available_width() - 28.0).max(40.0);
                    let button = Button::selectable(at == app.current, "")
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

fn settings(ui: &mut egui::Ui, app: &mut App, actions: &mut Vec<Action>) {
    mode(ui, app);
    heading(ui, "Sampling");
    sampling(ui, app);
    heading(ui, "Ending");
    ending(ui, app);
    heading(ui, "Appearance");
    let before = app.settings.appearance;
    ui.horizontal(|ui| {
        let appearance = &mut app.settings.appearance;
        ui.selectable_value(appearance, Appearance::System, "System");
        ui.selectable_value(appearance, Appearance::Dark, "Dark");
        ui.selectable_value(appearance, Appearance::Light, "Light");
    });
    if app.settings.appearance != before {
        theme::apply(ui.ctx(), app.settings.appearance);
    }
    ui.add_space(8.0);
    if ui.button("Keyboard shortcuts (F1)").clicked() {
        actions.push(Action::ShowShortcuts);
    }
}

fn heading(ui: &mut egui::Ui, text: &str) {
    ui.add_space(10.0);
    ui.label(RichText::new(text).strong());
}

/// A label with the field that it names below it.
fn field(ui: &mut egui::Ui, label: &str, text: &mut String, rows: usize) -> bool {
    let named = ui.label(label);
    let edit = TextEdit::multiline(text)
        .desired_rows(rows)
        .desired_width(f32::INFINITY);
    ui.add(edit).labelled_by(named.id).changed()
}

fn mode(ui: &mut egui::Ui, app: &mut App) {
    ui.label(RichText::new("This conversation").strong());
    let conversation = app.conversation();
    let (mut mode, mut title) = (conversation.mode, conversation.title.clone());
    let (mut system, mut name) = (conversation.system.clone(), conversation.template.clone());
    ui.horizontal(|ui| {
        ui.selectable_value(&mut mode, Mode::Completion, "Text");
        ui.selectable_value(&mut mode, Mode::Chat, "Chat");
    });
    let named = ui.label("Title");
    ui.add(TextEdit::singleline(&mut title).desired_width(f32::INFINITY))
        .labelled_by(named.id);
    if mode == Mode::Chat {
        field(ui, "System prompt", &mut system, 2);
        template(ui, app, &mut name);
    }
    let conversation = app.conversation();
    let has_changed = mode != conversation.mode
        || title != conversation.title
        || system != conversation.system
        || name != conversation.template;
    if has_changed {
        if mode != conversation.mode {
            if name == template_for(conversation.mode) {
                template_for(mode).clone_into(&mut name);
            }
            // An edit of the whole text is none of a message, nor the other way round.
            let id = conversation.id.clone();
            app.chat.editing.remove(&id);
        }
        app.edit_conversation(|conversation| {
            conversation.mode = mode;
            conversation.title = title;
            conversation.system = system;
            conversation.template = name;
        });
    }
}

fn template(ui: &mut egui::Ui, app: &mut App, chosen: &mut String) {
    ui.horizontal(|ui| {
        ComboBox::from_label("Template")
            .selected_text(chosen.clone())
            .width(100.0)
            .show_ui(ui, |ui| {
                for template in app.settings.all_templates() {
                    ui.selectable_value(chosen, template.name.clone(), template.name);
                }
            });
        if app.sidebar.template.is_none() && ui.small_button("Edit template").clicked() {
            app.sidebar.template = Some((chosen.clone(), app.settings.template(chosen)));
        }
    });
    let Some((original, template)) = &mut app.sidebar.template else {
        return;
    };
    let original = original.clone();
    let is_own = app
        .settings
        .templates
        .iter()
        .any(|own| own.name == original);
    let mut renamed = None;
    let mut done = false;
    egui::Frame::group(ui.style()).show(ui, |ui| {
        ui.weak("{text} stands for the words of a turn");
        let named = ui.label("Name");
        ui.add(TextEdit::singleline(&mut template.name).desired_width(f32::INFINITY))
            .labelled_by(named.id);
        field(ui, "System turn", &mut template.system, 2);
        field(ui, "User turn", &mut template.user, 2);
        field(ui, "Assistant turn", &mut template.assistant, 2);
        let mut stops = template.stop.join("\n");
        if field(ui, "Stop at (a line each)", &mut stops, 1) {
            template.stop = stops.split('\n').map(str::to_owned).collect();
        }
        ui.checkbox(
            &mut template.always_system,
            "Empty system turn if there is none",
        );
        let is_built_in = Template::built_in()
            .iter()
            .any(|other| other.name == template.name);
        let mut others = app.settings.templates.iter();
        let is_taken = template.name != original && others.any(|own| own.name == template.name);
        let problem = match template.check() {
            Err(error) => Some(error.to_string()),
            Ok(()) if is_built_in => Some("Give it a name of its own to keep it".to_owned()),
            Ok(()) if template.name.trim().is_empty() => Some("It needs a name".to_owned()),
            Ok(()) if is_taken => Some("Another template has that name".to_owned()),
            Ok(()) => None,
        };
        if let Some(problem) = &problem {
            ui.colored_label(theme::warning(ui), problem);
        }
        ui.horizontal(|ui| {
            let save = ui.add_enabled(problem.is_none(), Button::new("Save template"));
            if save.clicked() {
                let own = &mut app.settings.templates;
                own.retain(|other| other.name != template.name && other.name != original);
                own.push(template.clone());
                // The editor may still be open when another conversation is shown.
                if *chosen == original {
                    chosen.clone_from(&template.name);
                }
                renamed = is_own.then(|| template.name.clone());
                done = true;
            }
            if is_own && ui.button("Delete template").clicked() {
                app.settings.templates.retain(|own| own.name != original);
                let fallback = template_for(Mode::Chat);
                if *chosen == original {
                    fallback.clone_into(chosen);
                }
                renamed = Some(fallback.to_owned());
                done = true;
            }
            if ui.button("Discard").clicked() {
                done = true;
            }
        });
    });
    if let Some(renamed) = renamed {
        app.rename_template(&original, &renamed);
    }
    if done {
        app.sidebar.template = None;
    }
}

fn sampling(ui: &mut egui::Ui, app: &mut App) {
    let defaults = app
        .info()
        .map(|info| SamplingSettings::from(&info.sampling));
    let sampling = &mut app.settings.sampling;
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
    let mut top_k = sampling.top_k as f32;
    let hint = "Only so many of the most probable tokens; 0: all";
    number(ui, &mut top_k, 0.0..=200.0, "top-k", hint);
    sampling.top_k = top_k.max(0.0) as u32;
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
    sampling.own |= has_changed;
    if let Some(defaults) = defaults
        && sampling.own
        && ui.small_button("As the model suggests").clicked()
    {
        *sampling = defaults;
    }
}

fn ending(ui: &mut egui::Ui, app: &mut App) {
    let settings = &mut app.settings;
    ui.horizontal(|ui| {
        let named = ui.label("At most");
        let drag = DragValue::new(&mut settings.max_tokens).range(1..=1_000_000);
        ui.add(drag).labelled_by(named.id);
        ui.label("tokens");
    });
    let mut stops = settings.stop.join("\n");
    if field(ui, "Stop at (a text a line)", &mut stops, 1) {
        settings.stop = stops.split('\n').map(str::to_owned).collect();
    }
    ui.checkbox(&mut settings.ignore_eos, "Go on after the end of text");
}

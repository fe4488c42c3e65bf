//! The editor of a chat template.

use egui::Button;

use super::action::Action;
use super::conversation::MODELS_OWN;
use super::settings::INST;
use super::theme;
use super::widgets::{line, lines};
use crate::text::Template;

/// A template while it is edited: only the editor reads it, until it is saved by an action.
#[derive(Default)]
pub struct TemplateEditor {
    /// The template, and the name that it had.
    edited: Option<(Template, String)>,
}

impl TemplateEditor {
    pub fn is_open(&self) -> bool {
        self.edited.is_some()
    }

    pub fn open(&mut self, template: Template, original: &str) {
        self.edited = Some((template, original.to_owned()));
    }

    /// `own` are the person's own templates.
    pub fn show(&mut self, ui: &mut egui::Ui, own: &[Template], actions: &mut Vec<Action>) {
        let Some((template, original)) = &mut self.edited else {
            return;
        };
        let frame = egui::Frame::group(ui.style());
        let is_done = frame.show(ui, |ui| {
            fields(ui, template);
            let problem = problem(template, original, own);
            if let Some(problem) = &problem {
                ui.colored_label(theme::warning(ui), problem);
            }
            buttons(ui, template, original, own, problem.is_none(), actions)
        });
        if is_done.inner {
            self.edited = None;
        }
    }
}

fn fields(ui: &mut egui::Ui, template: &mut Template) {
    ui.weak("{text} stands for the words of a turn");
    if let Some(name) = line(ui, "Name", &template.name) {
        template.name = name;
    }
    for (label, turn) in [
        ("System turn", &mut template.system),
        ("User turn", &mut template.user),
        ("Assistant turn", &mut template.assistant),
    ] {
        if let Some(text) = lines(ui, label, turn, 2) {
            *turn = text;
        }
    }
    let stops = template.stop.join("\n");
    if let Some(stops) = lines(ui, "Stop at (a line each)", &stops, 1) {
        template.stop = stops.split('\n').map(str::to_owned).collect();
    }
    ui.checkbox(
        &mut template.always_system,
        "Empty system turn if there is none",
    );
}

/// Why the template cannot be saved.
fn problem(template: &Template, original: &str, own: &[Template]) -> Option<String> {
    let has_name = |other: &Template| other.name == template.name;
    let is_built_in =
        Template::built_in().iter().any(has_name) || [MODELS_OWN, INST].contains(&&*template.name);
    let is_taken = template.name != original && own.iter().any(has_name);
    match template.check() {
        Err(error) => Some(error.to_string()),
        Ok(()) if is_built_in => Some("Give it a name of its own to keep it".to_owned()),
        Ok(()) if template.name.trim().is_empty() => Some("It needs a name".to_owned()),
        Ok(()) if is_taken => Some("Another template has that name".to_owned()),
        Ok(()) => None,
    }
}

/// Returns whether the editor is to be closed.
fn buttons(
    ui: &mut egui::Ui,
    template: &Template,
    original: &str,
    own: &[Template],
    can_save: bool,
    actions: &mut Vec<Action>,
) -> bool {
    let is_own = own.iter().any(|other| other.name == original);
    let mut is_done = false;
    ui.horizontal(|ui| {
        let save = ui.add_enabled(can_save, Button::new("Save template"));
        if save.clicked() {
            actions.push(Action::SaveTemplate {
                original: original.to_owned(),
                template: template.clone(),
            });
            is_done = true;
        }
        if is_own && ui.button("Delete template").clicked() {
            actions.push(Action::DeleteTemplate(original.to_owned()));
            is_done = true;
        }
        is_done |= ui.button("Discard").clicked();
    });
    is_done
}

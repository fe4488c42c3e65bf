//! A message while it is edited.

use egui::ScrollArea;

use super::action::Action;
use super::long_text::LongText;
use super::state::{OpenEdit, State};
use super::theme::{GRID, READING_LINE};
use super::widgets::{name, primary};

/// The most of a text that is in sight.
const MOST_HEIGHT: f32 = 14.0 * READING_LINE;

/// What only the editor needs.
#[derive(Default)]
pub struct Editor {
    takes_focus: bool,
    text: LongText,
}

impl Editor {
    /// Puts the cursor into it.
    pub fn focus(&mut self) {
        self.takes_focus = true;
    }

    /// `can_send` is `None` for what is nobody's question.
    pub fn show(
        &mut self,
        ui: &mut egui::Ui,
        state: &State,
        can_send: Option<bool>,
        actions: &mut Vec<Action>,
    ) {
        let Some(OpenEdit { text, .. }) = state.edit() else {
            return;
        };
        let id = egui::Id::unique(("editor", &state.conversation().id));
        self.text.parts(ui, id, text);
        let scroll = ScrollArea::vertical().id_salt("editor");
        scroll
            .max_height(MOST_HEIGHT)
            .min_scrolled_height(MOST_HEIGHT)
            .show(ui, |ui| {
                let row = ui.text_style_height(&egui::TextStyle::Body);
                ui.spacing_mut().extra_text_line_spacing = (READING_LINE - row).max(0.0);
                let (response, changed) = self.text.show(ui, id, text, |edit| {
                    edit.desired_width(f32::INFINITY).desired_rows(4)
                });
                name(ui, &response, "Edit message");
                if std::mem::take(&mut self.takes_focus) {
                    self.text.begin(ui, id, text);
                    response.request_focus();
                }
                actions.extend(changed.map(Action::SetEdit));
            });
        ui.add_space(2.0 * GRID);
        ui.horizontal(|ui| {
            let hint = "Change it where it stands";
            match can_send {
                // What goes on from here is what most edits of a question are for.
                Some(can_send) => {
                    if primary(ui, can_send, "Send as a new branch", "").clicked() {
                        actions.push(Action::SendEdit);
                    }
                    if ui.button("Save").on_hover_text(hint).clicked() {
                        actions.push(Action::SaveEdit);
                    }
                }
                None => {
                    if primary(ui, true, "Save", hint).clicked() {
                        actions.push(Action::SaveEdit);
                    }
                }
            }
            if ui.button("Cancel").clicked() {
                actions.push(Action::CancelEdit);
            }
        });
    }
}

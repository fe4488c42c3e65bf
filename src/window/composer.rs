//! The box to write in, below the conversation.

use std::borrow::Cow;

use egui::{Key, Modifiers, ScrollArea, TextEdit};

use super::action::Action;
use super::conversation::Mode;
use super::state::State;
use super::widgets::name;

/// Draws the box; `focus` puts the cursor into it.
pub fn show(ui: &mut egui::Ui, state: &State, focus: bool, actions: &mut Vec<Action>) {
    let conversation = state.conversation();
    let mut draft = Cow::Borrowed(state.draft.as_str());
    let can_continue = conversation.mode == Mode::Completion && !conversation.is_empty();
    let hint = match (state.not_ready(), conversation.mode) {
        (Some(why), _) => why,
        (None, Mode::Chat) => "Message (Enter sends, Shift+Enter for a new line)",
        (None, Mode::Completion) if conversation.is_empty() => {
            "How does the text begin? (Enter continues it)"
        }
        (None, Mode::Completion) => "Add to the text, or nothing, and continue",
    };
    ui.add_space(4.0);
    let mut send = false;
    ui.horizontal(|ui| {
        const BUTTON: f32 = 76.0;
        let width = (ui.available_width() - BUTTON - 8.0).max(40.0);
        let scroll = ScrollArea::vertical()
            .id_salt("draft")
            .max_width(width)
            .max_height(140.0)
            .auto_shrink([false, true]);
        scroll.show(ui, |ui| {
            let edit = TextEdit::multiline(&mut draft)
                .id(egui::Id::unique("draft"))
                .hint_text(hint.to_owned())
                .desired_rows(1)
                .desired_width(width)
                .margin(egui::Margin::symmetric(8, 6))
                .return_key(egui::KeyboardShortcut::new(Modifiers::SHIFT, Key::Enter));
            let response = ui.add(edit);
            name(ui, &response, "Message");
            if focus {
                response.request_focus();
            }
            // Matching would let Shift pass, which is for new lines.
            let entered = |input: &mut egui::InputState| {
                !input.modifiers.shift && input.consume_key(Modifiers::NONE, Key::Enter)
            };
            send |= response.has_focus() && ui.input_mut(entered);
        });
        let can_send = state.can_generate() && (can_continue || !draft.trim().is_empty());
        send &= can_send;
        let size = egui::vec2(BUTTON, 30.0);
        if state.is_busy() {
            let stop = egui::Button::new("Stop").min_size(size);
            if ui.add(stop).on_hover_text("Escape").clicked() {
                actions.push(Action::Stop);
            }
        } else {
            let label = match conversation.mode {
                Mode::Chat => "Send",
                Mode::Completion => "Continue",
            };
            let button = egui::Button::new(label).min_size(size);
            send |= ui.add_enabled(can_send, button).clicked();
        }
    });
    ui.add_space(4.0);
    if let Cow::Owned(text) = draft {
        actions.push(Action::SetDraft(text));
    }
    if send {
        actions.push(Action::SendDraft);
    }
}

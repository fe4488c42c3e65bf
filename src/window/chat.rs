//! The conversation, with what is found in it, and the box to write in.

use super::action::Action;
use super::composer::Composer;
use super::pace::Pace;
use super::state::State;
use super::transcript::Transcript;
use super::{find, inspector, theme, welcome};

/// What only these views need, each its own.
#[derive(Default)]
pub struct ChatView {
    composer: Composer,
    transcript: Transcript,
}

impl ChatView {
    /// Puts the cursor into the box to write in.
    pub fn focus_composer(&mut self) {
        self.composer.focus();
    }

    /// Puts it into the message that is being edited.
    pub fn focus_editor(&mut self) {
        self.transcript.focus_editor();
    }

    /// The cursor goes elsewhere, whatever was asked for in this frame.
    pub fn leave_composer(&mut self) {
        self.composer.leave();
    }

    /// Shows the end, where something was asked for.
    pub fn scroll_to_end(&mut self) {
        self.transcript.scroll_to_end();
    }

    /// Shows the match that is looked at.
    pub fn scroll_to_match(&mut self) {
        self.transcript.scroll_to_match();
    }

    /// Draws the conversation above and the box to write in below. `pace` says how soon to draw again where heights were news.
    pub fn show(
        &mut self,
        ui: &mut egui::Ui,
        state: &State,
        pace: &Pace,
        actions: &mut Vec<Action>,
    ) {
        if let Some(find) = &state.find {
            find::show(ui, find, actions);
        }
        let panel = egui::Panel::bottom("composer").resizable(false);
        panel
            .frame(theme::page())
            .show_separator_line(false)
            .show(ui, |ui| {
                inspector::show(ui, state, actions);
                self.composer.show(ui, state, actions);
            });
        let room = egui::CentralPanel::default().frame(egui::Frame::new());
        room.show(ui, |ui| {
            if state.conversation().is_empty() {
                welcome::show(ui, state, actions);
            } else {
                self.transcript.show(ui, state, pace, actions);
            }
        });
    }
}

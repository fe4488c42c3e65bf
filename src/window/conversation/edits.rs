//! What is done to messages, taken back, and done again.

use super::super::calendar;
use super::change::{Change, turn};
use super::tree::Conversation;
use crate::text::Role;

impl Conversation {
    /// Replaces the text of a message; undoing brings it back, without its tokens' probabilities.
    pub fn edit(&mut self, index: usize, text: String) {
        self.redo.clear();
        let change = self.exchange(index, text);
        self.undo.push((turn(), change));
        self.changed = calendar::now();
    }

    /// Puts a text in the place of another. Returns what takes that back.
    fn exchange(&mut self, message: usize, text: String) -> Change {
        let edited = &mut self.messages[message];
        edited.tokens.clear();
        edited.version += 1;
        let text = std::mem::replace(&mut edited.text, text);
        Change::Edit { message, text }
    }

    /// Takes a message and all that follows it out of sight.
    pub fn delete(&mut self, index: usize) {
        self.redo.clear();
        self.hide(index);
        let change = Change::Delete { message: index };
        self.undo.push((turn(), change));
    }

    /// When the last change was made that can be taken back, in turns, which are counted from the start of the program.
    pub fn last_change(&self) -> Option<u64> {
        self.undo.last().map(|(turn, _)| *turn)
    }

    /// When the last change was taken back that can be done again.
    pub fn last_undone(&self) -> Option<u64> {
        self.redo.last().map(|(turn, _)| *turn)
    }

    fn hide(&mut self, index: usize) {
        self.messages[index].deleted = true;
        self.siblings_mut(index).retain(|sibling| *sibling != index);
        self.update_path();
    }

    fn unhide(&mut self, index: usize) {
        self.messages[index].deleted = false;
        let siblings = self.siblings_mut(index);
        siblings.push(index);
        siblings.sort_unstable();
        self.choose(index);
    }

    /// Takes an answer that never came out of sight.
    pub fn discard_if_empty(&mut self, index: usize) {
        let message = &self.messages[index];
        if message.text.is_empty() && message.children.is_empty() && !message.deleted {
            self.hide(index);
        }
    }

    /// Takes answers out of sight of which nothing ever came, and that nobody is writing.
    pub fn discard_unbegun(&mut self) {
        for index in 0..self.messages.len() {
            let message = &self.messages[index];
            if message.role == Role::Assistant && message.stats.is_none() {
                self.discard_if_empty(index);
            }
        }
    }

    /// Takes the last edit or deletion back.
    pub fn undo(&mut self) {
        let undone = match self.undo.pop() {
            Some((_, Change::Delete { message })) => {
                self.unhide(message);
                Change::Delete { message }
            }
            Some((_, Change::Edit { message, text })) => self.exchange(message, text),
            None => return,
        };
        self.redo.push((turn(), undone));
    }

    /// Does again what was taken back last.
    pub fn redo(&mut self) {
        let done = match self.redo.pop() {
            Some((_, Change::Delete { message })) => {
                self.hide(message);
                Change::Delete { message }
            }
            Some((_, Change::Edit { message, text })) => self.exchange(message, text),
            None => return,
        };
        self.undo.push((turn(), done));
    }
}

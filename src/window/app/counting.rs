//! How many tokens the model would be given, with and without what is being written.

use std::time::{Duration, Instant};

use super::App;
use super::counts::Key;
use crate::engine::{Command, Prompt};
use crate::error::Result;

/// How long nothing is typed before the draft is counted: a count takes the model's thread as long as a prompt's tokens do.
const PAUSE: Duration = Duration::from_millis(250);

impl App {
    /// Keeps the counts true. Returns how soon to call it again, if something is to be counted then.
    pub(super) fn count(&mut self) -> Option<Duration> {
        if self.state.info().is_none() {
            self.state.with_draft = None;
            return None;
        }
        let key = self.count_key();
        if self.state.is_writing_here() {
            // The model knows how far the text before the draft has come.
            return self.count_draft(key);
        }
        if self.counting.counted.as_ref() != Some(&key) {
            self.counting.counted = Some(key.clone());
            self.counting.prompt = self.ask_for_count(self.state.prompt());
            if self.counting.prompt == 0 {
                // What is wrong with it is told when something is sent.
                self.state.positions = 0;
            }
        }
        self.count_draft(key)
    }

    fn count_draft(&mut self, key: Key) -> Option<Duration> {
        let draft = self.state.draft();
        let is_counted = |(of, text): &(Key, String)| *of == key && text == draft;
        if self.counting.drafted.as_ref().is_some_and(is_counted) {
            let changed = self.counting.changed?;
            let left = PAUSE.saturating_sub(changed.elapsed());
            if !left.is_zero() {
                return Some(left);
            }
            self.counting.changed = None;
            let conversation = self.state.conversation();
            let template = self.state.template();
            let prompt = match self.state.is_writing_here() {
                true => Ok(Prompt::from(draft)),
                false => conversation.prompt_with(&template, conversation.last(), draft),
            };
            self.counting.draft = self.ask_for_count(prompt);
            return None;
        }
        let (is_empty, draft) = (draft.is_empty(), draft.to_owned());
        let of_other = |(of, _): &(Key, String)| *of != key;
        if is_empty || self.counting.drafted.as_ref().is_none_or(of_other) {
            self.state.with_draft = None;
        }
        self.counting.drafted = Some((key, draft));
        // What was asked for before is of another text.
        self.counting.draft = 0;
        self.counting.changed = (!is_empty).then(Instant::now);
        self.counting.changed.map(|_| PAUSE)
    }

    /// Returns the number of the count, or 0 if there is nothing to count.
    fn ask_for_count(&mut self, prompt: Result<Prompt>) -> u64 {
        match prompt {
            Ok(prompt) if !prompt.is_empty() => {
                self.counting.asked += 1;
                let id = self.counting.asked;
                self.engine.send(Command::Count { id, text: prompt });
                id
            }
            _ => 0,
        }
    }

    /// Takes in a count.
    pub(super) fn take_count(&mut self, id: u64, count: usize) {
        // Of a text that was changed since there is another on its way.
        if id == self.counting.prompt {
            self.state.positions = count;
        } else if id == self.counting.draft {
            self.state.with_draft = Some(count);
        }
    }

    fn count_key(&self) -> Key {
        let conversation = self.state.conversation();
        if self.state.is_writing_here() {
            return (format!("{}, written to", conversation.id), 0, 0);
        }
        let changes = conversation
            .path()
            .iter()
            .map(|at| conversation.message(*at).version + 1 + 131 * *at as u64)
            .sum();
        (
            format!(
                "{} {:?} {:?} {}",
                conversation.id,
                conversation.mode,
                self.state.template(),
                conversation.system
            ),
            changes,
            conversation.last().map_or(0, |last| last + 1),
        )
    }
}

//! What has changed goes to disk at most once a second, and before the window closes.

use std::time::{Duration, Instant};

use super::App;
use super::actions::Action;
use crate::engine::Event;
use crate::window::banner::Banner;
use crate::window::settings::Edit;
use crate::window::store::{self, Store};

/// How often a text in the making is put on disk.
const SAVE_EVERY: Duration = Duration::from_secs(1);

/// How long closing waits for what the model was writing.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// How long it waits for each event.
const PATIENCE: Duration = Duration::from_millis(50);

/// How often what could not be written is tried again.
const RETRY_EVERY: Duration = Duration::from_secs(5);

const NOT_SAVED: &str = "Not saved";
const WOULD_BE_LOST: &str = "Not everything is saved";

impl App {
    pub(super) fn take_saved(&mut self, saved: store::Saved) {
        match saved.error {
            None => {
                self.unsaved.remove(&saved.path);
                if self.unsaved.is_empty() {
                    self.has_warned_of_loss = false;
                    let told = [NOT_SAVED, WOULD_BE_LOST];
                    self.banners
                        .retain(|banner| !told.contains(&&*banner.title));
                }
            }
            Some(error) => {
                let text = format!(
                    "{} could not be written or removed: {error}. The file is as it was, and nothing is lost while the window is open; \
                     make room, or save a copy elsewhere.",
                    saved.path.display()
                );
                self.unsaved.insert(saved.path);
                self.tell(
                    Banner::problem(NOT_SAVED, text).with_fix("Try again", Action::RetrySave),
                );
            }
        }
    }

    /// Tries again what failed.
    pub(super) fn retry_save(&mut self) {
        for path in &self.unsaved {
            let stem = path.file_stem().unwrap_or_default().to_string_lossy();
            if *path == self.store.settings_path() {
                self.saved_settings.clear();
            } else if self.conversations.iter().any(|c| c.id == stem) {
                self.dirty.insert(stem.into_owned());
            } else {
                self.store.remove_conversation(&stem);
            }
        }
        self.flush();
    }

    /// Puts on disk what has changed; at most once a second.
    pub(super) fn save(&mut self) {
        let now = Instant::now();
        let since_last = |last: Instant| now.saturating_duration_since(last);
        if self
            .last_save
            .is_some_and(|last| since_last(last) < SAVE_EVERY)
        {
            if !self.dirty.is_empty() || self.chat.draft != self.settings.draft {
                self.egui.request_repaint_after(SAVE_EVERY);
            }
            return;
        }
        self.last_save = Some(now);
        if self.unsaved.is_empty() {
            self.flush();
        } else if since_last(self.last_retry) >= RETRY_EVERY {
            // There may be room by now.
            self.last_retry = now;
            self.retry_save();
        }
        if !self.unsaved.is_empty() {
            self.egui.request_repaint_after(RETRY_EVERY);
        }
    }

    pub(super) fn flush(&mut self) {
        for id in std::mem::take(&mut self.dirty) {
            match self.conversations.iter().find(|c| c.id == id) {
                // What was set and taken back is not to come back.
                Some(conversation) if conversation.is_untouched() => {
                    self.store.remove_conversation(&id);
                }
                Some(conversation) => self.store.save_conversation(conversation),
                None => {}
            }
        }
        self.settings.draft.clone_from(&self.chat.draft);
        let edits = self.chat.editing.iter().filter_map(|(id, (at, text))| {
            let conversation = self.conversations.iter().find(|c| c.id == *id)?;
            Some(Edit {
                conversation: id.clone(),
                message: conversation.kept_index(*at)?,
                text: text.clone(),
            })
        });
        self.settings.edits = edits.collect();
        let settings = serde_json::to_string(&self.settings).unwrap_or_default();
        if settings != self.saved_settings {
            self.store.save_settings(&self.settings);
            self.saved_settings = settings;
        }
    }

    /// Writes everything before the window goes. Returns whether it may go.
    pub(super) fn may_close(&mut self) -> bool {
        self.finish_writing();
        self.flush();
        self.retry_save();
        let failed = self.store.finish();
        if failed.is_empty() || self.has_warned_of_loss {
            return true;
        }
        self.has_warned_of_loss = true;
        if let Ok(store) = Store::open(self.store.folder()) {
            self.store = store;
        }
        for saved in failed {
            self.take_saved(saved);
        }
        self.tell(Banner::problem(
            WOULD_BE_LOST,
            "Closing now would lose it. Close the window once more to do that.",
        ));
        false
    }

    /// Stops the model and takes in what it had written.
    fn finish_writing(&mut self) {
        self.stop();
        let begin = Instant::now();
        while self.running.is_some() && begin.elapsed() < LAST_WORDS {
            let asked = Instant::now();
            match self.engine.wait(PATIENCE) {
                Some(event) => self.take_event(event),
                // Nothing although there was time left: the engine has ended, and nothing more will come.
                None if asked.elapsed() < PATIENCE => self.take_event(Event::Stopped),
                None => {}
            }
        }
    }
}

//! What has changed goes to disk at most once a second, and before the window closes.

use std::time::{Duration, Instant};

use super::App;
use super::actions::Action;
use crate::window::banner::Banner;
use crate::window::store::{self, Store};

/// How often a text in the making is put on disk.
pub(super) const SAVE_EVERY: Duration = Duration::from_secs(1);

impl App {
    pub(super) fn take_saved(&mut self, saved: store::Saved) {
        let title = "Not saved";
        match saved.error {
            None => self.banners.retain(|banner| banner.title != title),
            Some(error) => {
                if let Some(stem) = saved.path.file_stem() {
                    let id = stem.to_string_lossy().into_owned();
                    if self.conversations.iter().any(|c| c.id == id) {
                        self.dirty.insert(id);
                    }
                }
                self.banners.retain(|banner| banner.title != title);
                let text = format!(
                    "{} could not be written: {error}. The old file is untouched and nothing is lost while the window is open; \
                     make room, or save a copy elsewhere.",
                    saved.path.display()
                );
                self.banners
                    .push(Banner::problem(title, text).with_fix("Try again", Action::RetrySave));
                // Not again at once: the next change, or the person, will.
                self.last_save = Instant::now() + Duration::from_secs(10);
            }
        }
    }

    /// Puts on disk what has changed; at most once a second.
    pub(super) fn save(&mut self) {
        let now = Instant::now();
        if now.saturating_duration_since(self.last_save) < SAVE_EVERY {
            if !self.dirty.is_empty() {
                self.egui.request_repaint_after(SAVE_EVERY);
            }
            return;
        }
        self.last_save = now;
        self.flush();
    }

    pub(super) fn flush(&mut self) {
        for id in std::mem::take(&mut self.dirty) {
            let found = self.conversations.iter().find(|c| c.id == id);
            if let Some(conversation) = found.filter(|conversation| conversation.total() > 0) {
                self.store.save_conversation(conversation);
            }
        }
        let settings = serde_json::to_string(&self.settings).unwrap_or_default();
        if settings != self.saved_settings {
            self.store.save_settings(&self.settings);
            self.saved_settings = settings;
        }
    }

    /// Writes everything before the window goes. Returns whether it may go.
    pub(super) fn may_close(&mut self) -> bool {
        self.flush();
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
        self.banners.push(Banner::problem(
            "Not everything is saved",
            "Closing now would lose it. Close the window once more to do that.",
        ));
        false
    }
}

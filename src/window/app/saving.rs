//! What has changed goes to disk at most once a second, and before the window closes.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::window::action::{Action, BannerId};
use crate::window::conversation::Conversation;
use crate::window::settings::{Draft, Edit, Settings};
use crate::window::state::{Banner, State};
use crate::window::store::{Saved, Store};

/// How often a text in the making is put on disk.
const SAVE_EVERY: Duration = Duration::from_secs(1);

/// How often what could not be written is tried again.
const RETRY_EVERY: Duration = Duration::from_secs(5);

/// The store, and what of the state is not in it yet.
pub(super) struct Saving {
    store: Store,
    /// Ids of conversations that have changed.
    changed: BTreeSet<String>,
    /// The settings as they were saved last.
    saved_settings: String,
    /// The drafts as they were then.
    saved_drafts: HashMap<String, String>,
    /// `None`: it is due now.
    last_save: Option<Instant>,
    last_retry: Instant,
    /// Files that could not be written or removed.
    unsaved: BTreeSet<PathBuf>,
    has_warned_of_loss: bool,
}

impl Saving {
    pub(super) fn new(store: Store, settings: &Settings, drafts: &HashMap<String, String>) -> Self {
        Self {
            store,
            changed: BTreeSet::new(),
            saved_settings: serde_json::to_string(settings).unwrap_or_default(),
            saved_drafts: drafts.clone(),
            last_save: Some(Instant::now()),
            last_retry: Instant::now(),
            unsaved: BTreeSet::new(),
            has_warned_of_loss: false,
        }
    }

    /// A name for a new conversation.
    pub(super) fn new_id(&self) -> String {
        self.store.new_id()
    }

    /// A conversation has changed.
    pub(super) fn mark(&mut self, conversation: &str) {
        if !self.changed.contains(conversation) {
            self.changed.insert(conversation.to_owned());
        }
    }

    /// What has changed is to be saved without delay.
    pub(super) fn hurry(&mut self) {
        self.last_save = None;
    }

    /// Removes a conversation for good.
    pub(super) fn remove(&mut self, conversation: &str) {
        self.changed.remove(conversation);
        self.store.remove_conversation(conversation);
    }

    /// Takes in what has been written since the last call.
    pub(super) fn take_results(&mut self, state: &mut State) {
        let results: Vec<Saved> = self.store.saved().collect();
        for saved in results {
            self.take_result(saved, state);
        }
    }

    fn take_result(&mut self, saved: Saved, state: &mut State) {
        match saved.error {
            None => {
                self.unsaved.remove(&saved.path);
                if self.unsaved.is_empty() {
                    self.has_warned_of_loss = false;
                    state.dismiss(BannerId::NotSaved);
                    state.dismiss(BannerId::ClosingWouldLose);
                }
            }
            Some(error) => {
                let text = format!(
                    "{} could not be written or removed: {error}. The file is as it was, and nothing is lost while the window is open; \
                     make room, or save a copy elsewhere.",
                    saved.path.display()
                );
                self.unsaved.insert(saved.path);
                let banner = Banner::problem(BannerId::NotSaved, text);
                state.tell(banner.with_fix("Try again", Action::RetrySave));
            }
        }
    }

    /// Tries again what failed.
    pub(super) fn retry(&mut self, state: &State) {
        for path in &self.unsaved {
            let stem = path.file_stem().unwrap_or_default().to_string_lossy();
            if *path == self.store.settings_path() {
                self.saved_settings.clear();
            } else if state.conversation_of(&stem).is_some() {
                self.changed.insert(stem.into_owned());
            } else {
                self.store.remove_conversation(&stem);
            }
        }
        self.flush(state);
    }

    /// Puts on disk what has changed; at most once a second. Returns how soon to call it again, if something is left.
    pub(super) fn save(&mut self, state: &State) -> Option<Duration> {
        let now = Instant::now();
        let is_recent = |last: Instant, least| now.saturating_duration_since(last) < least;
        if self
            .last_save
            .is_some_and(|last| is_recent(last, SAVE_EVERY))
        {
            let has_changed = !self.changed.is_empty() || state.drafts != self.saved_drafts;
            return has_changed.then_some(SAVE_EVERY);
        }
        self.last_save = Some(now);
        if self.unsaved.is_empty() {
            self.flush(state);
        } else if !is_recent(self.last_retry, RETRY_EVERY) {
            // There may be room by now.
            self.last_retry = now;
            self.retry(state);
        }
        (!self.unsaved.is_empty()).then_some(RETRY_EVERY)
    }

    /// Puts on disk what has changed.
    pub(super) fn flush(&mut self, state: &State) {
        for id in std::mem::take(&mut self.changed) {
            match state.conversation_of(&id) {
                // What was set and taken back is not to come back.
                Some(conversation) if conversation.is_untouched() => {
                    self.store.remove_conversation(&id);
                }
                Some(conversation) => self.store.save_conversation(conversation),
                None => {}
            }
        }
        let (draft, drafts) = drafts(state);
        let settings = Settings {
            draft,
            drafts,
            edits: edits(state),
            ..state.settings.clone()
        };
        let json = serde_json::to_string(&settings).unwrap_or_default();
        if json != self.saved_settings {
            self.store.save_settings(&settings);
            self.saved_settings = json;
        }
        if self.saved_drafts != state.drafts {
            self.saved_drafts.clone_from(&state.drafts);
        }
    }

    /// Writes everything before the window goes. Returns whether it may go.
    pub(super) fn may_close(&mut self, state: &mut State) -> bool {
        self.flush(state);
        self.retry(state);
        let failed = self.store.finish();
        if failed.is_empty() || self.has_warned_of_loss {
            return true;
        }
        self.has_warned_of_loss = true;
        if let Ok(store) = Store::open(self.store.folder()) {
            self.store = store;
        }
        for saved in failed {
            self.take_result(saved, state);
        }
        state.tell(Banner::problem(
            BannerId::ClosingWouldLose,
            "Closing now would lose it. Close the window once more to do that.",
        ));
        false
    }

    /// Writes what can be written, and nothing after that.
    pub(super) fn finish(&mut self, state: &State) {
        self.flush(state);
        self.store.finish();
    }
}

/// Drafts as they are kept: the one where there is no conversation on disk yet, and those of conversations.
fn drafts(state: &State) -> (String, Vec<Draft>) {
    let mut lone = String::new();
    let mut others = Vec::new();
    for (id, text) in &state.drafts {
        match state.conversation_of(id) {
            Some(conversation) if conversation.is_untouched() => lone.clone_from(text),
            Some(_) => others.push(Draft {
                conversation: id.clone(),
                text: text.clone(),
            }),
            None => {}
        }
    }
    // What has not changed is not written again.
    others.sort_by(|a, b| a.conversation.cmp(&b.conversation));
    (lone, others)
}

/// Edits as they are kept: with the message's index on disk.
fn edits(state: &State) -> Vec<Edit> {
    let edits = state.edits.iter().filter_map(|(id, edit)| {
        let conversation: &Conversation = state.conversation_of(id)?;
        Some(Edit {
            conversation: id.clone(),
            message: conversation.kept_index(edit.message)?,
            text: edit.text.clone(),
        })
    });
    edits.collect()
}

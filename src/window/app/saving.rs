//! What has changed goes to disk at most once a second, and before the window closes.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::window::action::{Action, BannerId};
use crate::window::conversation::Conversation;
use crate::window::history::Stamp;
use crate::window::settings::{Draft, Edit, Settings};
use crate::window::state::{Banner, State};
use crate::window::store::{Saved, Store};

/// How often a text in the making is put on disk.
const SAVE_EVERY: Duration = Duration::from_secs(1);

/// How often what could not be written is tried again.
const RETRY_EVERY: Duration = Duration::from_secs(5);

/// How often what is known of the conversations is kept for the next start.
const INDEX_EVERY: Duration = Duration::from_secs(60);

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
    /// Files of conversations that are on their way to the disk.
    on_its_way: usize,
    /// Files of the trash that are to be deleted.
    deleting: usize,
    /// Ids of conversations that were put into the trash.
    thrown: BTreeSet<String>,
    /// Whether what is known of the conversations is to be kept for the next start, and when that was done last.
    is_index_old: bool,
    last_index: Instant,
    /// Whether something was done since all was looked at.
    is_touched: bool,
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
            on_its_way: 0,
            deleting: 0,
            thrown: BTreeSet::new(),
            is_index_old: false,
            is_touched: false,
            last_index: Instant::now(),
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

    /// Something was done, which may have changed settings or edits: that is to be looked at, even if nobody moves any more.
    pub(super) fn touch(&mut self) {
        self.is_touched = true;
    }

    /// What has changed is to be saved without delay.
    pub(super) fn hurry(&mut self) {
        self.last_save = None;
    }

    /// Ids of conversations that have changed since they were put on disk.
    pub(super) fn changed(&self) -> &BTreeSet<String> {
        &self.changed
    }

    /// Something else is known of conversations than is kept for the next start.
    pub(super) fn index_changed(&mut self) {
        self.is_index_old = true;
    }

    /// Where deleted conversations lie.
    pub(super) fn trash(&self) -> PathBuf {
        self.store.folder().join("trash")
    }

    /// Puts a conversation into the trash, as it is now if it was read.
    pub(super) fn throw(&mut self, id: &str, conversation: Option<&Conversation>) {
        if self.changed.remove(id)
            && let Some(conversation) = conversation
        {
            self.on_its_way += 1;
            self.store.save_conversation(conversation);
        }
        self.on_its_way += 1;
        self.store.throw_conversation(id);
        self.thrown.insert(id.to_owned());
    }

    /// Takes a conversation out of the trash.
    pub(super) fn restore(&mut self, id: &str) {
        self.on_its_way += 1;
        self.store.restore_conversation(id);
        self.thrown.remove(id);
    }

    /// Deletes a file of the trash.
    pub(super) fn delete_for_good(&mut self, path: PathBuf) {
        self.deleting += 1;
        self.store.delete_for_good(path);
    }

    /// Whether conversations are on their way to the disk, or to the trash.
    pub(super) fn is_busy(&self) -> bool {
        self.on_its_way > 0 || self.deleting > 0
    }

    /// Whether a conversation was put into the trash.
    pub(super) fn is_thrown(&self, id: &str) -> bool {
        self.thrown.contains(id)
    }

    /// Takes in what has been written since the last call.
    pub(super) fn take_results(&mut self, state: &mut State) {
        let results: Vec<Saved> = self.store.saved().collect();
        self.take(results, state);
    }

    fn take(&mut self, results: Vec<Saved>, state: &mut State) {
        let mut stamps = HashMap::new();
        for saved in results {
            self.take_result(saved, state, &mut stamps);
        }
        state.history.set_stamps(&stamps);
    }

    fn take_result(
        &mut self,
        saved: Saved,
        state: &mut State,
        stamps: &mut HashMap<String, Option<Stamp>>,
    ) {
        if let Some(id) = self.store.id_of(&saved.path) {
            self.on_its_way = self.on_its_way.saturating_sub(saved.jobs);
            self.is_index_old = true;
            let stamp = saved.outcome.as_ref().ok().copied().flatten();
            stamps.insert(id, stamp);
        }
        if saved.path.starts_with(self.trash()) {
            self.deleting = self.deleting.saturating_sub(1);
        }
        match saved.outcome {
            Ok(_) => {
                self.unsaved.remove(&saved.path);
                if self.unsaved.is_empty() {
                    self.has_warned_of_loss = false;
                    state.dismiss(BannerId::NotSaved);
                    state.dismiss(BannerId::ClosingWouldLose);
                }
            }
            Err(error) => {
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
        for path in self.unsaved.clone() {
            let Some(id) = self.store.id_of(&path) else {
                self.saved_settings.clear();
                continue;
            };
            if state.conversation_of(&id).is_some() {
                self.changed.insert(id);
            } else if state.history.get(&id).is_some() {
                self.restore(&id);
            } else {
                self.throw(&id, state.conversation_of(&id));
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
            return (has_changed || self.is_touched).then_some(SAVE_EVERY);
        }
        self.last_save = Some(now);
        if self.is_index_old && self.is_at_rest() && !is_recent(self.last_index, INDEX_EVERY) {
            self.is_index_old = false;
            self.last_index = now;
            self.store.save_index(state.history.entries());
        }
        if self.unsaved.is_empty() {
            self.flush(state);
        } else if !is_recent(self.last_retry, RETRY_EVERY) {
            // There may be room by now.
            self.last_retry = now;
            self.retry(state);
        }
        (!self.unsaved.is_empty()).then_some(RETRY_EVERY)
    }

    /// Whether all conversations are on disk as they are known here.
    fn is_at_rest(&self) -> bool {
        self.changed.is_empty() && self.unsaved.is_empty() && self.on_its_way == 0
    }

    /// Puts on disk what has changed.
    pub(super) fn flush(&mut self, state: &State) {
        self.is_touched = false;
        let changed = std::mem::take(&mut self.changed);
        let all = state.conversations.iter();
        let all = all.filter(|one| changed.contains(&one.id));
        let all: HashMap<&str, &Conversation> = all.map(|one| (one.id.as_str(), one)).collect();
        for id in &changed {
            match all.get(id.as_str()) {
                // What was set and taken back is not to come back.
                Some(conversation) if conversation.is_untouched() => {
                    self.on_its_way += 1;
                    self.store.remove_conversation(id);
                }
                Some(conversation) => {
                    self.on_its_way += 1;
                    self.store.save_conversation(conversation);
                }
                None => {}
            }
        }
        let (draft, drafts) = drafts(state);
        let settings = Settings {
            draft,
            drafts,
            edits: edits(state),
            tab: state.timings.tab,
            beside: state.timings.beside,
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
        self.finish_writing(state);
        if self.unsaved.is_empty() || self.has_warned_of_loss {
            return true;
        }
        self.has_warned_of_loss = true;
        if let Ok(store) = Store::open(self.store.folder()) {
            self.store = store;
        }
        state.tell(Banner::problem(
            BannerId::ClosingWouldLose,
            "Closing now would lose it. Close the window once more to do that.",
        ));
        false
    }

    /// Writes what can be written, and nothing after that.
    pub(super) fn finish(&mut self, state: &mut State) {
        self.flush(state);
        self.finish_writing(state);
    }

    /// Waits until all is written, and keeps what is known of the conversations for the next start.
    fn finish_writing(&mut self, state: &mut State) {
        let results = self.store.finish();
        self.take(results, state);
        // What has failed has no stamp, and is read then.
        if std::mem::take(&mut self.is_index_old) {
            self.store.write_index(state.history.entries());
        }
    }
}

/// Drafts as they are kept: the one where there is no conversation on disk yet, and those of conversations.
fn drafts(state: &State) -> (String, Vec<Draft>) {
    let mut lone = String::new();
    let mut others = Vec::new();
    for (id, text) in &state.drafts {
        match state.conversation_of(id) {
            Some(conversation) if conversation.is_untouched() => lone.clone_from(text),
            _ => others.push(Draft {
                conversation: id.clone(),
                text: text.clone(),
            }),
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

//! What is done to the list of conversations, and taken back: each change is followed by what undoes it.

use std::collections::{HashMap, HashSet};

use super::App;
use super::changes::{Change, Removed};
use super::reading::{Read, SMALL, tell_unreadable};
use crate::window::action::{Action, BannerId};
use crate::window::calendar::now;
use crate::window::conversation::{Conversation, Mode, turn};
use crate::window::history::{Entry, parse_tags, title_of};
use crate::window::state::{Banner, NarrowView};

impl App {
    /// Place among those that were read of the conversation of that id. One that is not there yet is read: at once if it is small; if not,
    /// there is none for now, and `action` is done later.
    fn place_of(&mut self, id: &str, action: &Action) -> Option<usize> {
        let mut read = self.state.conversations.iter();
        if let Some(at) = read.position(|other| other.id == id) {
            return Some(at);
        }
        self.state.history.get(id)?;
        let reader = self.reading.reader();
        if reader.bytes(id) <= SMALL {
            let read = reader.conversation(id);
            return self.was_read(read);
        }
        self.waiting.push((id.to_owned(), action.clone()));
        if !self.state.opening.iter().any(|other| other == id) {
            self.state.opening.push(id.to_owned());
            self.reading.conversation(id.to_owned());
        }
        None
    }

    /// Takes in a conversation of the folder. Returns its place.
    fn was_read(&mut self, read: Result<Conversation, String>) -> Option<usize> {
        let problem = match read {
            Ok(mut conversation) => {
                // The program may have ended before a word of an answer came.
                conversation.discard_unbegun();
                let renamed = &self.state.settings.renamed_templates;
                if let Some(name) = renamed.get(&conversation.template) {
                    conversation.template.clone_from(name);
                }
                // What was known of it may have been of another version of its file.
                let known = self.state.history.get(&conversation.id);
                let stamp = known.and_then(|entry| entry.stamp);
                self.state.history.put(Entry::of(&conversation, stamp));
                self.state.conversations.push(conversation);
                return Some(self.state.conversations.len() - 1);
            }
            Err(problem) => format!("{problem}. The file stays as it is."),
        };
        let banner = Banner::problem(BannerId::ConversationUnreadable, problem);
        self.state.tell(banner);
        None
    }

    /// Takes in what was read in the background.
    pub(super) fn take_read(&mut self, read: Read) {
        match read {
            Read::Conversation { id, read } => {
                self.state.opening.retain(|other| *other != id);
                let waiting = std::mem::take(&mut self.waiting).into_iter();
                let (due, waiting) = waiting.partition(|(of, _)| *of == id);
                self.waiting = waiting;
                // It may have been deleted meanwhile, or something else may have been opened.
                let is_there = self.state.history.get(&id).is_some();
                if !is_there || self.was_read(*read).is_none() {
                    return;
                }
                let due: Vec<(String, Action)> = due;
                for (_, action) in due {
                    if !matches!(action, Action::Open(_)) || self.wanted == id {
                        self.act(action);
                    }
                }
            }
            Read::Listed(entries, problems) => {
                self.state.history.extend(entries);
                self.saving.index_changed();
                tell_unreadable(&mut self.state, &problems);
            }
            Read::Models(models, room) => self.models_were_found(models, room),
            Read::Trash(thrown) => self.trash_was_read(thrown),
            Read::Texts(texts, problems) => self.take_texts(&texts, &problems),
            Read::Imported(imported) => self.imported(imported),
        }
    }

    /// Lists conversations as they are now that have changed.
    pub(super) fn list_changes(&mut self) {
        let changed = self.saving.changed();
        if changed.is_empty() {
            return;
        }
        let mut entries = Vec::new();
        let all = self.state.conversations.iter();
        for conversation in all.filter(|one| changed.contains(&one.id)) {
            if conversation.is_untouched() {
                self.state.history.remove(&conversation.id);
            } else {
                entries.push(Entry::of(conversation, None));
            }
        }
        self.state.history.put_all(entries);
    }

    pub(super) fn open(&mut self, id: &str) {
        id.clone_into(&mut self.wanted);
        let action = Action::Open(id.to_owned());
        if let Some(at) = self.place_of(id, &action) {
            self.state.current = at;
            self.state.dismiss(BannerId::ConversationUnreadable);
            self.shown_changed();
            self.go_to_chat();
        }
    }

    /// Changes what is listed of a conversation.
    pub(super) fn change_listed(&mut self, action: Action) {
        let (Action::Rename(id, _) | Action::Pin(id, _) | Action::Tag(id, _)) = &action else {
            return;
        };
        let Some(at) = self.place_of(id, &action) else {
            return;
        };
        let change = match action {
            Action::Rename(id, title) => {
                let conversation = &self.state.conversations[at];
                let title = match title.trim() {
                    "" => conversation.first_words(),
                    title => title_of(title),
                };
                (title != conversation.title).then_some(Change::Title(id, title))
            }
            Action::Pin(id, pins) => Some(Change::Pinned(id, pins)),
            Action::Tag(id, tags) => Some(Change::Tags(id, parse_tags(&tags.join(",")))),
            _ => None,
        };
        if let Some(change) = change {
            self.change(change);
        }
    }

    /// Gives the conversation in sight the system prompt of a preset.
    pub(super) fn take_system(&mut self, system: String) {
        let conversation = self.state.conversation();
        if conversation.system != system {
            self.change(Change::System(conversation.id.clone(), system));
        }
    }

    pub(super) fn delete_conversation(&mut self, id: &str) {
        let Some(entry) = self.state.history.get(id) else {
            return;
        };
        let text = format!(
            "`{}`. It can be had back for 30 days: it lies in the trash, {}.",
            entry.title,
            self.saving.trash().display()
        );
        let turn = self.change(Change::Remove(vec![id.to_owned()]));
        let banner = Banner::note(BannerId::ConversationDeleted, text);
        let fix = Action::UndoListed(turn);
        self.state.tell(banner.with_fix("Undo", fix));
    }

    /// Adds another of a conversation, with all its branches, and shows it.
    pub(super) fn duplicate(&mut self, id: &str) {
        let action = Action::Duplicate(id.to_owned());
        let Some(at) = self.place_of(id, &action) else {
            return;
        };
        let mut copy = self.state.conversations[at].kept();
        copy.id = self.saving.new_id();
        copy.title = format!("{} (copy)", copy.name());
        copy.pinned = false;
        (copy.created, copy.changed) = (now(), now());
        let id = copy.id.clone();
        self.saving.mark(&id);
        self.state.conversations.push(copy);
        self.list_changes();
        self.changes
            .undo
            .push((turn(), Change::Remove(vec![id.clone()])));
        self.changes.redo.clear();
        self.open(&id);
    }

    // ---- undo

    /// Makes a change that can be taken back. Returns its turn.
    fn change(&mut self, change: Change) -> u64 {
        let turn = turn();
        if let Some(undo) = self.exchange(change) {
            self.changes.undo.push((turn, undo));
            self.changes.redo.clear();
        }
        turn
    }

    /// Makes a change. Returns what takes it back.
    fn exchange(&mut self, change: Change) -> Option<Change> {
        self.list_changes();
        let undo = match change {
            Change::Add(removed) => Change::Remove(self.restore(removed)),
            Change::Remove(ids) => Change::Add(self.remove(ids)),
            Change::Title(id, title) => {
                let title = std::mem::replace(&mut self.changed_conversation(&id)?.title, title);
                Change::Title(id, title)
            }
            Change::Pinned(id, pinned) => {
                let pinned = std::mem::replace(&mut self.changed_conversation(&id)?.pinned, pinned);
                Change::Pinned(id, pinned)
            }
            Change::System(id, system) => {
                let conversation = self.changed_conversation(&id)?;
                Change::System(id, std::mem::replace(&mut conversation.system, system))
            }
            Change::Tags(id, tags) => {
                let tags = std::mem::replace(&mut self.changed_conversation(&id)?.tags, tags);
                Change::Tags(id, tags)
            }
        };
        self.list_changes();
        Some(undo)
    }

    /// Takes conversations out of the list and puts their files into the trash: thousands as fast as a few.
    fn remove(&mut self, ids: Vec<String>) -> Vec<Removed> {
        let shown = self.conversation();
        let (shown, mode) = (shown.id.clone(), shown.mode);
        let ids: HashSet<String> = ids.into_iter().collect();
        let entries = self.state.history.remove_all(&ids);
        let ids: HashSet<&str> = entries.iter().map(|entry| entry.id.as_str()).collect();
        let running = self.state.running.as_ref();
        if running.is_some_and(|running| ids.contains(running.conversation.as_str())) {
            self.stop();
        }
        let all = std::mem::take(&mut self.state.conversations).into_iter();
        let (gone, kept): (Vec<_>, Vec<_>) = all.partition(|one| ids.contains(one.id.as_str()));
        self.state.conversations = kept;
        let mut kept = self.state.conversations.iter();
        match kept.position(|one| one.id == shown) {
            Some(at) => self.state.current = at,
            None => self.begin_conversation(mode),
        }
        let mut gone: HashMap<String, Conversation> =
            gone.into_iter().map(|one| (one.id.clone(), one)).collect();
        let removed = entries.into_iter().map(|entry| {
            let conversation = gone.remove(&entry.id);
            self.saving.throw(&entry.id, conversation.as_ref());
            Removed {
                conversation,
                edit: self.state.edits.remove(&entry.id),
                draft: self.state.drafts.remove(&entry.id),
                was_shown: entry.id == shown,
                entry,
            }
        });
        removed.collect()
    }

    /// Puts conversations back. Returns their ids.
    pub(super) fn restore(&mut self, removed: Vec<Removed>) -> Vec<String> {
        let (mut ids, mut entries) = (Vec::new(), Vec::new());
        for Removed {
            entry,
            conversation,
            edit,
            draft,
            was_shown,
        } in removed
        {
            let id = entry.id.clone();
            self.saving.restore(&id);
            entries.push(entry);
            if let Some(mut conversation) = conversation {
                let running = self.state.running.as_ref();
                if running.is_none_or(|running| running.conversation != id) {
                    conversation.discard_unbegun();
                }
                // Should it not be in the trash any more, it is written anew.
                self.saving.mark(&id);
                self.state.conversations.push(conversation);
                if was_shown {
                    self.state.current = self.state.conversations.len() - 1;
                    self.shown_changed();
                }
            }
            if let Some(edit) = edit {
                self.state.edits.insert(id.clone(), edit);
            }
            if let Some(draft) = draft {
                self.state.drafts.insert(id.clone(), draft);
            }
            ids.push(id);
        }
        self.state.history.put_all(entries);
        self.state.dismiss(BannerId::ConversationDeleted);
        ids
    }

    /// Takes a change of the list back, wherever it stands among the others.
    pub(super) fn undo_listed(&mut self, turn: u64) {
        let at = self.changes.undo.iter().position(|(at, _)| *at == turn);
        let Some(at) = at else { return };
        let (_, change) = self.changes.undo.remove(at);
        self.take_back(change);
    }

    fn take_back(&mut self, change: Change) {
        self.state.dismiss(BannerId::Imported);
        if let Some(redo) = self.exchange(change) {
            self.changes.redo.push((turn(), redo));
        }
    }

    /// Takes the last change of the list back if nothing was changed in the conversation in sight since. Returns whether it was so.
    pub(super) fn undo_last_listed(&mut self) -> bool {
        let last = self.changes.undo.last().map(|(turn, _)| *turn);
        if last.is_none() || last < self.conversation().last_change() {
            return false;
        }
        if let Some((_, change)) = self.changes.undo.pop() {
            self.take_back(change);
        }
        true
    }

    /// As [`App::undo_last_listed`], for what was taken back.
    pub(super) fn redo_last_listed(&mut self) -> bool {
        let last = self.changes.redo.last().map(|(turn, _)| *turn);
        if last.is_none() || last < self.conversation().last_undone() {
            return false;
        }
        if let Some((_, change)) = self.changes.redo.pop()
            && let Some(undo) = self.exchange(change)
        {
            self.changes.undo.push((turn(), undo));
        }
        true
    }

    // ---- what is in sight

    pub(super) fn new_conversation(&mut self, mode: Mode) {
        self.begin_conversation(mode);
        self.go_to_chat();
    }

    /// Shows a conversation in which nothing was said yet.
    fn begin_conversation(&mut self, mode: Mode) {
        self.wanted.clear();
        let template = self.state.template_for(mode);
        let conversations = &mut self.state.conversations;
        // An empty one is as good as a new one.
        let empty = conversations.iter().position(Conversation::is_untouched);
        self.state.current = match empty {
            Some(at) => {
                conversations[at].set_mode(mode, template);
                at
            }
            None => {
                let id = self.saving.new_id();
                conversations.push(Conversation::new(id, mode, template.to_owned()));
                conversations.len() - 1
            }
        };
        self.shown_changed();
    }

    fn shown_changed(&mut self) {
        self.state.inspected = None;
        self.state.dismiss(BannerId::MessageDeleted);
        self.counting.forget();
        self.state.with_draft = None;
    }

    fn go_to_chat(&mut self) {
        self.state.narrow = NarrowView::Chat;
        self.views.chat.focus_composer();
    }
}

//! What was imported: conversations are added to the list, which can be taken back; a trace is shown.

use std::collections::HashSet;

use super::App;
use super::changes::Change;
use super::reading::{Imported, told};
use crate::trace;
use crate::window::action::{Action, BannerId};
use crate::window::conversation::{Conversation, turn};
use crate::window::history::{parse_tags, title_of};
use crate::window::state::{Banner, NarrowView};

impl App {
    pub(super) fn imported(&mut self, imported: Imported) {
        self.state.dismiss(BannerId::Imported);
        self.state.dismiss(BannerId::ImportFailed);
        if !imported.problems.is_empty() {
            let text = format!("{}. Nothing else has changed.", told(&imported.problems));
            self.state
                .tell(Banner::problem(BannerId::ImportFailed, text));
        }
        for (name, trace) in imported.traces {
            self.show_trace(&name, trace);
        }
        let mut taken = match imported.conversations.is_empty() {
            true => HashSet::new(),
            false => self.taken_ids(),
        };
        let added: Vec<String> = imported
            .conversations
            .into_iter()
            .map(|conversation| self.add_imported(conversation, &mut taken))
            .collect();
        self.list_changes();
        // Of thousands that wait to be saved all would be looked at after each action.
        self.saving.hurry();
        let Some(last) = added.last().cloned() else {
            return;
        };
        let mut text = match added.len() {
            1 => "One conversation".to_owned(),
            count => format!("{count} conversations"),
        };
        let mut programs = imported.programs;
        programs.dedup();
        if !programs.is_empty() {
            text += &format!(" from {}", programs.join(" and "));
        }
        text += match imported.left_out {
            0 => ".".to_owned(),
            1 => ". One thing that is no text was left out.".to_owned(),
            count => format!(". {count} things that are no text were left out."),
        }
        .as_str();
        let turn = turn();
        self.changes.undo.push((turn, Change::Remove(added)));
        self.changes.redo.clear();
        let banner = Banner::note(BannerId::Imported, text);
        self.state
            .tell(banner.with_fix("Undo", Action::UndoListed(turn)));
        self.open(&last);
    }

    /// Adds a conversation from elsewhere. Returns its id, which is `taken` then.
    fn add_imported(
        &mut self,
        mut conversation: Conversation,
        taken: &mut HashSet<String>,
    ) -> String {
        // An id is a file's name: only what this program makes of it can be trusted, and only where it is free.
        while !self.may_have(&conversation.id) || !taken.insert(conversation.id.clone()) {
            conversation.id = self.saving.new_id();
        }
        conversation.title = title_of(&conversation.title);
        if conversation.title.trim().is_empty() {
            conversation.title = conversation.first_words();
        }
        conversation.tags = parse_tags(&conversation.tags.join(","));
        let id = conversation.id.clone();
        self.saving.mark(&id);
        self.state.conversations.push(conversation);
        id
    }

    /// Shows a run that was read from a file, or compares it with the one that is coming.
    fn show_trace(&mut self, name: &str, trace: trace::Imported) {
        let is_coming = self.state.is_busy();
        self.state.timings.read(name, trace, is_coming);
        self.state.settings.timings = true;
        self.state.narrow = NarrowView::Timings;
        if is_coming {
            let text = format!("`{name}` is compared with the run that is coming.");
            self.state.tell(Banner::note(BannerId::TraceRead, text));
        }
    }

    /// Ids that conversations have or had: what was deleted of one is to be had back beside what is imported of it.
    fn taken_ids(&self) -> HashSet<String> {
        let open = self.state.conversations.iter();
        let open = open.map(|conversation| conversation.id.clone());
        let listed = self.state.history.entries().iter();
        let listed = listed.map(|entry| entry.id.clone());
        open.chain(listed)
            .chain(self.reading.reader().thrown_ids())
            .collect()
    }

    /// Whether a conversation from elsewhere may have an id, as far as ids that are known to be taken do not tell.
    fn may_have(&self, id: &str) -> bool {
        let is_ours = id.len() == crate::window::store::ID_DIGITS
            && id.bytes().all(|byte| byte.is_ascii_digit());
        // A file that is not listed, or not yet, would be written over.
        is_ours && !self.saving.is_thrown(id) && !self.reading.reader().is_there(id)
    }
}

//! How texts are found: a little in each frame in the conversation in sight, and by a thread in all.

use std::time::{Duration, Instant};

use super::App;
use super::everywhere::{Everywhere, Work};
use crate::window::find::{self, Find, Needle};
use crate::window::state::NarrowView;

/// How long a frame may search.
const BUDGET: Duration = Duration::from_millis(4);

impl App {
    pub(super) fn open_find(&mut self) {
        self.state.find.get_or_insert_default();
        // In a narrow window it stands above the conversation alone.
        self.state.narrow = NarrowView::Chat;
        self.focus_find();
    }

    fn focus_find(&mut self) {
        self.views.chat.leave_composer();
        find::focus(&self.egui);
    }

    pub(super) fn close_find(&mut self) {
        self.state.find = None;
        self.everywhere = None;
        self.views.chat.focus_composer();
    }

    pub(super) fn set_find(&mut self, query: String) {
        let find = self.state.find.get_or_insert_with(Find::default);
        find.set_query(query);
        self.search_everywhere();
    }

    pub(super) fn find_everywhere(&mut self, everywhere: bool) {
        if let Some(find) = &mut self.state.find {
            find.everywhere = everywhere;
            self.search_everywhere();
        }
    }

    pub(super) fn step_find(&mut self, is_back: bool) {
        if let Some(find) = &mut self.state.find {
            find.step(is_back);
        }
    }

    /// Opens a conversation at its first match.
    pub(super) fn open_found(&mut self, at: usize) {
        let found = self.state.find.as_ref().and_then(|find| find.found.get(at));
        if let Some(id) = found.map(|found| found.conversation.clone()) {
            self.open(&id);
            // Who looks through what was found goes on to look.
            self.focus_find();
        }
    }

    /// Begins to search all conversations, if that is asked for.
    fn search_everywhere(&mut self) {
        self.everywhere = None;
        let Some(find) = &mut self.state.find else {
            return;
        };
        let entries = self.state.history.entries();
        find.found.clear();
        find.searched = (0, entries.len());
        if !find.everywhere || find.query.is_empty() {
            return;
        }
        let needle = Needle::new(&find.query);
        let changed = self.state.unwritten();
        let changed = changed.map(|read| (read.id.clone(), read.clone()));
        let work = Work {
            needle,
            ids: entries.iter().map(|entry| entry.id.clone()).collect(),
            changed: changed.collect(),
            reader: self.reading.reader().clone(),
        };
        let (pace, egui) = (self.pace.clone(), self.egui.clone());
        self.everywhere = Some(Everywhere::begin(work, move || pace.repaint(&egui)));
    }

    /// Searches on, and takes in what was found. Returns whether there is more to search in the conversation in sight.
    pub(super) fn search(&mut self) -> bool {
        let all = self.state.history.entries().len();
        // Some were listed or begun since.
        let is_old = |find: &Find| find.everywhere && find.searched.1 != all;
        if self.state.find.as_ref().is_some_and(is_old) {
            self.search_everywhere();
        }
        let shown = match self.state.find {
            Some(_) => self.state.shown(),
            None => return false,
        };
        let Some(find) = &mut self.state.find else {
            return false;
        };
        for progress in self.everywhere.iter().flat_map(|all| all.progress()) {
            find.found.extend(progress.found);
            find.searched.0 = progress.searched.min(find.searched.1);
        }
        let current = &self.state.conversations[self.state.current];
        let is_done = find.search(current, &shown, Instant::now() + BUDGET);
        if find.has_moved() {
            self.views.chat.scroll_to_match();
        }
        !is_done
    }
}

//! How texts are found: a little in each frame.

use std::time::{Duration, Instant};

use super::App;
use crate::window::find::Find;

/// How long a frame may search.
const BUDGET: Duration = Duration::from_millis(4);

impl App {
    pub(super) fn open_find(&mut self) {
        self.state.find.get_or_insert_default();
        self.views.chat.focus_find();
    }

    pub(super) fn close_find(&mut self) {
        self.state.find = None;
        self.views.chat.focus_composer();
    }

    pub(super) fn find_everywhere(&mut self, everywhere: bool) {
        if let Some(find) = &mut self.state.find {
            find.everywhere = everywhere;
        }
    }

    pub(super) fn step_find(&mut self, is_back: bool) {
        if let Some(find) = &mut self.state.find {
            find.step(is_back);
        }
    }

    pub(super) fn open_found(&mut self, at: usize) {
        let found = self.state.find.as_ref().and_then(|find| find.found.get(at));
        let Some(found) = found.cloned() else { return };
        let mut conversations = self.state.conversations.iter();
        let Some(current) = conversations.position(|other| other.id == found.conversation) else {
            return;
        };
        self.open(current);
        if let Some(find) = &mut self.state.find {
            find.want(found.first);
        }
        // Who looks through what was found goes on to look.
        self.views.chat.focus_find();
    }

    /// Searches on. Returns whether there is more to search.
    pub(super) fn search(&mut self) -> bool {
        // It reads the state that it is a part of.
        let Some(mut find) = self.state.find.take() else {
            return false;
        };
        let deadline = Instant::now() + BUDGET;
        let conversations = &self.state.conversations;
        let is_done = find.search(&conversations[self.state.current], conversations, deadline);
        if find.has_moved() {
            self.views.chat.scroll_to_match();
        }
        self.state.find = Some(find);
        !is_done
    }

    pub(super) fn set_find(&mut self, query: String) {
        self.state
            .find
            .get_or_insert_with(Find::default)
            .set_query(query);
    }
}

//! How texts are found: a little in each frame in the conversation in sight, and by a thread in all.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use super::App;
use crate::window::conversation::Conversation;
use crate::window::find::{Find, Found, Needle, Search};
use crate::window::store::Reader;

/// How long a frame may search.
const BUDGET: Duration = Duration::from_millis(4);

/// How often the thread tells what it has found, and looks whether that is still wanted.
const EVERY: Duration = Duration::from_millis(50);

/// A search of all conversations. It ends when this is dropped.
pub(super) struct Everywhere {
    is_over: Arc<AtomicBool>,
    progress: Receiver<Progress>,
}

impl Drop for Everywhere {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

/// What was found since the last time, and how many conversations were searched.
struct Progress {
    found: Vec<Found>,
    searched: usize,
}

/// What the thread searches.
struct Work {
    needle: Needle,
    ids: Vec<String>,
    /// Those that are not on disk as they are.
    changed: HashMap<String, Conversation>,
    reader: Reader,
    is_over: Arc<AtomicBool>,
}

impl Work {
    fn run(mut self, tell: impl Fn(Progress)) {
        let mut found = Vec::new();
        let mut last = Instant::now();
        for (searched, id) in std::mem::take(&mut self.ids).into_iter().enumerate() {
            // One that cannot be read is told where it is opened.
            let changed = self.changed.remove(&id);
            let conversation = changed.or_else(|| self.reader.conversation(&id).ok());
            found.extend(conversation.and_then(|conversation| self.search(&conversation)));
            if self.is_over() {
                return;
            }
            if last.elapsed() > EVERY {
                last = Instant::now();
                let found = std::mem::take(&mut found);
                tell(Progress { found, searched });
            }
        }
        let searched = usize::MAX;
        tell(Progress { found, searched });
    }

    fn search(&self, conversation: &Conversation) -> Option<Found> {
        let mut search = Search::default();
        while !search.run(&self.needle, conversation, Instant::now() + EVERY) {
            if self.is_over() {
                return None;
            }
        }
        search.found(conversation)
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }
}

impl App {
    pub(super) fn open_find(&mut self) {
        self.state.find.get_or_insert_default();
        self.views.chat.focus_find();
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
            self.views.chat.focus_find();
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
        let is_written = |id: &str| {
            let entry = self.state.history.get(id);
            entry.is_none_or(|entry| entry.stamp.is_some())
        };
        let read = self.state.conversations.iter();
        let changed = read.filter(|read| !is_written(&read.id));
        let is_over = Arc::<AtomicBool>::default();
        let work = Work {
            needle: Needle::new(&find.query),
            ids: entries.iter().map(|entry| entry.id.clone()).collect(),
            changed: changed
                .map(|read| (read.id.clone(), read.clone()))
                .collect(),
            reader: self.reading.reader().clone(),
            is_over: Arc::clone(&is_over),
        };
        let (outbox, progress) = channel();
        let (pace, egui) = (self.pace.clone(), self.egui.clone());
        let tell = move |progress| {
            // Nobody listens any more when something else is looked for.
            let _ = outbox.send(progress);
            pace.repaint(&egui);
        };
        let thread = std::thread::Builder::new().name("finding".into());
        // Without a thread nothing is found, and nothing lost.
        drop(thread.spawn(move || work.run(tell)));
        self.everywhere = Some(Everywhere { is_over, progress });
    }

    /// Searches on, and takes in what was found. Returns whether there is more to search in the conversation in sight.
    pub(super) fn search(&mut self) -> bool {
        let all = self.state.history.entries().len();
        // Some were listed or begun since.
        let is_old = |find: &Find| find.everywhere && find.searched.1 != all;
        if self.state.find.as_ref().is_some_and(is_old) {
            self.search_everywhere();
        }
        let Some(find) = &mut self.state.find else {
            return false;
        };
        for progress in self
            .everywhere
            .iter()
            .flat_map(|all| all.progress.try_iter())
        {
            find.found.extend(progress.found);
            find.searched.0 = progress.searched.min(find.searched.1);
        }
        let current = &self.state.conversations[self.state.current];
        let is_done = find.search(current, Instant::now() + BUDGET);
        if find.has_moved() {
            self.views.chat.scroll_to_match();
        }
        !is_done
    }
}

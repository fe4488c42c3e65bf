//! All conversations searched by a thread, which reads them from disk.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use crate::window::conversation::Conversation;
use crate::window::find::{Found, Needle, Search};
use crate::window::store::Reader;

/// How often the thread tells what it has found, and looks whether that is still wanted.
const EVERY: Duration = Duration::from_millis(50);

/// A search of all conversations. It ends when this is dropped.
pub(super) struct Everywhere {
    is_over: Arc<AtomicBool>,
    progress: Receiver<Progress>,
}

impl Everywhere {
    /// Begins to search; `wake` is called whenever something was found.
    pub(super) fn begin(work: Work, wake: impl Fn() + Send + 'static) -> Self {
        let (outbox, progress) = channel();
        let is_over = Arc::<AtomicBool>::default();
        let over = Arc::clone(&is_over);
        let tell = move |progress| {
            // Nobody listens any more when something else is looked for.
            let _ = outbox.send(progress);
            wake();
        };
        let thread = std::thread::Builder::new().name("finding".into());
        // Without a thread nothing is found, and nothing lost.
        drop(thread.spawn(move || work.run(&over, tell)));
        Self { is_over, progress }
    }

    /// What was found since the last call.
    pub(super) fn progress(&self) -> impl Iterator<Item = Progress> {
        self.progress.try_iter()
    }
}

impl Drop for Everywhere {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

/// What was found since the last time, and how many conversations were searched.
pub(super) struct Progress {
    pub(super) found: Vec<Found>,
    pub(super) searched: usize,
}

/// What the thread searches.
pub(super) struct Work {
    pub(super) needle: Needle,
    pub(super) ids: Vec<String>,
    /// Those that are not on disk as they are.
    pub(super) changed: HashMap<String, Conversation>,
    pub(super) reader: Reader,
}

impl Work {
    fn run(mut self, is_over: &AtomicBool, tell: impl Fn(Progress)) {
        let mut found = Vec::new();
        let mut last = Instant::now();
        for (searched, id) in std::mem::take(&mut self.ids).into_iter().enumerate() {
            // One that cannot be read is told where it is opened.
            let changed = self.changed.remove(&id);
            let conversation = changed.or_else(|| self.reader.conversation(&id).ok());
            found.extend(conversation.and_then(|conversation| self.search(&conversation, is_over)));
            if is_over.load(Ordering::Relaxed) {
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

    fn search(&self, conversation: &Conversation, is_over: &AtomicBool) -> Option<Found> {
        let mut search = Search::default();
        let shown = conversation.path();
        while !search.run(&self.needle, conversation, shown, Instant::now() + EVERY) {
            if is_over.load(Ordering::Relaxed) {
                return None;
            }
        }
        search.found(conversation)
    }
}

//! Conversations read off this thread: those that are large, all of a folder whose index is of no use, and those to be imported.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use super::models::Search;
use crate::window::catalog::Listed;
use crate::window::conversation::Conversation;
use crate::window::history::Entry;
use crate::window::store::{Listing, Reader, parse};

/// Files of so many bytes are read between two frames.
pub(super) const SMALL: u64 = 2 << 20;

/// So many of them, too.
const FEW: usize = 200;

/// How often what was found so far is listed.
const EVERY: Duration = Duration::from_millis(100);

/// What was read.
pub(super) enum Read {
    Conversation {
        id: String,
        read: Box<Result<Conversation, String>>,
    },
    /// Conversations of the folder, and what is wrong with others.
    Listed(Vec<Entry>, Vec<String>),
    /// Models that are here, and the memory that there is for one.
    Models(Vec<Listed>, Option<u64>),
    /// Conversations of other files, and what is wrong with others.
    Imported(Vec<Conversation>, Vec<String>),
}

/// What reads in the background, and what has come of it.
pub(super) struct Reading {
    reader: Reader,
    outbox: Sender<Read>,
    done: Receiver<Read>,
    egui: egui::Context,
}

impl Reading {
    pub(super) fn new(egui: &egui::Context, reader: Reader) -> Self {
        let (outbox, done) = channel();
        Self {
            reader,
            outbox,
            done,
            egui: egui.clone(),
        }
    }

    pub(super) fn reader(&self) -> &Reader {
        &self.reader
    }

    /// What was read since the last call.
    pub(super) fn poll(&self) -> Option<Read> {
        self.done.try_recv().ok()
    }

    /// Reads a conversation.
    pub(super) fn conversation(&self, id: String) {
        self.spawn(move |reader, tell| {
            let read = Box::new(reader.conversation(&id));
            tell(Read::Conversation { id, read });
        });
    }

    /// Reads what `listing` could not tell without.
    pub(super) fn list(&self, listing: Listing) {
        self.spawn(move |reader, tell| {
            let (mut entries, mut problems) = (Vec::new(), Vec::new());
            let mut last = Instant::now();
            for path in &listing.unread {
                match reader.entry(path) {
                    Ok(entry) => entries.push(entry),
                    Err(problem) => problems.push(problem),
                }
                if last.elapsed() > EVERY {
                    last = Instant::now();
                    tell(Read::Listed(std::mem::take(&mut entries), Vec::new()));
                }
            }
            tell(Read::Listed(entries, problems));
        });
    }

    /// Reads files that were exported.
    pub(super) fn import(&self, paths: Vec<PathBuf>) {
        self.spawn(move |_, tell| {
            let (mut found, mut problems) = (Vec::new(), Vec::new());
            for path in &paths {
                match parse(path) {
                    Ok(conversation) if conversation.total() == 0 => {
                        problems.push(format!("{}: has no messages", path.display()));
                    }
                    Ok(conversation) => found.push(conversation),
                    Err(problem) => problems.push(problem),
                }
            }
            tell(Read::Imported(found, problems));
        });
    }

    /// Looks for models.
    pub(super) fn models(&self, search: Search) {
        self.spawn(move |_, tell| {
            let (models, room) = search.run();
            tell(Read::Models(models, room));
        });
    }

    fn spawn(&self, work: impl FnOnce(&Reader, &dyn Fn(Read)) + Send + 'static) {
        let (reader, outbox, egui) = (self.reader.clone(), self.outbox.clone(), self.egui.clone());
        let spawned = std::thread::Builder::new()
            .name("reading".into())
            .spawn(move || {
                work(&reader, &|read| {
                    // The window may be gone by now.
                    let _ = outbox.send(read);
                    egui.request_repaint();
                });
            });
        // Without a thread nothing is read, and nothing lost.
        drop(spawned);
    }
}

/// Whether what a listing has not read may be read between two frames.
pub(super) fn is_little(listing: &Listing) -> bool {
    listing.unread.len() <= FEW && listing.unread_bytes <= SMALL
}

/// Problems in one message, which must not become endless.
pub(super) fn told(problems: &[String]) -> String {
    const SHOWN: usize = 5;
    let shown = problems.iter().take(SHOWN).cloned().collect::<Vec<_>>();
    match problems.len().saturating_sub(SHOWN) {
        0 => shown.join("; "),
        more => format!("{}; and {more} others", shown.join("; ")),
    }
}

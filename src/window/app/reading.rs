//! Conversations read off this thread: those that are large, all of a folder whose index is of no use, and those to be imported.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::model_search::Search;
use super::texts::read_text;
use crate::trace;
use crate::window::action::BannerId;
use crate::window::catalog::Listed;
use crate::window::conversation::Conversation;
use crate::window::history::Entry;
use crate::window::import::{self, Found};
use crate::window::state::{Banner, State};
use crate::window::store::{Listing, Reader, Thrown, thrown};

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
    /// What lies in the trash.
    Trash(Vec<Thrown>),
    /// Texts, and what is wrong with others.
    Texts(Vec<String>, Vec<String>),
    /// What other files are, and what is wrong with others.
    Imported(Imported),
}

/// Files that were imported.
#[derive(Default)]
pub(super) struct Imported {
    pub conversations: Vec<Conversation>,
    /// Names of other programs that they are from.
    pub programs: Vec<&'static str>,
    /// What of them was no text.
    pub left_out: usize,
    /// Traces, with the names of their files.
    pub traces: Vec<(String, trace::Imported)>,
    pub problems: Vec<String>,
}

impl Imported {
    fn read(&mut self, path: &Path) {
        match import::read(path) {
            Ok(Found::Conversations(read)) => {
                let is_empty = read.all.iter().all(|one| one.total() == 0);
                if is_empty {
                    let problem = format!("{}: has no messages", path.display());
                    self.problems.push(problem);
                    return;
                }
                self.conversations.extend(read.all);
                self.programs.extend(read.program);
                self.left_out += read.left_out;
            }
            Ok(Found::Trace(trace)) => {
                let name = path.file_name().unwrap_or(path.as_os_str());
                let name = name.to_string_lossy().into_owned();
                self.traces.push((name, *trace));
            }
            Err(problem) => self.problems.push(problem),
        }
    }
}

/// What reads in the background, and what has come of it.
pub(super) struct Reading {
    reader: Reader,
    outbox: Sender<Read>,
    done: Receiver<Read>,
    egui: egui::Context,
    /// Looking into the trash, and reading files that came from outside.
    trash: Lane,
    files: Lane,
}

/// The last of several pieces of work, each of which waits for the one before: what they tell comes in their order.
type Lane = RefCell<Option<JoinHandle<()>>>;

impl Reading {
    pub(super) fn new(egui: &egui::Context, reader: Reader) -> Self {
        let (outbox, done) = channel();
        Self {
            reader,
            outbox,
            done,
            egui: egui.clone(),
            trash: Lane::default(),
            files: Lane::default(),
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
        self.spawn_in(&self.files, move |_, tell| {
            let mut imported = Imported::default();
            paths.iter().for_each(|path| imported.read(path));
            tell(Read::Imported(imported));
        });
    }

    /// Reads what lies in the trash.
    pub(super) fn trash(&self) {
        self.spawn_in(&self.trash, |reader, tell| {
            tell(Read::Trash(thrown(reader)));
        });
    }

    /// Reads texts.
    pub(super) fn texts(&self, paths: Vec<PathBuf>) {
        self.spawn_in(&self.files, move |_, tell| {
            let (mut texts, mut problems) = (Vec::new(), Vec::new());
            for path in &paths {
                match read_text(path) {
                    Ok(text) => texts.push(text),
                    Err(problem) => problems.push(problem),
                }
            }
            tell(Read::Texts(texts, problems));
        });
    }

    /// Looks for models.
    pub(super) fn models(&self, search: Search) {
        self.spawn(move |_, tell| {
            let (models, room) = search.run();
            tell(Read::Models(models, room));
        });
    }

    /// Does work when what came before it in `lane` is done.
    fn spawn_in(&self, lane: &Lane, work: impl FnOnce(&Reader, &dyn Fn(Read)) + Send + 'static) {
        let before = lane.take();
        *lane.borrow_mut() = self.spawn(move |reader, tell| {
            if let Some(before) = before {
                // One that has panicked has told all that it will.
                let _ = before.join();
            }
            work(reader, tell);
        });
    }

    /// `None` without a thread: then nothing is read, and nothing lost.
    fn spawn(
        &self,
        work: impl FnOnce(&Reader, &dyn Fn(Read)) + Send + 'static,
    ) -> Option<JoinHandle<()>> {
        let (reader, outbox, egui) = (self.reader.clone(), self.outbox.clone(), self.egui.clone());
        let builder = std::thread::Builder::new().name("reading".into());
        let spawned = builder.spawn(move || {
            work(&reader, &|read| {
                // The window may be gone by now.
                let _ = outbox.send(read);
                egui.request_repaint();
            });
        });
        spawned.ok()
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

/// Says which files of the folder are no conversations.
pub(super) fn tell_unreadable(state: &mut State, problems: &[String]) {
    if !problems.is_empty() {
        let text = format!(
            "{}. The files stay as they are; the other conversations are here.",
            told(problems)
        );
        state.tell(Banner::problem(BannerId::ConversationsUnreadable, text));
    }
}

//! What may take long and is done off this thread: file dialogs, one of which may stay open for hours, and asking drivers.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use crate::gpu::adapters;
use crate::whole_file;

/// What a file dialog asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    ModelFolder,
    Tokenizer,
    /// Conversations that were exported.
    Conversations,
    /// A place for a file, and the name to suggest.
    Place(String),
}

/// Shows a dialog and waits for the answer, in a thread of its own.
type Dialog = Arc<dyn Fn(Ask) -> Option<Vec<PathBuf>> + Send + Sync>;

/// A person needs longer than this to close a dialog.
const NOBODY: Duration = Duration::from_millis(250);

pub(super) enum Answer {
    Model(PathBuf),
    Tokenizer(PathBuf),
    /// Files with conversations.
    Imports(Vec<PathBuf>),
    Written(PathBuf, std::io::Result<()>),
    /// Names of the adapters that there are.
    Adapters(Vec<String>),
    /// The desktop has no file dialogs.
    NoDialog,
}

/// Dialogs that are open, and their answers.
pub(super) struct Dialogs {
    dialog: Dialog,
    outbox: Sender<Answer>,
    answers: Receiver<Answer>,
    /// Where files go if the desktop has no dialogs.
    exports: PathBuf,
    egui: egui::Context,
}

impl Dialogs {
    pub(super) fn new(egui: &egui::Context, data: &Path) -> Self {
        let (outbox, answers) = channel();
        Self {
            dialog: Arc::new(native_dialog),
            outbox,
            answers,
            exports: data.join("exports"),
            egui: egui.clone(),
        }
    }

    /// Has `dialog` answer in place of the system's.
    pub(super) fn set(&mut self, dialog: impl Fn(Ask) -> Option<PathBuf> + Send + Sync + 'static) {
        self.dialog = Arc::new(move |ask| dialog(ask).map(|path| vec![path]));
    }

    /// The next answer, if there is one already.
    pub(super) fn poll(&self) -> Option<Answer> {
        self.answers.try_recv().ok()
    }

    pub(super) fn pick_model(&self) {
        self.ask(Ask::ModelFolder, Answer::Model);
    }

    pub(super) fn pick_tokenizer(&self) {
        self.ask(Ask::Tokenizer, Answer::Tokenizer);
    }

    pub(super) fn pick_imports(&self) {
        let dialog = Arc::clone(&self.dialog);
        self.spawn("dialog", move || {
            let begin = Instant::now();
            match dialog(Ask::Conversations) {
                Some(paths) => Some(Answer::Imports(paths)),
                None if begin.elapsed() > NOBODY => None,
                None => Some(Answer::NoDialog),
            }
        });
    }

    /// Writes a file to a place of the person's choice; to a place of this program where the desktop has no dialogs. `content` is asked for
    /// once the place is known, off the window's thread.
    pub(super) fn save(
        &self,
        name: String,
        content: impl FnOnce() -> std::io::Result<Vec<u8>> + Send + 'static,
    ) {
        self.ask(Ask::Place(name), move |path| {
            let written = content().and_then(|bytes| whole_file::replace(&path, &bytes));
            Answer::Written(path, written)
        });
    }

    /// Asks the drivers, which takes a while.
    pub(super) fn find_adapters(&self) {
        self.spawn("adapters", || {
            let names = adapters().into_iter().map(|adapter| adapter.name);
            Some(Answer::Adapters(names.collect()))
        });
    }

    fn ask(&self, ask: Ask, answer: impl FnOnce(PathBuf) -> Answer + Send + 'static) {
        let dialog = Arc::clone(&self.dialog);
        let exports = self.exports.clone();
        self.spawn("dialog", move || {
            let begin = Instant::now();
            let picked = dialog(ask.clone()).and_then(|paths| paths.into_iter().next());
            match (picked, ask) {
                (Some(path), _) => Some(answer(path)),
                (None, _) if begin.elapsed() > NOBODY => None,
                (None, Ask::Place(name)) => Some(answer(free_place(&exports, &name))),
                (None, _) => Some(Answer::NoDialog),
            }
        });
    }

    fn spawn(&self, name: &str, work: impl FnOnce() -> Option<Answer> + Send + 'static) {
        let outbox = self.outbox.clone();
        let egui = self.egui.clone();
        let spawned = std::thread::Builder::new()
            .name(name.into())
            .spawn(move || {
                if let Some(answer) = work() {
                    // The window may be gone by now.
                    let _ = outbox.send(answer);
                    egui.request_repaint();
                }
            });
        // A machine without threads to give shows no dialog; the path can be typed.
        drop(spawned);
    }
}

/// A file in `folder` that is not there yet.
fn free_place(folder: &Path, name: &str) -> PathBuf {
    let (stem, ending) = name.rsplit_once('.').unwrap_or((name, ""));
    let numbered = (2..).map(|number| format!("{stem}-{number}.{ending}"));
    let mut names = std::iter::once(name.to_owned()).chain(numbered);
    let free = names.find(|name| !folder.join(name).exists());
    folder.join(free.unwrap_or_else(|| name.to_owned()))
}

fn native_dialog(ask: Ask) -> Option<Vec<PathBuf>> {
    let dialog = rfd::FileDialog::new();
    let one = match ask {
        Ask::ModelFolder => dialog.set_title("A folder with config.json").pick_folder(),
        Ask::Tokenizer => dialog
            .add_filter("tokenizer.json", &["json"])
            .set_title("tokenizer.json")
            .pick_file(),
        Ask::Conversations => {
            return dialog
                .add_filter("Exported conversations", &["json", "jsonl"])
                .set_title("Conversations to import")
                .pick_files();
        }
        Ask::Place(name) => dialog.set_file_name(name).save_file(),
    };
    one.map(|path| vec![path])
}

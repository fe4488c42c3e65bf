//! File dialogs, in threads of their own: one may stay open for long.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::App;
use super::actions::Action;
use crate::window::banner::Banner;
use crate::window::store;

/// What can be written to a file of the person's choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Export {
    ConversationMarkdown,
    ConversationJson,
    TraceChrome,
    TraceCsv,
    TraceJson,
}

impl Export {
    fn file_name(self) -> &'static str {
        match self {
            Self::ConversationMarkdown => "conversation.md",
            Self::ConversationJson => "conversation.json",
            Self::TraceChrome => "openelm.trace",
            Self::TraceCsv => "trace.csv",
            Self::TraceJson => "trace.json",
        }
    }
}

/// What a file dialog asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    ModelFolder,
    Tokenizer,
    /// A place for a file, and the name to suggest.
    Place(&'static str),
}

/// Shows a dialog and waits for the answer, in a thread of its own.
pub(super) type Dialog = Arc<dyn Fn(Ask) -> Option<PathBuf> + Send + Sync>;

/// A person needs longer than this to close a dialog.
const NOBODY: Duration = Duration::from_millis(250);

pub(super) enum Answer {
    Model(PathBuf),
    Tokenizer(PathBuf),
    Written(PathBuf, std::io::Result<()>),
    /// The desktop has no file dialogs.
    NoDialog,
}

impl App {
    /// Has `dialog` answer in place of the system's file dialogs.
    pub fn set_dialog(&mut self, dialog: impl Fn(Ask) -> Option<PathBuf> + Send + Sync + 'static) {
        self.dialog = Arc::new(dialog);
    }

    /// Shows a dialog, off this thread: it may stay open for long. What is to be written goes to a place of this program where the
    /// desktop has no dialogs.
    pub(super) fn ask(&self, ask: Ask, answer: impl FnOnce(PathBuf) -> Answer + Send + 'static) {
        let dialog = Arc::clone(&self.dialog);
        let answers = self.answers.0.clone();
        let egui = self.egui.clone();
        let exports = self.store.folder().join("exports");
        let spawned = std::thread::Builder::new()
            .name("dialog".into())
            .spawn(move || {
                let begin = Instant::now();
                let answer = match (dialog(ask), ask) {
                    (Some(path), _) => answer(path),
                    (None, _) if begin.elapsed() > NOBODY => return,
                    (None, Ask::Place(name)) => answer(free_place(&exports, name)),
                    (None, _) => Answer::NoDialog,
                };
                // The window may be gone by now.
                let _ = answers.send(answer);
                egui.request_repaint();
            });
        // A machine without threads to give shows no dialog; the path can be typed.
        drop(spawned);
    }

    pub(super) fn export(&mut self, export: Export) {
        let conversation = self.conversation();
        let text = match export {
            Export::ConversationMarkdown => conversation.markdown(),
            Export::ConversationJson => {
                serde_json::to_string_pretty(&conversation.kept()).unwrap_or_default()
            }
            Export::TraceChrome | Export::TraceCsv | Export::TraceJson => {
                self.timings.export(export)
            }
        };
        self.ask(Ask::Place(export.file_name()), move |path| {
            let written = store::replace(&path, text.as_bytes());
            Answer::Written(path, written)
        });
    }

    pub(super) fn take_answer(&mut self, answer: Answer) {
        match answer {
            Answer::Model(folder) => self.act(Action::Load(folder.display().to_string())),
            Answer::Tokenizer(path) => {
                self.models.tokenizer = None;
                self.settings.tokenizer = Some(path);
                let asked = self.asked.clone();
                self.act(Action::Load(asked));
            }
            Answer::NoDialog => {
                let text = "Type the path of a model, or drop its folder on the window; its tokenizer.json is found where it lies in that \
                            folder. (Dialogs need a desktop portal or zenity.)";
                self.tell(Banner::note("This desktop has no file dialogs", text));
            }
            Answer::Written(path, Ok(())) => {
                self.tell(Banner::note("Saved", path.display()));
            }
            Answer::Written(path, Err(error)) => {
                let text = format!("{}: {error}", path.display());
                self.tell(Banner::problem("Not written", text));
            }
        }
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

pub(super) fn native_dialog(ask: Ask) -> Option<PathBuf> {
    let dialog = rfd::FileDialog::new();
    match ask {
        Ask::ModelFolder => dialog.set_title("A folder with config.json").pick_folder(),
        Ask::Tokenizer => dialog
            .add_filter("tokenizer.json", &["json"])
            .set_title("tokenizer.json")
            .pick_file(),
        Ask::Place(name) => dialog.set_file_name(name).save_file(),
    }
}

//! Everything that can be asked of the window, as plain data. Views collect actions while they draw; the app does them afterwards,
//! in that order.

use std::path::PathBuf;

use super::conversation::Mode;
use super::settings::Setting;
use super::timings::{Pair, Selection, Tab};
use super::tokens::At;
use crate::engine::Alternative;
use crate::text::Template;
use crate::trace::Phase;

/// What a person can ask for.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// The text in the box below the conversation has become this.
    SetDraft(String),
    /// As [`Action::Send`], with the text of that box, which is empty afterwards.
    SendDraft,
    /// Adds a text to the conversation and has the model go on.
    Send(String),
    Stop,
    /// Another answer in place of this one, as a branch.
    Regenerate(usize),
    /// So many other answers, written together, as branches.
    RegenerateSeveral(usize, usize),
    /// More of this message.
    Continue(usize),
    /// Opens a message for editing.
    Edit(usize),
    /// The text of the message that is being edited has become this.
    SetEdit(String),
    /// Puts the edited text in the message's place.
    SaveEdit,
    /// Sends the edited text as a branch beside the message.
    SendEdit,
    CancelEdit,
    /// Goes on with an edit that was cancelled.
    RestoreEdit {
        conversation: String,
        message: usize,
        text: String,
    },
    /// Another branch that begins with the message up to a token, and has another in its place.
    BranchAt {
        message: usize,
        token: usize,
        alternative: Alternative,
    },
    /// Copies a message as it was written, with its marks of Markdown.
    Copy(usize),
    /// Copies it as it is read.
    CopyPlain(usize),
    Delete(usize),
    Undo,
    Redo,
    /// Shows a branch.
    Choose(usize),
    /// Shows what is known about a token.
    Inspect(At),
    CloseInspector,

    /// Looks for texts, or puts the cursor where they are looked for.
    OpenFind,
    CloseFind,
    /// What is looked for has become this.
    SetFind(String),
    /// Whether all conversations are searched.
    FindEverywhere(bool),
    /// The next match, or the one before.
    StepFind {
        is_back: bool,
    },
    /// Opens a conversation that was found, at its first match.
    OpenFound(usize),

    New(Mode),
    /// Shows the conversation of that id, which is read if it was not yet.
    Open(String),
    /// Puts the conversation of that id into the trash.
    DeleteConversation(String),
    /// Gives the conversation of that id another title; without one it is called by its first words.
    Rename(String, String),
    /// Keeps the conversation of that id at the top, or no longer.
    Pin(String, bool),
    Tag(String, Vec<String>),
    /// Adds another of the conversation of that id, and shows it.
    Duplicate(String),
    /// Shows what was deleted.
    OpenTrash,
    /// Puts the conversation of that id back from the trash.
    RestoreThrown(String),
    /// Deletes the conversation of that id from the trash, for ever.
    DeleteForGood(String),
    /// Adds the texts in these files to what is being written.
    TakeTexts(Vec<PathBuf>),
    /// Asks for files with conversations or traces.
    Import,
    /// Adds the conversations in these files, and shows their traces.
    ImportFiles(Vec<PathBuf>),
    /// Takes a change of the list of conversations back, by its turn.
    UndoListed(u64),
    SetMode(Mode),
    SetSystem(String),
    /// As `SetSystem`, where it comes with a preset: it can be taken back.
    TakeSystem(String),
    /// Name of the template that the conversation uses.
    SetTemplate(String),
    /// Keeps a template in place of the one that had the `original` name.
    SaveTemplate {
        original: String,
        template: Template,
    },
    DeleteTemplate(String),
    /// Has one back that was deleted, in the conversations of these ids too.
    RestoreTemplate(Template, Vec<String>),

    Load(String),
    CancelLoading,
    /// Fetches a model of the hub, or goes on with that, while what is loaded stays.
    Pull(String),
    CancelPull(String),
    /// Adapter for the next model that is loaded; `None`: the best there is.
    SetDevice(Option<String>),
    /// Asks the drivers which adapters there are.
    FindAdapters,
    /// Asks for a model's folder.
    PickModel,
    /// Asks for a `tokenizer.json`.
    PickTokenizer,
    /// Goes back to the tokenizer in the model's folder.
    ForgetTokenizer,

    Set(Setting),
    /// Asks for a place, and writes a file there.
    Save(Export),
    CopyMarkdown,
    /// Takes a picture of what is in sight.
    TakePicture(Picture, PictureTo),
    RetrySave,

    ShowOverlay(Overlay),
    HideOverlay(Overlay),
    ToggleTimings,
    ToggleSidebar,
    Dismiss(BannerId),

    /// Shows a view of the timings.
    ShowTab(Tab),
    /// Shows another beside it, where there is room.
    ShowBeside(Tab),
    ShowPhase(Phase),
    Select(Selection),
    /// Compares two of the runs that are kept.
    Compare(Pair),
    /// Lets the run go that was read from a file.
    CloseTrace,
    /// Keeps the timings that are shown, and has nothing timed.
    PauseTiming(bool),

    /// Closes what lies over the rest, or stops the model, or leaves an edit that has changed nothing.
    Escape,
}

impl Action {
    /// The message of the conversation in sight that it is about.
    pub fn message(&self) -> Option<usize> {
        match self {
            Self::Regenerate(at)
            | Self::RegenerateSeveral(at, _)
            | Self::Continue(at)
            | Self::Edit(at)
            | Self::BranchAt { message: at, .. }
            | Self::Copy(at)
            | Self::CopyPlain(at)
            | Self::Delete(at)
            | Self::Choose(at)
            | Self::Inspect(At { message: at, .. }) => Some(*at),
            _ => None,
        }
    }
}

/// What lies over the rest when asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Overlay {
    Models,
    Prompt,
    Shortcuts,
    Trash,
}

/// What can be written to a file of the person's choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Export {
    ConversationMarkdown,
    ConversationJson,
    /// All conversations, in one file.
    AllJson,
    /// The conversation with the timings of its last run, for any browser.
    ConversationHtml,
    TraceHtml,
    TraceChrome,
    TraceCsv,
    TraceJson,
}

/// What a picture shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Picture {
    Window,
    Conversation,
    Timings,
}

/// Where a picture goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PictureTo {
    /// A file of the person's choice.
    File,
    Clipboard,
}

/// What a banner is about: there is at most one of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BannerId {
    SettingsUnreadable,
    ConversationsUnreadable,
    ConversationUnreadable,
    ConversationDeleted,
    Imported,
    ImportFailed,
    TraceRead,
    NoText,
    ModelWarning,
    LoadFailed,
    LoadCancelled,
    LoadedSmaller,
    Pulled,
    PullCancelled,
    PullFailed,
    DeviceLost,
    Recovered,
    EngineStopped,
    GenerationFailed,
    ContextFull,
    TurnsLeftOut,
    EditInProgress,
    EditCancelled,
    MessageDeleted,
    TemplateDeleted,
    PresetDeleted,
    NoFileDialogs,
    Exported,
    ExportFailed,
    PictureCopied,
    NoPicture,
    NotSaved,
    ClosingWouldLose,
}

//! Changes of the list of conversations, as what undoes them.

use crate::window::conversation::Conversation;
use crate::window::history::Entry;
use crate::window::state::OpenEdit;

/// A change of the list.
pub(super) enum Change {
    Add(Vec<Removed>),
    Remove(Vec<String>),
    Title(String, String),
    Pinned(String, bool),
    Tags(String, Vec<String>),
    /// The system prompt of a conversation.
    System(String, String),
}

/// What lies in the trash.
pub(super) struct Removed {
    pub entry: Entry,
    /// If it had been read.
    pub conversation: Option<Conversation>,
    pub edit: Option<OpenEdit>,
    pub draft: Option<String>,
    pub was_shown: bool,
}

/// Changes of the list that can be taken back, or done again, with the turns that they were made in.
#[derive(Default)]
pub(super) struct Changes {
    pub undo: Vec<(u64, Change)>,
    pub redo: Vec<(u64, Change)>,
}

//! Counts of tokens, as far as they were asked for.

use std::time::Instant;

/// Counts of tokens that were asked for.
#[derive(Default)]
pub(super) struct Counting {
    /// How many.
    pub(super) asked: u64,
    pub(super) prompt: u64,
    /// What the prompt's count is of.
    pub(super) counted: Option<Key>,
    pub(super) draft: u64,
    /// What the draft's count is of, or will be.
    pub(super) drafted: Option<(Key, String)>,
    /// When the draft was changed last.
    pub(super) changed: Option<Instant>,
}

/// What a prompt depends on: the conversation and how it is written, changes of its messages, the last of them.
pub(super) type Key = (String, u64, usize);

impl Counting {
    /// What was counted does not count any more.
    pub(super) fn forget(&mut self) {
        (self.counted, self.drafted) = (None, None);
    }
}

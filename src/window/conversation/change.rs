//! Changes of messages as what takes them back.

use std::sync::atomic::{AtomicU64, Ordering};

/// A change that can be taken back, and done again.
#[derive(Debug, Clone)]
pub(super) enum Change {
    Delete {
        message: usize,
    },
    /// The text that is not shown: the one before the edit, or after it was taken back.
    Edit {
        message: usize,
        text: String,
    },
}

/// Counts what is done, whatever it is done to: of two changes the later one has the greater number.
pub fn turn() -> u64 {
    static TURNS: AtomicU64 = AtomicU64::new(1);
    TURNS.fetch_add(1, Ordering::Relaxed)
}

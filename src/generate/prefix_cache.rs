//! What is kept for later prompts: sequences that nobody writes on, whose rows a prompt that begins alike shares.

use std::collections::VecDeque;

use crate::error::Result;
use crate::model::{Sequence, common_prefix};

/// Sequences at most: each has a place in the device's tables.
const MOST_KEPT: usize = 64;

/// Conversations of a full context that are kept for when somebody comes back to them.
const CONVERSATIONS: usize = 4;

/// What of a text that has ended later prompts may begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reuse {
    /// Its prompt. Generated ids may have other bits as a prompt, so no text depends on those that were written before it.
    Prompts,
    /// What was generated, too: so the next prompt of a conversation begins.
    Answers,
}

/// Sequences of texts that have ended.
pub struct PrefixCache {
    reuse: Reuse,
    /// Rows of keys and values that all may have together.
    most_rows: usize,
    /// The oldest first.
    prefixes: VecDeque<Prefix>,
}

struct Prefix {
    sequence: Sequence,
    /// Rows of keys and values that only it had when it came.
    own_rows: usize,
}

impl PrefixCache {
    /// For texts of at most `context` ids.
    pub fn new(reuse: Reuse, context: usize) -> Self {
        Self {
            reuse,
            most_rows: match reuse {
                Reuse::Prompts => context,
                Reuse::Answers => CONVERSATIONS * context,
            },
            prefixes: VecDeque::new(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.prefixes.is_empty()
    }

    pub fn clear(&mut self) {
        self.prefixes.clear();
    }

    /// Rows of keys and values that nobody else has.
    pub fn rows(&self) -> usize {
        self.prefixes.iter().map(|prefix| prefix.own_rows).sum()
    }

    /// The sequence that holds most of what `ids` begin with, and how much.
    pub fn longest(&self, ids: &[u32]) -> Option<(&Sequence, usize)> {
        let prefixes = self.prefixes.iter().map(|prefix| {
            let common = common_prefix(prefix.sequence.ids(), ids);
            (&prefix.sequence, common)
        });
        prefixes.max_by_key(|(_, common)| *common)
    }

    /// A request has begun with a fork of the first `common` of its `ids`. Where answers are kept, what it was forked from goes: the request comes
    /// back in its place, and a conversation that was changed in the middle would have its rows twice.
    pub fn forked(&mut self, ids: &[u32], common: usize) {
        let holds = |prefix: &Prefix| common_prefix(prefix.sequence.ids(), ids) == common;
        // All prompts begin with the same id.
        if self.reuse == Reuse::Answers
            && common > 1
            && let Some(index) = self.prefixes.iter().rposition(holds)
        {
            self.prefixes.remove(index);
        }
    }

    /// Keeps what is of use of a text that has ended, in the place of what it goes on from. The oldest make room.
    ///
    /// # Errors
    /// None that a caller can cause.
    pub fn keep(&mut self, mut sequence: Sequence, prompt: usize, generated: usize) -> Result<()> {
        sequence.truncate(match self.reuse {
            Reuse::Prompts => prompt,
            Reuse::Answers => prompt + generated,
        })?;
        let ids = sequence.ids();
        self.prefixes
            .retain(|prefix| !ids.starts_with(prefix.sequence.ids()));
        let own_rows = ids.len() - self.longest(ids).map_or(0, |(_, common)| common);
        self.prefixes.push_back(Prefix { sequence, own_rows });
        while self.prefixes.len() > MOST_KEPT
            || (self.prefixes.len() > 1 && self.rows() > self.most_rows)
        {
            self.prefixes.pop_front();
        }
        Ok(())
    }
}

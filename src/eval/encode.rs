//! A request as ids: which are given, which are scored.

use super::like::Like;
use super::task::Item;
use crate::error::Result;
use crate::text::Tokenizer;

/// How requests become ids.
#[derive(Clone)]
pub struct Encoder {
    pub tokenizer: Tokenizer,
    /// End-of-text token.
    pub eos: u32,
    /// Ids that a model can be given at once: its context.
    pub context_size: usize,
    pub like: Like,
}

/// A request as ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// At most one more than the context has positions: the last is scored and never given.
    pub ids: Vec<u32>,
    /// Index of the first id that is scored, at least 1; all behind it are scored too.
    pub from: usize,
    /// Ids of the context before anything was cut off.
    pub context_ids: usize,
    /// Whether the begin of the context was cut off.
    pub is_truncated: bool,
}

impl Encoder {
    /// A context and what follows it.
    ///
    /// # Errors
    /// [`crate::Error::Text`] if the tokenizer cannot express the text, or the continuation adds no id; [`crate::Error::PromptTooLong`] if the continuation
    /// alone does not fit.
    pub fn encode(&self, _context: &str, _continuation: &str) -> Result<Encoded> {
        todo()
    }

    /// All choices of an item; a shared context is encoded once.
    ///
    /// # Errors
    /// As [`Encoder::encode`].
    pub fn encode_item(&self, item: &Item) -> Result<Vec<Encoded>> {
        item.choices
            .iter()
            .map(|choice| self.encode(&choice.context, &choice.continuation))
            .collect()
    }
}

fn todo() -> Result<Encoded> {
    Err(crate::error::Error::Misuse("not written yet".into()))
}

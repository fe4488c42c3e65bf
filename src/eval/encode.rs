//! A request as ids: which are given, which are scored.

use std::sync::Arc;

use super::like::Like;
use super::python::strip_end;
use super::task::Item;
use crate::error::{Error, Result};
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

/// A context, encoded once for all that may follow it.
struct Context<'a> {
    text: &'a str,
    ids: Vec<u32>,
}

impl Encoder {
    /// A context and what follows it.
    ///
    /// White space at the context's end counts as the continuation's. Both are encoded together, and what is behind as many ids as the context has
    /// alone is scored: behind the context's own ids, which may be others where a token would go across. What does not fit is cut off at the
    /// left, begin-of-text token and all.
    ///
    /// # Errors
    /// [`Error::Text`] if the tokenizer cannot express the text, if the continuation adds no id, or if it alone does not fit.
    pub fn encode(&self, context: &str, continuation: &str) -> Result<Encoded> {
        self.encode_behind(&self.context(context)?, continuation)
    }

    /// All choices of an item; a shared context is encoded once.
    ///
    /// # Errors
    /// As [`Encoder::encode`].
    pub fn encode_item(&self, item: &Item) -> Result<Vec<Encoded>> {
        let mut encoded = Vec::with_capacity(item.choices.len());
        for choices in item
            .choices
            .chunk_by(|a, b| Arc::ptr_eq(&a.context, &b.context))
        {
            let Some(first) = choices.first() else {
                continue;
            };
            let context = self.context(&first.context)?;
            for choice in choices {
                encoded.push(self.encode_behind(&context, &choice.continuation)?);
            }
        }
        Ok(encoded)
    }

    fn context<'a>(&self, text: &'a str) -> Result<Context<'a>> {
        let ids = match text.is_empty() {
            true => Vec::new(),
            false => self.tokenizer.encode_behind_bos(strip_end(text))?,
        };
        Ok(Context { text, ids })
    }

    fn encode_behind(&self, context: &Context, continuation: &str) -> Result<Encoded> {
        let together = self
            .tokenizer
            .encode_behind_bos(&format!("{}{continuation}", context.text))?;
        // Together with nothing before it a continuation begins with the begin-of-text token, which is scored, or is all the context.
        let (given, scored) = match (context.text.is_empty(), self.like.empty_context_is_bos()) {
            (false, _) => (context.ids.as_slice(), together.get(context.ids.len()..)),
            (true, true) => (together.get(..1).unwrap_or_default(), together.get(1..)),
            (true, false) => (std::slice::from_ref(&self.eos), Some(together.as_slice())),
        };
        let scored = scored.unwrap_or_default();
        if scored.is_empty() {
            return Err(Error::Text(format!(
                "\"{}\" adds no token to the text before it, so there is nothing to score",
                continuation.escape_debug()
            )));
        }
        if scored.len() > self.context_size {
            return Err(Error::Text(format!(
                "what is to be scored has {} tokens, the context {}",
                scored.len(),
                self.context_size
            )));
        }
        let mut ids = [given, scored].concat();
        let surplus = ids
            .len()
            .saturating_sub(self.context_size.saturating_add(1));
        ids.drain(..surplus);
        Ok(Encoded {
            from: ids.len() - scored.len(),
            ids,
            context_ids: given.len(),
            is_truncated: surplus > 0,
        })
    }
}

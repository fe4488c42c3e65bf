//! A `tokenizer.json`, as Hugging Face's `tokenizers` reads it; OpenELM uses Llama-2's.

use std::path::Path;
use std::sync::Arc;

use crate::error::{Error, Result};

/// Text to ids and ids to text. Cheap to clone.
#[derive(Clone)]
pub struct Tokenizer {
    inner: Arc<tokenizers::Tokenizer>,
    bos: u32,
}

impl Tokenizer {
    /// Reads the bytes of a `tokenizer.json`, which came from `path`; `bos` is what [`Tokenizer::encode`] puts first, and ids must be below
    /// `vocab`.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] for malformed bytes, and for a tokenizer with more tokens than the model.
    pub fn from_bytes(bytes: &[u8], path: &Path, bos: u32, vocab: usize) -> Result<Self> {
        let inner = tokenizers::Tokenizer::from_bytes(bytes)
            .map_err(|error| Error::tokenizer(path, format!("not a usable tokenizer: {error}")))?;
        let size = inner.get_vocab_size(true);
        if size > vocab {
            return Err(Error::tokenizer(
                path,
                format!("has {size} tokens, the model only {vocab}: it belongs to another model"),
            ));
        }
        Ok(Self {
            inner: Arc::new(inner),
            bos,
        })
    }

    /// Ids of `text` behind one bos; text that begins with the bos token itself does not get a second one.
    ///
    /// # Errors
    /// [`Error::Text`] if the tokenizer cannot express the text.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let encoding = self
            .inner
            .encode_fast(text, false)
            .map_err(|error| Error::Text(format!("cannot tokenize the text: {error}")))?;
        let mut ids = encoding.get_ids().to_vec();
        if ids.first() != Some(&self.bos) {
            ids.insert(0, self.bos);
        }
        Ok(ids)
    }

    /// Text of `ids`, special tokens left out.
    ///
    /// # Errors
    /// [`Error::Text`] if the decoder of the tokenizer fails.
    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        self.inner
            .decode(ids, true)
            .map_err(|error| Error::Text(format!("cannot decode ids: {error}")))
    }

    /// A token as the vocabulary spells it, such as `▁king` or `<0x0A>`.
    pub fn token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// Whether both have the same ids for the same tokens.
    pub fn has_ids_of(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
            || self.inner.get_vocab(true) == other.inner.get_vocab(true)
    }

    /// Whether the token is a control token, which has no text.
    pub(super) fn is_special(&self, token: &str) -> bool {
        self.inner.get_added_vocabulary().is_special_token(token)
    }
}

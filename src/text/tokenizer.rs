//! A `tokenizer.json`, as Hugging Face's `tokenizers` reads it; OpenELM uses Llama-2's.

use std::path::Path;
use std::sync::Arc;

use tokenizers::normalizer::Range;
use tokenizers::{
    Model, Normalizer, NormalizerWrapper, OffsetReferential, OffsetType, PreTokenizedString,
    PreTokenizer,
};

use super::prompt::ChatPrompt;
use crate::error::{Error, Result};

/// Text to ids and ids to text. Cheap to clone.
#[derive(Clone)]
pub struct Tokenizer {
    inner: Arc<tokenizers::Tokenizer>,
    bos: u32,
    /// Special tokens as they are spelled.
    specials: Arc<[String]>,
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
        let added = inner.get_added_tokens_decoder().into_values();
        let specials = added.filter(|token| token.special && !token.content.is_empty());
        Ok(Self {
            specials: specials.map(|token| token.content).collect(),
            inner: Arc::new(inner),
            bos,
        })
    }

    /// Ids of `text` behind one bos; text that begins with the bos token itself does not get a second one.
    ///
    /// # Errors
    /// [`Error::Text`] if the tokenizer cannot express the text.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        Ok(self.behind_bos(&self.encode_alone(text)?))
    }

    /// Ids of `text` and nothing else. Special tokens that it spells are those tokens.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn encode_alone(&self, text: &str) -> Result<Vec<u32>> {
        let encoding = self.inner.encode_fast(text, false).map_err(untold)?;
        Ok(encoding.get_ids().to_vec())
    }

    fn behind_bos(&self, ids: &[u32]) -> Vec<u32> {
        match ids.first() == Some(&self.bos) {
            true => ids.to_vec(),
            false => [&[self.bos], ids].concat(),
        }
    }

    /// As [`Tokenizer::encode`], of what a template made of a conversation: tokens that it spells itself are those tokens; nothing that was
    /// said becomes a special one.
    ///
    /// # Errors
    /// [`Error::Text`] if the tokenizer cannot express the text, or not without a special token.
    pub fn encode_chat(&self, prompt: &ChatPrompt) -> Result<Vec<u32>> {
        let own = self.own_tokens(prompt);
        // What the library does with a text, but for which tokens are found in it.
        let mut text = PreTokenizedString::from(prompt.text.as_str());
        text.split(|_, whole| {
            let mut splits = Vec::new();
            let mut cut = |range: std::ops::Range<usize>, token: Option<&tokenizers::Token>| {
                let slice = whole.slice(Range::Original(range));
                splits.extend(slice.map(|slice| (slice, token.map(|token| vec![token.clone()]))));
            };
            let mut end = 0;
            for (range, token) in &own {
                cut(end..range.start, None);
                cut(range.clone(), Some(token));
                end = range.end;
            }
            cut(end..prompt.text.len(), None);
            Ok(splits)
        })
        .map_err(untold)?;
        if let Some(normalizer) = self.inner.get_normalizer() {
            text.normalize(|part| normalizer.normalize(part))
                .map_err(untold)?;
        }
        if let Some(pre_tokenizer) = self.inner.get_pre_tokenizer() {
            pre_tokenizer.pre_tokenize(&mut text).map_err(untold)?;
        }
        let model = self.inner.get_model();
        text.tokenize(|part| model.tokenize(part.get()))
            .map_err(untold)?;
        let encoding = text
            .into_encoding(None, 0, OffsetType::None)
            .map_err(untold)?;
        let ids = encoding.get_ids();
        self.refuse_said(prompt, ids, own.iter().map(|(_, token)| token.id))?;
        Ok(self.behind_bos(ids))
    }

    /// The tokens that the template itself spells, and where.
    fn own_tokens(&self, prompt: &ChatPrompt) -> Vec<(std::ops::Range<usize>, tokenizers::Token)> {
        let vocabulary = self.inner.get_added_vocabulary();
        let mut own = Vec::new();
        for part in prompt.own() {
            let found = vocabulary
                .extract_and_normalize(None::<&NormalizerWrapper>, &prompt.text[part.clone()]);
            for (_, (start, end), tokens) in
                found.get_splits(OffsetReferential::Original, OffsetType::Byte)
            {
                if let Some([token]) = tokens.as_deref() {
                    own.push((part.start + start..part.start + end, token.clone()));
                }
            }
        }
        own
    }

    /// Some models of text have special tokens among their words, and find them without being told to.
    fn refuse_said(
        &self,
        prompt: &ChatPrompt,
        ids: &[u32],
        own: impl Iterator<Item = u32>,
    ) -> Result<()> {
        let own: Vec<u32> = own.collect();
        for special in &*self.specials {
            let Some(id) = self.inner.token_to_id(special) else {
                continue;
            };
            let count = |ids: &[u32]| ids.iter().filter(|other| **other == id).count();
            // An unknown character is a special token too, but no text spells it.
            if count(ids) > count(&own) && prompt.text.contains(special.as_str()) {
                return Err(Error::Text(format!(
                    "this model's tokenizer cannot write `{special}` as plain text, and in what was said it is nothing else"
                )));
            }
        }
        Ok(())
    }

    /// Special tokens as they are spelled, such as `</s>`.
    pub fn specials(&self) -> &[String] {
        &self.specials
    }

    /// Text of `ids` with special tokens as they are spelled.
    ///
    /// # Errors
    /// As [`Tokenizer::decode`].
    pub fn decode_all(&self, ids: &[u32]) -> Result<String> {
        let is_special = |id: &u32| self.token(*id).is_some_and(|token| self.is_special(&token));
        let mut text = String::new();
        for run in ids.chunk_by(|a, b| !is_special(a) && !is_special(b)) {
            text += &match run {
                [id] if is_special(id) => self.token(*id).unwrap_or_default(),
                run => self.decode(run)?,
            };
        }
        Ok(text)
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

fn untold(error: tokenizers::Error) -> Error {
    Error::Text(format!("cannot tokenize the text: {error}"))
}

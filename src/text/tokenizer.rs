//! A `tokenizer.json`, as Hugging Face's `tokenizers` reads it; OpenELM uses Llama-2's.

use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use tokenizers::normalizer::Range;
use tokenizers::{
    Model, Normalizer, NormalizerWrapper, OffsetReferential, OffsetType, PreTokenizedString,
    PreTokenizer,
};

use super::added::NormalizedTokens;
use super::guard::guarded;
use super::prompt::ChatPrompt;
use crate::error::{Error, Result};
use crate::utf8;

/// Text to ids and ids to text. Cheap to clone.
#[derive(Clone)]
pub struct Tokenizer {
    inner: Arc<tokenizers::Tokenizer>,
    bos: u32,
    /// Ids of the model; tokens beyond them exist only in the tokenizer.
    vocab: usize,
    /// Special tokens as they are spelled.
    specials: Arc<[String]>,
    /// Added tokens that are not special and are normalised.
    normalized: Option<Arc<NormalizedTokens>>,
    /// Bytes of the longest token.
    longest: usize,
}

/// How much shorter a text could become before it is cut into tokens: what a normaliser does is not known, so this is generous.
const SHRINKS: usize = 4;

/// Some of Llama 2's tokens with their ids, which every model of Apple's was trained with.
const LLAMA_2: [(&str, u32); 8] = [
    ("<s>", 1),
    ("</s>", 2),
    ("<0x0A>", 13),
    ("▁the", 278),
    ("▁upon", 2501),
    ("▁Once", 9038),
    ("▁", 29871),
    (".", 29889),
];

/// Ids of Llama 2's tokenizer.
const LLAMA_2_VOCAB: usize = 32000;

impl Tokenizer {
    /// Reads the bytes of a `tokenizer.json`, which came from `path`; `bos` is what [`Tokenizer::encode`] puts first, and the model has
    /// `vocab` ids. Added tokens may lie beyond them, as `<pad>` often does, until one is used.
    ///
    /// What the file says about truncation and padding was meant for training and is left alone.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] for malformed bytes, and for a tokenizer with more tokens than the model.
    pub fn from_bytes(bytes: &[u8], path: &Path, bos: u32, vocab: usize) -> Result<Self> {
        let refuse = |what: String| Error::tokenizer(path, what);
        let not_usable =
            |error: tokenizers::Error| refuse(format!("not a usable tokenizer: {error}"));
        let read = || {
            let bytes = utf8::without_mark(bytes);
            check_growth(bytes).map_err(refuse)?;
            let mut inner = tokenizers::Tokenizer::from_bytes(bytes).map_err(not_usable)?;
            if has_normalized_specials(&inner)
                && let Some(plain) = with_plain_specials(bytes)
            {
                inner = tokenizers::Tokenizer::from_bytes(plain).map_err(not_usable)?;
            }
            inner.with_truncation(None).map_err(not_usable)?;
            inner.with_padding(None);
            Self::checked(inner, bos, vocab).map_err(refuse)
        };
        guarded(read).unwrap_or_else(|| Err(refuse(FAILED.to_owned())))
    }

    fn checked(
        inner: tokenizers::Tokenizer,
        bos: u32,
        vocab: usize,
    ) -> std::result::Result<Self, String> {
        let added = inner.get_added_tokens_decoder();
        let tokens = inner.get_vocab(true);
        let is_foreign = |id: &u32| *id as usize >= vocab && !added.contains_key(id);
        if tokens.values().any(is_foreign) {
            return Err(format!(
                "has {} tokens, the model only {vocab}: it belongs to another model",
                tokens.len()
            ));
        }
        let added = added.into_values();
        let specials = added.filter(|token| token.special && !token.content.is_empty());
        Ok(Self {
            specials: specials.map(|token| token.content).collect(),
            longest: tokens.keys().map(String::len).max().unwrap_or(0).max(1),
            normalized: NormalizedTokens::of(&inner)?.map(Arc::new),
            inner: Arc::new(inner),
            bos,
            vocab,
        })
    }

    /// What is odd about this tokenizer for a model of OpenELM, if anything is: of the right size, but of another family.
    pub fn warning(&self) -> Option<String> {
        let differs = |(token, id): &(&str, u32)| self.inner.token_to_id(token) != Some(*id);
        let (token, id) = match self.vocab {
            LLAMA_2_VOCAB => LLAMA_2.into_iter().find(differs)?,
            _ => return None,
        };
        let here = match self.inner.token_to_id(token) {
            Some(other) => format!("its token `{token}` is {other}"),
            None => format!("it has no token `{token}`"),
        };
        Some(format!(
            "the tokenizer is not Llama 2's, which Apple's models were trained with: {here}, there it is {id}. With one of them the text \
             will be nonsense"
        ))
    }

    /// Tokens that `text` has at least, without looking at it: for a text so long that encoding it would only take time.
    pub fn least_tokens(&self, text: &str) -> usize {
        text.len() / self.longest / SHRINKS
    }

    /// Ids of `text` behind one bos; text that begins with the bos token itself does not get a second one.
    ///
    /// # Errors
    /// [`Error::Text`] if the tokenizer cannot express the text.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        Ok(self.behind_bos(&self.encode_alone(text)?))
    }

    /// Ids of `text` behind a bos of their own, whatever the text begins with: as Hugging Face's tokenizer of Llama writes it, and what is
    /// compared with that has to.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn encode_behind_bos(&self, text: &str) -> Result<Vec<u32>> {
        Ok([&[self.bos], &self.encode_alone(text)?[..]].concat())
    }

    /// Ids of `text` and nothing else. Special tokens that it spells are those tokens.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn encode_alone(&self, text: &str) -> Result<Vec<u32>> {
        let encoding = calm(|| self.inner.encode_fast(text, false).map_err(untold))?;
        self.check_ids(encoding.get_ids())?;
        Ok(encoding.get_ids().to_vec())
    }

    /// Refuses added tokens that the model has no ids for.
    fn check_ids(&self, ids: &[u32]) -> Result<()> {
        match ids.iter().find(|id| **id as usize >= self.vocab) {
            None => Ok(()),
            Some(id) => Err(Error::TokenBeyondVocabulary {
                token: self.token(*id).unwrap_or_default(),
                id: *id,
                vocab_size: self.vocab,
            }),
        }
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
        calm(|| self.encode_parts(prompt))
    }

    fn encode_parts(&self, prompt: &ChatPrompt) -> Result<Vec<u32>> {
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
            // What is normalised is looked for in normalised text, further down.
            for (range, token) in own.iter().filter(|(_, token)| !self.is_normalized(token)) {
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
        if let Some(tokens) = &self.normalized {
            text.split(|_, piece| Ok(tokens.cut(&piece)))
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
        self.check_ids(ids)?;
        Ok(self.behind_bos(ids))
    }

    /// The ids of special tokens that the template itself spells.
    pub(super) fn own_ids(&self, prompt: &ChatPrompt) -> Vec<u32> {
        let own = self.own_tokens(prompt).into_iter();
        own.map(|(_, token)| token.id).collect()
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

    fn is_normalized(&self, token: &tokenizers::Token) -> bool {
        let added = self.inner.get_added_vocabulary().get_added_tokens_decoder();
        added.get(&token.id).is_some_and(|added| added.normalized)
    }

    /// Some models of text have special tokens among their words, and find them without being told to. What nobody would take for a mark, such as
    /// a full stop that ends texts, is what it is in any text.
    fn refuse_said(
        &self,
        prompt: &ChatPrompt,
        ids: &[u32],
        own: impl Iterator<Item = u32>,
    ) -> Result<()> {
        let own: Vec<u32> = own.collect();
        let is_mark = |special: &&String| special.contains(['<', '>', '[', ']', '{', '}', '|']);
        for special in self.specials.iter().filter(is_mark) {
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
        let is_special = |id: &u32| self.special(*id).is_some();
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
        let untold = |error: tokenizers::Error| Error::Text(format!("cannot decode ids: {error}"));
        calm(|| self.inner.decode(ids, true).map_err(untold))
    }

    /// A token as the vocabulary spells it, such as `▁king` or `<0x0A>`.
    pub fn token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// Whether both have the same ids for the same tokens, as far as models have them.
    pub fn has_ids_of(&self, other: &Self) -> bool {
        let tokens = |of: &Self| {
            let mut tokens = of.inner.get_vocab(true);
            tokens.retain(|_, id| (*id as usize) < of.vocab);
            tokens
        };
        Arc::ptr_eq(&self.inner, &other.inner) || tokens(self) == tokens(other)
    }

    /// How a control token is spelled, if it is one.
    pub fn special(&self, id: u32) -> Option<String> {
        self.token(id).filter(|token| self.is_special(token))
    }

    /// Whether the token is a control token, which has no text.
    pub(super) fn is_special(&self, token: &str) -> bool {
        self.inner.get_added_vocabulary().is_special_token(token)
    }
}

/// Whether special tokens are to be normalised before they are looked for, as early conversions of Llama's tokenizer say. Their spelling is then that
/// of the normaliser (`▁<s>`), and nobody finds them by their own; transformers takes none of it either.
fn has_normalized_specials(tokenizer: &tokenizers::Tokenizer) -> bool {
    let added = tokenizer.get_added_tokens_decoder();
    added
        .values()
        .any(|token| token.special && token.normalized)
}

/// The same tokenizer with special tokens that are taken as they are spelled.
fn with_plain_specials(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut file: Value = serde_json::from_slice(bytes).ok()?;
    for token in file.get_mut("added_tokens")?.as_array_mut()? {
        if token["special"] == true {
            token["normalized"] = false.into();
        }
    }
    serde_json::to_vec(&file).ok()
}

/// A text may become so many times as long by a tokenizer's rules. Llama's begin it with a sign of three bytes, and put that in place of each space.
const MOST_GROWTH: f64 = 64.0;

/// Refuses rules that would make a few letters fill the memory, by replacing again and again.
fn check_growth(bytes: &[u8]) -> std::result::Result<(), String> {
    #[derive(serde::Deserialize)]
    struct Rules {
        #[serde(default)]
        normalizer: Value,
        #[serde(default)]
        decoder: Value,
    }
    // What is malformed is refused by whoever reads all of it.
    let Ok(rules) = serde_json::from_slice::<Rules>(bytes) else {
        return Ok(());
    };
    for (name, rules) in [("normalizer", rules.normalizer), ("decoder", rules.decoder)] {
        if growth(&rules) > MOST_GROWTH {
            return Err(format!("its {name} would make texts many times as long"));
        }
    }
    Ok(())
}

/// How many times as long a text may become at most.
fn growth(rules: &Value) -> f64 {
    let steps = ["normalizers", "decoders"].map(|name| rules.get(name).and_then(Value::as_array));
    if let Some(steps) = steps.into_iter().flatten().next() {
        return steps.iter().map(growth).product();
    }
    let length = |value: &Value| value.as_str().map_or(0, str::len) as f64;
    match (rules["type"].as_str(), &rules["pattern"]) {
        // A piece between two tokens may have one byte.
        (Some("Prepend"), _) => length(&rules["prepend"]) + 1.0,
        (Some("Replace"), pattern) => {
            // A regular expression may match nothing, anywhere.
            let least = length(&pattern["String"]);
            match least > 0.0 {
                true => (length(&rules["content"]) / least).max(1.0),
                false => length(&rules["content"]) + 1.0,
            }
        }
        _ => 1.0,
    }
}

const FAILED: &str = "the tokenizer's rules cannot be carried out";

/// As [`guarded`], with an error in place of nothing.
fn calm<T>(run: impl FnOnce() -> Result<T>) -> Result<T> {
    guarded(run).unwrap_or_else(|| Err(Error::Text(FAILED.to_owned())))
}

fn untold(error: tokenizers::Error) -> Error {
    Error::Text(format!("cannot tokenize the text: {error}"))
}

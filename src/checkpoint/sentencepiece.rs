//! `tokenizer.model`, a vocabulary in SentencePiece's own form, as a `tokenizer.json`.
//!
//! The file is a message of Protocol Buffers: fields of a number, a wire type and a value, of which few matter here.
//!
//! Source: `sentencepiece_model.proto` of SentencePiece.

use std::path::Path;

use super::vocabulary::{MOST_BYTES, MOST_TOKENS, Roles, Tokens};
use crate::error::{Error, Result};

/// What is wrong with a file.
type Found<T> = std::result::Result<T, String>;

/// Kinds of models; only in this one are pieces joined by their scores.
const BPE: u64 = 2;
const UNIGRAM: u64 = 1;

/// The text of the `tokenizer.json` that has the same ids.
///
/// # Errors
/// [`Error::Tokenizer`] for what is no such file, and for kinds that would be read wrongly.
pub fn tokenizer_json(model: &[u8], path: &Path) -> Result<Vec<u8>> {
    convert(model).map_err(|what| Error::tokenizer(path, what))
}

fn convert(model: &[u8]) -> Found<Vec<u8>> {
    let mut texts = Vec::new();
    let mut kinds = Vec::new();
    let mut scores = Vec::new();
    let mut trainer = Trainer::default();
    let mut normalizer = Normalizer::default();
    if model.len() > MOST_BYTES {
        return Err("is larger than any vocabulary".into());
    }
    for field in Fields(model) {
        match field? {
            (1, Value::Bytes(bytes)) => {
                let piece = Piece::read(bytes)?;
                texts.push(piece.text);
                kinds.push(piece.kind);
                scores.push(f64::from(piece.score));
            }
            (2, Value::Bytes(bytes)) => trainer = Trainer::read(bytes)?,
            (3, Value::Bytes(bytes)) => normalizer = Normalizer::read(bytes)?,
            _ => {}
        }
    }
    if texts.is_empty() || texts.len() as u64 > MOST_TOKENS {
        return Err(format!(
            "not a model of SentencePiece: it has {} pieces",
            texts.len()
        ));
    }
    if trainer.kind != BPE {
        return Err("a model of SentencePiece, but not of its kind `BPE`: convert it to tokenizer.json with Hugging Face's transformers".into());
    }
    if normalizer.changes_text || trainer.has_space_behind {
        return Err("a model of SentencePiece that rewrites texts before it cuts them: convert it to tokenizer.json with Hugging Face's transformers".into());
    }
    let id = |role: &str, id: u64| match id < texts.len() as u64 {
        true => Ok(id as u32),
        false => Err(format!(
            "its {role} id is {id}, and there are {} pieces",
            texts.len()
        )),
    };
    let roles = Roles {
        unknown: id("unknown", trainer.unknown)?,
        bos: id("bos", trainer.bos)?,
        eos: id("eos", trainer.eos)?,
    };
    let mut tokens = Tokens::new(texts)?;
    tokens.assign(Some(kinds), roles);
    let merges = tokens.merges(&scores)?;
    Ok(tokens.json(&merges, normalizer.adds_space))
}

struct Piece<'a> {
    text: &'a str,
    score: f32,
    kind: u64,
}

impl<'a> Piece<'a> {
    fn read(message: &'a [u8]) -> Found<Self> {
        let mut piece = Self {
            text: "",
            score: 0.0,
            kind: 1,
        };
        for field in Fields(message) {
            match field? {
                (1, Value::Bytes(bytes)) => {
                    piece.text = std::str::from_utf8(bytes)
                        .map_err(|_| "one of its pieces is not in UTF-8".to_owned())?;
                }
                (2, Value::Fixed32(bits)) => piece.score = f32::from_bits(bits),
                (3, Value::Varint(kind)) => piece.kind = kind,
                _ => {}
            }
        }
        Ok(piece)
    }
}

/// How the vocabulary was made.
struct Trainer {
    kind: u64,
    unknown: u64,
    bos: u64,
    eos: u64,
    /// Whether the mark of a space ends a word, and does not begin it.
    has_space_behind: bool,
}

impl Default for Trainer {
    fn default() -> Self {
        Self {
            kind: UNIGRAM,
            unknown: 0,
            bos: 1,
            eos: 2,
            has_space_behind: false,
        }
    }
}

impl Trainer {
    fn read(message: &[u8]) -> Found<Self> {
        let mut trainer = Self::default();
        for field in Fields(message) {
            match field? {
                (3, Value::Varint(kind)) => trainer.kind = kind,
                (24, Value::Varint(flag)) => trainer.has_space_behind = flag != 0,
                (40, Value::Varint(id)) => trainer.unknown = id,
                (41, Value::Varint(id)) => trainer.bos = id,
                (42, Value::Varint(id)) => trainer.eos = id,
                _ => {}
            }
        }
        Ok(trainer)
    }
}

/// What is done to texts first.
struct Normalizer {
    changes_text: bool,
    adds_space: bool,
}

impl Default for Normalizer {
    fn default() -> Self {
        Self {
            changes_text: false,
            adds_space: true,
        }
    }
}

impl Normalizer {
    fn read(message: &[u8]) -> Found<Self> {
        let mut normalizer = Self::default();
        // Unless said otherwise, several spaces become one.
        let mut joins_spaces = true;
        for field in Fields(message) {
            match field? {
                (2, Value::Bytes(table)) => normalizer.changes_text |= !table.is_empty(),
                (3, Value::Varint(flag)) => normalizer.adds_space = flag != 0,
                (4, Value::Varint(flag)) => joins_spaces = flag != 0,
                // Whether spaces become a mark, as `Tokens::json` says they do.
                (5, Value::Varint(flag)) => normalizer.changes_text |= flag == 0,
                _ => {}
            }
        }
        normalizer.changes_text |= joins_spaces;
        Ok(normalizer)
    }
}

/// The value of a field, by its wire type.
enum Value<'a> {
    Varint(u64),
    Fixed32(u32),
    Fixed64,
    Bytes(&'a [u8]),
}

/// The fields of a message, with their numbers, up to the first that is none.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Found<(u64, Value<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.0 = &[];
        }
        Some(field.ok_or_else(|| "not a model of SentencePiece, or not all of it".into()))
    }
}

impl<'a> Fields<'a> {
    fn field(&mut self) -> Option<(u64, Value<'a>)> {
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Value::Varint(self.varint()?),
            1 => self.take(8).map(|_| Value::Fixed64)?,
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Value::Bytes(self.take(length)?)
            }
            5 => Value::Fixed32(u32::from_le_bytes(*self.take(4)?.first_chunk()?)),
            _ => return None,
        };
        Some((tag >> 3, value))
    }

    /// Seven bits a byte, the lowest first; the highest bit says that there are more.
    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = *self.take(1)?.first()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }
}

//! The vocabulary of a GGUF file as a `tokenizer.json`: pieces with scores, as SentencePiece has them, or with the list of merges that Hugging
//! Face's library wants.
//!
//! Source: `docs/gguf.md` of ggml.

use std::collections::BTreeMap;

use super::header::{Header, List, Value};
use super::reader::{Found, shown};
use crate::checkpoint::vocabulary::{MOST_BYTES, MOST_MERGES, MOST_TOKENS, Roles, Tokens};

/// What a file says about text.
#[derive(Default)]
pub struct Vocabulary {
    /// The text of `tokenizer.json`; `None`: the file has no vocabulary, or one of another kind.
    pub json: Option<Vec<u8>>,
    /// How special tokens are spelled, by what templates call them.
    pub specials: BTreeMap<String, String>,
    pub warnings: Vec<String>,
}

impl Vocabulary {
    /// Reads it from the metadata.
    pub fn read(header: &Header<'_>) -> Found<Self> {
        match header.text("tokenizer.ggml.model")? {
            Some("llama") => Self::of(&tokens(header)?, header),
            Some("none") | None => Ok(Self::default()),
            Some(other) => Ok(Self {
                warnings: vec![format!(
                    "the vocabulary is of the kind `{}`, and only `llama` can be read: there is no tokenizer",
                    shown(other)
                )],
                ..Self::default()
            }),
        }
    }

    fn of(tokens: &Tokens<'_>, header: &Header<'_>) -> Found<Self> {
        let adds_space = header
            .flag("tokenizer.ggml.add_space_prefix")?
            .unwrap_or(true);
        let merges = match header.list("tokenizer.ggml.merges")? {
            Some(list) => listed_merges(tokens, &list)?,
            None => tokens.merges(&scores(header, tokens.texts().len())?)?,
        };
        let mut specials = BTreeMap::new();
        for name in ["bos", "eos", "unk", "pad"] {
            let long = match name {
                "unk" => "unknown",
                "pad" => "padding",
                name => name,
            };
            let key = format!("tokenizer.ggml.{long}_token_id");
            let id = header.whole(&key, MOST_TOKENS)?;
            if let Some(text) = id.and_then(|id| tokens.texts().get(id as usize)) {
                specials.insert(format!("{name}_token"), (*text).to_owned());
            }
        }
        let mut warnings = Vec::new();
        if header.flag("tokenizer.ggml.add_bos_token")? == Some(false) {
            warnings.push(format!(
                "the file wants prompts without `{}` in front; OpenELM is used to it, and they begin with it",
                shown(tokens.bos())
            ));
        }
        Ok(Self {
            json: Some(tokens.json(&merges, adds_space)),
            specials,
            warnings,
        })
    }
}

/// The tokens that the metadata lists.
fn tokens<'a>(header: &Header<'a>) -> Found<Tokens<'a>> {
    const TOKENS: &str = "tokenizer.ggml.tokens";
    let list = header
        .list(TOKENS)?
        .ok_or_else(|| format!("`{TOKENS}` is missing"))?;
    if list.count > MOST_TOKENS || list.bytes() > MOST_BYTES {
        return Err(format!("`{TOKENS}` is larger than any vocabulary"));
    }
    let read =
        |(id, value)| text(value).ok_or_else(|| format!("token {id} is not a text in UTF-8"));
    let texts: Vec<&str> = list.values().enumerate().map(read).collect::<Found<_>>()?;
    let count = texts.len();
    let mut tokens = Tokens::new(texts)?;
    let id = |key: &str, usual: u64| match header.whole(key, MOST_TOKENS)?.unwrap_or(usual) {
        id if id < count as u64 => Ok(id as u32),
        id => Err(format!("`{key}` is {id}, and there are {} tokens", count)),
    };
    let roles = Roles {
        unknown: id("tokenizer.ggml.unknown_token_id", 0)?,
        bos: id("tokenizer.ggml.bos_token_id", 1)?,
        eos: id("tokenizer.ggml.eos_token_id", 2)?,
    };
    let kinds = header.wholes("tokenizer.ggml.token_type", count, u64::from(u8::MAX))?;
    tokens.assign(kinds, roles);
    Ok(tokens)
}

/// Merges as the file lists them: two tokens with a space between.
fn listed_merges(tokens: &Tokens<'_>, list: &List<'_>) -> Found<Vec<(u32, u32)>> {
    if list.count > MOST_MERGES as u64 || list.bytes() > 2 * MOST_BYTES {
        return Err("`tokenizer.ggml.merges` is larger than that of any vocabulary".into());
    }
    let pair = |(index, value): (usize, Value<'_>)| {
        let ids = || {
            let (left, right) = text(value)?.split_once(' ')?;
            tokens.id(&format!("{left}{right}"))?;
            Some((tokens.id(left)?, tokens.id(right)?))
        };
        ids().ok_or_else(|| {
            format!(
                "entry {index} of `tokenizer.ggml.merges` is no pair of tokens that make another"
            )
        })
    };
    list.values().enumerate().map(pair).collect()
}

fn scores(header: &Header<'_>, count: usize) -> Found<Vec<f64>> {
    const SCORES: &str = "tokenizer.ggml.scores";
    let list = header
        .list(SCORES)?
        .ok_or_else(|| format!("`{SCORES}` is missing"))?;
    let other = || format!("`{SCORES}` does not have a number for each of {count} tokens");
    if list.count != count as u64 {
        return Err(other());
    }
    let number = |value| match value {
        Value::Float(number) => Some(number),
        _ => None,
    };
    let scores: Option<Vec<f64>> = list.values().map(number).collect();
    scores.ok_or_else(other)
}

fn text(value: Value<'_>) -> Option<&str> {
    match value {
        Value::Text(bytes) => std::str::from_utf8(bytes).ok(),
        _ => None,
    }
}

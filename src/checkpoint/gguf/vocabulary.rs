//! The vocabulary of a GGUF file as a `tokenizer.json`.
//!
//! Llama 2's is SentencePiece's BPE: pieces with scores, of which the best two neighbours are joined first. Hugging Face's library wants a list of
//! merges instead: every way to make a piece of two, the best piece first, which is how its own converter makes them. Some files
//! bring that list along.
//!
//! Source: `docs/gguf.md` of ggml; `convert_slow_tokenizer.py` of transformers for the form of the result.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value as Json, json};

use super::header::{Header, List, Value};
use super::reader::{Found, shown};

/// What a file may hold of tokens: many times that of any model, and little enough to be quick.
const MOST_TOKENS: u64 = 1 << 20;
const MOST_BYTES: usize = 16 << 20;
const MOST_MERGES: usize = 1 << 22;

/// The longest piece that is taken apart, in bytes. SentencePiece makes none of more than 16 characters unless told to.
const MOST_PIECE_BYTES: usize = 256;

/// What stands for a space.
const SPACE: &str = "▁";

/// Kinds of tokens.
const NORMAL: u64 = 1;
const UNKNOWN: u64 = 2;
const CONTROL: u64 = 3;
const USER_DEFINED: u64 = 4;
const BYTE: u64 = 6;

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
            Some("llama") => Tokens::read(header)?.vocabulary(header),
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
}

/// Tokens by their ids.
struct Tokens<'a> {
    texts: Vec<&'a str>,
    kinds: Vec<u64>,
    ids: HashMap<&'a str, u32>,
    unknown: u32,
    bos: u32,
}

impl<'a> Tokens<'a> {
    fn read(header: &Header<'a>) -> Found<Self> {
        const TOKENS: &str = "tokenizer.ggml.tokens";
        let list = header
            .list(TOKENS)?
            .ok_or_else(|| format!("`{TOKENS}` is missing"))?;
        if list.count > MOST_TOKENS || list.bytes() > MOST_BYTES {
            return Err(format!("`{TOKENS}` is larger than any vocabulary"));
        }
        let mut texts = Vec::new();
        let mut ids = HashMap::new();
        for (id, value) in (0..).zip(list.values()) {
            let text = text(value).ok_or_else(|| format!("token {id} is not a text in UTF-8"))?;
            if let Some(other) = ids.insert(text, id) {
                return Err(format!(
                    "tokens {other} and {id} are both `{}`",
                    shown(text)
                ));
            }
            texts.push(text);
        }
        let id = |key: &str, usual: u64| match header.whole(key, MOST_TOKENS)?.unwrap_or(usual) {
            id if id < texts.len() as u64 => Ok(id as u32),
            id => Err(format!(
                "`{key}` is {id}, and there are {} tokens",
                texts.len()
            )),
        };
        let [unknown, bos, eos] = [
            id("tokenizer.ggml.unknown_token_id", 0)?,
            id("tokenizer.ggml.bos_token_id", 1)?,
            id("tokenizer.ggml.eos_token_id", 2)?,
        ];
        let mut kinds = header
            .wholes("tokenizer.ggml.token_type", texts.len(), u64::from(u8::MAX))?
            .unwrap_or_else(|| texts.iter().map(|text| usual_kind(text)).collect());
        // Whatever else the file says of them.
        for (id, kind) in [(unknown, UNKNOWN), (bos, CONTROL), (eos, CONTROL)] {
            if let Some(place) = kinds.get_mut(id as usize) {
                *place = kind;
            }
        }
        Ok(Self {
            texts,
            kinds,
            ids,
            unknown,
            bos,
        })
    }

    fn vocabulary(&self, header: &Header<'_>) -> Found<Vocabulary> {
        let adds_space = header
            .flag("tokenizer.ggml.add_space_prefix")?
            .unwrap_or(true);
        let merges = match header.list("tokenizer.ggml.merges")? {
            Some(list) => self.listed_merges(&list)?,
            None => self.merges(&scores(header, self.texts.len())?)?,
        };
        let json = self.json(&merges, adds_space);
        let mut specials = BTreeMap::new();
        for name in ["bos", "eos", "unk", "pad"] {
            let long = match name {
                "unk" => "unknown",
                "pad" => "padding",
                name => name,
            };
            let key = format!("tokenizer.ggml.{long}_token_id");
            let id = header.whole(&key, MOST_TOKENS)?;
            if let Some(text) = id.and_then(|id| self.texts.get(id as usize)) {
                specials.insert(format!("{name}_token"), (*text).to_owned());
            }
        }
        let mut warnings = Vec::new();
        if header.flag("tokenizer.ggml.add_bos_token")? == Some(false) {
            warnings.push(format!(
                "the file wants prompts without `{}` in front; OpenELM is used to it, and they begin with it",
                shown(self.text(self.bos))
            ));
        }
        Ok(Vocabulary {
            json: Some(json.to_string().into_bytes()),
            specials,
            warnings,
        })
    }

    fn text(&self, id: u32) -> &'a str {
        self.texts.get(id as usize).copied().unwrap_or_default()
    }

    /// All ways to make a token of two, best first. Where scores are equal, the token that comes first in the vocabulary does; of the ways
    /// to make one, that whose parts come first.
    fn merges(&self, scores: &[f64]) -> Found<Vec<(u32, u32)>> {
        let mut merges = Vec::new();
        for (text, (kind, score)) in self.texts.iter().zip(self.kinds.iter().zip(scores)) {
            if *kind != NORMAL || text.len() > MOST_PIECE_BYTES {
                continue;
            }
            let begin = merges.len();
            for (at, _) in text.char_indices().skip(1) {
                let (left, right) = text.split_at(at);
                if let Some((left, right)) = self.ids.get(left).zip(self.ids.get(right)) {
                    merges.push((*score, *left, *right));
                }
            }
            if merges.len() > MOST_MERGES {
                return Err("the vocabulary's tokens are made of one another in more ways than those of any tokenizer".into());
            }
            if let Some(own) = merges.get_mut(begin..) {
                own.sort_by_key(|(_, left, right)| (*left, *right));
            }
        }
        merges.sort_by(|(a, ..), (b, ..)| b.total_cmp(a));
        Ok(merges
            .into_iter()
            .map(|(_, left, right)| (left, right))
            .collect())
    }

    /// Merges as the file lists them: two tokens with a space between.
    fn listed_merges(&self, list: &List<'_>) -> Found<Vec<(u32, u32)>> {
        if list.count > MOST_MERGES as u64 || list.bytes() > 2 * MOST_BYTES {
            return Err("`tokenizer.ggml.merges` is larger than that of any vocabulary".into());
        }
        let pair = |(index, value): (usize, Value<'_>)| {
            let ids = || {
                let (left, right) = text(value)?.split_once(' ')?;
                self.ids.get(format!("{left}{right}").as_str())?;
                Some((*self.ids.get(left)?, *self.ids.get(right)?))
            };
            ids().ok_or_else(|| {
                format!(
                    "entry {index} of `tokenizer.ggml.merges` is no pair of tokens that make another"
                )
            })
        };
        list.values().enumerate().map(pair).collect()
    }

    fn json(&self, merges: &[(u32, u32)], adds_space: bool) -> Json {
        let mut vocab = Map::new();
        let mut added = Vec::new();
        for (id, (text, kind)) in self.texts.iter().zip(&self.kinds).enumerate() {
            vocab.insert((*text).to_owned(), id.into());
            if matches!(*kind, UNKNOWN | CONTROL | USER_DEFINED) && !text.is_empty() {
                added.push(json!({
                    "id": id, "content": text, "single_word": false, "lstrip": false, "rstrip": false,
                    "normalized": false, "special": *kind != USER_DEFINED,
                }));
            }
        }
        let replace = |from: &str, to: &str| json!({"type": "Replace", "pattern": {"String": from}, "content": to});
        let mut normalizers = vec![replace(" ", SPACE)];
        let mut decoders = vec![
            replace(SPACE, " "),
            json!({"type": "ByteFallback"}),
            json!({"type": "Fuse"}),
        ];
        if adds_space {
            normalizers.insert(0, json!({"type": "Prepend", "prepend": SPACE}));
            decoders.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
        }
        let bos = self.text(self.bos);
        let special = |of: u32| json!({"SpecialToken": {"id": bos, "type_id": of}});
        let sequence = |name: &str, of: u32| json!({"Sequence": {"id": name, "type_id": of}});
        let merges = merges.iter();
        let merges = merges.map(|(left, right)| json!([self.text(*left), self.text(*right)]));
        json!({
            "version": "1.0",
            "truncation": null,
            "padding": null,
            "added_tokens": added,
            "normalizer": {"type": "Sequence", "normalizers": normalizers},
            "pre_tokenizer": null,
            "post_processor": {
                "type": "TemplateProcessing",
                "single": [special(0), sequence("A", 0)],
                "pair": [special(0), sequence("A", 0), special(1), sequence("B", 1)],
                "special_tokens": {bos: {"id": bos, "ids": [self.bos], "tokens": [bos]}},
            },
            "decoder": {"type": "Sequence", "decoders": decoders},
            "model": {
                "type": "BPE", "dropout": null, "unk_token": self.text(self.unknown), "continuing_subword_prefix": null,
                "end_of_word_suffix": null, "fuse_unk": true, "byte_fallback": self.kinds.contains(&BYTE),
                "vocab": vocab, "merges": merges.collect::<Vec<_>>(),
            },
        })
    }
}

/// The kind of a token where the file does not say.
fn usual_kind(text: &str) -> u64 {
    let is_byte = text.len() == 6 && text.starts_with("<0x") && text.ends_with('>');
    if is_byte { BYTE } else { NORMAL }
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

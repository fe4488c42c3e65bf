//! A vocabulary of pieces with scores as a `tokenizer.json`.
//!
//! Llama 2's is SentencePiece's BPE: pieces with scores, of which the best two neighbours are joined first. Hugging Face's library wants a list of
//! merges instead: every way to make a piece of two, the best piece first, which is how its own converter makes them.
//!
//! Source: `convert_slow_tokenizer.py` of transformers for the form of the result.

use std::collections::HashMap;

use serde_json::{Map, json};

use super::read::shown;

/// What a file may hold of tokens: many times that of any model, and little enough to be quick.
pub const MOST_TOKENS: u64 = 1 << 20;
pub const MOST_BYTES: usize = 16 << 20;
pub const MOST_MERGES: usize = 1 << 22;

/// The longest piece that is taken apart, in bytes. SentencePiece makes none of more than 16 characters unless told to.
const MOST_PIECE_BYTES: usize = 256;

/// What stands for a space.
const SPACE: &str = "▁";

/// Kinds of tokens, as SentencePiece numbers them.
const NORMAL: u64 = 1;
const UNKNOWN: u64 = 2;
const CONTROL: u64 = 3;
const USER_DEFINED: u64 = 4;
const BYTE: u64 = 6;

/// What is wrong with a vocabulary is a text for whoever knows the file.
type Found<T> = std::result::Result<T, String>;

/// Tokens by their ids.
pub struct Tokens<'a> {
    texts: Vec<&'a str>,
    kinds: Vec<u64>,
    ids: HashMap<&'a str, u32>,
    unknown: u32,
    bos: u32,
}

/// Ids of tokens that have a part to play.
#[derive(Debug, Clone, Copy)]
pub struct Roles {
    pub unknown: u32,
    pub bos: u32,
    pub eos: u32,
}

impl<'a> Tokens<'a> {
    /// Tokens in the order of their ids, none of which is there twice.
    pub fn new(texts: Vec<&'a str>) -> Found<Self> {
        let mut ids = HashMap::new();
        for (id, text) in (0..).zip(&texts) {
            if let Some(other) = ids.insert(*text, id) {
                return Err(format!(
                    "tokens {other} and {id} are both `{}`",
                    shown(text)
                ));
            }
        }
        Ok(Self {
            kinds: texts.iter().map(|text| usual_kind(text)).collect(),
            texts,
            ids,
            unknown: 0,
            bos: 1,
        })
    }

    /// Says what each is; `kinds` has one for each token, or is `None` where the file does not say.
    pub fn assign(&mut self, kinds: Option<Vec<u64>>, roles: Roles) {
        self.kinds = kinds.unwrap_or(std::mem::take(&mut self.kinds));
        // Whatever else the file says of them.
        for (id, kind) in [
            (roles.unknown, UNKNOWN),
            (roles.bos, CONTROL),
            (roles.eos, CONTROL),
        ] {
            if let Some(place) = self.kinds.get_mut(id as usize) {
                *place = kind;
            }
        }
        (self.unknown, self.bos) = (roles.unknown, roles.bos);
    }

    pub fn id(&self, text: &str) -> Option<u32> {
        self.ids.get(text).copied()
    }

    pub fn bos(&self) -> &'a str {
        self.text(self.bos)
    }

    /// How tokens are spelled, by their ids.
    pub fn texts(&self) -> &[&'a str] {
        &self.texts
    }

    fn text(&self, id: u32) -> &'a str {
        self.texts.get(id as usize).copied().unwrap_or_default()
    }

    /// All ways to make a token of two, best first. Where scores are equal, the token that comes first in the vocabulary does; of the ways
    /// to make one, that whose parts come first.
    pub fn merges(&self, scores: &[f64]) -> Found<Vec<(u32, u32)>> {
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

    /// The text of `tokenizer.json`; `adds_space`: whether texts get a space in front, as words within them have.
    pub fn json(&self, merges: &[(u32, u32)], adds_space: bool) -> Vec<u8> {
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
        let tokenizer = json!({
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
        });
        tokenizer.to_string().into_bytes()
    }
}

/// The kind of a token where the file does not say.
fn usual_kind(text: &str) -> u64 {
    let is_byte = text.len() == 6 && text.starts_with("<0x") && text.ends_with('>');
    if is_byte { BYTE } else { NORMAL }
}

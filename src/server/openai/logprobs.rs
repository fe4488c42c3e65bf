//! Log-probabilities of tokens, in the form of completions and in that of chats.

use std::collections::BTreeSet;

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::spelling::Spelling;
use crate::generate::Candidate;
use crate::text::Piece;

/// What stands for minus infinity, which JSON has not.
const LEAST: f32 = -9999.0;

/// A token of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub id: u32,
    /// Whether it is of the prompt.
    pub is_prompt: bool,
    /// Whether it is the first of a text.
    pub is_first: bool,
    /// `None` for the first of a prompt, which nothing comes before.
    pub logprob: Option<f32>,
    /// Whether it is what greedy decoding chooses here.
    pub is_greedy: bool,
    /// The most probable tokens at its place, most probable first.
    pub top: Vec<Candidate>,
    /// Character of the answer's text that it begins at.
    pub offset: usize,
}

/// As completions have them: four lists of the same length.
#[derive(Debug, Default, PartialEq, serde::Serialize)]
pub struct Lists {
    tokens: Vec<String>,
    token_logprobs: Vec<Option<f32>>,
    top_logprobs: Vec<Option<Named>>,
    text_offset: Vec<usize>,
}

/// Numbers by names, in an order.
#[derive(Debug, Default, PartialEq)]
pub struct Named(Vec<(String, f32)>);

impl Serialize for Named {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, number) in &self.0 {
            map.serialize_entry(name, number)?;
        }
        map.end()
    }
}

impl Lists {
    /// With the `top` most probable tokens at each place, and the one that is there.
    pub fn new(entries: &[Entry], top: usize, spelling: &Spelling) -> Self {
        let mut lists = Self::default();
        for entry in entries {
            let name = name(entry.id, entry.is_first, spelling);
            let number = entry.logprob.map(|_| number(entry));
            let named = number.map(|number| named(entry, &name, number, top, spelling));
            lists.tokens.push(name);
            lists.token_logprobs.push(number);
            lists.top_logprobs.push(named);
            lists.text_offset.push(entry.offset);
        }
        lists
    }
}

/// The log-probability to print. Clients tell what is greedy by comparing it with the greatest number beside it: so it is below that where
/// the token is not the most probable one, though rounding may have made them alike.
fn number(entry: &Entry) -> f32 {
    let logprob = finite(entry.logprob.unwrap_or(LEAST));
    let best = entry.top.iter().find(|other| other.id != entry.id);
    match best {
        Some(best) if !entry.is_greedy && logprob >= finite(best.logprob) => {
            finite(best.logprob).next_down()
        }
        _ => logprob,
    }
}

fn named(entry: &Entry, own: &str, number: f32, top: usize, spelling: &Spelling) -> Named {
    let mut used = BTreeSet::from([own.to_owned()]);
    let mut named = Vec::new();
    let mut has_own = false;
    for candidate in entry.top.iter().take(top) {
        if candidate.id == entry.id {
            has_own = true;
            named.push((own.to_owned(), number));
            continue;
        }
        let mut name = name(candidate.id, entry.is_first, spelling);
        if used.contains(&name) {
            name = numbered(candidate.id);
        }
        used.insert(name.clone());
        named.push((name, finite(candidate.logprob)));
    }
    if !has_own {
        named.push((own.to_owned(), number));
    }
    Named(named)
}

/// As chats have them.
#[derive(Debug, PartialEq, serde::Serialize)]
pub struct Content {
    content: Vec<Token>,
    refusal: Option<()>,
}

#[derive(Debug, PartialEq, serde::Serialize)]
struct Token {
    #[serde(flatten)]
    scored: Scored,
    top_logprobs: Vec<Scored>,
}

#[derive(Debug, PartialEq, serde::Serialize)]
struct Scored {
    token: String,
    logprob: f32,
    bytes: Option<Vec<u8>>,
}

impl Content {
    /// With the `top` most probable tokens at each place.
    pub fn new(entries: &[Entry], top: usize, spelling: &Spelling) -> Self {
        let scored = |entry: &Entry, id: u32, logprob: f32| {
            let token = name(id, entry.is_first, spelling);
            let bytes = match spelling.piece(id) {
                Piece::Byte(byte) => Some(vec![*byte]),
                Piece::None => None,
                Piece::Special(_) | Piece::Text { .. } => Some(token.clone().into_bytes()),
            };
            Scored {
                logprob: finite(logprob),
                token,
                bytes,
            }
        };
        let token = |entry: &Entry| Token {
            scored: scored(entry, entry.id, entry.logprob.unwrap_or(LEAST)),
            top_logprobs: {
                let top = entry.top.iter().take(top);
                top.map(|other| scored(entry, other.id, other.logprob))
                    .collect()
            },
        };
        Self {
            content: entries.iter().map(token).collect(),
            refusal: None,
        }
    }
}

fn finite(logprob: f32) -> f32 {
    // A NaN too becomes the least.
    logprob.max(LEAST).min(0.0)
}

/// What an id is called.
fn name(id: u32, is_first: bool, spelling: &Spelling) -> String {
    match spelling.piece(id) {
        Piece::Special(spelled) => spelled.clone(),
        Piece::Byte(byte) if byte.is_ascii() => char::from(*byte).to_string(),
        Piece::Byte(byte) => format!("bytes:\\x{byte:02X}"),
        Piece::Text { first, .. } if is_first => first.clone(),
        Piece::Text { inner, .. } => inner.clone(),
        Piece::None => numbered(id),
    }
}

fn numbered(id: u32) -> String {
    format!("token_id:{id}")
}

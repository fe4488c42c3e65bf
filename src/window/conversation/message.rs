//! A message, and what generating it took.

use serde::{Deserialize, Serialize};

use crate::engine::TokenEvent;
use crate::text::Role;

/// What generating a message took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    pub model: String,
    pub prompt_tokens: usize,
    pub prompt_s: f64,
    pub first_token_s: f64,
    pub tokens: usize,
    /// Tokens after the first, and their time.
    pub decode_tokens: usize,
    pub decode_s: f64,
    /// Tokens that were proposed, and those of them that were accepted.
    #[serde(default)]
    pub proposed: usize,
    #[serde(default)]
    pub accepted: usize,
    /// How many times as fast that made it, estimated.
    #[serde(default)]
    pub speed_up: Option<f64>,
    /// Why it ended: `eos`, `stop`, `length`, `context`, `cancelled`, `error`.
    pub finish: String,
}

impl Stats {
    /// Tokens a second after the first.
    pub fn decode_rate(&self) -> Option<f64> {
        (self.decode_tokens > 0 && self.decode_s > 0.0)
            .then(|| self.decode_tokens as f64 / self.decode_s)
    }

    /// As the figures of a message that was begun in a run before this one: its prompt was that of the first.
    pub fn after(self, before: &Self) -> Self {
        Self {
            prompt_tokens: before.prompt_tokens,
            prompt_s: before.prompt_s,
            first_token_s: before.first_token_s,
            tokens: before.tokens + self.tokens,
            decode_tokens: before.decode_tokens + self.decode_tokens,
            decode_s: before.decode_s + self.decode_s,
            proposed: before.proposed + self.proposed,
            accepted: before.accepted + self.accepted,
            ..self
        }
    }

    /// Prompt tokens a second.
    pub fn prompt_rate(&self) -> Option<f64> {
        (self.prompt_tokens > 0 && self.prompt_s > 0.0)
            .then(|| self.prompt_tokens as f64 / self.prompt_s)
    }
}

/// A message.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Message {
    /// Index of the message before it.
    pub parent: Option<usize>,
    pub role: Role,
    pub text: String,
    #[serde(default)]
    pub stats: Option<Stats>,
    #[serde(default)]
    pub deleted: bool,
    /// The branch that is shown after it.
    #[serde(default)]
    pub(super) chosen: Option<usize>,
    #[serde(skip)]
    pub(super) children: Vec<usize>,
    /// For the token inspector; kept until the window closes.
    #[serde(skip)]
    pub tokens: Vec<TokenEvent>,
    /// Counts changes of the text.
    #[serde(skip)]
    pub version: u64,
}

impl Message {
    pub(super) fn new(parent: Option<usize>, role: Role, text: String) -> Self {
        Self {
            parent,
            role,
            text,
            stats: None,
            deleted: false,
            chosen: None,
            children: Vec::new(),
            tokens: Vec::new(),
            version: 0,
        }
    }
}

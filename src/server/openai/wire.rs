//! Answers as they go over the wire.

use serde::Serialize;
use serde_json::value::RawValue;

use super::logprobs::{Content, Lists};

/// A whole answer, or a piece of one.
#[derive(Serialize)]
pub struct Answer<'a> {
    pub id: &'a str,
    pub object: &'static str,
    pub created: u64,
    pub model: &'a str,
    pub choices: &'a [Box<RawValue>],
    /// `None`: not named; `Some(None)`: null.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Option<Usage>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_token_ids: Option<&'a [u32]>,
}

/// How many tokens there were.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Usage {
    pub prompt_tokens: usize,
    pub completion_tokens: usize,
    pub total_tokens: usize,
    pub prompt_tokens_details: PromptDetails,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct PromptDetails {
    /// Of the prompts' tokens those that had not to be computed.
    pub cached_tokens: usize,
}

/// A text, or a piece of one.
#[derive(Serialize)]
pub struct Choice<'a> {
    pub index: usize,
    #[serde(flatten)]
    pub said: Said<'a>,
    pub logprobs: Option<Logprobs>,
    pub finish_reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_token_ids: Option<&'a [u32]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_ids: Option<Vec<u32>>,
}

/// What was said, by what it is called.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Said<'a> {
    Text(&'a str),
    Message(Message<'a>),
    Delta(Delta<'a>),
}

/// What the assistant said.
#[derive(Serialize)]
pub struct Message<'a> {
    role: &'static str,
    content: &'a str,
    refusal: Option<()>,
}

impl<'a> Message<'a> {
    pub fn new(content: &'a str) -> Self {
        Self {
            role: "assistant",
            content,
            refusal: None,
        }
    }
}

/// What the assistant goes on to say.
#[derive(Serialize)]
pub struct Delta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(untagged)]
pub enum Logprobs {
    Lists(Lists),
    Content(Content),
}

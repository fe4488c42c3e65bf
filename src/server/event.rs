//! What happens to a text that was asked for, as it goes from the thread that computes to the connection that waits.

use crate::error::Error;
use crate::generate::{PromptToken, Text, Token};

/// What happens to a text, in order. [`Event::Ended`] is the last.
#[derive(Debug)]
pub enum Event {
    /// Its turn has come. So many ids of its prompt were there already.
    Begun {
        cached: usize,
    },
    /// Its prompt is done; those of its ids that were to be scored.
    Prompt(Vec<PromptToken>),
    Token(Token),
    Ended(Result<Text, Error>),
}

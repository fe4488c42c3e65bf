//! Which bytes of a message which of its tokens wrote.

use std::ops::Range;

use super::conversation::Conversation;

/// A token of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct At {
    pub message: usize,
    pub token: usize,
}

/// A stretch of a message's text: the message, and bytes of it.
pub type Stretch = (usize, Range<usize>);

/// Bytes at which the tokens of a message begin.
pub fn starts(conversation: &Conversation, message: usize) -> impl Iterator<Item = usize> {
    let message = conversation.message(message);
    let generated: usize = message.tokens.iter().map(|t| t.token.text.len()).sum();
    // What was there before, when a message was continued, has no tokens.
    let mut at = message.text.len().saturating_sub(generated);
    message.tokens.iter().map(move |token| {
        let start = at;
        at += token.token.text.len();
        start
    })
}

/// The token at a byte of a message.
pub fn token_at(conversation: &Conversation, message: usize, byte: usize) -> Option<At> {
    let before = starts(conversation, message).take_while(|start| *start <= byte);
    let mut last = None;
    for (token, start) in before.enumerate() {
        let length = conversation.message(message).tokens[token].token.text.len();
        if length > 0 && byte < start + length {
            last = Some(At { message, token });
        }
    }
    last
}

/// The text of a message before its first token.
pub fn text_before(conversation: &Conversation, message: usize) -> &str {
    let start = starts(conversation, message).next().unwrap_or(0);
    &conversation.message(message).text[..start]
}

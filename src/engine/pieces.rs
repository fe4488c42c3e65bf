//! Prompts to ids, and tokens to what a person reads.

use super::api::{Alternative, Prompt, TokenEvent};
use crate::error::{Error, Result};
use crate::generate::{Candidate, Model, Token};
use crate::text::{Fitted, StreamDecoder};

/// Ids of a prompt; for a model without tokenizer the ids that the text lists. A conversation leaves room for `max_tokens`, or for more
/// than nothing; `room` are the positions that there are.
pub fn prompt_ids(
    model: &Model,
    prompt: &Prompt,
    room: usize,
    max_tokens: Option<usize>,
) -> Result<Fitted> {
    let whole = |ids| Fitted { ids, left_out: 0 };
    match (model.tokenizer(), &prompt.chat) {
        (Some(tokenizer), Some(chat)) => {
            chat.template.fit(&chat.turns, tokenizer, room, max_tokens)
        }
        (Some(_), None) => model.encode(&prompt.text).map(whole),
        (None, _) => match listed(&prompt.text) {
            Some(ids) => Ok(whole(ids)),
            None => model.encode(&prompt.text).map(whole),
        },
    }
}

/// Ids that a text lists.
fn listed(text: &str) -> Option<Vec<u32>> {
    let words = text.split([',', ' ', '\n', '\t']);
    let words = words.filter(|word| !word.is_empty());
    words.map(|word| word.parse().ok()).collect()
}

fn alternatives(model: &Model, token: &Token) -> Vec<Alternative> {
    let alternative = |other: &Candidate| Alternative {
        id: other.id,
        piece: piece(model, other.id),
        logprob: other.logprob,
    };
    token.top.iter().map(alternative).collect()
}

/// A token with its pieces.
pub fn token_event(model: &Model, token: Token, traced: bool) -> TokenEvent {
    TokenEvent {
        piece: piece(model, token.id),
        alternatives: alternatives(model, &token),
        token,
        traced,
        is_given: false,
    }
}

/// The ids that an answer begins with, as tokens. They have no probability: nobody computed it.
///
/// # Errors
/// [`Error::TokenOutOfRange`].
pub fn given_tokens(model: &Model, prompt: &[u32], given: &[u32]) -> Result<Vec<TokenEvent>> {
    let vocab_size = model.config().vocab_size;
    if let Some(id) = given.iter().find(|id| **id as usize >= vocab_size) {
        return Err(Error::TokenOutOfRange {
            id: *id,
            vocab_size,
        });
    }
    let mut decoder = match model.tokenizer() {
        Some(tokenizer) => Some(StreamDecoder::after(tokenizer, prompt)?),
        None => None,
    };
    let mut events = Vec::new();
    for (i, id) in given.iter().enumerate() {
        let mut token = Token {
            id: *id,
            logprob: f32::NAN,
            ..Token::default()
        };
        if let Some(decoder) = &mut decoder {
            token.text = decoder.push(*id)?;
            if i + 1 == given.len() {
                // A character that is not finished comes whole with what the model adds.
                token.text += &decoder.pause()?;
            }
        }
        events.push(TokenEvent {
            is_given: true,
            ..token_event(model, token, false)
        });
    }
    Ok(events)
}

/// A token as it would be written; its id where there is no tokenizer.
fn piece(model: &Model, id: u32) -> String {
    match model.tokenizer().and_then(|tokenizer| tokenizer.token(id)) {
        Some(token) => match ascii_byte(&token) {
            Some(character) => character.to_string(),
            None => token.replace('\u{2581}', " "),
        },
        None => format!(" {id}"),
    }
}

/// The character of a byte token such as `<0x0A>`, if the byte is one by itself.
fn ascii_byte(token: &str) -> Option<char> {
    let hex = token.strip_prefix("<0x")?.strip_suffix('>')?;
    let byte = u8::from_str_radix(hex, 16).ok()?;
    byte.is_ascii().then_some(char::from(byte))
}

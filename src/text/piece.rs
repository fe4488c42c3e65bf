//! What an id stands for by itself.

use super::stream::byte;
use super::tokenizer::Tokenizer;
use crate::error::Result;

/// What an id stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// A control token, as it is spelled. It has no text.
    Special(String),
    /// A byte of a character, or of one that is no character.
    Byte(u8),
    Text {
        /// At the beginning of a text, where a leading space may be dropped.
        first: String,
        /// Anywhere else.
        inner: String,
    },
    /// Nothing: there is no such token.
    None,
}

impl Piece {
    /// Whether it has no text.
    pub fn is_silent(&self) -> bool {
        matches!(self, Self::Special(_) | Self::None)
    }
}

impl Tokenizer {
    /// What an id stands for.
    ///
    /// # Errors
    /// As [`Tokenizer::decode`].
    pub fn piece(&self, id: u32) -> Result<Piece> {
        let Some(token) = self.token(id) else {
            return Ok(Piece::None);
        };
        if self.is_special(&token) {
            return Ok(Piece::Special(token));
        }
        if let Some(byte) = byte(&token) {
            return Ok(Piece::Byte(byte));
        }
        let first = self.decode(&[id])?;
        let twice = self.decode(&[id, id])?;
        let inner = twice.strip_prefix(first.as_str()).unwrap_or(&first);
        Ok(Piece::Text {
            inner: inner.to_owned(),
            first,
        })
    }
}

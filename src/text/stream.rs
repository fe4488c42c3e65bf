//! Ids to text one at a time. The pieces together always equal the decoding of all ids at once, which takes care: a first
//! token's leading space is dropped only at the very start, and bytes of one character come as several tokens.

use super::Tokenizer;
use crate::error::Result;

/// Decodes a growing sequence of ids.
///
/// Byte tokens are held until the run of them ends, because how a run decodes is known only then: a single wrong byte turns all
/// of it into U+FFFD.
pub struct StreamDecoder<'a> {
    tokenizer: &'a Tokenizer,
    /// The last token with text of its own, then what has not been given out.
    window: Vec<u32>,
    /// Bytes of the window's text that were given out already.
    given: usize,
}

impl<'a> StreamDecoder<'a> {
    /// Begins after `prompt`, whose text counts as given out.
    ///
    /// # Errors
    /// As [`Tokenizer::decode`].
    pub fn after(tokenizer: &'a Tokenizer, prompt: &[u32]) -> Result<Self> {
        let mut decoder = Self {
            tokenizer,
            window: Vec::new(),
            given: 0,
        };
        for id in prompt {
            decoder.push(*id)?;
        }
        decoder.given = tokenizer.decode(&decoder.window)?.len();
        Ok(decoder)
    }

    /// Takes the next id; returns the text that has become certain.
    ///
    /// # Errors
    /// As [`Tokenizer::decode`].
    pub fn push(&mut self, id: u32) -> Result<String> {
        let Some(token) = self.tokenizer.token(id) else {
            return Ok(String::new());
        };
        if self.tokenizer.is_special(&token) {
            return Ok(String::new());
        }
        self.window.push(id);
        if is_byte(&token) {
            return Ok(String::new());
        }
        let text = self.tokenizer.decode(&self.window)?;
        if text.ends_with('\u{FFFD}') {
            return Ok(String::new());
        }
        let piece = text.get(self.given..).unwrap_or_default().to_owned();
        // From here this token alone is context enough: whether its own leading space is dropped changes what came before the
        // next piece, not the piece.
        self.window.drain(..self.window.len() - 1);
        self.given = self.tokenizer.decode(&self.window)?.len();
        Ok(piece)
    }

    /// The text still held back, at the end of the sequence.
    ///
    /// # Errors
    /// As [`Tokenizer::decode`].
    pub fn finish(&mut self) -> Result<String> {
        let text = self.tokenizer.decode(&self.window)?;
        let piece = text.get(self.given..).unwrap_or_default().to_owned();
        self.given = text.len();
        Ok(piece)
    }
}

/// Whether a token stands for one byte: `<0x0A>`.
fn is_byte(token: &str) -> bool {
    token.len() == 6 && token.starts_with("<0x") && token.ends_with('>')
}

//! Ids to text one at a time. The pieces together always equal the decoding of all ids at once, which takes care: a first
//! token's leading space is dropped only at the very start, and bytes of one character come as several tokens.

use super::Tokenizer;
use crate::error::Result;

/// Decodes a growing sequence of ids.
///
/// Byte tokens are held until the run of them ends, because how a run decodes is known only then: a single wrong byte turns all
/// of it into U+FFFD.
pub struct StreamDecoder {
    tokenizer: Tokenizer,
    /// The last token with text of its own, then what has not been given out.
    window: Vec<u32>,
    /// The window's text that was given out already.
    given: String,
    /// How many of the window's ids that was the text of.
    settled: usize,
}

impl StreamDecoder {
    /// Begins after `given`, whose text counts as given out; see [`StreamDecoder::with_text`] for what exactly that is.
    ///
    /// # Errors
    /// As [`Tokenizer::decode`].
    pub fn after(tokenizer: &Tokenizer, given: &[u32]) -> Result<Self> {
        Ok(Self::with_text(tokenizer, given)?.0)
    }

    /// As [`StreamDecoder::after`], with the text that counts as given out: all but bytes at the end of which more ids could
    /// still make a character. Those come with the first text that the decoder gives out, so that the character is whole.
    ///
    /// # Errors
    /// As [`Tokenizer::decode`].
    pub fn with_text(tokenizer: &Tokenizer, given: &[u32]) -> Result<(Self, String)> {
        let mut decoder = Self {
            tokenizer: tokenizer.clone(),
            window: Vec::new(),
            given: String::new(),
            settled: 0,
        };
        let mut text = String::new();
        for id in given {
            text += &decoder.push(*id)?;
        }
        text += &decoder.pause()?;
        Ok((decoder, text))
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
        if byte(&token).is_some() {
            return Ok(String::new());
        }
        let text = self.tokenizer.decode(&self.window)?;
        if is_cut(&text, &token) {
            return Ok(String::new());
        }
        let piece = self.piece(&text, self.window.len())?;
        // From here this token alone is context enough: whether its own leading space is dropped changes what came before the
        // next piece, not the piece.
        self.window.drain(..self.window.len() - 1);
        self.given = self.tokenizer.decode(&self.window)?;
        self.settled = self.window.len();
        Ok(piece)
    }

    /// The text still held back, but for bytes of which more ids could make a character: those belong to the decoder that goes on
    /// [`after`](StreamDecoder::after) the same ids.
    ///
    /// # Errors
    /// As [`Tokenizer::decode`].
    pub fn pause(&mut self) -> Result<String> {
        match self.whole()? {
            Some(whole) => self.give(whole),
            None => Ok(String::new()),
        }
    }

    /// What [`StreamDecoder::pause`] would give, which is not given out by that.
    ///
    /// # Errors
    /// As [`Tokenizer::decode`].
    pub fn pending(&self) -> Result<String> {
        match self.whole()? {
            Some(whole) if whole > self.settled => self.piece_of(whole),
            _ => Ok(String::new()),
        }
    }

    /// What [`StreamDecoder::finish`] would give, which is not given out by that.
    ///
    /// # Errors
    /// As [`Tokenizer::decode`].
    pub fn rest(&self) -> Result<String> {
        self.piece_of(self.window.len())
    }

    fn piece_of(&self, count: usize) -> Result<String> {
        self.piece(&self.tokenizer.decode(&self.window[..count])?, count)
    }

    /// The text still held back, at the end of the sequence.
    ///
    /// # Errors
    /// As [`Tokenizer::decode`].
    pub fn finish(&mut self) -> Result<String> {
        self.give(self.window.len())
    }

    /// Gives out the text of the window's first `count` ids.
    fn give(&mut self, count: usize) -> Result<String> {
        let text = self.tokenizer.decode(&self.window[..count])?;
        let piece = self.piece(&text, count)?;
        self.given = text;
        self.settled = count;
        Ok(piece)
    }

    /// What `text`, that of the window's first `count` ids, adds to what was given out of it.
    fn piece(&self, text: &str, count: usize) -> Result<String> {
        match text.strip_prefix(self.given.as_str()) {
            Some(piece) => Ok(piece.to_owned()),
            // Wrong bytes behind a run that was right, and shown, would change what it was. That cannot be taken back; what follows
            // is decoded by itself.
            None => self
                .tokenizer
                .decode(self.window.get(self.settled..count).unwrap_or_default()),
        }
    }

    /// How many of the window's ids there are before a character that is not finished; `None` if that cannot be told.
    fn whole(&self) -> Result<Option<usize>> {
        let tokens = self.window.iter().rev();
        let mut tokens = tokens.filter_map(|id| self.tokenizer.token(*id));
        let mut run: Vec<u8> = Vec::new();
        for token in tokens.by_ref() {
            match byte(&token) {
                Some(byte) => run.push(byte),
                // Of a tokenizer whose tokens begin and end anywhere.
                None if run.is_empty() => {
                    let text = self.tokenizer.decode(&self.window)?;
                    return Ok((!is_cut(&text, &token)).then_some(self.window.len()));
                }
                None => break,
            }
        }
        run.reverse();
        let unfinished = match std::str::from_utf8(&run) {
            Err(error) if error.error_len().is_none() => run.len() - error.valid_up_to(),
            _ => 0,
        };
        Ok(Some(self.window.len() - unfinished))
    }
}

/// Whether `text` ends in a U+FFFD that the last token does not spell itself: it has a part of a character.
fn is_cut(text: &str, token: &str) -> bool {
    text.ends_with('\u{FFFD}') && !token.ends_with('\u{FFFD}')
}

/// The byte that a token such as `<0x0A>` stands for.
pub(super) fn byte(token: &str) -> Option<u8> {
    let hex = token.strip_prefix("<0x")?.strip_suffix('>')?;
    match hex.len() {
        2 => u8::from_str_radix(hex, 16).ok(),
        _ => None,
    }
}

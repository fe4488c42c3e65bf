//! Ids to the text that a person sees: decoded as they come, up to a stop string.

use super::stop::StopFilter;
use crate::error::Result;
use crate::text::{StreamDecoder, Tokenizer};

/// What is written after a prompt.
pub struct Writer {
    decoder: StreamDecoder,
    stop: StopFilter,
}

impl Writer {
    /// Begins after `given`, whose text is known.
    ///
    /// # Errors
    /// Those of decoding.
    pub fn new(tokenizer: &Tokenizer, given: &[u32], stop: &[String]) -> Result<Self> {
        Ok(Self {
            decoder: StreamDecoder::after(tokenizer, given)?,
            stop: StopFilter::new(stop),
        })
    }

    /// Takes an id. Returns the text that has become certain, and whether a stop string was met.
    ///
    /// # Errors
    /// Those of decoding.
    pub fn push(&mut self, id: u32) -> Result<(String, bool)> {
        Ok(self.stop.push(&self.decoder.push(id)?))
    }

    /// What is left at the end: nothing can be completed any more, but what was held back may itself complete a stop string.
    ///
    /// # Errors
    /// Those of decoding.
    pub fn finish(&mut self) -> Result<(String, bool)> {
        let (mut text, met) = self.stop.push(&self.decoder.finish()?);
        if !met {
            text += &self.stop.finish();
        }
        Ok((text, met))
    }
}

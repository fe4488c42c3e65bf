//! Ids to the text that a person sees: decoded as they come, up to a stop string.

use super::options::GenerateOptions;
use super::stop::{StopFilter, StopNotice};
use crate::error::Result;
use crate::text::{StreamDecoder, Tokenizer};

/// What is written after a prompt.
pub struct Writer {
    tokenizer: Tokenizer,
    decoder: StreamDecoder,
    stop: StopFilter,
    notice: StopNotice,
}

impl Writer {
    /// Begins after `given`, whose text is known.
    ///
    /// # Errors
    /// Those of decoding.
    pub fn new(tokenizer: &Tokenizer, given: &[u32], options: &GenerateOptions) -> Result<Self> {
        let (decoder, text) = StreamDecoder::with_text(tokenizer, given)?;
        Ok(Self {
            tokenizer: tokenizer.clone(),
            decoder,
            stop: StopFilter::new(&options.stop),
            notice: StopNotice::after(&text, &options.stop_strings),
        })
    }

    /// Takes an id. Returns the text that has become certain, and whether a stop string was met.
    ///
    /// # Errors
    /// Those of decoding.
    pub fn push(&mut self, id: u32) -> Result<(String, bool)> {
        // It has no text, but whoever names it as a stop string means it.
        if let Some(spelled) = self.tokenizer.special(id) {
            let is_noticed = self.notice.push(&spelled);
            return Ok(match self.stop.push_unseen(&spelled) {
                Some(shown) => (shown, true),
                None if is_noticed => (self.stop.finish(), true),
                None => (String::new(), false),
            });
        }
        let text = self.decoder.push(id)?;
        let is_noticed = self.notice.push(&text);
        let (mut shown, mut met) = self.stop.push(&text);
        if is_noticed && !met {
            shown += &self.stop.finish();
            met = true;
        }
        Ok((shown, met))
    }

    /// What is left at the end: nothing can be completed any more, but what was held back may itself complete a stop string.
    ///
    /// # Errors
    /// Those of decoding.
    pub fn finish(&mut self) -> Result<(String, bool)> {
        let text = self.decoder.finish()?;
        let is_noticed = self.notice.push(&text);
        let (mut shown, met) = self.stop.push(&text);
        if !met {
            shown += &self.stop.finish();
        }
        Ok((shown, met || is_noticed))
    }
}

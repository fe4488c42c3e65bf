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
    /// Tokens that `stop` does not end.
    stop_after: usize,
    /// Tokens that were taken.
    taken: usize,
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
            stop_after: options.stop_after,
            taken: 0,
            notice: StopNotice::after(&text, &options.stop_strings),
        })
    }

    /// Takes an id. Returns the text that has become certain, and whether a stop string was met.
    ///
    /// # Errors
    /// Those of decoding.
    pub fn push(&mut self, id: u32) -> Result<(String, bool)> {
        self.taken += 1;
        // It has no text, but whoever names it as a stop string means it.
        if let Some(spelled) = self.tokenizer.special(id) {
            return self.push_special(&spelled);
        }
        let mut text = self.decoder.push(id)?;
        // Bytes are held back because others may follow; where those that are there complete a stop string, none will.
        if text.is_empty() && !(self.notice.is_empty() && self.stop.is_empty()) {
            let pending = self.decoder.pending()?;
            // What came with tokens that may not end the text must not seem to come with later ones.
            let is_last_passed = self.taken == self.stop_after;
            if self.notice.would_meet(&pending) || self.would_stop(&pending) || is_last_passed {
                text = self.decoder.pause()?;
            }
        }
        let is_noticed = self.notice.push(&text);
        let (mut shown, mut met) = self.push_text(&text);
        if is_noticed && !met {
            shown += &self.stop.finish();
            met = true;
        }
        Ok((shown, met))
    }

    /// Whether what comes with the token that was taken last may end the text.
    fn may_stop(&self) -> bool {
        self.taken > self.stop_after
    }

    fn would_stop(&self, text: &str) -> bool {
        self.may_stop() && self.stop.would_meet(text)
    }

    fn push_text(&mut self, text: &str) -> (String, bool) {
        match self.may_stop() {
            true => self.stop.push(text),
            false => (self.stop.pass(text), false),
        }
    }

    fn push_special(&mut self, spelled: &str) -> Result<(String, bool)> {
        let before = self.decoder.rest()?;
        let whole = before.clone() + spelled;
        if !self.notice.would_meet(&whole) && !self.would_stop(&whole) {
            // What is still held back comes before it, but is not certain.
            if before.is_empty() {
                self.notice.push(spelled);
            }
            return Ok((String::new(), false));
        }
        let text = self.decoder.finish()?;
        self.notice.push(&text);
        let (mut shown, met) = self.push_text(&text);
        if !met {
            let rest = self.may_stop().then(|| self.stop.push_unseen(spelled));
            let rest = rest.flatten();
            shown += &rest.unwrap_or_else(|| self.stop.finish());
        }
        Ok((shown, true))
    }

    /// What is left at the end: nothing can be completed any more, but what was held back may itself complete a stop string.
    ///
    /// # Errors
    /// Those of decoding.
    pub fn finish(&mut self) -> Result<(String, bool)> {
        let text = self.decoder.finish()?;
        let is_noticed = self.notice.push(&text);
        let (mut shown, met) = self.push_text(&text);
        if !met {
            shown += &self.stop.finish();
        }
        Ok((shown, met || is_noticed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::Checkpoint;

    const EOS: u32 = 2;
    const NEW_LINE: u32 = 13;
    /// The bytes of an emoji.
    const SMILE: [u32; 4] = [0xf0 + 3, 0x9f + 3, 0x98 + 3, 0x80 + 3];

    /// What is shown of ids after a space, until a stop string is met; and how many ids that takes.
    fn written(ids: &[u32], set: impl FnOnce(&mut GenerateOptions)) -> (String, Option<usize>) {
        let demo = Checkpoint::open("demo").unwrap();
        let (path, bytes) = (demo.tokenizer_path(), demo.tokenizer.as_ref().unwrap());
        let tokenizer = Tokenizer::from_bytes(bytes, &path, 1, demo.config.vocab_size).unwrap();
        let mut options = GenerateOptions::default();
        set(&mut options);
        let mut writer = Writer::new(&tokenizer, &[1], &options).unwrap();
        let mut text = String::new();
        for (i, id) in ids.iter().enumerate() {
            let (shown, met) = writer.push(*id).unwrap();
            text += &shown;
            if met {
                return (text, Some(i + 1));
            }
        }
        text += &writer.finish().unwrap().0;
        (text, None)
    }

    fn stopped(ids: &[u32], stop: &str) -> (String, Option<usize>) {
        written(ids, |options| options.stop = vec![stop.into()])
    }

    #[test]
    fn a_byte_may_complete_a_stop_string() {
        let lines = [NEW_LINE, NEW_LINE, NEW_LINE];
        assert_eq!(stopped(&lines, "\n"), (String::new(), Some(1)));
        assert_eq!(stopped(&lines, "\n\n"), (String::new(), Some(2)));
        assert_eq!(stopped(&lines[..1], "\n\n"), ("\n".into(), None));
        let kept = written(&lines, |options| options.stop_strings = vec!["\n\n".into()]);
        assert_eq!(kept, ("\n\n".into(), Some(2)));
        let smile = [&[NEW_LINE], &SMILE[..], &[NEW_LINE]].concat();
        assert_eq!(stopped(&smile, "\u{1f600}"), ("\n".into(), Some(5)));
        assert_eq!(stopped(&smile[..4], "\u{1f600}").1, None, "half of it");
    }

    #[test]
    fn stop_strings_may_have_to_wait() {
        let lines = [NEW_LINE; 5];
        let after = |tokens: usize, stop: &str| {
            written(&lines, |options| {
                options.stop = vec![stop.into()];
                options.stop_after = tokens;
            })
        };
        assert_eq!(after(3, "\n"), ("\n\n\n".into(), Some(4)));
        assert_eq!(after(3, "\n\n"), ("\n\n".into(), Some(4)));
        assert_eq!(after(5, "\n"), ("\n\n\n\n\n".into(), None));
        let ends = [NEW_LINE, EOS, NEW_LINE, EOS];
        let ended = |tokens: usize| {
            written(&ends, |options| {
                options.stop = vec!["</s>".into()];
                options.stop_after = tokens;
            })
        };
        assert_eq!(ended(1), ("\n".into(), Some(2)));
        assert_eq!(ended(2), ("\n\n".into(), Some(4)));
    }

    /// What comes before a special token that was named as a stop string is all there.
    #[test]
    fn bytes_before_a_special_token_are_shown() {
        let ids = [&[NEW_LINE], &SMILE[..], &[EOS, NEW_LINE]].concat();
        for set in [
            |options: &mut GenerateOptions| options.stop = vec!["</s>".into()],
            |options: &mut GenerateOptions| options.stop_strings = vec!["</s>".into()],
        ] {
            assert_eq!(written(&ids, set), ("\n\u{1f600}".into(), Some(6)));
        }
        assert_eq!(stopped(&ids, "\n</s>").1, None);
        assert_eq!(
            stopped(&ids, "\u{1f600}</s>"),
            ("\n".into(), Some(6)),
            "also where it begins before that"
        );
        let (text, met) = stopped(&ids, "x");
        assert_eq!((text.as_str(), met), ("\n\u{1f600}\n", None));
    }
}

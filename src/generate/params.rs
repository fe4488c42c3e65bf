//! How tokens are chosen, as plain data. Names, meanings and order are those of Hugging Face's `generate`.

use crate::error::{Error, Result, in_range};

/// Sampling parameters: how to choose tokens.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SamplingParams {
    /// 0: the most probable token, always.
    pub temperature: f32,
    /// Only the so many most probable tokens; 0: all.
    pub top_k: u32,
    /// Only the most probable tokens that together reach this probability; 1: all.
    pub top_p: f32,
    /// Only tokens at least this fraction as probable as the most probable one; 0: all.
    pub min_p: f32,
    /// Only the tokens whose information is nearest to the expected one, that together reach this probability; 1: all.
    pub typical_p: f32,
    /// Only tokens at least this probable; 0: all.
    pub epsilon_cutoff: f32,
    /// Only tokens at least this probable, or less where many are about as probable; 0: all.
    pub eta_cutoff: f32,
    /// Divides the positive and multiplies the negative logits of tokens that occurred; 1: off.
    pub repetition_penalty: f32,
    /// What else is done to logits, also without sampling.
    pub processors: ProcessorParams,
    /// Of the random numbers; the same seed gives the same text.
    pub seed: u64,
}

/// What is done to the raw logits, whether tokens are sampled or not; all off by default.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct ProcessorParams {
    /// Is added to the logit of a sequence's last id where its others have just been written; a single id's always.
    pub sequence_bias: Vec<(Vec<u32>, f32)>,
    /// Forbids every id that would complete so many ids in a row which occurred already, in prompt or text; 0: off.
    pub no_repeat_ngram_size: usize,
    /// Forbids a sequence's last id where its others have just been written; a single id always, unless it ends the text.
    pub bad_words_ids: Vec<Vec<u32>>,
    /// Ids, the prompt's included, before which no text ends.
    pub min_length: usize,
    /// The same without the prompt's, instead of [`min_length`](Self::min_length).
    pub min_new_tokens: Option<usize>,
    /// What follows a prompt of one id.
    pub forced_bos_token_id: Option<u32>,
    /// One of these is the last id that fits; empty: any.
    pub forced_eos_token_ids: Vec<u32>,
    /// Takes a NaN for 0 and an infinity for the largest number, instead of refusing to go on.
    pub remove_invalid_values: bool,
    /// Begin, counted from the prompt's end, and factor: beyond it the end of the text becomes more probable with each id.
    pub exponential_decay_length_penalty: Option<(i64, f64)>,
    /// Ids that never occur.
    pub suppress_tokens: Vec<u32>,
    /// Ids that no text begins with.
    pub begin_suppress_tokens: Vec<u32>,
    /// Turns logits into log-probabilities at the end, which changes no more than their rounding.
    pub renormalize_logits: bool,
}

impl Default for SamplingParams {
    /// Greedy.
    fn default() -> Self {
        Self {
            temperature: 0.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            typical_p: 1.0,
            epsilon_cutoff: 0.0,
            eta_cutoff: 0.0,
            repetition_penalty: 1.0,
            processors: ProcessorParams::default(),
            seed: 0,
        }
    }
}

/// Neither a division by it nor a product with it leaves the range of f32.
pub(super) const MOST: f32 = 1e6;
/// Above 0, and nothing that anybody would type.
pub(super) const LEAST: f32 = 1e-6;

impl SamplingParams {
    /// What logits are divided by; 0: nothing is random. A temperature so low that no other token than the most probable has a chance
    /// is raised as far as the quotients stay numbers.
    pub(super) fn divisor(&self) -> f32 {
        match self.temperature > 0.0 {
            true => self.temperature.max(LEAST),
            false => 0.0,
        }
    }

    /// # Errors
    /// [`Error::OptionOutOfRange`] that names the setting and its range.
    pub fn check(&self) -> Result<()> {
        in_range("temperature", self.temperature, 0.0, MOST)?;
        in_range("top_p", self.top_p, 0.0, 1.0)?;
        in_range("min_p", self.min_p, 0.0, 1.0)?;
        in_range("typical_p", self.typical_p, LEAST, 1.0)?;
        in_range("epsilon_cutoff", self.epsilon_cutoff, 0.0, 1.0 - LEAST)?;
        in_range("eta_cutoff", self.eta_cutoff, 0.0, 1.0 - LEAST)?;
        in_range("repetition_penalty", self.repetition_penalty, LEAST, MOST)
    }
}

impl ProcessorParams {
    /// Checks them for a model with `vocab_size` ids, of which `eos` end a text.
    ///
    /// # Errors
    /// [`Error::OptionValue`] that names what is wrong.
    pub fn check(&self, vocab_size: usize, eos: &[u32]) -> Result<()> {
        let is_id = |id: &u32| (*id as usize) < vocab_size;
        let known = |key: &'static str, ids: &[u32]| match ids.iter().find(|id| !is_id(id)) {
            None => Ok(()),
            Some(id) => {
                let last = vocab_size.saturating_sub(1);
                Err(wrong(
                    key,
                    id,
                    format!("this model has ids from 0 to {last}"),
                ))
            }
        };
        let not_empty = |key: &'static str, ids: &[u32]| match ids.is_empty() {
            false => Ok(()),
            true => Err(wrong(key, "[]", "a sequence has at least one id".into())),
        };
        for (ids, bias) in &self.sequence_bias {
            not_empty("sequence_bias", ids)?;
            known("sequence_bias", ids)?;
            if bias.is_nan() {
                let expected = "a bias is a number".into();
                return Err(wrong("sequence_bias", bias, expected));
            }
        }
        for ids in self.bad_words_ids.iter().filter(|ids| !is_end(ids, eos)) {
            not_empty("bad_words_ids", ids)?;
            known("bad_words_ids", ids)?;
        }
        known("forced_bos_token_id", self.forced_bos_token_id.as_slice())?;
        known("forced_eos_token_id", &self.forced_eos_token_ids)?;
        match self.exponential_decay_length_penalty {
            Some((start, factor)) if eos.is_empty() => Err(wrong(
                "exponential_decay_length_penalty",
                format!("[{start}, {factor}]"),
                "it needs an `eos_token_id`, which it makes more probable".into(),
            )),
            _ => Ok(()),
        }
    }
}

/// Whether a sequence is nothing but the end of a text, which cannot be a bad word.
pub(super) fn is_end(ids: &[u32], eos: &[u32]) -> bool {
    matches!(ids, [id] if eos.contains(id))
}

fn wrong(key: &'static str, value: impl ToString, expected: String) -> Error {
    Error::OptionValue {
        key: key.into(),
        value: value.to_string(),
        expected,
    }
}

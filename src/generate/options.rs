//! What to generate, and what comes of it.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::params::SamplingParams;
use super::sampling::Candidate;
use super::speculation::{Speculation, SpeculationSummary};
use crate::error::{Error, Result, in_range};
use crate::model::ChoiceParams;

/// What to generate.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct GenerateOptions {
    /// The most tokens to generate; `None`: up to the end of the context.
    pub max_tokens: Option<usize>,
    /// What it may take, prompt included; then the text ends. A step that has begun is not cut short.
    pub max_time: Option<Duration>,
    pub sampling: SamplingParams,
    /// Generation ends where the text would contain one of these; the text ends before it.
    pub stop: Vec<String>,
    /// How many tokens no string of `stop` ends: it counts where it ends behind them.
    pub stop_after: usize,
    /// As `stop`, but the text keeps them, with all of the token that completes one, and one may begin in the prompt: what Hugging Face's
    /// `stop_strings` are.
    pub stop_strings: Vec<String>,
    /// Ids that end the text; `None`: the model's own.
    pub eos_token_ids: Option<Vec<u32>>,
    /// Whether the token that ends the text is left out of it, where it has any.
    pub hides_end: bool,
    /// Go on after the end-of-text token.
    pub ignore_eos: bool,
    /// How many alternatives to report with each token.
    pub top_logprobs: usize,
    /// Which ids of the prompt to score; `None`: none. With `max_tokens` 0 scoring is all there is: the last id is then not fed, so the
    /// prompt may be an id longer than the context.
    pub prompt_logprobs: Option<PromptLogprobs>,
    /// Who chooses each token; `None`: the device, which then need not wait for the host, but on a software adapter the host, whose
    /// cores are the same and whose code for it is faster.
    pub sample_on: Option<SampleOn>,
    /// Who proposes tokens that are then verified several a step; `None`: nobody. The host then chooses, on any adapter.
    pub speculation: Option<Speculation>,
    /// Set from another thread to end generation within a step.
    pub cancel: Option<Arc<AtomicBool>>,
}

impl GenerateOptions {
    /// Nothing is generated; the ids of the prompt from index `from` on are scored, each with the `top` most probable ones.
    pub fn scoring(from: usize, top: usize) -> Self {
        Self {
            max_tokens: Some(0),
            prompt_logprobs: Some(PromptLogprobs { from, top }),
            ..Self::default()
        }
    }

    /// Whether the text itself decides where it ends.
    pub(super) fn looks_for_text(&self) -> bool {
        !self.stop.is_empty() || !self.stop_strings.is_empty()
    }
}

/// Who chooses tokens. Both choose the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SampleOn {
    /// The host, which reads all logits and waits for every step.
    Host,
    /// The device, which feeds the token to the next step and is some steps ahead.
    Device,
}

/// Which ids of a prompt to score.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PromptLogprobs {
    /// Index of the first, at least 1: nothing comes before id 0 that it could be scored by. All after it are scored too.
    pub from: usize,
    /// How many of the most probable ids to report for each, up to [`PromptLogprobs::MOST_TOP`].
    pub top: usize,
}

impl PromptLogprobs {
    /// The most alternatives that can be reported for an id.
    pub const MOST_TOP: usize = ChoiceParams::MOST_TOP;

    /// # Errors
    /// [`Error::OptionValue`], [`Error::OptionOutOfRange`].
    pub(super) fn check(self) -> Result<()> {
        let most = Self::MOST_TOP as f32;
        if self.from == 0 {
            return Err(Error::OptionValue {
                key: "prompt_logprobs.from".into(),
                value: "0".into(),
                expected: "a whole number from 1 is possible".into(),
            });
        }
        in_range("prompt_logprobs.top", self.top as f32, 0.0, most)
    }
}

/// An id of a prompt, scored by those before it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PromptToken {
    pub id: u32,
    /// Natural logarithm of its probability in the full softmax.
    pub logprob: f32,
    /// Whether no id is more probable, and none before it in the vocabulary as probable: what greedy decoding would choose.
    pub is_greedy: bool,
    /// The most probable ids at this place, most probable first.
    pub top: Vec<Candidate>,
}

/// Why generation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Finish {
    /// The model produced its end-of-text token.
    Eos,
    /// A stop string was met.
    Stop,
    /// As many tokens as were asked for.
    Length,
    /// The context is full: the model has no further positions.
    Context,
    /// It took as long as it was allowed to.
    Time,
    /// The caller cancelled.
    Cancelled,
    /// The device failed; the iterator's last item says how.
    Error,
}

/// A generated token.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Token {
    pub id: u32,
    /// Text that became certain with this token; empty without a tokenizer. All texts together are the generated text.
    pub text: String,
    /// Natural logarithm of the token's probability in the full softmax, before any sampling setting.
    pub logprob: f32,
    /// The most probable tokens at this place.
    pub top: Vec<Candidate>,
    /// From the previous token to this one; for the first, from the begin of the prefill.
    pub time: Duration,
    /// Set on the last token.
    pub finish: Option<Finish>,
}

/// Where the time of a generation went.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Timing {
    /// Prompt tokens that had to be computed; those that the session still held do not count.
    pub prefill_tokens: usize,
    pub prefill: Duration,
    /// From the call to the first token.
    pub first_token: Duration,
    /// Tokens after the first.
    pub decode_tokens: usize,
    pub decode: Duration,
    /// What speculation has come to, where there is any.
    pub speculation: Option<SpeculationSummary>,
}

/// What a sequence of ids scores.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Score {
    /// For each id its natural log-probability given those before it; `None` for the first.
    pub logprobs: Vec<Option<f32>>,
    /// The most probable continuations.
    pub next: Vec<Candidate>,
}

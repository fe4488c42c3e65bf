//! A session: one timeline of tokens. Callers give whole prompts; what the timeline already holds of them is kept.

use super::driver::{Driver, Running};
use super::generator::{Generator, Task};
use super::model::{Model, check_ids, eos_of};
use super::options::{Finish, GenerateOptions, PromptToken, Score, Timing, Token};
use super::sampling::{log_sum_exp, top_candidates};
use super::writer::Writer;
use crate::error::{Error, Result};
use crate::model::{RowResult, Sequence, Wants, common_prefix};
use crate::trace::{Step, TraceMode};

/// One mutable timeline of tokens, with rows of its model's keys and values. It keeps its model; several sessions share one, also from
/// different threads.
pub struct Session {
    model: Model,
    sequence: Sequence,
    driver: Driver,
    /// Logits after the last token that was computed by [`Session::prefill`].
    logits: Vec<f32>,
}

impl Model {
    /// A session: one timeline of tokens.
    ///
    /// # Errors
    /// [`crate::Error::OutOfMemory`] if the device has no room for it.
    pub fn session(&self) -> Result<Session> {
        Ok(Session {
            sequence: Sequence::new(self.network())?,
            model: self.clone(),
            driver: Driver::default(),
            logits: Vec::new(),
        })
    }
}

impl Session {
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The tokens that the session holds keys and values for.
    pub fn tokens(&self) -> &[u32] {
        self.sequence.ids()
    }

    /// Those of [`Session::tokens`] at its beginning that were computed as a prompt, not generated: what [`Session::save`] keeps.
    pub fn prompt_tokens(&self) -> &[u32] {
        self.sequence.prompt_ids()
    }

    /// Another session that holds the same tokens. It shares their keys and values, so it costs next to nothing.
    ///
    /// # Errors
    /// [`crate::Error::OutOfMemory`].
    pub fn fork(&self) -> Result<Self> {
        Ok(Self {
            model: self.model.clone(),
            sequence: self.sequence.fork(usize::MAX)?,
            driver: Driver::default(),
            logits: Vec::new(),
        })
    }

    /// From here on every step is timed as finely as `mode` says, by the device's clock where it has timestamps. A step that is timed
    /// in detail waits for the device.
    pub fn set_trace(&mut self, mode: TraceMode) {
        self.driver.set_trace(mode);
    }

    /// The steps that were traced since the last call.
    pub fn take_trace(&mut self) -> Vec<Step> {
        self.driver.take_trace()
    }

    /// Forgets all but the first `count` tokens.
    pub fn rewind(&mut self, count: usize) {
        self.driver.forget();
        self.logits.clear();
        // It can only fail for a sequence that is gone.
        let _ = self.sequence.truncate(count);
    }

    /// Makes the session hold exactly `ids`, computing only what it does not hold, and calls `go_on(done, total)` after each
    /// step, which ends it early by returning false. Returns how many tokens were computed.
    ///
    /// # Errors
    /// One that [`crate::Error::is_of_prompt`] for an empty, too long or invalid sequence; device errors.
    pub fn prefill(
        &mut self,
        ids: &[u32],
        mut go_on: impl FnMut(usize, usize) -> bool,
    ) -> Result<usize> {
        self.check_ids(ids)?;
        let common = common_prefix(self.sequence.ids(), ids);
        if common == ids.len() && common == self.sequence.ids().len() && !self.logits.is_empty() {
            return Ok(0);
        }
        self.forget_steps();
        let keep = common.min(ids.len() - 1);
        let logits = &mut self.logits;
        let mut done = 0;
        self.driver.compute(
            &mut self.sequence,
            ids,
            keep,
            |index| match index + 1 == ids.len() {
                true => Wants::Logits,
                false => Wants::Nothing,
            },
            |_, result| {
                if let RowResult::Logits(row) = result {
                    logits.clear();
                    logits.extend_from_slice(row);
                }
            },
            |held| {
                done = held.saturating_sub(keep);
                go_on(done, ids.len() - keep)
            },
        )?;
        Ok(done)
    }

    /// The logits `[vocab]` of the token that follows `ids`, computing only what the session does not hold.
    ///
    /// # Errors
    /// As [`Session::prefill`].
    pub fn next_logits(&mut self, ids: &[u32]) -> Result<&[f32]> {
        self.prefill(ids, |_, _| true)?;
        Ok(&self.logits)
    }

    /// The logits `[ids.len() - first, vocab]` of the tokens that follow each of `ids` from index `first` on. What the session holds of the
    /// ids before is not computed again.
    ///
    /// # Errors
    /// As [`Session::prefill`].
    pub fn logits_from(&mut self, ids: &[u32], first: usize) -> Result<Vec<f32>> {
        self.check_ids(ids)?;
        self.forget_steps();
        let vocab = self.model.config().vocab_size;
        let mut rows = vec![0.0; ids.len().saturating_sub(first) * vocab];
        self.driver.compute(
            &mut self.sequence,
            ids,
            first,
            |index| match index >= first {
                true => Wants::Logits,
                false => Wants::Nothing,
            },
            |index, result| {
                if let RowResult::Logits(row) = result {
                    let start = (index - first) * vocab;
                    rows[start..start + vocab].copy_from_slice(row);
                }
            },
            |_| true,
        )?;
        Ok(rows)
    }

    /// Continues `ids` token by token. Dropping the iterator ends generation; the session keeps what was computed.
    ///
    /// # Errors
    /// One that [`crate::Error::is_of_prompt`] for ids that cannot be used, [`crate::Error::OptionOutOfRange`] or
    /// [`crate::Error::OptionValue`] for impossible settings. Errors of the device, and of logits that are no numbers, come from the iterator.
    pub fn generate<'s>(
        &'s mut self,
        ids: &[u32],
        options: &GenerateOptions,
    ) -> Result<Generation<'s>> {
        let generator = begin(&self.model, &mut self.sequence, ids, options)?;
        self.forget_steps();
        Ok(Generation {
            generator,
            session: self,
        })
    }

    /// Scores a sequence: the log-probability of each id given those before it, and the `top` most probable next ids.
    ///
    /// # Errors
    /// As [`Session::prefill`].
    pub fn score(&mut self, ids: &[u32], top: usize) -> Result<Score> {
        self.score_with_progress(ids, top, |_, _| {})
    }

    /// As [`Session::score`], calling `progress(done, total)` after each step.
    ///
    /// # Errors
    /// As [`Session::prefill`].
    pub fn score_with_progress(
        &mut self,
        ids: &[u32],
        top: usize,
        mut progress: impl FnMut(usize, usize),
    ) -> Result<Score> {
        self.check_ids(ids)?;
        self.forget_steps();
        let mut logprobs = vec![None; ids.len()];
        let mut next = Vec::new();
        let mut failure = None;
        self.driver.compute(
            &mut self.sequence,
            ids,
            0,
            |index| match ids.get(index + 1) {
                Some(id) => Wants::Score { id: *id, top: 0 },
                None => Wants::Logits,
            },
            |index, result| match result {
                RowResult::Score(scored) if scored.is_nan || scored.log_sum.is_nan() => {
                    failure.get_or_insert(Error::NotANumber { id: scored.best });
                }
                RowResult::Score(scored) => {
                    let logprob = f64::from(scored.logit) - scored.log_sum;
                    logprobs[index + 1] = Some(logprob as f32);
                }
                RowResult::Logits(logits) => {
                    next = top_candidates(logits, top, log_sum_exp(logits))
                }
                RowResult::Choice(_) => {}
            },
            |done| {
                progress(done, ids.len());
                true
            },
        )?;
        match failure {
            Some(error) => Err(error),
            None => Ok(Score { logprobs, next }),
        }
    }

    pub(super) fn sequence(&self) -> &Sequence {
        &self.sequence
    }

    pub(super) fn sequence_mut(&mut self) -> &mut Sequence {
        &mut self.sequence
    }

    /// Forgets what is under way and what was computed last, but not what the timeline holds.
    pub(super) fn forget_steps(&mut self) {
        self.driver.forget();
        self.logits.clear();
    }

    pub(super) fn driver(&mut self) -> &mut Driver {
        &mut self.driver
    }

    pub(super) fn check_ids(&self, ids: &[u32]) -> Result<()> {
        check_ids(ids, self.model.config(), self.model.context_size())
    }
}

/// Checks a request, and begins it on a sequence.
///
/// # Errors
/// As [`Session::generate`].
pub fn begin(
    model: &Model,
    sequence: &mut Sequence,
    ids: &[u32],
    options: &GenerateOptions,
) -> Result<Generator> {
    model.check_request(ids, options)?;
    let writer = match model.tokenizer() {
        Some(tokenizer) => Some(Writer::new(tokenizer, ids, options)?),
        None => None,
    };
    let task = Task {
        ids,
        options,
        writer,
        eos: eos_of(options, model.config(), model.generation_config()),
        is_software: model.network().gpu().is_software(),
    };
    Generator::new(task, sequence)
}

/// Tokens as they are generated.
pub struct Generation<'s> {
    session: &'s mut Session,
    generator: Generator,
}

impl Generation<'_> {
    /// Why generation ended, once it has.
    pub fn finish(&self) -> Option<Finish> {
        self.generator.finish()
    }

    pub fn timing(&self) -> Timing {
        self.generator.timing()
    }

    /// Those of the prompt's ids that were to be scored ([`GenerateOptions::prompt_logprobs`]); all of them once it is done.
    pub fn prompt_logprobs(&self) -> &[PromptToken] {
        self.generator.scores()
    }

    /// The generated ids so far.
    pub fn ids(&self) -> &[u32] {
        self.generator.generated()
    }

    /// As [`Session::set_trace`], between tokens.
    pub fn set_trace(&mut self, mode: TraceMode) {
        self.session.set_trace(mode);
    }

    /// As [`Session::take_trace`], between tokens.
    pub fn take_trace(&mut self) -> Vec<Step> {
        self.session.take_trace()
    }

    /// Computes the prompt now, calling `progress(done, total)` after each step; otherwise the first token does it. Ends early,
    /// and generation with it, when cancelled.
    ///
    /// # Errors
    /// Those of the device.
    pub fn prefill(&mut self, mut progress: impl FnMut(usize, usize)) -> Result<()> {
        while self.finish().is_none() && !self.generator.is_decoding() {
            self.tick()?;
            let (done, total) = self.generator.progress(&self.session.sequence)?;
            progress(done, total);
            if self.generator.is_cancelled() {
                self.generator.end(Finish::Cancelled);
            }
        }
        Ok(())
    }

    fn tick(&mut self) -> Result<()> {
        let session = &mut *self.session;
        let request = Running {
            key: 0,
            sequence: &mut session.sequence,
            generator: &mut self.generator,
        };
        let failed = session
            .driver
            .tick(session.model.network(), &mut [request])?
            .pop();
        failed.map_or(Ok(()), |(_, error)| Err(error))
    }

    fn step(&mut self) -> Result<Option<Token>> {
        self.prefill(|_, _| {})?;
        loop {
            if let Some(token) = self.generator.token()? {
                return Ok(Some(token));
            }
            if self.finish().is_some() {
                return Ok(None);
            }
            self.tick()?;
        }
    }
}

impl Iterator for Generation<'_> {
    type Item = Result<Token>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.finish().is_some() {
            return None;
        }
        let token = self.step();
        if token.is_err() {
            // An error is the last item; the timeline is as it was before the step.
            self.generator.end(Finish::Error);
        }
        token.transpose()
    }
}

//! A session: one timeline of tokens. Callers give whole prompts; what the timeline already holds of them is kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::model::{Model, check_ids, prompt_too_long};
use super::sampling::{Candidate, Sampler, Sampling, log_sum_exp, top_candidates};
use super::stop::StopFilter;
use crate::error::{Error, Result};
use crate::model::{Choosing, Forward, StepToken};
use crate::text::StreamDecoder;
use crate::trace::{Phase, Step, TraceMode};

/// What to generate.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct GenerateOptions {
    /// The most tokens to generate; `None`: up to the end of the context.
    pub max_tokens: Option<usize>,
    pub sampling: Sampling,
    /// Generation ends where the text would contain one of these; the text ends before it.
    pub stop: Vec<String>,
    /// Go on after the end-of-text token.
    pub ignore_eos: bool,
    /// How many alternatives to report with each token.
    pub top_logprobs: usize,
    /// Who chooses each token; `None`: the device, which then need not wait for the host, but on a software adapter the host, whose
    /// cores are the same and whose code for it is faster.
    pub sample_on: Option<SampleOn>,
    /// Set from another thread to end generation within a step.
    pub cancel: Option<Arc<AtomicBool>>,
}

/// Who chooses tokens. Both choose the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SampleOn {
    /// The host, which reads all logits and waits for every step.
    Host,
    /// The device, which feeds the token to the next step and is some steps ahead.
    Device,
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
}

/// What a sequence of ids scores.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Score {
    /// For each id its natural log-probability given those before it; `None` for the first.
    pub logprobs: Vec<Option<f32>>,
    /// The most probable continuations.
    pub next: Vec<Candidate>,
}

/// One mutable timeline of tokens with its KV cache.
pub struct Session<'a> {
    model: &'a Model,
    forward: Forward,
    /// Tokens whose keys and values are in the cache.
    cached: Vec<u32>,
    /// Logits after the last cached token.
    logits: Vec<f32>,
}

impl<'a> Session<'a> {
    pub(super) fn new(model: &'a Model) -> Result<Self> {
        Ok(Self {
            forward: model.network().forward()?,
            model,
            cached: Vec::new(),
            logits: Vec::new(),
        })
    }

    /// The tokens that the session holds keys and values for.
    pub fn tokens(&self) -> &[u32] {
        &self.cached
    }

    /// Times steps from here on; see [`Forward::set_trace`].
    pub fn set_trace(&mut self, mode: TraceMode) {
        self.forward.set_trace(mode);
    }

    /// The steps that were traced since the last call.
    pub fn take_trace(&mut self) -> Vec<Step> {
        self.forward.take_trace()
    }

    /// Forgets all but the first `count` tokens.
    pub fn rewind(&mut self, count: usize) {
        self.cached.truncate(count);
        self.logits.clear();
    }

    /// Makes the session hold exactly `ids`, computing only what it does not hold, and calls `go_on(done, total)` after each
    /// step, which ends it early by returning false. Returns how many tokens were computed; the logits after the last are at
    /// hand for what follows.
    ///
    /// # Errors
    /// One that [`Error::is_of_prompt`] for an empty, too long or invalid sequence; device errors.
    pub fn prefill(
        &mut self,
        ids: &[u32],
        go_on: impl FnMut(usize, usize) -> bool,
    ) -> Result<usize> {
        self.compute(ids, Phase::Prefill, go_on)
    }

    /// As [`Session::prefill`], for tokens of either kind.
    fn compute(
        &mut self,
        ids: &[u32],
        phase: Phase,
        mut go_on: impl FnMut(usize, usize) -> bool,
    ) -> Result<usize> {
        self.check_ids(ids)?;
        self.forward.phase = phase;
        let begin = Instant::now();
        let common = common_prefix(&self.cached, ids);
        if common == ids.len() && common == self.cached.len() && !self.logits.is_empty() {
            return Ok(0);
        }
        let keep = common.min(ids.len() - 1);
        self.rewind(keep);
        let todo = ids.len() - keep;
        for chunk in ids[keep..].chunks(self.forward.max_tokens()) {
            let last = self.cached.len() + chunk.len() == ids.len();
            let step = step_tokens(self.cached.len(), chunk);
            let wanted = [chunk.len() as u32 - 1];
            let logits = &mut self.logits;
            self.forward
                .step(&step, if last { &wanted } else { &[] }, |_, row| {
                    logits.clear();
                    logits.extend_from_slice(row);
                })?;
            self.cached.extend_from_slice(chunk);
            if !go_on(self.cached.len() - keep, todo) {
                break;
            }
        }
        let computed = self.cached.len() - keep;
        if phase == Phase::Prefill {
            self.forward
                .note_whole(computed, keep, begin, begin.elapsed());
        }
        Ok(computed)
    }

    /// Continues `ids` token by token. Dropping the iterator ends generation; the session keeps what was computed.
    ///
    /// # Errors
    /// One that [`Error::is_of_prompt`] for ids that cannot be used, [`Error::OptionOutOfRange`] for impossible sampling settings. Errors of the device
    /// come from the iterator.
    pub fn generate<'s>(
        &'s mut self,
        ids: &[u32],
        options: &GenerateOptions,
    ) -> Result<Generation<'s, 'a>> {
        self.check_ids(ids)?;
        options.sampling.check()?;
        if ids.len() >= self.model.context_size() {
            return Err(prompt_too_long(
                ids,
                self.model.config(),
                self.model.context_size(),
            ));
        }
        let decoder = match self.model.tokenizer() {
            Some(tokenizer) => Some(StreamDecoder::after(tokenizer, ids)?),
            None => None,
        };
        Ok(Generation {
            sampler: Sampler::new(options.sampling.clone()),
            stop: StopFilter::new(&options.stop),
            decoder,
            ids: ids.to_vec(),
            prompt: ids.len(),
            on_device: None,
            last: Instant::now(),
            options: options.clone(),
            finish: (options.max_tokens == Some(0)).then_some(Finish::Length),
            timing: Timing::default(),
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
        self.forward.phase = Phase::Prefill;
        self.rewind(0);
        let mut logprobs = vec![None];
        let mut next = Vec::new();
        let chunk_size = self.forward.max_tokens().min(self.forward.max_logits());
        for chunk in ids.chunks(chunk_size) {
            let start = self.cached.len();
            let wanted: Vec<u32> = (0..chunk.len() as u32).collect();
            self.forward
                .step(&step_tokens(start, chunk), &wanted, |i, logits| {
                    match ids.get(start + i + 1) {
                        Some(id) => {
                            let logit = f64::from(logits[*id as usize]);
                            logprobs.push(Some((logit - log_sum_exp(logits)) as f32));
                        }
                        None => next = top_candidates(logits, top),
                    }
                })?;
            self.cached.extend_from_slice(chunk);
            progress(self.cached.len(), ids.len());
        }
        Ok(Score { logprobs, next })
    }

    fn check_ids(&self, ids: &[u32]) -> Result<()> {
        check_ids(ids, self.model.config(), self.model.context_size())
    }
}

fn common_prefix(a: &[u32], b: &[u32]) -> usize {
    a.iter().zip(b).take_while(|(x, y)| x == y).count()
}

fn step_tokens(start: usize, ids: &[u32]) -> Vec<StepToken> {
    (start as u32..)
        .zip(ids)
        .map(|(position, id)| StepToken { id: *id, position })
        .collect()
}

/// Tokens as they are generated.
pub struct Generation<'s, 'a> {
    session: &'s mut Session<'a>,
    sampler: Sampler,
    decoder: Option<StreamDecoder<'a>>,
    stop: StopFilter,
    options: GenerateOptions,
    /// Prompt and generated ids.
    ids: Vec<u32>,
    prompt: usize,
    /// Whether the device decodes by itself; decided with the second token.
    on_device: Option<bool>,
    /// When the last token was given out.
    last: Instant,
    finish: Option<Finish>,
    timing: Timing,
}

/// A token as it was chosen.
struct Chosen {
    id: u32,
    logprob: f32,
    top: Vec<Candidate>,
}

impl Generation<'_, '_> {
    /// Why generation ended, once it has.
    pub fn finish(&self) -> Option<Finish> {
        self.finish
    }

    pub fn timing(&self) -> Timing {
        self.timing
    }

    /// The generated ids so far.
    pub fn ids(&self) -> &[u32] {
        &self.ids[self.prompt..]
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
        if self.finish.is_some() || self.ids.len() > self.prompt {
            return Ok(());
        }
        let begin = Instant::now();
        let cancel = self.options.cancel.clone();
        let computed = self.session.prefill(&self.ids, |done, total| {
            progress(done, total);
            !is_set(&cancel)
        })?;
        self.timing.prefill_tokens += computed;
        self.timing.prefill += begin.elapsed();
        if self.session.cached.len() < self.ids.len() {
            self.finish = Some(Finish::Cancelled);
        }
        Ok(())
    }

    fn step(&mut self) -> Result<Option<Token>> {
        let is_first = self.ids.len() == self.prompt;
        let chosen = if is_first {
            self.last = Instant::now();
            self.prefill(|_, _| {})?;
            if self.finish.is_some() {
                return Ok(None);
            }
            self.choose()
        } else {
            self.decode()?
        };
        let Chosen { id, logprob, top } = chosen;
        self.ids.push(id);
        let (text, finish) = self.text_and_finish(id)?;
        self.finish = finish;
        let now = Instant::now();
        let before = std::mem::replace(&mut self.last, now);
        let time = now - before;
        if !is_first {
            // What was computed is the token before the one that was chosen.
            let forward = &mut self.session.forward;
            forward.note_whole(1, self.ids.len() - 2, before, time);
        }
        if is_first {
            // The prefill may have been done before, by itself.
            self.timing.first_token = time.max(self.timing.prefill);
        } else {
            self.timing.decode_tokens += 1;
            self.timing.decode += time;
        }
        Ok(Some(Token {
            id,
            text,
            logprob,
            top,
            time,
            finish,
        }))
    }

    /// Chooses from the logits that the session holds.
    fn choose(&mut self) -> Chosen {
        let logits = &self.session.logits;
        let id = self.sampler.sample(logits, &self.ids);
        Chosen {
            id,
            logprob: (f64::from(logits[id as usize]) - log_sum_exp(logits)) as f32,
            top: top_candidates(logits, self.options.top_logprobs),
        }
    }

    /// The token after the last: from the device, which is ahead, or from this one's logits.
    fn decode(&mut self) -> Result<Chosen> {
        let on_device = match self.on_device {
            Some(on_device) => on_device,
            None => {
                let on_device = self.hand_over()?;
                *self.on_device.insert(on_device)
            }
        };
        if !on_device {
            self.session
                .compute(&self.ids, Phase::Decode, |_, _| true)?;
            return Ok(self.choose());
        }
        let decoded = self.session.forward.decode()?;
        let decoded = decoded.ok_or_else(|| Error::Gpu("decoding ended too early".into()))?;
        self.session.cached.extend(self.ids.last());
        let logprob = |logit: f32| (f64::from(logit) - decoded.log_sum) as f32;
        let candidate = |(id, logit): &(u32, f32)| Candidate {
            id: *id,
            logprob: logprob(*logit),
            logit: *logit,
        };
        Ok(Chosen {
            id: decoded.id,
            logprob: logprob(decoded.logit),
            top: decoded.top.iter().map(candidate).collect(),
        })
    }

    /// Has the device decode from here on, unless more is asked for than it can do.
    fn hand_over(&mut self) -> Result<bool> {
        let is_software = self.session.model.network().gpu.is_software();
        let on_device = match self.options.sample_on {
            Some(wish) => wish == SampleOn::Device,
            None => !is_software,
        };
        if !on_device || self.options.top_logprobs > Choosing::MOST_TOP {
            return Ok(false);
        }
        let Some(id) = self.ids.last().copied() else {
            return Ok(false);
        };
        let position = self.ids.len() - 1;
        let generated = self.ids.len() - self.prompt;
        let wanted = self.options.max_tokens.unwrap_or(usize::MAX) - generated;
        let steps = wanted.min(self.session.model.context_size() - self.ids.len());
        let uniforms: Vec<f32> = match self.sampler.is_random() {
            true => (0..steps).map(|_| self.sampler.uniform()).collect(),
            false => Vec::new(),
        };
        let sampling = &self.options.sampling;
        let choosing = Choosing {
            temperature: sampling.temperature,
            top_k: sampling.top_k,
            top_p: sampling.top_p,
            min_p: sampling.min_p,
            repetition_penalty: sampling.repetition_penalty,
            top: self.options.top_logprobs,
        };
        self.session.logits.clear();
        let next = StepToken {
            id,
            position: position as u32,
        };
        let forward = &mut self.session.forward;
        forward.start_decoding(next, steps, &choosing, &self.ids, &uniforms)?;
        Ok(true)
    }

    fn text_and_finish(&mut self, id: u32) -> Result<(String, Option<Finish>)> {
        let mut text = String::new();
        if let Some(decoder) = &mut self.decoder {
            let (shown, met) = self.stop.push(&decoder.push(id)?);
            if met {
                return Ok((shown, Some(Finish::Stop)));
            }
            text = shown;
        }
        let is_eos = id == self.session.model.config().eos_token_id && !self.options.ignore_eos;
        let generated = self.ids.len() - self.prompt;
        let finish = if is_eos {
            Finish::Eos
        } else if self
            .options
            .max_tokens
            .is_some_and(|most| generated >= most)
        {
            Finish::Length
        } else if self.ids.len() >= self.session.model.context_size() {
            Finish::Context
        } else if is_set(&self.options.cancel) {
            Finish::Cancelled
        } else {
            return Ok((text, None));
        };
        // The end: nothing can be completed any more, but what is held back may itself complete a stop string.
        if let Some(decoder) = &mut self.decoder {
            let (shown, met) = self.stop.push(&decoder.finish()?);
            text += &shown;
            if met {
                return Ok((text, Some(Finish::Stop)));
            }
            text += &self.stop.finish();
        }
        Ok((text, Some(finish)))
    }
}

impl Iterator for Generation<'_, '_> {
    type Item = Result<Token>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.finish.is_some() {
            return None;
        }
        let token = self.step();
        if token.is_err() {
            // An error is the last item; the timeline is as it was before the step.
            self.finish = Some(Finish::Error);
        }
        token.transpose()
    }
}

fn is_set(flag: &Option<Arc<AtomicBool>>) -> bool {
    flag.as_ref()
        .is_some_and(|flag| flag.load(Ordering::Relaxed))
}

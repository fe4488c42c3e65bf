//! One request on its way: which rows it needs next, and what its tokens become. The strategy, host or device, is how a token follows
//! from a row; text, stop strings and clocks are above it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use web_time::Instant;

use super::options::{Finish, GenerateOptions, PromptToken, SampleOn, Timing, Token};
use super::processors::Span;
use super::sampling::{Candidate, Sampler, log_sum_exp, top_candidates};
use super::speculation::Speculator;
use super::writer::Writer;
use crate::error::{Error, Result};
use crate::model::{
    Batch, BatchClass, ChoiceParams, Room, RowResult, Scored, Sequence, TokenSource, Wants,
    common_prefix,
};

/// How the next token is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Strategy {
    /// From logits that the host reads; it waits for every step.
    Host,
    /// By the device, which is some steps ahead.
    Device,
}

/// What the seed of an assistant's tokens differs in from that of the text's: they must not have the same random numbers.
const DRAFTS_SEED: u64 = 0x9e37_79b9_7f4a_7c15;

/// A token as it was chosen.
pub struct Chosen {
    id: u32,
    logprob: f32,
    top: Vec<Candidate>,
}

/// A request on its way. It is driven from outside, on a sequence that it does not own.
pub struct Generator {
    /// Prompt, and ids that were chosen.
    ids: Vec<u32>,
    prompt: usize,
    /// Prompt tokens that the sequence held at the beginning.
    kept: usize,
    context_size: usize,
    eos: Vec<u32>,
    strategy: Strategy,
    options: GenerateOptions,
    sampler: Sampler,
    speculator: Option<Speculator>,
    /// Random numbers by token, so that one is the same when its step has to be repeated.
    randoms: Vec<f32>,
    writer: Option<Writer>,
    /// The scores of the prompt that have come, in order.
    scores: Vec<PromptToken>,
    /// Rows whose next token is not known yet.
    pending: usize,
    /// Where the device chose last: it then knows which ids occurred, and which cannot.
    noted: Option<usize>,
    ready: VecDeque<Chosen>,
    /// Results to come that are of no use: they follow a token that was refused.
    refused: usize,
    /// Why no token could be chosen.
    failure: Option<Error>,
    given_out: usize,
    begin: Option<Instant>,
    last: Option<Instant>,
    timing: Timing,
    finish: Option<Finish>,
}

/// What a generator is made from.
pub struct Task<'a> {
    pub ids: &'a [u32],
    pub options: &'a GenerateOptions,
    /// Of what follows `ids`.
    pub writer: Option<Writer>,
    /// Ids that end the text.
    pub eos: &'a [u32],
    pub is_software: bool,
}

impl Generator {
    /// Has `sequence` hold no more than the beginning of the prompt, and continues from there.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] where there is no room for an assistant's keys and values.
    pub fn new(task: Task<'_>, sequence: &mut Sequence) -> Result<Self> {
        let Task { ids, options, .. } = task;
        // The last id is always computed: what follows it is wanted. So is what comes before an id that is to be scored.
        let common = common_prefix(sequence.ids(), ids);
        let scored = options
            .prompt_logprobs
            .map_or(usize::MAX, |scores| scores.from);
        let kept = common.min(ids.len().min(scored).saturating_sub(1));
        sequence.truncate(kept)?;
        let on_device = match options.sample_on {
            Some(requested) => requested == SampleOn::Device,
            None => !task.is_software,
        };
        let context_size = sequence.network().context_size();
        let most = options.max_tokens.unwrap_or(usize::MAX);
        let span = Span {
            prompt: ids.len(),
            // Behind a context that is full there is a token yet.
            max_length: ids
                .len()
                .saturating_add(most)
                .min(context_size.max(ids.len() + 1)),
            eos: task.eos.to_vec(),
        };
        let sampler = |seed| {
            let mut sampling = options.sampling.clone();
            sampling.seed ^= seed;
            Sampler::within(&sampling, span.clone())
        };
        let network = sequence.network();
        let speculator = match &options.speculation {
            None => None,
            Some(speculation) => {
                let bytes = network.weight_bytes_per_token();
                let drafts = || sampler(DRAFTS_SEED);
                Some(Speculator::new(speculation, drafts, ids.len(), bytes)?)
            }
        };
        let vocab_size = network.config().vocab_size;
        let can_choose = speculator.is_none()
            && can_choose(options, &sampler(0), ids.len(), (vocab_size, context_size));
        Ok(Self {
            ids: ids.to_vec(),
            prompt: ids.len(),
            kept,
            context_size,
            eos: task.eos.to_vec(),
            strategy: match on_device && can_choose {
                true => Strategy::Device,
                false => Strategy::Host,
            },
            sampler: sampler(0),
            speculator,
            randoms: Vec::new(),
            writer: task.writer,
            scores: Vec::new(),
            pending: 0,
            noted: None,
            ready: VecDeque::new(),
            refused: 0,
            failure: None,
            given_out: 0,
            begin: None,
            last: None,
            timing: Timing::default(),
            finish: (options.max_tokens == Some(0) && scores_of(options, ids.len()) == 0)
                .then_some(Finish::Length),
            options: options.clone(),
        })
    }

    pub fn finish(&self) -> Option<Finish> {
        self.finish
    }

    /// Ends it, for a reason from outside.
    pub fn end(&mut self, finish: Finish) {
        self.finish.get_or_insert(finish);
    }

    pub fn timing(&self) -> Timing {
        Timing {
            speculation: self.speculator.as_ref().map(Speculator::summary),
            ..self.timing
        }
    }

    pub fn prompt(&self) -> &[u32] {
        &self.ids[..self.prompt]
    }

    /// The ids that were given out.
    pub fn generated(&self) -> &[u32] {
        &self.ids[self.prompt..self.prompt + self.given_out]
    }

    /// Prompt tokens that the sequence held at the beginning.
    pub fn kept(&self) -> usize {
        self.kept
    }

    /// The scores of the prompt; all of them once it is done.
    pub fn scores(&self) -> &[PromptToken] {
        &self.scores
    }

    /// Whether the prompt is done: what followed it is known, or why nothing can.
    pub fn is_decoding(&self) -> bool {
        self.ids.len() > self.prompt || self.failure.is_some() || self.finish.is_some()
    }

    pub fn is_cancelled(&self) -> bool {
        is_set(&self.options.cancel)
    }

    /// Prompt tokens that had to be computed, and how many of them are computed or under way.
    ///
    /// # Errors
    /// None that a caller can cause.
    pub fn progress(&self, sequence: &Sequence) -> Result<(usize, usize)> {
        let computed = sequence.len()?.min(self.prompt);
        Ok((computed.saturating_sub(self.kept), self.prompt - self.kept))
    }

    /// Adds the rows that can be computed now to a batch, as far as there is room.
    ///
    /// # Errors
    /// [`crate::Error::OutOfMemory`] where the pool of keys and values cannot grow.
    pub fn add_rows(
        &mut self,
        sequence: &mut Sequence,
        room: Room,
        batch: &mut Batch,
    ) -> Result<()> {
        if self.finish.is_some() || self.failure.is_some() || !self.ready.is_empty() {
            return Ok(());
        }
        self.begin.get_or_insert_with(Instant::now);
        let mut len = sequence.len()?;
        // A prompt takes a step, whatever the time, and then perhaps more.
        if (self.kept + 1..self.prompt).contains(&len) && !self.is_decoding() && self.is_late() {
            self.finish = Some(Finish::Time);
            return Ok(());
        }
        while len < self.fed() {
            let class = match len < self.prompt {
                true => BatchClass::Prompt,
                false => BatchClass::Generated,
            };
            let is_last = len + 1 == self.ids.len();
            let may_follow = self.given_out_and_pending() < self.most_tokens();
            let wants = match is_last && may_follow {
                true => self.wants(),
                false => self.score_after(len),
            };
            if !room.has_room(batch, class, &wants) {
                return Ok(());
            }
            let goes_on = matches!(wants, Wants::Choice { history: None, .. });
            let token = match goes_on {
                // The device knows it as well, and which ids occurred.
                true => TokenSource::Chosen,
                false => TokenSource::Id(self.ids[len]),
            };
            let has_token = matches!(wants, Wants::Choice { .. } | Wants::Logits);
            let is_choice = matches!(wants, Wants::Choice { .. });
            sequence.push(batch, token, Some(self.ids[len]), class, wants)?;
            if is_choice {
                self.noted = Some(self.given_out_and_pending());
            }
            self.pending += usize::from(has_token);
            len += 1;
            if is_last {
                return self.add_drafts(sequence, room, batch);
            }
        }
        // The device is ahead: what it has chosen last is the next input, whatever it is.
        let may_follow = self.given_out_and_pending() < self.most_tokens();
        let is_ahead = self.pending > 0 && self.noted.is_some();
        if self.strategy == Strategy::Device && is_ahead && may_follow {
            let wants = self.wants();
            if room.has_room(batch, BatchClass::Generated, &wants) {
                let class = BatchClass::Generated;
                sequence.push(batch, TokenSource::Chosen, None, class, wants)?;
                self.noted = Some(self.given_out_and_pending());
                self.pending += 1;
            }
        }
        Ok(())
    }

    /// Adds rows for tokens that may follow the last one that is known.
    fn add_drafts(&mut self, sequence: &mut Sequence, room: Room, batch: &mut Batch) -> Result<()> {
        let most = self
            .most_tokens()
            .saturating_sub(self.given_out_and_pending());
        let is_decoding = self.is_decoding();
        let Some(speculator) = self.speculator.as_mut().filter(|_| is_decoding) else {
            return Ok(());
        };
        for draft in speculator.propose(&self.ids, &self.eos, most)? {
            let (class, wants) = (BatchClass::Generated, Wants::Logits);
            if !room.has_room(batch, class, &wants) {
                break;
            }
            sequence.push(batch, TokenSource::Id(draft.id), None, class, wants)?;
            speculator.verify(draft);
            self.pending += 1;
        }
        Ok(())
    }

    fn given_out_and_pending(&self) -> usize {
        self.ids.len() - self.prompt + self.pending
    }

    /// The last token is never fed, so there may be one after a context that is full.
    fn most_tokens(&self) -> usize {
        let wanted = self.options.max_tokens.unwrap_or(usize::MAX);
        wanted.min(self.context_size.saturating_sub(self.prompt).max(1))
    }

    /// How many of the ids are fed: what follows the last is no concern of scores.
    fn fed(&self) -> usize {
        self.ids.len() - usize::from(self.options.max_tokens == Some(0))
    }

    /// What is wanted after the id at `index`, if the next one is to be scored.
    fn score_after(&self, index: usize) -> Wants {
        let next = index + 1;
        match self.options.prompt_logprobs {
            // A prompt that is computed again behind tokens has been scored.
            Some(scores) if !self.is_decoding() && (scores.from..self.prompt).contains(&next) => {
                Wants::Score {
                    id: self.ids[next],
                    top: scores.top,
                }
            }
            _ => Wants::Nothing,
        }
    }

    /// What is wanted after the row that chooses the next token.
    fn wants(&mut self) -> Wants {
        if self.strategy == Strategy::Host {
            return Wants::Logits;
        }
        let token = self.given_out_and_pending();
        let random = self.random(token);
        let processors = self.sampler.processors();
        let phase = |token: usize| processors.phase(self.prompt + token);
        let is_news = self.noted.is_none_or(|noted| phase(noted) != phase(token));
        let sampling = &self.options.sampling;
        Wants::Choice {
            params: ChoiceParams {
                temperature: sampling.divisor(),
                top_k: sampling.top_k,
                top_p: sampling.top_p,
                min_p: sampling.min_p,
                repetition_penalty: sampling.repetition_penalty,
                no_repeat_ngram_size: u32::try_from(sampling.processors.no_repeat_ngram_size)
                    .unwrap_or(u32::MAX),
                random,
                top: self.options.top_logprobs,
            },
            history: self.noted.is_none().then(|| self.ids.clone()),
            forbidden: is_news.then(|| processors.forbidden(self.prompt + token)),
        }
    }

    /// The random number of a token.
    fn random(&mut self, token: usize) -> f32 {
        if !self.sampler.is_random() {
            return 0.0;
        }
        while self.randoms.len() <= token {
            self.randoms.push(self.sampler.uniform());
        }
        self.randoms[token]
    }

    /// Takes what followed a row; returns the id that was chosen. Where none could be, [`token`](Self::token) says why.
    pub fn receive(&mut self, result: RowResult<'_>) -> Option<u32> {
        if let RowResult::Score(scored) = result {
            self.receive_score(&scored);
            return None;
        }
        self.pending = self.pending.saturating_sub(1);
        if self.failure.is_some() {
            return None;
        }
        if self.refused > 0 {
            self.refused -= 1;
            return None;
        }
        let chosen = match result {
            RowResult::Score(_) => return None,
            RowResult::Logits(logits) => {
                let random = self.random(self.ids.len() - self.prompt);
                let draft = self.speculator.as_mut().and_then(Speculator::next);
                let sampler = &mut self.sampler;
                let chosen = match &draft {
                    Some(draft) => sampler.verify(logits, &self.ids, draft, random),
                    None => sampler.choose(logits, &self.ids, random),
                };
                let id = chosen.map_err(|error| self.failure = Some(error)).ok()?;
                if let (Some(speculator), Some(draft)) = (&mut self.speculator, draft) {
                    let is_accepted = draft.id == id;
                    speculator.judge(is_accepted);
                    self.refused = if is_accepted { 0 } else { self.pending };
                }
                let log_sum = log_sum_exp(logits);
                Chosen {
                    id,
                    logprob: logprob(logits[id as usize], log_sum),
                    top: top_candidates(logits, self.options.top_logprobs, log_sum),
                }
            }
            // Where chance has a part, an infinite logit leaves no sum.
            RowResult::Choice(choice)
                if choice.is_nan || (self.sampler.is_random() && choice.log_sum.is_nan()) =>
            {
                self.failure = Some(Error::NotANumber { id: choice.id });
                return None;
            }
            RowResult::Choice(choice) => Chosen {
                id: choice.id,
                logprob: logprob(choice.logit, choice.log_sum),
                top: candidates(&choice.top, choice.log_sum),
            },
        };
        if !self.is_decoding() {
            self.note_prefill();
        }
        let id = chosen.id;
        self.ids.push(id);
        self.ready.push_back(chosen);
        Some(id)
    }

    fn receive_score(&mut self, scored: &Scored) {
        let Some(wanted) = self.options.prompt_logprobs else {
            return;
        };
        if scored.is_nan || scored.log_sum.is_nan() {
            self.failure
                .get_or_insert(Error::NotANumber { id: scored.best });
            return;
        }
        let Some(id) = self.ids.get(wanted.from + self.scores.len()) else {
            return;
        };
        self.scores.push(PromptToken {
            id: *id,
            logprob: logprob(scored.logit, scored.log_sum),
            is_greedy: scored.best == *id,
            top: candidates(&scored.top, scored.log_sum),
        });
        let is_all = self.scores.len() == scores_of(&self.options, self.prompt);
        if is_all && self.options.max_tokens == Some(0) {
            self.note_prefill();
            self.finish.get_or_insert(Finish::Length);
        }
    }

    fn note_prefill(&mut self) {
        let begin = self.begin.unwrap_or_else(Instant::now);
        self.timing.prefill_tokens = self.fed().min(self.prompt).saturating_sub(self.kept);
        self.timing.prefill = begin.elapsed();
    }

    /// Ends a step whose results have come: what was computed of a text that is not this one is forgotten. Returns how many tokens were
    /// proposed in it, and how many of them accepted.
    ///
    /// # Errors
    /// None that a caller can cause.
    pub fn settle(&mut self, sequence: &mut Sequence) -> Result<(usize, usize)> {
        match &mut self.speculator {
            Some(speculator) if self.pending == 0 => {
                sequence.truncate(self.ids.len() - 1)?;
                Ok(speculator.end())
            }
            _ => Ok((0, 0)),
        }
    }

    /// What is under way is worth nothing: the ids so far are computed again.
    pub fn forget_pending(&mut self) {
        self.pending = 0;
        self.noted = None;
        if !self.is_decoding() {
            self.scores.clear();
        }
        self.refused = 0;
        if let Some(speculator) = &mut self.speculator {
            speculator.forget();
        }
    }

    /// The next token, if it is known.
    ///
    /// # Errors
    /// Those of decoding text, and of choosing.
    pub fn token(&mut self) -> Result<Option<Token>> {
        if self.finish.is_some() {
            return Ok(None);
        }
        let Some(Chosen { id, logprob, top }) = self.ready.pop_front() else {
            return self.failure.take().map_or(Ok(None), Err);
        };
        self.given_out += 1;
        let (text, finish) = self.text_and_finish(id)?;
        self.finish = finish;
        let now = Instant::now();
        let before = self.last.replace(now).or(self.begin);
        let time = before.map_or(Duration::ZERO, |before| {
            now.saturating_duration_since(before)
        });
        if self.given_out == 1 {
            self.timing.first_token = time;
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

    fn text_and_finish(&mut self, id: u32) -> Result<(String, Option<Finish>)> {
        let mut text = String::new();
        let is_hidden = self.options.hides_end && self.eos.contains(&id);
        if let Some(writer) = self.writer.as_mut().filter(|_| !is_hidden) {
            let (shown, met) = writer.push(id)?;
            if met {
                return Ok((shown, Some(Finish::Stop)));
            }
            text = shown;
        }
        let wanted = self.options.max_tokens.unwrap_or(usize::MAX);
        let finish = if self.eos.contains(&id) {
            Finish::Eos
        } else if self.given_out >= wanted {
            Finish::Length
        } else if self.prompt + self.given_out >= self.context_size {
            Finish::Context
        } else if self.is_late() {
            Finish::Time
        } else if self.is_cancelled() {
            Finish::Cancelled
        } else {
            return Ok((text, None));
        };
        if let Some(writer) = &mut self.writer {
            let (rest, met) = writer.finish()?;
            text += &rest;
            if met {
                return Ok((text, Some(Finish::Stop)));
            }
        }
        Ok((text, Some(finish)))
    }

    /// Whether it has taken as long as it may.
    fn is_late(&self) -> bool {
        let began = self.begin.zip(self.options.max_time);
        began.is_some_and(|(begin, most)| begin.elapsed() > most)
    }
}

/// How many ids of a prompt of `prompt` ids are to be scored.
fn scores_of(options: &GenerateOptions, prompt: usize) -> usize {
    let scores = options.prompt_logprobs;
    scores.map_or(0, |scores| prompt.saturating_sub(scores.from))
}

fn logprob(logit: f32, log_sum: f64) -> f32 {
    (f64::from(logit) - log_sum) as f32
}

fn candidates(top: &[(u32, f32)], log_sum: f64) -> Vec<Candidate> {
    let candidate = |(id, logit): &(u32, f32)| Candidate {
        id: *id,
        logprob: logprob(*logit, log_sum),
        logit: *logit,
    };
    top.iter().map(candidate).collect()
}

/// Whether the device can choose tokens as `options` say, after a prompt of `prompt` ids.
fn can_choose(
    options: &GenerateOptions,
    sampler: &Sampler,
    prompt: usize,
    (vocab_size, context_size): (usize, usize),
) -> bool {
    let sampling = &options.sampling;
    let has_cuts =
        sampling.typical_p >= 1.0 && sampling.epsilon_cutoff == 0.0 && sampling.eta_cutoff == 0.0;
    // Where nothing might be left to choose, the host can say so.
    let repeated = match sampling.processors.no_repeat_ngram_size {
        0 => 0,
        _ => context_size,
    };
    let forbidden = sampler.processors().forbidden(prompt).len() + repeated;
    has_cuts
        && sampler.processors().only_forbid()
        && forbidden < vocab_size
        && options.top_logprobs <= ChoiceParams::MOST_TOP
}

/// Whether somebody has cancelled.
pub fn is_set(flag: &Option<Arc<AtomicBool>>) -> bool {
    flag.as_ref()
        .is_some_and(|flag| flag.load(Ordering::Relaxed))
}

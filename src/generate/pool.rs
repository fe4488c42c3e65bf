//! Many texts at once: requests share the steps of one model, and what their prompts begin with alike is computed once.

use std::collections::VecDeque;

use super::driver::{Driver, Running};
use super::generator::{Generator, is_set};
use super::model::Model;
use super::options::{Finish, GenerateOptions, PromptToken, Timing, Token};
use super::session::begin;
use crate::error::{Error, Result};
use crate::model::{Sequence, common_prefix};
use crate::trace::{Step, TraceMode};

/// Texts that are written at the same time, as many as a step has rows for on any adapter.
const MOST_ACTIVE: usize = 32;

/// Prompts of texts that have ended, kept because the next one may begin alike. Their keys and values take no more rows than a context.
const MOST_CACHED: usize = 64;

/// So many ids are worth waiting for, where another prompt that begins with them is being computed.
const WORTH_WAITING: usize = 16;

/// A text that was written.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Text {
    pub ids: Vec<u32>,
    /// Those of its prompt that were to be scored ([`GenerateOptions::prompt_logprobs`]).
    pub prompt_logprobs: Vec<PromptToken>,
    /// Empty without a tokenizer.
    pub text: String,
    /// For each id its natural log-probability, as [`Token::logprob`].
    pub logprobs: Vec<f32>,
    pub finish: Option<Finish>,
    pub timing: Timing,
    /// Of its random numbers: alone, with this seed, it comes out the same.
    pub seed: u64,
}

impl Text {
    /// One that was cancelled while it waited.
    fn not_begun(options: &GenerateOptions) -> Self {
        Self {
            ids: Vec::new(),
            prompt_logprobs: Vec::new(),
            text: String::new(),
            logprobs: Vec::new(),
            finish: Some(Finish::Cancelled),
            timing: Timing::default(),
            seed: options.sampling.seed,
        }
    }
}

/// What became of a text in a step.
#[derive(Debug)]
#[non_exhaustive]
pub enum PoolEvent<'a> {
    /// It has begun. So many ids of its prompt were there already.
    Begun {
        cached: usize,
    },
    /// Its prompt is done; those of its ids that were to be scored.
    Prompt(&'a [PromptToken]),
    Token(&'a Token),
}

/// How much a pool has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolLoad {
    /// Texts that are being written.
    pub running: usize,
    /// Those that wait for their turn.
    pub waiting: usize,
    /// Rows of keys and values that texts at work have. Prompts that are only kept do not count.
    pub kv_used: usize,
    /// Rows that there are now.
    pub kv_rows: usize,
}

/// Texts that are written side by side on one model. Each is, to the id, what it would be alone. A `T` tells whose each is.
pub struct TextPool<T> {
    model: Model,
    driver: Driver,
    waiting: VecDeque<Request<T>>,
    active: Vec<Active<T>>,
    /// Prompts, or parts of some, that may be of use again; the oldest first.
    cached: VecDeque<CachedPrefix>,
    /// As many as memory has room for.
    most_active: usize,
    keys: u64,
    /// Whether the shortest prompt comes first in the next step.
    is_shortest_first: bool,
}

struct Request<T> {
    tag: T,
    ids: Vec<u32>,
    options: GenerateOptions,
    /// What was reported of it already: it may have had to begin again.
    reported: Reported,
}

#[derive(Default)]
struct Reported {
    has_begun: bool,
    has_prompt: bool,
    tokens: usize,
}

/// A sequence that nobody writes on.
struct CachedPrefix {
    sequence: Sequence,
    /// Rows of keys and values that only it had when it came.
    own_rows: usize,
}

struct Active<T> {
    key: u64,
    request: Request<T>,
    sequence: Sequence,
    generator: Generator,
    text: String,
    logprobs: Vec<f32>,
}

impl Model {
    /// A pool of texts, empty as yet.
    pub fn text_pool<T>(&self) -> TextPool<T> {
        TextPool::new(self, Driver::default(), Vec::new())
    }
}

impl<T> TextPool<T> {
    /// A pool that goes on with a driver, and with sequences that hold what prompts may begin with.
    pub(super) fn new(model: &Model, driver: Driver, cached: Vec<Sequence>) -> Self {
        let mut pool = Self {
            model: model.clone(),
            driver,
            waiting: VecDeque::new(),
            active: Vec::new(),
            cached: VecDeque::new(),
            most_active: MOST_ACTIVE,
            keys: 0,
            is_shortest_first: false,
        };
        cached.into_iter().for_each(|sequence| pool.keep(sequence));
        pool
    }

    pub(super) fn into_driver(mut self) -> Driver {
        self.driver.forget();
        self.driver
    }

    /// Whether as many texts are asked for as can be written at once. More would only wait.
    pub fn is_full(&self) -> bool {
        self.room() == 0
    }

    /// How many more texts can be asked for that need not wait.
    pub fn room(&self) -> usize {
        MOST_ACTIVE.saturating_sub(self.waiting.len() + self.active.len())
    }

    /// How much there is to do now.
    pub fn load(&self) -> PoolLoad {
        let (kv_used, kv_rows) = self.kv_rows();
        PoolLoad {
            running: self.active.len(),
            waiting: self.waiting.len(),
            kv_used,
            kv_rows,
        }
    }

    fn kv_rows(&self) -> (usize, usize) {
        let (used, all) = self.model.network().kv_rows();
        let kept: usize = self.cached.iter().map(|prefix| prefix.own_rows).sum();
        match self.active.is_empty() {
            true => (0, all),
            false => (used.saturating_sub(kept), all),
        }
    }

    /// As [`Session::set_trace`](super::Session::set_trace).
    pub fn set_trace(&mut self, mode: TraceMode) {
        self.driver.set_trace(mode);
    }

    /// As [`Session::take_trace`](super::Session::take_trace).
    pub fn take_trace(&mut self) -> Vec<Step> {
        self.driver.take_trace()
    }

    /// How many tokens of prompts were computed since the last call; those that were there already do not count.
    pub fn take_prompt_tokens(&mut self) -> u64 {
        self.driver.take_prompt_tokens()
    }

    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.active.is_empty()
    }

    /// Asks for the text that continues `ids`. What is wrong with them or with `options` is that text's result.
    pub fn push(&mut self, tag: T, ids: Vec<u32>, options: GenerateOptions) {
        self.waiting.push_back(Request {
            tag,
            ids,
            options,
            reported: Reported::default(),
        });
    }

    /// Computes a step of all texts, and hands what is new of each to `on_event`. Returns those that have ended, each with what it became
    /// or why it could not be written: an error as of [`Session::generate`](super::Session::generate) and its iterator. A text that had to
    /// begin again, for want of memory, tells nothing twice.
    ///
    /// # Errors
    /// Those of the device, which concern all: nothing more comes of any text then, and the pool is to be dropped.
    pub fn step(
        &mut self,
        mut on_event: impl FnMut(&T, PoolEvent<'_>),
    ) -> Result<Vec<(T, Result<Text>)>> {
        let mut ended = Vec::new();
        self.admit(&mut on_event, &mut ended);
        for active in &mut self.active {
            // With the next token a text ends by itself, and gives out what it has held back.
            if active.generator.is_cancelled() && !active.generator.is_decoding() {
                active.generator.end(Finish::Cancelled);
            }
        }
        let active = self.active.iter_mut();
        let mut requests: Vec<Running<'_>> = active
            .map(|active| Running {
                key: active.key,
                sequence: &mut active.sequence,
                generator: &mut active.generator,
            })
            .collect();
        // A step has room for a part of a long prompt. In turns it is the oldest prompt's and that of the one with the fewest ids left, so that
        // neither short nor long ones wait for ever.
        if self.is_shortest_first {
            requests.sort_by_cached_key(|request| {
                let progress = request.generator.progress(request.sequence);
                progress.map_or(0, |(done, all)| all - done)
            });
        }
        self.is_shortest_first = !self.is_shortest_first;
        let failed = self.driver.tick(self.model.network(), &mut requests)?;
        for (key, error) in failed {
            self.failed(key, error, &mut ended);
        }
        for mut active in std::mem::take(&mut self.active) {
            let taken = active.take_results(&mut on_event);
            match taken {
                Ok(()) if active.generator.finish().is_none() => self.active.push(active),
                Ok(()) => {
                    let (tag, text) = active.end();
                    let text = text.map(|(text, prompt)| {
                        self.keep(prompt);
                        text
                    });
                    ended.push((tag, text));
                }
                Err(error) => ended.push((active.request.tag, Err(error))),
            }
        }
        if self.active.is_empty() {
            // Nobody waits for what was computed beyond the end.
            self.driver.forget();
        }
        if self.is_empty() {
            // Memory that was short may be there again.
            self.most_active = MOST_ACTIVE;
        }
        Ok(ended)
    }

    /// Begins what there is room for, but for prompts that would compute what another is about to.
    fn admit(
        &mut self,
        on_event: &mut impl FnMut(&T, PoolEvent<'_>),
        ended: &mut Vec<(T, Result<Text>)>,
    ) {
        for mut request in std::mem::take(&mut self.waiting) {
            if is_set(&request.options.cancel) {
                ended.push((request.tag, Ok(Text::not_begun(&request.options))));
                continue;
            }
            if self.active.len() >= self.most_active || self.is_worth_waiting(&request.ids) {
                self.waiting.push_back(request);
                continue;
            }
            match self.begin(&request) {
                Ok((sequence, generator)) => {
                    self.keys += 1;
                    if !std::mem::replace(&mut request.reported.has_begun, true) {
                        let cached = generator.kept();
                        on_event(&request.tag, PoolEvent::Begun { cached });
                    }
                    self.active.push(Active {
                        key: self.keys,
                        request,
                        sequence,
                        generator,
                        text: String::new(),
                        logprobs: Vec::new(),
                    });
                }
                Err(error) => self.postpone(request, error, ended),
            }
        }
    }

    fn is_worth_waiting(&self, ids: &[u32]) -> bool {
        let cached = self.cached.iter();
        let cached = cached.map(|prefix| common_prefix(prefix.sequence.ids(), ids));
        let (mut held, mut coming) = (cached.max().unwrap_or(0), 0);
        for Active { generator, .. } in &self.active {
            let common = common_prefix(generator.prompt(), ids);
            let longest = if generator.is_decoding() {
                &mut held
            } else {
                &mut coming
            };
            *longest = common.max(*longest);
        }
        // The last id is always computed.
        coming.min(ids.len().saturating_sub(1)) >= held + WORTH_WAITING
    }

    /// The sequence that holds most of what `ids` begin with, and how much. Generated ids do not count: as a prompt they may be computed
    /// otherwise, and a text must not depend on its company.
    fn longest_held(&self, ids: &[u32]) -> Option<(&Sequence, usize)> {
        let cached = self.cached.iter().map(|prefix| {
            let common = common_prefix(prefix.sequence.ids(), ids);
            (&prefix.sequence, common)
        });
        let active = self.active.iter().map(
            |Active {
                 sequence,
                 generator,
                 ..
             }| {
                let common = common_prefix(sequence.ids(), ids);
                (sequence, common.min(generator.prompt().len()))
            },
        );
        cached.chain(active).max_by_key(|(_, common)| *common)
    }

    fn begin(&self, request: &Request<T>) -> Result<(Sequence, Generator)> {
        let mut sequence = match self.longest_held(&request.ids) {
            Some((held, common)) if common > 0 => held.fork(common)?,
            _ => Sequence::new(self.model.network())?,
        };
        let generator = begin(&self.model, &mut sequence, &request.ids, &request.options)?;
        Ok((sequence, generator))
    }

    fn keep(&mut self, sequence: Sequence) {
        let ids = sequence.ids();
        let shared = self.cached.iter();
        let shared = shared.map(|prefix| common_prefix(prefix.sequence.ids(), ids));
        let own_rows = ids.len() - shared.max().unwrap_or(0);
        self.cached.push_back(CachedPrefix { sequence, own_rows });
        let most_rows = self.model.context_size();
        let rows = |cached: &VecDeque<CachedPrefix>| {
            cached.iter().map(|prefix| prefix.own_rows).sum::<usize>()
        };
        while self.cached.len() > MOST_CACHED
            || (self.cached.len() > 1 && rows(&self.cached) > most_rows)
        {
            self.cached.pop_front();
        }
    }

    /// A text cannot go on.
    fn failed(&mut self, key: u64, error: Error, ended: &mut Vec<(T, Result<Text>)>) {
        let is_short = matches!(error, Error::OutOfMemory { .. });
        if is_short && !self.cached.is_empty() {
            // What is kept for later makes room first; it goes on where it was.
            self.cached.clear();
        } else if let Some(index) = self.active.iter().position(|active| active.key == key) {
            let request = self.active.remove(index).request;
            self.postpone(request, error, ended);
        }
    }

    /// A request that fails only for want of memory begins again when others have ended; from here on there are fewer at once.
    fn postpone(&mut self, request: Request<T>, error: Error, ended: &mut Vec<(T, Result<Text>)>) {
        let is_short = matches!(error, Error::OutOfMemory { .. });
        if is_short && !(self.active.is_empty() && self.cached.is_empty()) {
            self.cached.clear();
            self.most_active = self.active.len().max(1);
            self.waiting.push_back(request);
        } else {
            ended.push((request.tag, Err(error)));
        }
    }
}

impl<T> Active<T> {
    fn take_results(&mut self, on_event: &mut impl FnMut(&T, PoolEvent<'_>)) -> Result<()> {
        let reported = &mut self.request.reported;
        if self.generator.is_decoding() && !std::mem::replace(&mut reported.has_prompt, true) {
            let scores = self.generator.scores();
            on_event(&self.request.tag, PoolEvent::Prompt(scores));
        }
        while let Some(token) = self.generator.token()? {
            self.text += &token.text;
            self.logprobs.push(token.logprob);
            if self.logprobs.len() > self.request.reported.tokens {
                self.request.reported.tokens += 1;
                on_event(&self.request.tag, PoolEvent::Token(&token));
            }
        }
        Ok(())
    }

    /// Whose text it is, the text, and a sequence that holds the prompt as far as it was computed.
    fn end(mut self) -> (T, Result<(Text, Sequence)>) {
        let generator = &self.generator;
        if let Err(error) = self.sequence.truncate(generator.prompt().len()) {
            return (self.request.tag, Err(error));
        }
        let text = Text {
            ids: generator.generated().to_vec(),
            prompt_logprobs: generator.scores().to_vec(),
            text: self.text,
            logprobs: self.logprobs,
            finish: generator.finish(),
            timing: generator.timing(),
            seed: self.request.options.sampling.seed,
        };
        (self.request.tag, Ok((text, self.sequence)))
    }
}

//! Many texts at once: requests share the steps of one model, and what their prompts begin with alike is computed once.

use std::collections::VecDeque;

use super::driver::{Driver, Running};
use super::generator::{Generator, is_set};
use super::model::Model;
use super::options::{Finish, GenerateOptions, PromptToken, Timing, Token};
use super::prefix_cache::{PrefixCache, Reuse};
use super::session::begin;
use crate::error::{Error, Result};
use crate::model::{Sequence, common_prefix};
use crate::trace::{Step, TraceMode};

/// Texts that are written at the same time, as many as a step has rows for on any adapter.
const MOST_ACTIVE: usize = 32;

/// So many ids are worth waiting for, where another prompt that begins with them is being computed.
const WORTH_WAITING: usize = 16;

/// A text that was written.
#[derive(Debug, Clone, Default, PartialEq)]
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
    fn new(options: &GenerateOptions, finish: Option<Finish>) -> Self {
        Self {
            finish,
            seed: options.sampling.seed,
            ..Self::default()
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
    /// Of the ids of its prompt that were not there already, so many are computed or under way.
    Prefill {
        done: usize,
        total: usize,
    },
    /// Its prompt is done; those of its ids that were to be scored.
    Prompt(&'a [PromptToken]),
    Token(Token),
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
    /// What was not handed out yet.
    ended: Vec<(T, Result<Text>)>,
    prefixes: PrefixCache,
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
    /// Ids of its prompt that were done.
    prefilled: Option<usize>,
    has_prompt: bool,
    tokens: usize,
}

struct Active<T> {
    key: u64,
    request: Request<T>,
    sequence: Sequence,
    generator: Generator,
    /// Whether its prompt goes on from an answer, as that was generated.
    holds_answer: bool,
    text: Text,
}

impl Model {
    /// A pool of texts, empty as yet.
    pub fn text_pool<T>(&self) -> TextPool<T> {
        TextPool::new(self, Reuse::Prompts)
    }
}

impl<T> TextPool<T> {
    pub(crate) fn new(model: &Model, reuse: Reuse) -> Self {
        Self {
            model: model.clone(),
            driver: Driver::default(),
            waiting: VecDeque::new(),
            active: Vec::new(),
            ended: Vec::new(),
            prefixes: PrefixCache::new(reuse, model.context_size()),
            most_active: MOST_ACTIVE,
            keys: 0,
            is_shortest_first: false,
        }
    }

    /// Has it go on with a driver, and with a prompt that was computed.
    ///
    /// # Errors
    /// None that a caller can cause.
    pub(super) fn resume(&mut self, driver: Driver, prompt: Sequence) -> Result<()> {
        self.driver = driver;
        let count = prompt.ids().len();
        self.prefixes.keep(prompt, count, 0)
    }

    pub(super) fn into_driver(mut self) -> Driver {
        self.driver.forget();
        self.driver
    }

    /// Whose the texts at work are, in the order in which they began.
    pub(crate) fn running(&self) -> impl Iterator<Item = &T> {
        self.active.iter().map(|active| &active.request.tag)
    }

    /// Whose all texts are that were not handed out yet; those at work come first.
    pub(crate) fn tags(&self) -> impl Iterator<Item = &T> {
        let waiting = self.waiting.iter().map(|request| &request.tag);
        let ended = self.ended.iter().map(|(tag, _)| tag);
        self.running().chain(waiting).chain(ended)
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
        let (used, kv_rows) = self.model.network().kv_rows();
        PoolLoad {
            running: self.active.len(),
            waiting: self.waiting.len(),
            kv_used: match self.active.is_empty() {
                true => 0,
                false => used.saturating_sub(self.prefixes.rows()),
            },
            kv_rows,
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
        mut on_event: impl FnMut(&mut T, PoolEvent<'_>),
    ) -> Result<Vec<(T, Result<Text>)>> {
        self.advance(&mut on_event)?;
        Ok(self.deliver(on_event))
    }

    /// The first half of [`TextPool::step`], after which a trace of it can be had: begins what there is room for, and computes.
    ///
    /// # Errors
    /// As [`TextPool::step`].
    pub(crate) fn advance(
        &mut self,
        mut on_event: impl FnMut(&mut T, PoolEvent<'_>),
    ) -> Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        // What begins on a device that is gone would be told so as if it were its own affair.
        self.model.network().gpu().check()?;
        self.admit(&mut on_event);
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
            self.failed(key, error);
        }
        Ok(())
    }

    /// The second half of [`TextPool::step`]: hands out what came of it.
    pub(crate) fn deliver(
        &mut self,
        mut on_event: impl FnMut(&mut T, PoolEvent<'_>),
    ) -> Vec<(T, Result<Text>)> {
        let mut index = 0;
        while let Some(active) = self.active.get_mut(index) {
            match active.take_results(&mut on_event) {
                Ok(()) if active.generator.finish().is_none() => index += 1,
                taken => {
                    let active = self.active.remove(index);
                    self.end(active, taken);
                }
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
        std::mem::take(&mut self.ended)
    }

    /// Begins what there is room for, but for prompts that would compute what another is about to.
    fn admit(&mut self, on_event: &mut impl FnMut(&mut T, PoolEvent<'_>)) {
        for mut request in std::mem::take(&mut self.waiting) {
            if is_set(&request.options.cancel) {
                let text = Text::new(&request.options, Some(Finish::Cancelled));
                self.ended.push((request.tag, Ok(text)));
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
                        on_event(&mut request.tag, PoolEvent::Begun { cached });
                    }
                    self.active.push(Active {
                        key: self.keys,
                        holds_answer: sequence.prompt_ids().len() < generator.kept(),
                        text: Text::new(&request.options, None),
                        request,
                        sequence,
                        generator,
                    });
                }
                Err(error) => self.postpone(request, error),
            }
        }
    }

    /// Whether another is about to compute much of a prompt, or all of it.
    fn is_worth_waiting(&self, ids: &[u32]) -> bool {
        let cached = self.prefixes.longest(ids);
        let (mut held, mut coming) = (cached.map_or(0, |(_, common)| common), 0);
        for Active { generator, .. } in &self.active {
            let common = common_prefix(generator.prompt(), ids);
            let longest = match generator.is_decoding() {
                true => &mut held,
                false => &mut coming,
            };
            *longest = common.max(*longest);
        }
        // The last id is always computed.
        let saved = coming.min(ids.len().saturating_sub(1)).saturating_sub(held);
        saved >= WORTH_WAITING || (saved > 0 && coming == ids.len())
    }

    /// The sequence that holds most of what `ids` begin with, and how much. Ids that are being generated do not count: as a prompt they may be
    /// computed otherwise, and a text must not depend on its company.
    fn longest_held(&self, ids: &[u32]) -> Option<(&Sequence, usize)> {
        let active = self.active.iter().map(|active| {
            let common = common_prefix(active.sequence.ids(), ids);
            let prompt = active.generator.prompt().len();
            (&active.sequence, common.min(prompt))
        });
        let held = self.prefixes.longest(ids).into_iter().chain(active);
        held.max_by_key(|(_, common)| *common)
    }

    fn begin(&mut self, request: &Request<T>) -> Result<(Sequence, Generator)> {
        let ids = &request.ids;
        let (mut sequence, common) = match self.longest_held(ids) {
            Some((held, common)) if common > 0 => (held.fork(common)?, common),
            _ => (Sequence::new(self.model.network())?, 0),
        };
        let generator = begin(&self.model, &mut sequence, ids, &request.options)?;
        self.prefixes.forked(ids, common);
        Ok((sequence, generator))
    }

    /// A text has ended, or what came of it could not be taken.
    fn end(&mut self, active: Active<T>, taken: Result<()>) {
        let Active {
            generator,
            mut text,
            ..
        } = active;
        text.ids = generator.generated().to_vec();
        text.prompt_logprobs = generator.scores().to_vec();
        (text.finish, text.timing) = (generator.finish(), generator.timing());
        let kept = taken.and_then(|()| {
            let (prompt, generated) = (generator.prompt().len(), text.ids.len());
            self.prefixes.keep(active.sequence, prompt, generated)
        });
        self.ended.push((active.request.tag, kept.map(|()| text)));
    }

    /// A text cannot go on.
    fn failed(&mut self, key: u64, error: Error) {
        if is_short(&error) && !self.prefixes.is_empty() {
            // What is kept for later makes room first; it goes on where it was.
            self.prefixes.clear();
        } else if let Some(index) = self.active.iter().position(|active| active.key == key) {
            let active = self.active.remove(index);
            // Begun again, it would compute that answer as a prompt, which may have other bits than what its tokens followed.
            match active.holds_answer && active.request.reported.tokens > 0 {
                true => self.ended.push((active.request.tag, Err(error))),
                false => self.postpone(active.request, error),
            }
        }
    }

    /// A request that fails only for want of memory begins again when others have ended; from here on there are fewer at once.
    fn postpone(&mut self, request: Request<T>, error: Error) {
        if is_short(&error) && !(self.active.is_empty() && self.prefixes.is_empty()) {
            self.prefixes.clear();
            self.most_active = self.active.len().max(1);
            self.waiting.push_back(request);
        } else {
            self.ended.push((request.tag, Err(error)));
        }
    }
}

fn is_short(error: &Error) -> bool {
    matches!(error, Error::OutOfMemory { .. })
}

impl<T> Active<T> {
    fn take_results(&mut self, on_event: &mut impl FnMut(&mut T, PoolEvent<'_>)) -> Result<()> {
        let Request { tag, reported, .. } = &mut self.request;
        if !reported.has_prompt {
            let (done, total) = self.generator.progress(&self.sequence)?;
            if reported.prefilled.replace(done) != Some(done) {
                on_event(tag, PoolEvent::Prefill { done, total });
            }
        }
        if self.generator.is_decoding() && !std::mem::replace(&mut reported.has_prompt, true) {
            on_event(tag, PoolEvent::Prompt(self.generator.scores()));
        }
        while let Some(token) = self.generator.token()? {
            self.text.text += &token.text;
            self.text.logprobs.push(token.logprob);
            if self.text.logprobs.len() > reported.tokens {
                reported.tokens += 1;
                on_event(tag, PoolEvent::Token(token));
            }
        }
        Ok(())
    }
}

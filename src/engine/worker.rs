//! The worker: a tick admits what was asked for, has the driver build a batch and step, and routes what came of it by request.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, TryRecvError};

use super::api::{Command, Event, Load, Memory, ModelInfo, Request, Stage};
use super::loader::Loader;
use super::pieces::{given_tokens, prompt_ids, token_event};
use super::sink::Sink;
use crate::error::{Error, Result};
use crate::generate::{Driver, Finish, Generator, Model, ModelFiles, Running, begin};
use crate::model::{Progress, Sequence, common_prefix};
use crate::text::{Fitted, Jinja};
use crate::trace::Rationing;

/// Requests that run side by side; more wait.
const MOST_ACTIVE: usize = 32;

/// Sequences of requests that have ended, kept because the next prompt may begin as one of them does.
const MOST_IDLE: usize = 4;

/// Does what it is told until nobody is left to tell it anything.
pub fn work(commands: Receiver<Command>, sink: Sink, loader: Box<dyn Loader>) {
    Worker {
        commands,
        waiting: VecDeque::new(),
        sink,
        loader,
        lost_before: false,
    }
    .run();
}

struct Worker {
    commands: Receiver<Command>,
    /// Commands that came and cannot be done yet, in their order.
    waiting: VecDeque<Command>,
    sink: Sink,
    loader: Box<dyn Loader>,
    /// Whether the device was lost since a token last came: a device that is lost at once, again and again, is broken.
    lost_before: bool,
}

/// A load whose files are known to be good.
type Opened = (Box<Load>, ModelFiles);

/// Why a model is no longer served.
enum After {
    Load(Box<Opened>),
    /// The device of the adapter of that name is gone.
    Lost(String, Error),
    Quit,
}

/// A request that runs.
struct Active {
    request: u64,
    /// The prompt as it was given.
    prompt: String,
    sequence: Sequence,
    generator: Generator,
    rationing: Rationing,
    /// Prompt tokens that were told to be done.
    told: Option<usize>,
}

fn is_cancelled(load: &Load) -> bool {
    let cancel = load.options.cancel.as_ref();
    cancel.is_some_and(|cancel| cancel.load(Ordering::Relaxed))
}

impl Worker {
    fn run(mut self) {
        let mut opened = self.next_load();
        while let Some((mut load, files)) = opened.take() {
            let chat_template = files.chat_template();
            let served = self
                .load(files, &load)
                .and_then(|model| Serving::new(model, load.id, chat_template))
                .and_then(|serving| self.serve(serving));
            opened = match served {
                Ok(After::Quit) => None,
                Ok(After::Load(next)) => Some(*next),
                Ok(After::Lost(adapter, error))
                    if !self.lost_before || load.options.distrust(&adapter) =>
                {
                    self.lost_before = true;
                    let id = load.id;
                    self.sink.send(Event::DeviceLost { load: id, error });
                    self.open(&load, None)
                        .map(|files| (load, files))
                        .or_else(|| self.next_load())
                }
                Ok(After::Lost(_, error)) | Err(error) => {
                    self.load_failed(load.id, error, None);
                    self.next_load()
                }
            };
        }
    }

    fn load_failed(&self, load: u64, error: Error, kept: Option<(u64, Box<ModelInfo>)>) {
        self.sink.send(Event::LoadFailed { load, error, kept });
    }

    /// The next command; `None` when nobody is left to send any.
    fn next(&mut self) -> Option<Command> {
        match self.waiting.pop_front() {
            Some(command) => Some(command),
            None => self.commands.recv().ok(),
        }
    }

    /// The next model to load, with its files; whatever else is asked for until then fails.
    fn next_load(&mut self) -> Option<Opened> {
        loop {
            match self.next()? {
                Command::Load(load) => {
                    if let Some(files) = self.open(&load, None) {
                        return Some((load, files));
                    }
                }
                Command::Generate(request) => self.sink.send(Event::Failed {
                    request: request.id,
                    error: Error::NoModel,
                }),
                Command::Count { .. } | Command::Measure => {}
            }
        }
    }

    /// Finds a model and opens its files. What is wrong with them is told; `kept` is the model that stays then.
    fn open(&mut self, load: &Load, kept: Option<(u64, Box<ModelInfo>)>) -> Option<ModelFiles> {
        let sink = &self.sink;
        let mut report = |stage, progress| tell_progress(sink, load.id, stage, progress);
        let resolved = match is_cancelled(load) {
            // It was while others were before it.
            true => Err(Error::Cancelled),
            false => self.loader.resolve(load, &mut report),
        };
        let opened = resolved.and_then(|resolved| {
            let tokenizer = load.tokenizer.as_deref().or(resolved.tokenizer.as_deref());
            let files = ModelFiles::open_with_tokenizer(&resolved.model, tokenizer)?;
            if let Some(text) = resolved.notice {
                self.sink.send(Event::Notice {
                    load: load.id,
                    text,
                });
            }
            Ok(files)
        });
        opened
            .map_err(|error| self.load_failed(load.id, error, kept))
            .ok()
    }

    fn load(&mut self, files: ModelFiles, load: &Load) -> Result<Model> {
        let sink = &self.sink;
        let mut report = |stage, progress| tell_progress(sink, load.id, stage, progress);
        self.loader.load(files, load, &mut report)
    }

    /// Takes in what has been sent; waits for something where there is `nothing_to_do`. False when nobody is left to send anything.
    fn take_in(&mut self, nothing_to_do: bool) -> bool {
        if nothing_to_do && self.waiting.is_empty() {
            match self.commands.recv() {
                Ok(command) => self.waiting.push_back(command),
                Err(_) => return false,
            }
        }
        loop {
            match self.commands.try_recv() {
                Ok(command) => self.waiting.push_back(command),
                Err(TryRecvError::Empty) => return true,
                // What goes on is cancelled by whoever drops an engine; then there is nothing to do.
                Err(TryRecvError::Disconnected) => {
                    return !(nothing_to_do && self.waiting.is_empty());
                }
            }
        }
    }

    /// Does what is asked until another model is wanted or the device is gone.
    fn serve(&mut self, mut serving: Serving) -> Result<After> {
        self.sink.send(Event::Loaded {
            load: serving.load,
            info: Box::new(serving.info()),
        });
        loop {
            if !self.take_in(serving.active.is_empty()) {
                return Ok(After::Quit);
            }
            if let Some(opened) = self.admit(&mut serving) {
                return Ok(After::Load(Box::new(opened)));
            }
            let had_tokens = serving.tick(&self.sink);
            match had_tokens {
                Ok(true) => self.lost_before = false,
                Ok(false) => {}
                Err(error) => {
                    serving.fail_all(&self.sink, error);
                    // A device that has run out of memory, or refused something, says so for ever after.
                    if let Err(unusable) = serving.model.network().gpu().check() {
                        let adapter = serving.model.adapter().identity();
                        return Ok(After::Lost(adapter, unusable));
                    }
                }
            }
        }
    }

    /// Does what can be done now of what is waiting, in its order. Returns the model that is to be loaded next.
    fn admit(&mut self, serving: &mut Serving) -> Option<Opened> {
        while let Some(command) = self.waiting.pop_front() {
            let is_idle = serving.active.is_empty();
            match command {
                Command::Count { id, text } => {
                    let room = serving.model.context_size();
                    if let Ok(fitted) = prompt_ids(&serving.model, &text, room, None) {
                        let count = fitted.ids.len();
                        self.sink.send(Event::Counted { id, count });
                    }
                }
                Command::Generate(request) if serving.has_room_for(&request) => {
                    serving.admit(*request, &self.sink);
                }
                Command::Measure if is_idle => {
                    // No figure is better than an error for a figure.
                    if let Ok(rates) = serving.model.network().adapter_rates() {
                        let (load, peaks) = (serving.load, rates.peaks());
                        self.sink.send(Event::Measured { load, peaks });
                    }
                }
                Command::Load(load) if is_idle => {
                    let kept = Some((serving.load, Box::new(serving.info())));
                    if let Some(files) = self.open(&load, kept) {
                        return Some((load, files));
                    }
                }
                // Its turn comes when those before it have ended.
                other => {
                    self.waiting.push_front(other);
                    return None;
                }
            }
        }
        None
    }
}

fn tell_progress(sink: &Sink, load: u64, stage: Stage, progress: Progress) {
    sink.send(Event::Loading {
        load,
        stage,
        done: progress.done,
        total: progress.total,
    });
}

/// A loaded model and the requests that run on it.
struct Serving {
    model: Model,
    load: u64,
    /// The model's own; the error is what is wrong with it, which is no reason not to load the model.
    chat_template: Result<Option<Jinja>>,
    driver: Driver,
    active: Vec<Active>,
    idle: Vec<Sequence>,
}

impl Serving {
    fn new(model: Model, load: u64, chat_template: Result<Option<Jinja>>) -> Result<Self> {
        Ok(Self {
            idle: vec![Sequence::new(model.network())?],
            model,
            load,
            chat_template,
            driver: Driver::default(),
            active: Vec::new(),
        })
    }

    fn info(&self) -> ModelInfo {
        let model = &self.model;
        let network = model.network();
        let mut warnings = model.warnings().to_vec();
        warnings.extend(self.chat_template.as_ref().err().map(ToString::to_string));
        ModelInfo {
            name: model.name().to_owned(),
            adapter: model.adapter().clone(),
            is_software: network.gpu().is_software(),
            dtype: model.dtype(),
            config: model.config().clone(),
            context_size: model.context_size(),
            has_tokenizer: model.tokenizer().is_some(),
            sampling: model.sampling_defaults(),
            stop_strings: model.generation_config().stop_strings.clone(),
            chat_template: self.chat_template.as_ref().ok().cloned().flatten(),
            warnings,
            load_s: model.load_time().as_secs_f64(),
            memory: Memory {
                weights: network.weight_bytes(),
                kv_cache: network.kv_cache_bytes(),
                scratch: network.scratch_bytes(),
                allocated: network.gpu().allocated_bytes(),
            },
        }
    }

    /// Whether a request can begin. One whose prompt is being computed for another waits, and begins as a fork of that.
    fn has_room_for(&self, request: &Request) -> bool {
        let mut active = self.active.iter();
        let comes = |active: &Active| {
            !active.generator.is_decoding() && active.prompt == request.prompt.text
        };
        self.active.len() < MOST_ACTIVE && !active.any(comes)
    }

    /// Begins a request; what is wrong with it is told.
    fn admit(&mut self, request: Request, sink: &Sink) {
        let id = request.id;
        match self.begin(request, sink) {
            Ok(active) => self.active.push(active),
            Err(error) => sink.send(Event::Failed { request: id, error }),
        }
    }

    fn begin(&mut self, request: Request, sink: &Sink) -> Result<Active> {
        let model = &self.model;
        let room = model.context_size().saturating_sub(request.given.len());
        let Fitted { mut ids, left_out } =
            prompt_ids(model, &request.prompt, room, request.options.max_tokens)?;
        let given = given_tokens(model, &ids, &request.given)?;
        ids.extend(&request.given);
        let mut sequence = self.sequence_for(&ids)?;
        let begun = begin(&self.model, &mut sequence, &ids, &request.options);
        let generator = match begun {
            Ok(generator) => generator,
            Err(error) => {
                self.idle.push(sequence);
                return Err(error);
            }
        };
        if left_out > 0 {
            sink.send(Event::LeftOut {
                request: request.id,
                turns: left_out,
            });
        }
        for token in given {
            sink.send(Event::Token {
                request: request.id,
                token: Box::new(token),
            });
        }
        Ok(Active {
            request: request.id,
            prompt: request.prompt.text,
            sequence,
            generator,
            rationing: Rationing::new(request.trace),
            told: None,
        })
    }

    /// The idle sequence that begins most as `ids` do, a fork of one that is written on, or a new one.
    fn sequence_for(&mut self, ids: &[u32]) -> Result<Sequence> {
        let common = |sequence: &Sequence| common_prefix(sequence.ids(), ids);
        let best = (0..self.idle.len()).max_by_key(|i| common(&self.idle[*i]));
        let held = best.map_or(0, |best| common(&self.idle[best]));
        // What is being generated does not count: as a prompt it may have other bits, and no text is to depend on its company.
        let active = self.active.iter().map(|active| {
            let prompt = active.generator.prompt().len();
            (common(&active.sequence).min(prompt), &active.sequence)
        });
        if let Some((shared, sequence)) = active.max_by_key(|(shared, _)| *shared)
            && shared > held.max(1)
        {
            return sequence.fork(shared);
        }
        match best {
            Some(best) if held > 1 || self.idle.len() >= MOST_IDLE => {
                Ok(self.idle.swap_remove(best))
            }
            Some(best) if self.idle[best].ids().is_empty() => Ok(self.idle.swap_remove(best)),
            _ => Sequence::new(self.model.network()),
        }
    }

    /// A step for all that run. Returns whether a token came.
    fn tick(&mut self, sink: &Sink) -> Result<bool> {
        // Steps are shared; whoever came first says how finely they are timed.
        if let Some(first) = self.active.first() {
            self.driver.set_trace(first.rationing.mode());
        }
        for active in &mut self.active {
            if active.generator.is_cancelled() && !active.generator.is_decoding() {
                active.generator.end(Finish::Cancelled);
            }
        }
        let active = self.active.iter_mut();
        let mut requests: Vec<Running<'_>> = active
            .map(|active| Running {
                key: active.request,
                sequence: &mut active.sequence,
                generator: &mut active.generator,
            })
            .collect();
        let failed = self.driver.tick(self.model.network(), &mut requests)?;
        for (request, error) in failed {
            self.failed(sink, request, error);
        }
        let steps = self.driver.take_trace();
        let traced = steps.iter().any(|step| step.mode.is_detailed());
        for step in steps {
            let requests = self.active.iter().map(|active| active.request);
            sink.send(Event::Step {
                requests: requests.collect(),
                step: Box::new(step),
            });
        }
        let mut had_tokens = false;
        for index in (0..self.active.len()).rev() {
            had_tokens |= self.tell(index, traced, sink)?;
        }
        if self.model.network().take_widened() {
            sink.send(Event::Notice {
                load: self.load,
                text: Model::WIDENED.to_owned(),
            });
        }
        Ok(had_tokens)
    }

    /// Tells what has come of a request, and ends it if that was all. Returns whether a token came.
    fn tell(&mut self, index: usize, traced: bool, sink: &Sink) -> Result<bool> {
        let active = &mut self.active[index];
        let request = active.request;
        if !active.generator.is_decoding() || active.told.is_none() {
            let (done, total) = active.generator.progress(&active.sequence)?;
            if active.told != Some(done) {
                active.told = Some(done);
                sink.send(Event::Prompt {
                    request,
                    kept: active.generator.kept(),
                    done,
                    total,
                });
            }
        }
        let mut had_tokens = false;
        loop {
            let token = match active.generator.token() {
                Ok(Some(token)) => token,
                Ok(None) => break,
                Err(error) => {
                    self.failed(sink, request, error);
                    return Ok(had_tokens);
                }
            };
            had_tokens = true;
            active.rationing.add(traced, token.time.as_secs_f64());
            sink.send(Event::Token {
                request,
                token: Box::new(token_event(&self.model, token, traced)),
            });
        }
        if let Some(finish) = active.generator.finish() {
            let mut active = self.active.remove(index);
            let generator = &active.generator;
            sink.send(Event::Finished {
                request,
                finish,
                timing: generator.timing(),
                positions: generator.prompt().len() + generator.generated().len(),
            });
            generator.leave(&mut active.sequence)?;
            self.keep(active.sequence);
        }
        if self.active.is_empty() {
            // Nobody waits for what was computed beyond the end.
            self.driver.forget();
        }
        Ok(had_tokens)
    }

    fn keep(&mut self, sequence: Sequence) {
        if self.idle.len() >= MOST_IDLE {
            self.idle.remove(0);
        }
        self.idle.push(sequence);
    }

    /// A request has failed by itself: where memory is short, what is kept for later makes room first, and it goes on.
    fn failed(&mut self, sink: &Sink, request: u64, error: Error) {
        let is_short = matches!(error, Error::OutOfMemory { .. });
        if is_short && !self.idle.is_empty() {
            self.idle.clear();
            return;
        }
        self.active.retain(|active| active.request != request);
        sink.send(Event::Failed { request, error });
    }

    /// All that run have failed together.
    fn fail_all(&mut self, sink: &Sink, error: Error) {
        let error = Arc::new(error);
        self.driver.forget();
        for active in self.active.drain(..) {
            sink.send(Event::Failed {
                request: active.request,
                error: Error::Shared(Arc::clone(&error)),
            });
        }
    }
}

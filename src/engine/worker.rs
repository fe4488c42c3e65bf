//! The worker: a tick hands what was asked for to a pool of texts, has it compute a step, and tells what came of it by request.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, TryRecvError};

use super::api::{Command, Event, Load, Memory, ModelInfo, Request, Stage, TokenEvent};
use super::loader::Loader;
use super::pieces::{given_tokens, prompt_ids, token_event};
use super::sink::Sink;
use crate::error::{Error, Result};
use crate::generate::{Finish, Model, ModelFiles, PoolEvent, Reuse, TextPool};
use crate::model::Progress;
use crate::text::{Fitted, Jinja};
use crate::trace::Rationing;

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

/// A request that the pool has.
struct Asked {
    request: u64,
    /// Ids of its prompt, with those that were given.
    prompt: usize,
    rationing: Rationing,
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
                .and_then(|model| self.serve(Serving::new(model, load.id, chat_template)));
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
            if !self.take_in(serving.pool.is_empty()) {
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
            let is_idle = serving.pool.is_empty();
            match command {
                Command::Count { id, text } => {
                    let room = serving.model.context_size();
                    if let Ok(fitted) = prompt_ids(&serving.model, &text, room, None) {
                        let count = fitted.ids.len();
                        self.sink.send(Event::Counted { id, count });
                    }
                }
                Command::Generate(request) => serving.admit(*request, &self.sink),
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
    pool: TextPool<Asked>,
}

impl Serving {
    fn new(model: Model, load: u64, chat_template: Result<Option<Jinja>>) -> Self {
        Self {
            // A conversation goes on where its last answer ended.
            pool: TextPool::new(&model, Reuse::Answers),
            model,
            load,
            chat_template,
        }
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

    /// Hands a request to the pool; what is wrong with it is told.
    fn admit(&mut self, request: Request, sink: &Sink) {
        let id = request.id;
        if let Err(error) = self.ask(request, sink) {
            sink.send(Event::Failed { request: id, error });
        }
    }

    fn ask(&mut self, request: Request, sink: &Sink) -> Result<()> {
        let (model, id) = (&self.model, request.id);
        let room = model.context_size().saturating_sub(request.given.len());
        let Fitted { mut ids, left_out } =
            prompt_ids(model, &request.prompt, room, request.options.max_tokens)?;
        let given = given_tokens(model, &ids, &request.given)?;
        ids.extend(&request.given);
        model.check_request(&ids, &request.options)?;
        if left_out > 0 {
            sink.send(Event::LeftOut {
                request: id,
                turns: left_out,
            });
        }
        for token in given {
            sink.send(token_of(id, token));
        }
        let asked = Asked {
            request: id,
            prompt: ids.len(),
            rationing: Rationing::new(request.trace),
        };
        self.pool.push(asked, ids, request.options);
        Ok(())
    }

    /// A step for all that run. Returns whether a token came.
    fn tick(&mut self, sink: &Sink) -> Result<bool> {
        let Self { model, pool, .. } = self;
        // Steps are shared; whoever came first says how finely they are timed.
        let mode = pool.tags().next().map(|first| first.rationing.mode());
        pool.set_trace(mode.unwrap_or_default());
        pool.advance(|_, _| {})?;
        let steps = pool.take_trace();
        let traced = steps.iter().any(|step| step.mode.is_detailed());
        for step in steps {
            sink.send(Event::Step {
                requests: pool.running().map(|asked| asked.request).collect(),
                step: Box::new(step),
            });
        }
        let mut had_tokens = false;
        let ended = pool.deliver(|asked, event| {
            had_tokens |= matches!(event, PoolEvent::Token(_));
            asked.tell(event, traced, model, sink);
        });
        for (asked, text) in ended {
            let request = asked.request;
            sink.send(match text {
                Ok(text) => Event::Finished {
                    request,
                    finish: text.finish.unwrap_or(Finish::Error),
                    timing: text.timing,
                    positions: asked.prompt + text.ids.len(),
                },
                Err(error) => Event::Failed { request, error },
            });
        }
        if model.network().take_widened() {
            sink.send(Event::Notice {
                load: self.load,
                text: Model::WIDENED.to_owned(),
            });
        }
        Ok(had_tokens)
    }

    /// All that were asked for have failed together, and nobody knows what the pool holds.
    fn fail_all(&mut self, sink: &Sink, error: Error) {
        let error = Arc::new(error);
        for asked in self.pool.tags() {
            sink.send(Event::Failed {
                request: asked.request,
                error: Error::Shared(Arc::clone(&error)),
            });
        }
        self.pool = TextPool::new(&self.model, Reuse::Answers);
    }
}

impl Asked {
    /// Tells what has come of it.
    fn tell(&mut self, event: PoolEvent<'_>, traced: bool, model: &Model, sink: &Sink) {
        match event {
            PoolEvent::Prefill { done, total } => sink.send(Event::Prompt {
                request: self.request,
                kept: self.prompt - total,
                done,
                total,
            }),
            PoolEvent::Token(token) => {
                self.rationing.add(traced, token.time.as_secs_f64());
                sink.send(token_of(self.request, token_event(model, token, traced)));
            }
            PoolEvent::Begun { .. } | PoolEvent::Prompt(_) => {}
        }
    }
}

fn token_of(request: u64, token: TokenEvent) -> Event {
    Event::Token {
        request,
        token: Box::new(token),
    }
}

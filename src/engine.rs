//! A worker thread that owns device, model and session: commands go in, events come out. What a window or a server talks to, so
//! that neither ever waits for the device.

use std::cell::Cell;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::JoinHandle;

use crate::checkpoint::Config;
use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::generate::{
    Candidate, Finish, GenerateOptions, Model, ModelFiles, Sampling, Session, Timing, Token,
};
use crate::gpu::AdapterSummary;
use crate::model::{LoadOptions, Progress, peaks};
use crate::text::StreamDecoder;
use crate::trace::{Peaks, Step, TraceMode};

/// While every step is traced, every so many tokens the device may run ahead without it: the difference is what tracing costs.
const CONTROL_EVERY: usize = 16;

/// Tokens to look at before it is decided how many can be traced.
const FIRST_LOOK: usize = 8;

/// What to load.
#[derive(Debug, Clone, Default)]
pub struct Load {
    /// Comes back with every event of this load.
    pub id: u64,
    /// As for [`Model::load`].
    pub model: String,
    /// Takes the place of the model's own tokenizer; as for [`Model::set_tokenizer`].
    pub tokenizer: Option<PathBuf>,
    /// Set `cancel` in it to end loading.
    pub options: LoadOptions,
}

/// A prompt to continue.
#[derive(Debug, Clone)]
pub struct Request {
    /// Comes back with every event of this request.
    pub id: u64,
    /// Text; for a model without a tokenizer token ids, such as `1, 9038`.
    pub prompt: String,
    /// Tokens that follow the prompt for certain, with their natural log-probabilities; they come back as the first tokens.
    pub forced: Vec<(u32, f32)>,
    /// Set `cancel` in it to end the request within a step.
    pub options: GenerateOptions,
    pub trace: TraceMode,
    /// While it is set nothing is timed.
    pub pause: Arc<AtomicBool>,
    /// How much longer a token may take on average for being traced, such as 0.05; so only some are, where that costs more.
    /// `None`: all steps are traced but one in sixteen, which tell what tracing costs.
    pub trace_budget: Option<f64>,
}

/// What the worker is to do. It does one thing after the other.
#[derive(Debug, Clone)]
pub enum Command {
    /// Drops the model that is loaded, and loads this one; if something is wrong with its files, the other stays.
    Load(Box<Load>),
    Generate(Box<Request>),
    /// How many tokens a text has.
    Count(String),
    /// Measures what the adapter can do at best.
    Measure,
}

/// What a loaded model is.
#[derive(Debug, Clone)]
pub struct ModelInfo {
    pub name: String,
    pub adapter: AdapterSummary,
    /// Whether the adapter is a program on the same processor that everything else needs.
    pub is_software: bool,
    pub dtype: Dtype,
    pub config: Config,
    pub context_size: usize,
    pub has_tokenizer: bool,
    pub sampling: Sampling,
    pub warnings: Vec<String>,
    pub load_s: f64,
    pub memory: Memory,
}

/// Bytes on the device.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Memory {
    pub weights: u64,
    /// Keys and values of the whole context.
    pub kv_cache: u64,
    /// Activations and logits.
    pub scratch: u64,
    /// All that the device has handed out, where the backend counts it.
    pub allocated: Option<u64>,
}

/// A token with what else could have stood there.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenEvent {
    pub token: Token,
    /// The token as it would be written.
    pub piece: String,
    /// The most probable tokens at this place.
    pub alternatives: Vec<Alternative>,
    /// Whether the step was timed by the device's clock, which costs a little.
    pub traced: bool,
}

/// A token that could have stood at a place.
#[derive(Debug, Clone, PartialEq)]
pub struct Alternative {
    pub id: u32,
    /// As it would be written.
    pub piece: String,
    /// Natural logarithm.
    pub logprob: f32,
}

/// What is being fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Files from a network: for loaders that fetch them.
    Download,
    /// Weights to the device.
    Upload,
}

/// What has happened.
#[derive(Debug)]
pub enum Event {
    Loading {
        load: u64,
        stage: Stage,
        done: u64,
        total: u64,
    },
    Loaded {
        load: u64,
        info: Box<ModelInfo>,
    },
    LoadFailed {
        load: u64,
        error: Error,
        /// The load whose model is still there, and what that is; `None`: no model is loaded now.
        kept: Option<(u64, Box<ModelInfo>)>,
    },
    /// The device went away or can no longer be used; the model is being loaded again.
    DeviceLost {
        load: u64,
        error: Error,
    },
    /// Prompt tokens computed so far.
    Prompt {
        request: u64,
        done: usize,
        total: usize,
    },
    Token {
        request: u64,
        token: Box<TokenEvent>,
    },
    Step(Box<Step>),
    Finished {
        request: u64,
        finish: Finish,
        timing: Timing,
        /// Positions in use.
        positions: usize,
    },
    /// The request came to nothing, or to nothing more.
    Failed {
        request: u64,
        error: Error,
    },
    Counted(usize),
    /// What the adapter can do at best.
    Measured(Peaks),
    /// The worker has ended without being told to; nothing more will come.
    Stopped,
}

/// The worker's other end.
pub struct Engine {
    commands: Option<Sender<Command>>,
    events: Receiver<Event>,
    /// Of what was sent last: dropping the engine must not wait for it.
    cancel: Vec<Arc<AtomicBool>>,
    worker: Option<JoinHandle<()>>,
    has_stopped: Cell<bool>,
}

impl Engine {
    /// Starts the worker. `wake` is called from its thread after every event.
    ///
    /// # Errors
    /// [`Error::Thread`] if the system gives no thread.
    pub fn start(wake: impl Fn() + Send + 'static) -> Result<Self> {
        let load = |load: &Load, progress: &mut dyn FnMut(Stage, Progress)| {
            let upload = |done| progress(Stage::Upload, done);
            let mut model = Model::load_with_progress(&load.model, &load.options, upload)?;
            if let Some(path) = &load.tokenizer {
                model.set_tokenizer(path)?;
            }
            Ok(model)
        };
        let check = |load: &Load| {
            let mut files = ModelFiles::open(&load.model)?;
            match &load.tokenizer {
                Some(path) => files.set_tokenizer(path),
                None => Ok(()),
            }
        };
        Self::begin(wake, check, load)
    }

    /// As [`Engine::start`], with another way to get a model: one that downloads it first, say, and tells how far it has come.
    ///
    /// # Errors
    /// As [`Engine::start`].
    pub fn start_with(
        wake: impl Fn() + Send + 'static,
        load: impl FnMut(&Load, &mut dyn FnMut(Stage, Progress)) -> Result<Model> + Send + 'static,
    ) -> Result<Self> {
        Self::begin(wake, |_| Ok(()), load)
    }

    fn begin(
        wake: impl Fn() + Send + 'static,
        check: impl Fn(&Load) -> Result<()> + Send + 'static,
        load: impl FnMut(&Load, &mut dyn FnMut(Stage, Progress)) -> Result<Model> + Send + 'static,
    ) -> Result<Self> {
        let (commands, inbox) = channel();
        let (outbox, events) = channel();
        let sink = Sink {
            outbox,
            wake: Box::new(wake),
        };
        let worker = std::thread::Builder::new()
            .name("engine".into())
            .spawn(move || work(&inbox, &sink, &check, load))
            .map_err(Error::Thread)?;
        let mut engine = Self::from_channels(commands, events);
        engine.worker = Some(worker);
        Ok(engine)
    }

    /// An engine whose work someone else does: for tests, and for engines elsewhere.
    pub fn from_channels(commands: Sender<Command>, events: Receiver<Event>) -> Self {
        Self {
            commands: Some(commands),
            events,
            cancel: Vec::new(),
            worker: None,
            has_stopped: Cell::new(false),
        }
    }

    /// Has a command done after those sent before.
    pub fn send(&mut self, command: Command) {
        let cancel = match &command {
            Command::Load(load) => load.options.cancel.clone(),
            Command::Generate(request) => request.options.cancel.clone(),
            Command::Count(_) | Command::Measure => None,
        };
        if let Some(cancel) = cancel {
            // Only what somebody else holds as well can still be going on.
            self.cancel.retain(|flag| Arc::strong_count(flag) > 1);
            self.cancel.push(cancel);
        }
        if let Some(commands) = &self.commands {
            // A worker that is gone is noticed by `poll`.
            let _ = commands.send(command);
        }
    }

    /// The next event, if there is one already.
    pub fn poll(&self) -> Option<Event> {
        match self.events.try_recv() {
            Ok(event) => Some(event),
            Err(TryRecvError::Disconnected) if self.worker.is_some() => {
                (!self.has_stopped.replace(true)).then_some(Event::Stopped)
            }
            Err(_) => None,
        }
    }

    /// The next event; `None` when the worker has ended or none came in time.
    pub fn wait(&self, timeout: std::time::Duration) -> Option<Event> {
        self.events.recv_timeout(timeout).ok()
    }
}

impl Drop for Engine {
    /// Ends what is going on and waits for the worker: a driver must not be left in the middle of something at exit.
    fn drop(&mut self) {
        for cancel in &self.cancel {
            cancel.store(true, Ordering::Relaxed);
        }
        self.commands = None;
        if let Some(worker) = self.worker.take() {
            let _ = worker.join();
        }
    }
}

/// Where events go.
struct Sink {
    outbox: Sender<Event>,
    wake: Box<dyn Fn() + Send>,
}

impl Sink {
    fn send(&self, event: Event) {
        if self.outbox.send(event).is_ok() {
            (self.wake)();
        }
    }
}

/// Why a model is no longer served.
enum After {
    Load(Box<Load>),
    Lost(Error),
    Quit,
}

fn work(
    commands: &Receiver<Command>,
    sink: &Sink,
    check: &dyn Fn(&Load) -> Result<()>,
    mut load: impl FnMut(&Load, &mut dyn FnMut(Stage, Progress)) -> Result<Model>,
) {
    let mut wanted = next_load(commands, sink);
    // Whether the device was lost since a token last came: a device that is lost at once, again and again, is broken.
    let mut lost_before = false;
    while let Some(this) = wanted.take() {
        let id = this.id;
        let is_cancelled = this.options.cancel.as_deref();
        if is_cancelled.is_some_and(|cancel| cancel.load(Ordering::Relaxed)) {
            // It was while others were before it.
            sink.send(Event::LoadFailed {
                load: id,
                error: Error::Cancelled,
                kept: None,
            });
            wanted = next_load(commands, sink);
            continue;
        }
        let model = load(&this, &mut |stage, progress| {
            sink.send(Event::Loading {
                load: id,
                stage,
                done: progress.done,
                total: progress.total,
            });
        });
        let after =
            model.and_then(|model| run(&model, id, commands, sink, check, &mut lost_before));
        wanted = match after {
            Ok(After::Quit) => None,
            Ok(After::Load(load)) => Some(load),
            Ok(After::Lost(error)) if !lost_before => {
                lost_before = true;
                sink.send(Event::DeviceLost { load: id, error });
                Some(this)
            }
            Ok(After::Lost(error)) | Err(error) => {
                sink.send(Event::LoadFailed {
                    load: id,
                    error,
                    kept: None,
                });
                next_load(commands, sink)
            }
        };
    }
}

/// The next model to load; whatever else is asked for until then fails.
fn next_load(commands: &Receiver<Command>, sink: &Sink) -> Option<Box<Load>> {
    loop {
        match commands.recv().ok()? {
            Command::Load(load) => return Some(load),
            Command::Generate(request) => sink.send(Event::Failed {
                request: request.id,
                error: Error::NoModel,
            }),
            Command::Count(_) | Command::Measure => {}
        }
    }
}

fn info(model: &Model) -> ModelInfo {
    let network = model.network();
    ModelInfo {
        name: model.name().to_owned(),
        adapter: model.adapter().clone(),
        is_software: network.gpu.is_software(),
        dtype: model.dtype(),
        config: model.config().clone(),
        context_size: model.context_size(),
        has_tokenizer: model.tokenizer().is_some(),
        sampling: model.sampling_defaults(),
        warnings: model.warnings().to_vec(),
        load_s: model.load_time().as_secs_f64(),
        memory: Memory {
            weights: network.weight_bytes(),
            kv_cache: network.kv_cache_bytes(),
            scratch: network.scratch_bytes(),
            allocated: network.gpu.allocated_bytes(),
        },
    }
}

/// Finds out what can be wrong with a load while there is still another model.
fn begin_load(load: &Load, check: &dyn Fn(&Load) -> Result<()>) -> Result<()> {
    let cancel = load.options.cancel.as_deref();
    match cancel.is_some_and(|cancel| cancel.load(Ordering::Relaxed)) {
        true => Err(Error::Cancelled),
        false => check(load),
    }
}

/// Does what is asked until another model is wanted or the device is gone. Clears `lost_before` when a token comes.
fn run(
    model: &Model,
    load: u64,
    commands: &Receiver<Command>,
    sink: &Sink,
    check: &dyn Fn(&Load) -> Result<()>,
    lost_before: &mut bool,
) -> Result<After> {
    let mut session = model.session()?;
    sink.send(Event::Loaded {
        load,
        info: Box::new(info(model)),
    });
    while let Ok(command) = commands.recv() {
        match command {
            Command::Load(next) => match begin_load(&next, check) {
                Ok(()) => return Ok(After::Load(next)),
                Err(error) => sink.send(Event::LoadFailed {
                    load: next.id,
                    error,
                    kept: Some((load, Box::new(info(model)))),
                }),
            },
            Command::Generate(request) => {
                let mut progressed = || *lost_before = false;
                if let Err(error) = generate(model, &mut session, &request, sink, &mut progressed) {
                    sink.send(Event::Failed {
                        request: request.id,
                        error,
                    });
                    // A device that has run out of memory, or refused something, says so for ever after.
                    if let Err(unusable) = model.network().gpu.check() {
                        return Ok(After::Lost(unusable));
                    }
                }
            }
            Command::Count(text) => {
                if let Ok(ids) = prompt_ids(model, &text) {
                    sink.send(Event::Counted(ids.len()));
                }
            }
            Command::Measure => {
                // No figure is better than an error for a figure.
                if let Ok(peaks) = peaks(&model.network().gpu) {
                    sink.send(Event::Measured(peaks));
                }
            }
        }
    }
    Ok(After::Quit)
}

/// Ids of a prompt; for a model without tokenizer the ids that the text lists.
fn prompt_ids(model: &Model, text: &str) -> Result<Vec<u32>> {
    if model.tokenizer().is_none() {
        let listed: Option<Vec<u32>> = text
            .split([',', ' ', '\n', '\t'])
            .filter(|word| !word.is_empty())
            .map(|word| word.parse().ok())
            .collect();
        if let Some(ids) = listed {
            return Ok(ids);
        }
    }
    model.encode(text)
}

fn generate(
    model: &Model,
    session: &mut Session<'_>,
    request: &Request,
    sink: &Sink,
    progressed: &mut dyn FnMut(),
) -> Result<()> {
    let mut ids = prompt_ids(model, &request.prompt)?;
    let forced = forced(model, &mut ids, &request.forced)?;
    let mut generation = session.generate(&ids, &request.options)?;
    // How finely a step is timed, if it `is_due` to be timed in detail.
    let mode = |is_due: bool| match request.trace {
        _ if request.pause.load(Ordering::Relaxed) => TraceMode::Off,
        wish if is_due || wish == TraceMode::Off => wish,
        _ => TraceMode::Steps,
    };
    generation.set_trace(mode(true));
    // Of a request that ended early.
    generation.take_trace();
    let send = |token: TokenEvent| {
        sink.send(Event::Token {
            request: request.id,
            token: Box::new(token),
        });
    };
    forced.into_iter().for_each(send);
    let prompt = |done, total| {
        sink.send(Event::Prompt {
            request: request.id,
            done,
            total,
        });
    };
    prompt(0, ids.len());
    generation.prefill(prompt)?;
    let mut rationing = Rationing::new(request.trace_budget);
    let mut is_due = false;
    for count in 0.. {
        // The first token's step was the prompt's.
        is_due |= request.trace.is_detailed() && (count == 0 || rationing.traces(count));
        generation.set_trace(mode(is_due));
        let Some(token) = generation.next() else {
            break;
        };
        // A traced step waits until those that the device is ahead are read.
        let steps = generation.take_trace();
        let traced = steps.iter().any(|step| step.mode.is_detailed());
        is_due &= !traced;
        if let (Ok(token), 1..) = (&token, count) {
            rationing.add(traced, token.time.as_secs_f64());
        }
        for step in steps {
            sink.send(Event::Step(Box::new(step)));
        }
        let token = token?;
        progressed();
        send(TokenEvent {
            piece: piece(model, token.id),
            alternatives: alternatives(model, &token),
            token,
            traced,
        });
    }
    sink.send(Event::Finished {
        request: request.id,
        finish: generation.finish().unwrap_or(Finish::Cancelled),
        timing: generation.timing(),
        positions: ids.len() + generation.ids().len(),
    });
    Ok(())
}

fn alternatives(model: &Model, token: &Token) -> Vec<Alternative> {
    let alternative = |other: &Candidate| Alternative {
        id: other.id,
        piece: piece(model, other.id),
        logprob: other.logprob,
    };
    token.top.iter().map(alternative).collect()
}

/// Adds the tokens that follow a prompt for certain to its ids, and returns them with their text.
fn forced(model: &Model, ids: &mut Vec<u32>, tokens: &[(u32, f32)]) -> Result<Vec<TokenEvent>> {
    let vocab = model.config().vocab_size;
    if let Some((id, _)) = tokens.iter().find(|(id, _)| *id as usize >= vocab) {
        return Err(Error::TokenOutOfRange {
            id: *id,
            vocab_size: vocab,
        });
    }
    let mut decoder = match model.tokenizer() {
        Some(tokenizer) => Some(StreamDecoder::after(tokenizer, ids)?),
        None => None,
    };
    let mut events = Vec::new();
    for (i, (id, logprob)) in tokens.iter().enumerate() {
        let mut token = Token {
            id: *id,
            logprob: *logprob,
            ..Token::default()
        };
        if let Some(decoder) = &mut decoder {
            token.text = decoder.push(*id)?;
            if i + 1 == tokens.len() {
                // What the model adds is decoded as what follows all of these.
                token.text += &decoder.finish()?;
            }
        }
        events.push(TokenEvent {
            piece: piece(model, *id),
            alternatives: Vec::new(),
            token,
            traced: false,
        });
        ids.push(*id);
    }
    Ok(events)
}

/// Decides which tokens are traced, from what tracing is seen to cost.
struct Rationing {
    budget: Option<f64>,
    /// Seconds and number of tokens, traced and not.
    traced: (f64, usize),
    untraced: (f64, usize),
}

impl Rationing {
    fn new(budget: Option<f64>) -> Self {
        Self {
            budget,
            traced: (0.0, 0),
            untraced: (0.0, 0),
        }
    }

    fn add(&mut self, traced: bool, seconds: f64) {
        let (sum, count) = if traced {
            &mut self.traced
        } else {
            &mut self.untraced
        };
        *sum += seconds;
        *count += 1;
    }

    /// How many tokens apart those are that are traced.
    fn interval(&self) -> usize {
        let (Some(budget), (with, m @ 1..), (without, n @ 1..)) =
            (self.budget, self.traced, self.untraced)
        else {
            return 1;
        };
        let cost = (with / m as f64) / (without / n as f64).max(1e-9) - 1.0;
        (cost / budget).ceil().clamp(1.0, 64.0) as usize
    }

    fn traces(&self, count: usize) -> bool {
        match self.budget {
            // Both kinds in turn, until it is known what they cost.
            Some(_) if count <= FIRST_LOOK => count % 2 == 1,
            Some(_) if self.interval() > 1 => count.is_multiple_of(self.interval()),
            _ => count % CONTROL_EVERY != CONTROL_EVERY - 1,
        }
    }
}

/// A token as it would be written; its id where there is no tokenizer.
fn piece(model: &Model, id: u32) -> String {
    match model.tokenizer().and_then(|tokenizer| tokenizer.token(id)) {
        Some(token) => match ascii_byte(&token) {
            Some(character) => character.to_string(),
            None => token.replace('\u{2581}', " "),
        },
        None => format!(" {id}"),
    }
}

/// The character of a byte token such as `<0x0A>`, if the byte is one by itself.
fn ascii_byte(token: &str) -> Option<char> {
    let hex = token.strip_prefix("<0x")?.strip_suffix('>')?;
    let byte = u8::from_str_radix(hex, 16).ok()?;
    byte.is_ascii().then_some(char::from(byte))
}

#[cfg(test)]
mod tests {
    use super::Rationing;

    /// How many of a thousand tokens are traced when that makes them `cost` times slower.
    fn traced(budget: Option<f64>, cost: f64) -> usize {
        let mut rationing = Rationing::new(budget);
        let traces = |count| {
            let traced = rationing.traces(count);
            rationing.add(traced, if traced { 1.0 + cost } else { 1.0 });
            traced
        };
        (1..=1000).map(traces).filter(|traced| *traced).count()
    }

    #[test]
    fn tracing_keeps_to_its_budget() {
        assert_eq!(traced(None, 5.0), 1000 - 1000 / 16);
        assert!(traced(Some(0.05), 0.01) > 900, "what costs nothing is done");
        for cost in [0.2, 0.7, 3.0] {
            let share = traced(Some(0.05), cost) as f64 / 1000.0;
            assert!(share * cost < 0.07 && share > 0.01, "{share} at {cost}");
        }
    }
}

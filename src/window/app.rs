//! The state of the window, and everything that changes it: events of the engine, and actions of the person.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use super::banner::{self, Banner};
use super::chat::{ChatView, Context};
use super::conversation::{Conversation, Mode, Stats};
use super::models::ModelsView;
use super::pace::Pace;
use super::settings::{SamplingSettings, Settings};
use super::sidebar::Sidebar;
use super::store::{self, Store};
use super::timings::Timings;
use super::{Options, inspector, theme, top};
use crate::engine::{Command, Engine, Event, Load, ModelInfo, Request, Stage};
use crate::error::Error;
use crate::generate::{Finish, GenerateOptions, Timing};
use crate::model::LoadOptions;
use crate::text::{Role, Template};
use crate::trace::TraceMode;

/// Below this width there is room for one thing at a time.
const NARROW: f32 = 760.0;

/// How often a text in the making is put on disk.
const SAVE_EVERY: Duration = Duration::from_secs(1);

/// How much slower the model may get for being timed.
const TRACE_BUDGET: f64 = 0.05;

/// Alternatives to keep with every token.
const ALTERNATIVES: usize = 6;

/// What a person can ask for.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Adds a text to the conversation and has the model go on.
    Send(String),
    Stop,
    /// Another answer in place of this one, as a branch.
    Regenerate(usize),
    /// More of this message.
    Continue(usize),
    Edit(usize),
    SaveEdit(usize, String),
    SendBranch(usize, String),
    /// Another branch that begins with the message up to a token, and `piece` in its place.
    BranchAt {
        message: usize,
        token: usize,
        piece: String,
    },
    Copy(usize),
    Delete(usize),
    Undo,
    /// Shows a branch.
    Choose(usize),
    New(Mode),
    Open(usize),
    DeleteConversation(usize),
    Load(String),
    CancelLoading,
    ShowModels,
    /// Asks for a model's folder.
    PickModel,
    /// Asks for a `tokenizer.json`.
    PickTokenizer,
    /// Asks for a place, and writes a file there.
    Save(Export),
    CopyMarkdown,
    RetrySave,
    ToggleTimings,
    ToggleSidebar,
    ShowShortcuts,
}

/// What can be written to a file of the person's choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Export {
    ConversationMarkdown,
    ConversationJson,
    TraceChrome,
    TraceCsv,
    TraceJson,
}

impl Export {
    fn file_name(self) -> &'static str {
        match self {
            Self::ConversationMarkdown => "conversation.md",
            Self::ConversationJson => "conversation.json",
            Self::TraceChrome => "openelm.trace",
            Self::TraceCsv => "trace.csv",
            Self::TraceJson => "trace.json",
        }
    }
}

/// What a file dialog asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    ModelFolder,
    Tokenizer,
    /// A place for a file, and the name to suggest.
    Place(&'static str),
}

/// Shows a dialog and waits for the answer, in a thread of its own.
type Dialog = Arc<dyn Fn(Ask) -> Option<PathBuf> + Send + Sync>;

enum Answer {
    Model(PathBuf),
    Tokenizer(PathBuf),
    Written(PathBuf, std::io::Result<()>),
}

/// The model, as far as it is there.
pub enum ModelState {
    None,
    Loading {
        name: String,
        stage: Stage,
        done: u64,
        total: u64,
        cancel: Arc<AtomicBool>,
    },
    Ready(Box<ModelInfo>),
}

/// What the model is writing.
pub struct Running {
    request: u64,
    conversation: String,
    message: usize,
    cancel: Arc<AtomicBool>,
    /// Prompt tokens computed, of all.
    pub prompt: (usize, usize),
    pub tokens: usize,
    pub first_token: Option<Instant>,
}

/// What the central part shows when there is room for one thing only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NarrowView {
    Chat,
    Sidebar,
    Timings,
}

/// The window.
pub struct App {
    engine: Engine,
    store: Store,
    pub(super) settings: Settings,
    saved_settings: String,
    pub(super) conversations: Vec<Conversation>,
    pub(super) current: usize,
    pub(super) model: ModelState,
    /// What is loaded or loading, as it was asked for.
    asked: String,
    /// The device was lost and the model is loading again.
    is_recovering: bool,
    running: Option<Running>,
    requests: u64,
    pub(super) banners: Vec<Banner>,
    chat: ChatView,
    pub(super) sidebar: Sidebar,
    pub(super) models: ModelsView,
    pub(super) timings: Timings,
    pub(super) narrow: NarrowView,
    pub(super) is_narrow: bool,
    /// Positions that the prompt would take, and of what.
    pub(super) positions: usize,
    counted: Option<(String, u64, usize)>,
    dirty: BTreeSet<String>,
    last_save: Instant,
    has_warned_of_loss: bool,
    pub(super) shows_shortcuts: bool,
    pub(super) shows_prompt: bool,
    dialog: Dialog,
    answers: (Sender<Answer>, Receiver<Answer>),
    pace: Pace,
    egui: egui::Context,
}

impl App {
    /// A window on `context` that shows what is in `store` and has `engine` do the work.
    pub fn new(context: &egui::Context, engine: Engine, store: Store) -> Self {
        theme::set_up(context);
        let (settings, problem) = store.settings::<Settings>();
        theme::apply(context, settings.appearance);
        let (conversations, problems) = store.conversations();
        let mut banners = Vec::new();
        banners.extend(problem.map(|text| Banner::problem("Settings", text)));
        if !problems.is_empty() {
            let text = format!(
                "{}. The files stay as they are; the other conversations are here.",
                problems.join("; ")
            );
            banners.push(Banner::problem("Conversations that cannot be read", text));
        }
        let mut app = Self {
            engine,
            saved_settings: serde_json::to_string(&settings).unwrap_or_default(),
            settings,
            conversations,
            current: 0,
            model: ModelState::None,
            asked: String::new(),
            is_recovering: false,
            running: None,
            requests: 0,
            banners,
            chat: ChatView::default(),
            sidebar: Sidebar::default(),
            models: ModelsView::default(),
            timings: Timings::default(),
            narrow: NarrowView::Chat,
            is_narrow: false,
            positions: 0,
            counted: None,
            dirty: BTreeSet::new(),
            last_save: Instant::now(),
            has_warned_of_loss: false,
            shows_shortcuts: false,
            shows_prompt: false,
            dialog: Arc::new(native_dialog),
            answers: channel(),
            pace: Pace::default(),
            egui: context.clone(),
            store,
        };
        app.new_conversation(Mode::Completion);
        app
    }

    /// Draws no more often than `pace` says while nobody touches anything.
    pub(super) fn set_pace(&mut self, pace: Pace) {
        // A blinking cursor alone would be two frames a second.
        let blinks = !pace.is_slow();
        self.egui
            .all_styles_mut(|style| style.visuals.text_cursor.blink = blinks);
        self.pace = pace;
    }

    /// Has `dialog` answer in place of the system's file dialogs.
    pub fn set_dialog(&mut self, dialog: impl Fn(Ask) -> Option<PathBuf> + Send + Sync + 'static) {
        self.dialog = Arc::new(dialog);
    }

    /// Loads the model that was asked for, or the one used last.
    pub fn begin(&mut self, options: &Options) {
        if let Some(tokenizer) = &options.tokenizer {
            self.settings.tokenizer = Some(tokenizer.clone());
        }
        self.models.device.clone_from(&options.device);
        let model = options.model.clone();
        self.load(&model.unwrap_or_else(|| self.settings.model.clone()));
    }

    pub fn conversation(&self) -> &Conversation {
        &self.conversations[self.current]
    }

    fn conversation_mut(&mut self) -> &mut Conversation {
        let conversation = &mut self.conversations[self.current];
        self.dirty.insert(conversation.id.clone());
        conversation
    }

    pub(super) fn edit_conversation(&mut self, edit: impl FnOnce(&mut Conversation)) {
        edit(self.conversation_mut());
    }

    pub(super) fn info(&self) -> Option<&ModelInfo> {
        match &self.model {
            ModelState::Ready(info) => Some(info),
            _ => None,
        }
    }

    pub(super) fn running(&self) -> Option<&Running> {
        self.running.as_ref()
    }

    pub(super) fn template(&self) -> Template {
        self.settings.template(&self.conversation().template)
    }

    /// The text that the model would be given now.
    pub(super) fn prompt(&self) -> String {
        let conversation = self.conversation();
        conversation.prompt(&self.template(), conversation.last())
    }

    fn new_conversation(&mut self, mode: Mode) {
        // An empty one is as good as a new one.
        let empty = self.conversations.iter().position(Conversation::is_empty);
        let name = match mode {
            Mode::Chat => "Instruct",
            Mode::Completion => "Plain",
        };
        match empty {
            Some(at) => {
                self.current = at;
                let conversation = &mut self.conversations[at];
                conversation.mode = mode;
                conversation.template = name.to_owned();
            }
            None => {
                let id = self.store.new_id();
                self.conversations
                    .push(Conversation::new(id, mode, name.to_owned()));
                self.current = self.conversations.len() - 1;
            }
        }
        self.shown_changed();
    }

    fn shown_changed(&mut self) {
        self.chat.editing = None;
        self.chat.inspected = None;
        self.chat.focus = true;
        self.counted = None;
        self.narrow = NarrowView::Chat;
    }

    // ---- the model

    fn load(&mut self, model: &str) {
        self.stop();
        if let ModelState::Loading { cancel, .. } = &self.model {
            cancel.store(true, Ordering::Relaxed);
        }
        let cancel = Arc::new(AtomicBool::new(false));
        let options = LoadOptions {
            device: self.models.device.clone(),
            dtype: self.settings.dtype(),
            context_size: self.settings.context_size,
            cancel: Some(Arc::clone(&cancel)),
            ..LoadOptions::default()
        };
        // The demo brings its own tokenizer, and random weights have no use for one.
        let is_folder = model != "demo" && !model.starts_with("shape:");
        self.engine.send(Command::Load(Box::new(Load {
            model: model.to_owned(),
            tokenizer: self.settings.tokenizer.clone().filter(|_| is_folder),
            options,
        })));
        self.asked = model.to_owned();
        self.model = ModelState::Loading {
            name: model.to_owned(),
            stage: Stage::Upload,
            done: 0,
            total: 0,
            cancel,
        };
        self.banners
            .retain(|banner| banner.title != "The model could not be loaded");
    }

    fn loaded(&mut self, info: Box<ModelInfo>) {
        if !self.settings.sampling.own {
            self.settings.sampling = SamplingSettings::from(&info.sampling);
        }
        self.settings.remember(&self.asked);
        self.settings.model.clone_from(&self.asked);
        for warning in &info.warnings {
            self.banners.push(Banner::note("About this model", warning));
        }
        if self.is_recovering {
            self.is_recovering = false;
            self.banners
                .retain(|banner| banner.title != "The GPU device was lost");
            self.banners.push(Banner::note(
                "Recovered",
                "The device is open and the model loaded again; what was written so far is kept.",
            ));
        }
        if self.conversation().is_empty() {
            let mode = match info.name.to_lowercase().contains("instruct") {
                true => Mode::Chat,
                false => Mode::Completion,
            };
            self.new_conversation(mode);
        }
        self.timings.model_loaded(&info);
        if self.timings.needs_bandwidth() {
            self.engine.send(Command::Measure);
        }
        self.counted = None;
        self.model = ModelState::Ready(info);
    }

    fn load_failed(&mut self, error: &Error) {
        self.is_recovering = false;
        self.model = ModelState::None;
        if matches!(error, Error::Cancelled) {
            self.banners.push(
                Banner::note("Loading was cancelled", "No model is loaded now.")
                    .with_fix("Choose a model", Action::ShowModels),
            );
            return;
        }
        self.banners.push(
            Banner::problem("The model could not be loaded", error)
                .with_fix("Choose a model", Action::ShowModels),
        );
    }

    // ---- events

    /// Takes in everything that has happened since the last call.
    fn take_events(&mut self) {
        while let Some(event) = self.engine.poll() {
            self.take_event(event);
        }
        while let Ok(answer) = self.answers.1.try_recv() {
            self.take_answer(answer);
        }
        let saved: Vec<store::Saved> = self.store.saved().collect();
        for saved in saved {
            self.take_saved(saved);
        }
    }

    fn take_event(&mut self, event: Event) {
        match event {
            Event::Loading { stage, done, total } => {
                if let ModelState::Loading {
                    stage: s,
                    done: d,
                    total: t,
                    ..
                } = &mut self.model
                {
                    (*s, *d, *t) = (stage, done, total);
                }
            }
            Event::Loaded(info) => self.loaded(info),
            Event::LoadFailed(error) => {
                // That of a load which was replaced by another says nothing new.
                let is_replaced = matches!(&self.model,
                    ModelState::Loading { cancel, .. } if !cancel.load(Ordering::Relaxed))
                    && matches!(error, Error::Cancelled);
                if !is_replaced {
                    self.load_failed(&error);
                }
            }
            Event::DeviceLost(error) => {
                self.is_recovering = true;
                self.model = ModelState::Loading {
                    name: self.asked.clone(),
                    stage: Stage::Upload,
                    done: 0,
                    total: 0,
                    cancel: Arc::new(AtomicBool::new(false)),
                };
                self.banners
                    .push(Banner::problem("The GPU device was lost", error));
            }
            Event::Prompt {
                request,
                done,
                total,
            } => {
                if let Some(running) = self.running_request(request) {
                    running.prompt = (done, total);
                }
            }
            Event::Token { request, token } => {
                self.timings.token(&token);
                let has_tokenizer = self.info().is_some_and(|info| info.has_tokenizer);
                let Some(running) = self.running_request(request) else {
                    return;
                };
                running.tokens += 1;
                running.first_token.get_or_insert_with(Instant::now);
                let (id, message) = (running.conversation.clone(), running.message);
                let mut token = *token;
                if !has_tokenizer {
                    token.token.text.clone_from(&token.piece);
                }
                if let Some(conversation) = self.conversations.iter_mut().find(|c| c.id == id) {
                    conversation.append(message, token);
                    self.dirty.insert(id);
                }
            }
            Event::Step(step) => self.timings.step(*step),
            Event::Finished {
                request,
                finish,
                timing,
                positions,
            } => self.finished(request, Some(finish), timing, positions),
            Event::Failed { request, error } => {
                self.finished(request, None, Timing::default(), self.positions);
                if matches!(error, Error::DeviceLost(_)) {
                    // What follows says more.
                    return;
                }
                let mut banner = Banner::problem("The model could not go on", &error);
                if matches!(error, Error::Tokenizer(_)) {
                    banner = banner.with_fix("Find a tokenizer", Action::ShowModels);
                }
                self.banners.push(banner);
            }
            Event::Counted(count) => self.positions = count,
            Event::ReadBandwidth(rate) => self.timings.set_bandwidth(rate),
        }
    }

    fn running_request(&mut self, request: u64) -> Option<&mut Running> {
        self.running
            .as_mut()
            .filter(|running| running.request == request)
    }

    /// Ends what is running; `finish` is `None` after an error.
    fn finished(&mut self, request: u64, finish: Option<Finish>, timing: Timing, positions: usize) {
        let Some(running) = self.running.take_if(|running| running.request == request) else {
            return;
        };
        let model = self.info().map_or_else(String::new, |info| {
            format!("{} {} on {}", info.name, info.dtype, info.adapter.name)
        });
        let name = match finish {
            Some(Finish::Eos) => "eos",
            Some(Finish::Stop) => "stop",
            Some(Finish::Length) => "length",
            Some(Finish::Context) => "context",
            Some(Finish::Cancelled) => "cancelled",
            Some(Finish::Error) | None => "error",
        };
        let stats = Stats {
            model,
            prompt_tokens: timing.prefill_tokens,
            prompt_s: timing.prefill.as_secs_f64(),
            first_token_s: timing.first_token.as_secs_f64(),
            tokens: running.tokens,
            decode_tokens: timing.decode_tokens,
            decode_s: timing.decode.as_secs_f64(),
            finish: name.to_owned(),
        };
        if let Some(conversation) = self
            .conversations
            .iter_mut()
            .find(|conversation| conversation.id == running.conversation)
        {
            conversation.set_stats(running.message, stats);
            self.dirty.insert(running.conversation);
        }
        self.positions = positions;
        self.counted = None;
        self.last_save = Instant::now() - SAVE_EVERY;
        if finish == Some(Finish::Context) {
            self.banners.push(
                Banner::note(
                    "The context is full",
                    "The model has no further positions, so it stopped. Delete earlier messages, or begin something new.",
                )
                .with_fix("Begin something new", Action::New(self.conversation().mode)),
            );
        }
    }

    fn take_saved(&mut self, saved: store::Saved) {
        let title = "Not saved";
        match saved.error {
            None => self.banners.retain(|banner| banner.title != title),
            Some(error) => {
                if let Some(stem) = saved.path.file_stem() {
                    let id = stem.to_string_lossy().into_owned();
                    if self.conversations.iter().any(|c| c.id == id) {
                        self.dirty.insert(id);
                    }
                }
                self.banners.retain(|banner| banner.title != title);
                let text = format!(
                    "{} could not be written: {error}. The old file is untouched and nothing is lost while the window is open; \
                     make room, or save a copy elsewhere.",
                    saved.path.display()
                );
                self.banners
                    .push(Banner::problem(title, text).with_fix("Try again", Action::RetrySave));
                // Not again at once: the next change, or the person, will.
                self.last_save = Instant::now() + Duration::from_secs(10);
            }
        }
    }

    fn take_answer(&mut self, answer: Answer) {
        match answer {
            Answer::Model(folder) => self.act(Action::Load(folder.display().to_string())),
            Answer::Tokenizer(path) => {
                self.settings.tokenizer = Some(path);
                let asked = self.asked.clone();
                self.act(Action::Load(asked));
            }
            Answer::Written(path, Ok(())) => {
                self.banners
                    .push(Banner::note("Saved", path.display().to_string()));
            }
            Answer::Written(path, Err(error)) => {
                let text = format!("{}: {error}", path.display());
                self.banners.push(Banner::problem("Not written", text));
            }
        }
    }

    // ---- actions

    fn stop(&mut self) {
        if let Some(running) = &self.running {
            running.cancel.store(true, Ordering::Relaxed);
        }
    }

    /// Has the model write to the end of `message` of the current conversation, which continues `prompt`.
    fn generate(&mut self, message: usize, prompt: String) {
        self.requests += 1;
        let template = self.template();
        let conversation = self.conversation();
        let mut stop = self.settings.stop.clone();
        if conversation.mode == Mode::Chat {
            stop.extend(template.stop);
        }
        let cancel = Arc::new(AtomicBool::new(false));
        let options = GenerateOptions {
            max_tokens: Some(self.settings.max_tokens),
            sampling: self.settings.sampling.sampling(clock_seed()),
            stop,
            ignore_eos: self.settings.ignore_eos,
            top_logprobs: ALTERNATIVES,
            cancel: Some(Arc::clone(&cancel)),
        };
        let trace = match self.settings.timings {
            true => self.timings.mode(self.settings.trace),
            false => TraceMode::Off,
        };
        self.running = Some(Running {
            request: self.requests,
            conversation: conversation.id.clone(),
            message,
            cancel,
            prompt: (0, 0),
            tokens: 0,
            first_token: None,
        });
        let name = self.conversation().name().to_owned();
        self.timings.begin(&name);
        self.engine.send(Command::Generate(Box::new(Request {
            id: self.requests,
            prompt,
            options,
            trace,
            trace_budget: (!self.settings.trace_all).then_some(TRACE_BUDGET),
        })));
    }

    /// Whether the model can be asked for something now.
    fn can_generate(&self) -> bool {
        self.running.is_none() && self.info().is_some()
    }

    /// Adds an answer after `parent`, and has the model write it.
    fn answer(&mut self, parent: Option<usize>, text: &str) {
        let template = self.template();
        let conversation = self.conversation_mut();
        let message = conversation.add(parent, Role::Assistant, text);
        let end = if text.is_empty() {
            parent
        } else {
            Some(message)
        };
        let prompt = conversation.prompt(&template, end);
        self.generate(message, prompt);
    }

    fn send(&mut self, text: String) {
        if !self.can_generate() {
            self.chat.draft = text;
            return;
        }
        let is_text = self.conversation().mode == Mode::Completion;
        // A word at the end of the box would run into what the model writes; a text keeps its spaces.
        let text = if is_text {
            text
        } else {
            text.trim().to_owned()
        };
        let last = self.conversation().last();
        match last {
            Some(last) if text.trim().is_empty() => match self.conversation().message(last).role {
                Role::Assistant => self.act(Action::Continue(last)),
                _ => self.answer(Some(last), ""),
            },
            _ if text.trim().is_empty() => {}
            _ => {
                let asked = self.conversation_mut().add(last, Role::User, &text);
                self.answer(Some(asked), "");
            }
        }
    }

    /// Does what was asked for.
    pub fn act(&mut self, action: Action) {
        match action {
            Action::Send(text) => self.send(text),
            Action::Stop => self.stop(),
            Action::Regenerate(at) if self.can_generate() => {
                let parent = self.conversation().message(at).parent;
                self.answer(parent, "");
            }
            Action::Continue(at) if self.can_generate() => {
                let conversation = self.conversation();
                let prompt = conversation.prompt(&self.template(), Some(at));
                self.generate(at, prompt);
            }
            Action::BranchAt {
                message,
                token,
                piece,
            } if self.can_generate() => {
                let conversation = self.conversation();
                let text = inspector::text_before(conversation, message, token) + &piece;
                let parent = conversation.message(message).parent;
                self.chat.inspected = None;
                self.answer(parent, &text);
            }
            Action::SendBranch(at, text) if self.can_generate() => {
                let parent = self.conversation().message(at).parent;
                let asked = self.conversation_mut().add(parent, Role::User, &text);
                self.answer(Some(asked), "");
            }
            Action::Regenerate(_)
            | Action::Continue(_)
            | Action::BranchAt { .. }
            | Action::SendBranch(..) => {}
            Action::Edit(at) => {
                let conversation = self.conversation();
                let text = match conversation.mode {
                    Mode::Chat => conversation.message(at).text.clone(),
                    Mode::Completion => conversation.prompt(&self.template(), conversation.last()),
                };
                self.chat.editing = Some((at, text));
            }
            Action::SaveEdit(at, text) => match self.conversation().mode {
                Mode::Chat => self.conversation_mut().edit(at, text),
                // The text as a whole, beside what it was.
                Mode::Completion => {
                    self.conversation_mut().add(None, Role::User, &text);
                }
            },
            Action::Copy(at) => {
                let conversation = self.conversation();
                let text = match conversation.mode {
                    Mode::Chat => conversation.message(at).text.clone(),
                    Mode::Completion => self.prompt(),
                };
                self.egui.copy_text(text);
            }
            Action::Delete(at) => {
                self.chat.inspected = None;
                self.conversation_mut().delete(at);
                self.banners.retain(|banner| banner.title != "Deleted");
                self.banners.push(
                    Banner::note("Deleted", "The message and what followed it.")
                        .with_fix("Undo", Action::Undo),
                );
            }
            Action::Undo => {
                self.conversation_mut().undo();
                self.banners.retain(|banner| banner.title != "Deleted");
            }
            Action::Choose(at) => {
                self.chat.inspected = None;
                self.conversation_mut().choose(at);
            }
            Action::New(mode) => {
                self.banners
                    .retain(|banner| banner.title != "The context is full");
                self.new_conversation(mode);
            }
            Action::Open(at) => {
                self.current = at.min(self.conversations.len() - 1);
                self.shown_changed();
            }
            Action::DeleteConversation(at) => self.delete_conversation(at),
            Action::Load(model) => {
                self.models.open = false;
                self.load(model.trim());
            }
            Action::CancelLoading => {
                if let ModelState::Loading { cancel, .. } = &self.model {
                    cancel.store(true, Ordering::Relaxed);
                }
            }
            Action::ShowModels => self.models.open = true,
            Action::PickModel => self.ask(Ask::ModelFolder, Answer::Model),
            Action::PickTokenizer => self.ask(Ask::Tokenizer, Answer::Tokenizer),
            Action::Save(export) => self.export(export),
            Action::CopyMarkdown => self.egui.copy_text(self.conversation().markdown()),
            Action::RetrySave => {
                self.last_save = Instant::now() - SAVE_EVERY;
            }
            Action::ToggleTimings => {
                self.settings.timings = !self.settings.timings;
                self.narrow = match self.settings.timings {
                    true => NarrowView::Timings,
                    false => NarrowView::Chat,
                };
            }
            Action::ToggleSidebar => {
                self.settings.sidebar = !self.settings.sidebar;
                self.narrow = match self.narrow {
                    NarrowView::Sidebar => NarrowView::Chat,
                    _ => NarrowView::Sidebar,
                };
            }
            Action::ShowShortcuts => self.shows_shortcuts = true,
        }
    }

    fn delete_conversation(&mut self, at: usize) {
        if at >= self.conversations.len() {
            return;
        }
        let conversation = self.conversations.remove(at);
        if self
            .running
            .as_ref()
            .is_some_and(|running| running.conversation == conversation.id)
        {
            self.stop();
        }
        self.dirty.remove(&conversation.id);
        self.store.remove_conversation(&conversation.id);
        if self.current > at {
            self.current -= 1;
        }
        if self.conversations.is_empty() {
            self.new_conversation(conversation.mode);
        }
        self.current = self.current.min(self.conversations.len() - 1);
        self.shown_changed();
    }

    /// Shows a dialog, off this thread: it may stay open for long.
    fn ask(&self, ask: Ask, answer: impl FnOnce(PathBuf) -> Answer + Send + 'static) {
        let dialog = Arc::clone(&self.dialog);
        let answers = self.answers.0.clone();
        let egui = self.egui.clone();
        let spawned = std::thread::Builder::new()
            .name("dialog".into())
            .spawn(move || {
                if let Some(path) = dialog(ask) {
                    // The window may be gone by now.
                    let _ = answers.send(answer(path));
                    egui.request_repaint();
                }
            });
        // A machine without threads to give shows no dialog; the path can be typed.
        drop(spawned);
    }

    fn export(&mut self, export: Export) {
        let conversation = self.conversation();
        let text = match export {
            Export::ConversationMarkdown => conversation.markdown(),
            Export::ConversationJson => {
                serde_json::to_string_pretty(conversation).unwrap_or_default()
            }
            Export::TraceChrome | Export::TraceCsv | Export::TraceJson => {
                self.timings.export(export)
            }
        };
        self.ask(Ask::Place(export.file_name()), move |path| {
            let written = store::replace(&path, text.as_bytes());
            Answer::Written(path, written)
        });
    }

    // ---- the disk

    /// Puts on disk what has changed; at most once a second.
    fn save(&mut self) {
        let now = Instant::now();
        if now.saturating_duration_since(self.last_save) < SAVE_EVERY {
            if !self.dirty.is_empty() {
                self.egui.request_repaint_after(SAVE_EVERY);
            }
            return;
        }
        self.last_save = now;
        self.flush();
    }

    fn flush(&mut self) {
        for id in std::mem::take(&mut self.dirty) {
            let found = self.conversations.iter().find(|c| c.id == id);
            if let Some(conversation) = found.filter(|conversation| conversation.len() > 0) {
                self.store.save_conversation(conversation);
            }
        }
        let settings = serde_json::to_string(&self.settings).unwrap_or_default();
        if settings != self.saved_settings {
            self.store.save_settings(&self.settings);
            self.saved_settings = settings;
        }
    }

    /// Writes everything before the window goes. Returns whether it may go.
    fn may_close(&mut self) -> bool {
        self.flush();
        let failed = self.store.finish();
        if failed.is_empty() || self.has_warned_of_loss {
            return true;
        }
        self.has_warned_of_loss = true;
        if let Ok(store) = Store::open(&self.store.folder().to_owned()) {
            self.store = store;
        }
        for saved in failed {
            self.take_saved(saved);
        }
        self.banners.push(Banner::problem(
            "Not everything is saved",
            "Closing now would lose it. Close the window once more to do that.",
        ));
        false
    }

    /// Keeps the count of the prompt's tokens true.
    fn count(&mut self) {
        if !self.can_generate() || self.conversation().is_empty() {
            if self.conversation().is_empty() {
                self.positions = 0;
            }
            return;
        }
        let conversation = self.conversation();
        let changes = conversation
            .path()
            .iter()
            .map(|at| conversation.message(*at).version + 1 + 131 * *at as u64)
            .sum();
        let key = (
            format!(
                "{} {} {:?} {}",
                conversation.id, conversation.template, conversation.mode, conversation.system
            ),
            changes,
            conversation.last().unwrap_or(0),
        );
        if self.counted.as_ref() != Some(&key) {
            let prompt = self.prompt();
            self.engine.send(Command::Count(prompt));
            self.counted = Some(key);
        }
    }

    // ---- drawing

    fn shortcuts(&mut self, ui: &egui::Ui, actions: &mut Vec<Action>) {
        use egui::{Key, Modifiers};
        let pressed = |modifiers, key| ui.input_mut(|input| input.consume_key(modifiers, key));
        let command = Modifiers::COMMAND;
        if pressed(command, Key::N) {
            actions.push(Action::New(self.conversation().mode));
        }
        if pressed(command, Key::T) {
            actions.push(Action::ToggleTimings);
        }
        if pressed(command, Key::B) {
            actions.push(Action::ToggleSidebar);
        }
        if pressed(command, Key::O) {
            actions.push(Action::ShowModels);
        }
        if pressed(command, Key::P) {
            self.settings.probabilities = !self.settings.probabilities;
        }
        if pressed(command, Key::S) {
            actions.push(Action::Save(Export::ConversationMarkdown));
        }
        if pressed(command, Key::R)
            && let Some(last) = self.conversation().last()
            && self.conversation().message(last).role == Role::Assistant
        {
            actions.push(Action::Regenerate(last));
        }
        if pressed(Modifiers::NONE, Key::F1) {
            actions.push(Action::ShowShortcuts);
        }
        let is_writing = ui.ctx().egui_wants_keyboard_input();
        if !is_writing && pressed(command, Key::Z) {
            actions.push(Action::Undo);
        }
        if self.running.is_some() && pressed(Modifiers::NONE, Key::Escape) {
            actions.push(Action::Stop);
        }
    }

    fn not_ready(&self) -> Option<&'static str> {
        match &self.model {
            ModelState::None => Some("No model is loaded: choose one above"),
            ModelState::Loading { .. } => Some("The model is loading"),
            ModelState::Ready(_) => None,
        }
    }

    fn show_chat(&mut self, ui: &mut egui::Ui, actions: &mut Vec<Action>) {
        let conversation = &self.conversations[self.current];
        let writing = self
            .running
            .as_ref()
            .filter(|running| running.conversation == conversation.id);
        let context = Context {
            conversation,
            writing: writing.map(|running| running.message),
            is_busy: self.running.is_some(),
            not_ready: self.not_ready(),
            probabilities: self.settings.probabilities,
            has_tokenizer: self.info().is_none_or(|info| info.has_tokenizer),
            pace: &self.pace,
        };
        self.chat.show(ui, &context, actions);
    }

    fn show(&mut self, ui: &mut egui::Ui) {
        let mut actions = Vec::new();
        self.shortcuts(ui, &mut actions);
        let dropped = ui.input(|input| {
            let file = input.raw.dropped_files.first();
            file.map(|file| file.path().to_owned())
        });
        if let Some(path) = dropped {
            // A file of the folder is as good as the folder.
            let folder = match path.is_dir() {
                true => path.as_path(),
                false => path.parent().unwrap_or(&path),
            };
            actions.push(Action::Load(folder.display().to_string()));
        }
        self.is_narrow = ui.available_width() < NARROW;
        egui::Panel::top("top").resizable(false).show(ui, |ui| {
            top::show(ui, self, &mut actions);
            banner::show(ui, &mut self.banners, &mut actions);
        });
        if self.is_narrow {
            match self.narrow {
                NarrowView::Chat => self.show_chat(ui, &mut actions),
                NarrowView::Sidebar => {
                    egui::CentralPanel::default().show(ui, |ui| {
                        Sidebar::show(ui, self, &mut actions);
                    });
                }
                NarrowView::Timings => {
                    egui::CentralPanel::default().show(ui, |ui| {
                        self.timings.show(ui, &mut self.settings, &mut actions);
                    });
                }
            }
        } else {
            let width = ui.available_width();
            if self.settings.sidebar {
                egui::Panel::left("sidebar")
                    .default_size(220.0)
                    .size_range(170.0..=width * 0.35)
                    .show(ui, |ui| Sidebar::show(ui, self, &mut actions));
            }
            if self.settings.timings {
                egui::Panel::right("timings")
                    .default_size((width * 0.46).clamp(320.0, 1100.0))
                    .size_range(280.0..=(width * 0.65).max(281.0))
                    .show(ui, |ui| {
                        self.timings.show(ui, &mut self.settings, &mut actions);
                    });
            }
            self.show_chat(ui, &mut actions);
        }
        ModelsView::show(ui, self, &mut actions);
        top::dialogs(ui, self);
        for action in actions {
            self.act(action);
        }
    }
}

impl eframe::App for App {
    fn logic(&mut self, context: &egui::Context, _: &mut eframe::Frame) {
        self.take_events();
        self.count();
        self.save();
        if context.input(|input| input.viewport().close_requested()) && !self.may_close() {
            context.send_viewport_cmd(egui::ViewportCommand::CancelClose);
        }
    }

    fn ui(&mut self, ui: &mut egui::Ui, frame: &mut eframe::Frame) {
        self.pace.update(ui.ctx());
        self.timings.frame(frame.info().cpu_usage);
        self.show(ui);
    }

    fn on_exit(&mut self) {
        self.stop();
        self.flush();
        self.store.finish();
    }
}

fn clock_seed() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |now| (now.as_nanos() % 1_000_000_007) as u64)
}

fn native_dialog(ask: Ask) -> Option<PathBuf> {
    let dialog = rfd::FileDialog::new();
    match ask {
        Ask::ModelFolder => dialog.set_title("A folder with config.json").pick_folder(),
        Ask::Tokenizer => dialog
            .add_filter("tokenizer.json", &["json"])
            .set_title("tokenizer.json")
            .pick_file(),
        Ask::Place(name) => dialog.set_file_name(name).save_file(),
    }
}

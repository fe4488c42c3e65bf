//! What a person can ask for, and how it is done.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::dialogs::{Answer, Ask, Export};
use super::{App, DELETED, ModelState, NarrowView, Running};
use crate::engine::{Alternative, Command, Load, Request, Stage};
use crate::generate::{GenerateOptions, clock_seed};
use crate::model::LoadOptions;
use crate::text::Role;
use crate::trace::TraceMode;
use crate::window::banner::Banner;
use crate::window::conversation::Mode;
use crate::window::inspector;

/// How much slower the model may get for being timed.
const TRACE_BUDGET: f64 = 0.04;

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
    /// Another branch that begins with the message up to a token, and has another in its place.
    BranchAt {
        message: usize,
        token: usize,
        alternative: Alternative,
    },
    Copy(usize),
    Delete(usize),
    Undo,
    Redo,
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
    /// Closes what lies over the rest, or stops the model, or leaves an edit that has changed nothing.
    Escape,
}

impl Action {
    /// The message of the conversation in sight that it is about.
    fn message(&self) -> Option<usize> {
        match self {
            Self::Regenerate(at)
            | Self::Continue(at)
            | Self::Edit(at)
            | Self::SaveEdit(at, _)
            | Self::SendBranch(at, _)
            | Self::BranchAt { message: at, .. }
            | Self::Copy(at)
            | Self::Delete(at)
            | Self::Choose(at) => Some(*at),
            _ => None,
        }
    }
}

/// A folder's path that will be true wherever the program starts next time; other names as they are.
fn absolute(model: &str) -> String {
    if model == "demo" || model.starts_with("shape:") {
        return model.to_owned();
    }
    match std::path::absolute(model) {
        Ok(path) if path.is_dir() => path.display().to_string(),
        _ => model.to_owned(),
    }
}

impl App {
    pub(super) fn load(&mut self, model: &str) {
        self.stop();
        self.load_cancel.store(true, Ordering::Relaxed);
        self.earlier.push((self.load, self.asked.clone()));
        self.load += 1;
        self.is_recovering = false;
        let cancel = Arc::new(AtomicBool::new(false));
        self.load_cancel = Arc::clone(&cancel);
        let options = LoadOptions {
            device: self.models.device.clone(),
            dtype: self.settings.dtype(),
            context_limit: self.settings.context_size,
            cancel: Some(Arc::clone(&cancel)),
            tuning_cache: self.models.tuning_cache.clone(),
            ..LoadOptions::default()
        };
        // The demo brings its own tokenizer, and random weights have no use for one.
        let is_folder = model != "demo" && !model.starts_with("shape:");
        let tokenizer = self.models.tokenizer.clone();
        let tokenizer = tokenizer.or_else(|| self.settings.tokenizer.clone());
        self.engine.send(Command::Load(Box::new(Load {
            id: self.load,
            model: model.to_owned(),
            tokenizer: tokenizer.filter(|_| is_folder),
            options,
        })));
        self.asked = model.to_owned();
        self.model = ModelState::Loading {
            name: model.to_owned(),
            stage: Stage::Upload,
            done: 0,
            total: 0,
        };
        self.banners
            .retain(|banner| banner.title != "The model could not be loaded");
    }

    pub(super) fn stop(&mut self) {
        if let Some(running) = &self.running {
            running.cancel.store(true, Ordering::Relaxed);
        }
    }

    /// Has the model write to the end of `message` of the current conversation, which continues `prompt`.
    pub(super) fn generate(&mut self, message: usize, prompt: String, forced: Vec<(u32, f32)>) {
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
            sample_on: None,
            cancel: Some(Arc::clone(&cancel)),
        };
        let trace = match self.settings.timings {
            true => self.settings.trace,
            false => TraceMode::Off,
        };
        self.running = Some(Running {
            request: self.requests,
            conversation: conversation.id.clone(),
            message,
            cancel,
            has_tokenizer: self.info().is_none_or(|info| info.has_tokenizer),
            prompt: (0, 0),
            tokens: 0,
            first_token: None,
        });
        let name = self.conversation().name().to_owned();
        self.timings.begin(&name, trace);
        self.engine.send(Command::Generate(Box::new(Request {
            id: self.requests,
            prompt,
            forced,
            options,
            trace,
            pause: self.timings.pause(),
            trace_budget: (!self.settings.trace_all).then_some(TRACE_BUDGET),
        })));
    }

    /// Whether the model can be asked for something now.
    pub(super) fn can_generate(&self) -> bool {
        self.running.is_none() && self.info().is_some()
    }

    /// Adds an answer after `parent` that begins with `text` and then the `forced` tokens, and has the model write it.
    fn answer(&mut self, parent: Option<usize>, text: &str, forced: Vec<(u32, f32)>) {
        self.chat.to_end = true;
        let template = self.template();
        let conversation = self.conversation_mut();
        let message = conversation.add(parent, Role::Assistant, text);
        let end = if text.is_empty() {
            parent
        } else {
            Some(message)
        };
        let prompt = conversation.prompt(&template, end);
        self.generate(message, prompt, forced);
    }

    /// As [`App::act`] for [`Action::BranchAt`].
    fn branch_at(&mut self, message: usize, token: usize, alternative: &Alternative) {
        let conversation = self.conversation();
        let text = inspector::text_before(conversation, message, 0);
        let branched = conversation.message(message);
        let before = branched.tokens.iter().take(token);
        let mut forced: Vec<(u32, f32)> = before
            .map(|event| (event.token.id, event.token.logprob))
            .collect();
        forced.push((alternative.id, alternative.logprob));
        let parent = branched.parent;
        self.chat.inspected = None;
        self.answer(parent, &text, forced);
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
                _ => self.answer(Some(last), "", Vec::new()),
            },
            _ if text.trim().is_empty() => {}
            _ => {
                let asked = self.conversation_mut().add(last, Role::User, &text);
                self.answer(Some(asked), "", Vec::new());
            }
        }
    }

    /// Does what was asked for.
    pub fn act(&mut self, action: Action) {
        // Several things asked for in one frame: the first may have changed what the next is about.
        if action
            .message()
            .is_some_and(|at| at >= self.conversation().total())
        {
            return;
        }
        match action {
            Action::Send(text) => self.send(text),
            Action::Stop => self.stop(),
            Action::Regenerate(at) if self.can_generate() => {
                let parent = self.conversation().message(at).parent;
                self.answer(parent, "", Vec::new());
            }
            Action::Continue(at) if self.can_generate() => {
                let conversation = self.conversation();
                let prompt = conversation.prompt(&self.template(), Some(at));
                self.generate(at, prompt, Vec::new());
            }
            Action::BranchAt {
                message,
                token,
                alternative,
            } if self.can_generate() => self.branch_at(message, token, &alternative),
            Action::SendBranch(at, text) if self.can_generate() => {
                let parent = self.conversation().message(at).parent;
                let asked = self.conversation_mut().add(parent, Role::User, &text);
                self.answer(Some(asked), "", Vec::new());
            }
            Action::Regenerate(_)
            | Action::Continue(_)
            | Action::BranchAt { .. }
            | Action::SendBranch(..) => {}
            Action::Edit(at) => {
                let conversation = &self.conversations[self.current];
                if self.chat.editing.contains_key(&conversation.id) {
                    let text = "Another message is being edited: save or cancel that first.";
                    self.tell(Banner::note("One at a time", text));
                    return;
                }
                let id = conversation.id.clone();
                let text = self.editable(at);
                self.chat.editing.insert(id, (at, text));
                self.chat.focus_editor = true;
            }
            Action::SaveEdit(at, text) => {
                self.chat.inspected = None;
                self.banners.retain(|banner| banner.title != DELETED);
                match self.conversation().mode {
                    Mode::Chat => self.conversation_mut().edit(at, text),
                    // The text as a whole, as a branch beside what it was.
                    Mode::Completion => {
                        self.conversation_mut().add(None, Role::User, &text);
                    }
                }
            }
            Action::Copy(at) => {
                self.egui.copy_text(self.editable(at));
            }
            Action::Delete(at) => {
                self.chat.inspected = None;
                self.conversation_mut().delete(at);
                let id = self.conversation().id.clone();
                if self.chat.editing.get(&id).is_some_and(|edit| edit.0 == at) {
                    self.chat.editing.remove(&id);
                }
                self.tell(
                    Banner::note(DELETED, "The message and what followed it.")
                        .with_fix("Undo", Action::Undo),
                );
            }
            // What the model is writing to must stay as it is.
            Action::Undo | Action::Redo if self.is_writing_here() => {}
            Action::Undo => {
                self.chat.inspected = None;
                self.conversation_mut().undo();
                self.banners.retain(|banner| banner.title != DELETED);
            }
            Action::Redo => {
                self.chat.inspected = None;
                self.conversation_mut().redo();
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
                self.may_fall_back = false;
                self.has_fallen_back = false;
                self.load(&absolute(model.trim()));
            }
            Action::CancelLoading => {
                self.load_cancel.store(true, Ordering::Relaxed);
            }
            Action::ShowModels => self.models.open = true,
            Action::PickModel => self.ask(Ask::ModelFolder, Answer::Model),
            Action::PickTokenizer => self.ask(Ask::Tokenizer, Answer::Tokenizer),
            Action::Save(export) => self.export(export),
            Action::CopyMarkdown => self.egui.copy_text(self.conversation().markdown()),
            Action::RetrySave => self.retry_save(),
            Action::ToggleTimings if self.is_narrow => {
                self.settings.timings = true;
                self.narrow = match self.narrow {
                    NarrowView::Timings => NarrowView::Chat,
                    _ => NarrowView::Timings,
                };
            }
            Action::ToggleTimings => {
                self.settings.timings = !self.settings.timings;
            }
            Action::ToggleSidebar if self.is_narrow => {
                self.narrow = match self.narrow {
                    NarrowView::Sidebar => NarrowView::Chat,
                    _ => NarrowView::Sidebar,
                };
            }
            Action::ToggleSidebar => self.settings.sidebar = !self.settings.sidebar,
            Action::ShowShortcuts => self.shows_shortcuts = true,
            Action::Escape => self.escape(),
        }
    }

    fn escape(&mut self) {
        if self.models.open || self.shows_prompt || self.shows_shortcuts {
            self.models.open = false;
            self.shows_prompt = false;
            self.shows_shortcuts = false;
            self.chat.focus = true;
        } else if self.running.is_some() {
            self.stop();
            self.chat.focus = true;
        } else if let Some((at, text)) = self.chat.editing.get(&self.conversation().id)
            && *text == self.editable(*at)
        {
            let id = self.conversation().id.clone();
            self.chat.editing.remove(&id);
            self.chat.focus = true;
        }
    }

    /// What there is to edit when a message is to be edited: all of a text that is written together.
    fn editable(&self, at: usize) -> String {
        let conversation = self.conversation();
        match conversation.mode {
            Mode::Chat => conversation.message(at).text.clone(),
            Mode::Completion => self.prompt(),
        }
    }

    fn is_writing_here(&self) -> bool {
        let id = &self.conversation().id;
        let running = self.running.as_ref();
        running.is_some_and(|running| running.conversation == *id)
    }

    fn delete_conversation(&mut self, at: usize) {
        if at >= self.conversations.len() {
            return;
        }
        let was_shown = at == self.current;
        let conversation = self.conversations.remove(at);
        if self
            .running
            .as_ref()
            .is_some_and(|running| running.conversation == conversation.id)
        {
            self.stop();
        }
        self.dirty.remove(&conversation.id);
        self.chat.editing.remove(&conversation.id);
        self.store.remove_conversation(&conversation.id);
        if self.current > at {
            self.current -= 1;
        }
        if self.conversations.is_empty() {
            self.new_conversation(conversation.mode);
        }
        let is_shown = self.current >= self.conversations.len() || was_shown;
        self.current = self.current.min(self.conversations.len() - 1);
        if is_shown {
            self.shown_changed();
        }
    }
}

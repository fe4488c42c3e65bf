//! What a person can ask for, and how it is done.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::dialogs::{Answer, Ask, Export};
use super::saving::SAVE_EVERY;
use super::{App, ModelState, NarrowView, Running};
use crate::engine::{Command, Load, Request, Stage};
use crate::generate::{GenerateOptions, clock_seed};
use crate::model::LoadOptions;
use crate::text::Role;
use crate::trace::TraceMode;
use crate::window::banner::Banner;
use crate::window::conversation::Mode;
use crate::window::inspector;

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

impl App {
    pub(super) fn load(&mut self, model: &str) {
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

    pub(super) fn stop(&mut self) {
        if let Some(running) = &self.running {
            running.cancel.store(true, Ordering::Relaxed);
        }
    }

    /// Has the model write to the end of `message` of the current conversation, which continues `prompt`.
    pub(super) fn generate(&mut self, message: usize, prompt: String) {
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
    pub(super) fn can_generate(&self) -> bool {
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
}

//! The state of the window and how its parts are laid out. What changes the state is beside: actions of the person, events of
//! the engine, saving.

mod actions;
mod dialogs;
mod events;
mod saving;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Instant;

pub use actions::Action;
use dialogs::{Answer, Dialog, native_dialog};
pub use dialogs::{Ask, Export};

use super::banner::{self, Banner};
use super::chat::{ChatView, Context};
use super::conversation::{Conversation, Mode, template_for};
use super::models::ModelsView;
use super::pace::Pace;
use super::settings::Settings;
use super::sidebar::Sidebar;
use super::store::Store;
use super::timings::Timings;
use super::{Options, theme, top};
use crate::engine::{Command, Engine, ModelInfo, Stage};
use crate::text::{Role, Template};

/// Title of the banner that offers to undo a deletion.
const DELETED: &str = "Deleted";

/// Below this width there is room for one thing at a time.
const NARROW: f32 = 760.0;

/// The model, as far as it is there.
pub enum ModelState {
    None,
    Loading {
        name: String,
        stage: Stage,
        done: u64,
        total: u64,
    },
    Ready(Box<ModelInfo>),
}

/// Width that panels leave the chat.
const LEAST_CHAT: f32 = 330.0;

/// What the model is writing.
pub struct Running {
    request: u64,
    conversation: String,
    message: usize,
    cancel: Arc<AtomicBool>,
    has_tokenizer: bool,
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
    /// What is loaded or loading, as it was asked for; events of other loads are of no interest.
    asked: String,
    load: u64,
    load_cancel: Arc<AtomicBool>,
    /// Earlier loads and what was asked for: a model stays if the next has no usable files.
    earlier: Vec<(u64, String)>,
    /// What is loading is what was used last; if that is gone, the demo takes its place.
    may_fall_back: bool,
    /// The demo stands in for it, and is not to be remembered.
    has_fallen_back: bool,
    /// Whether a model was loaded since the window opened.
    has_loaded: bool,
    /// The device was lost and the model is loading again.
    is_recovering: bool,
    running: Option<Running>,
    requests: u64,
    pub(super) banners: Vec<Banner>,
    pub(super) chat: ChatView,
    pub(super) sidebar: Sidebar,
    pub(super) models: ModelsView,
    pub(super) timings: Timings,
    pub(super) narrow: NarrowView,
    pub(super) is_narrow: bool,
    /// Positions that the prompt would take, and of what.
    pub(super) positions: usize,
    counted: Option<(String, u64, usize)>,
    dirty: BTreeSet<String>,
    /// `None`: it is due now.
    last_save: Option<Instant>,
    last_retry: Instant,
    /// Files that could not be written or removed.
    unsaved: BTreeSet<PathBuf>,
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
        let mut chat = ChatView::default();
        chat.draft.clone_from(&settings.draft);
        for edit in &settings.edits {
            let conversation = conversations.iter().find(|c| c.id == edit.conversation);
            if conversation.is_some_and(|conversation| edit.message < conversation.total()) {
                let open = (edit.message, edit.text.clone());
                chat.editing.insert(edit.conversation.clone(), open);
            }
        }
        let mut app = Self {
            engine,
            saved_settings: serde_json::to_string(&settings).unwrap_or_default(),
            settings,
            conversations,
            current: 0,
            model: ModelState::None,
            asked: String::new(),
            load: 0,
            load_cancel: Arc::default(),
            earlier: Vec::new(),
            may_fall_back: false,
            has_fallen_back: false,
            has_loaded: false,
            is_recovering: false,
            running: None,
            requests: 0,
            banners,
            chat,
            sidebar: Sidebar::default(),
            models: ModelsView::default(),
            timings: Timings::default(),
            narrow: NarrowView::Chat,
            is_narrow: false,
            positions: 0,
            counted: None,
            dirty: BTreeSet::new(),
            last_save: Some(Instant::now()),
            last_retry: Instant::now(),
            unsaved: BTreeSet::new(),
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

    /// Loads the model that was asked for, or the one used last.
    pub fn begin(&mut self, options: &Options) {
        self.models.tokenizer.clone_from(&options.tokenizer);
        self.models.device.clone_from(&options.device);
        self.models.tuning_cache.clone_from(&options.tuning_cache);
        let model = options.model.clone();
        self.may_fall_back = model.is_none();
        self.load(&model.unwrap_or_else(|| self.settings.model.clone()));
    }

    pub fn conversation(&self) -> &Conversation {
        &self.conversations[self.current]
    }

    /// Shows a banner, in place of one of the same title.
    pub(super) fn tell(&mut self, banner: Banner) {
        self.banners.retain(|other| other.title != banner.title);
        self.banners.push(banner);
    }

    fn conversation_mut(&mut self) -> &mut Conversation {
        let conversation = &mut self.conversations[self.current];
        self.dirty.insert(conversation.id.clone());
        conversation
    }

    pub(super) fn edit_conversation(&mut self, edit: impl FnOnce(&mut Conversation)) {
        edit(self.conversation_mut());
    }

    /// Has all conversations that use one template use another.
    pub(super) fn rename_template(&mut self, from: &str, to: &str) {
        let using = self.conversations.iter_mut();
        for conversation in using.filter(|conversation| conversation.template == from) {
            to.clone_into(&mut conversation.template);
            self.dirty.insert(conversation.id.clone());
        }
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
        let empty = self
            .conversations
            .iter()
            .position(Conversation::is_untouched);
        match empty {
            Some(at) => {
                self.current = at;
                self.conversations[at].set_mode(mode);
            }
            None => {
                let id = self.store.new_id();
                self.conversations
                    .push(Conversation::new(id, mode, template_for(mode).to_owned()));
                self.current = self.conversations.len() - 1;
            }
        }
        self.shown_changed();
    }

    fn shown_changed(&mut self) {
        self.chat.inspected = None;
        self.banners.retain(|banner| banner.title != DELETED);
        self.chat.focus = true;
        self.counted = None;
        self.narrow = NarrowView::Chat;
    }

    /// Keeps the count of the prompt's tokens true.
    fn count(&mut self) {
        if !self.can_generate() {
            return;
        }
        if self.conversation().is_empty() && self.prompt().is_empty() {
            self.positions = 0;
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
                "{} {:?} {:?} {}",
                conversation.id,
                conversation.mode,
                self.template(),
                conversation.system
            ),
            changes,
            conversation.last().map_or(0, |last| last + 1),
        );
        if self.counted.as_ref() != Some(&key) {
            let prompt = self.prompt();
            self.engine.send(Command::Count(prompt));
            self.counted = Some(key);
        }
    }

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
        let digits = [
            Key::Num1,
            Key::Num2,
            Key::Num3,
            Key::Num4,
            Key::Num5,
            Key::Num6,
        ];
        for (tab, digit) in digits.into_iter().enumerate() {
            if pressed(command, digit) {
                self.timings.select_tab(tab);
            }
        }
        if pressed(Modifiers::NONE, Key::F1) {
            actions.push(Action::ShowShortcuts);
        }
        let is_writing = ui.ctx().egui_wants_keyboard_input();
        if !is_writing && pressed(command | Modifiers::SHIFT, Key::Z) {
            actions.push(Action::Redo);
        }
        if !is_writing && pressed(command, Key::Z) {
            actions.push(Action::Undo);
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
            is_demo: self.info().is_some_and(|info| info.name == "demo"),
            pace: &self.pace,
        };
        self.chat.show(ui, &context, actions);
    }

    fn show(&mut self, ui: &mut egui::Ui) {
        let mut actions = Vec::new();
        // Menus and lists close themselves.
        let has_popup = egui::Popup::is_any_open(ui.ctx());
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
                // The chat keeps room to write in.
                let most = (ui.available_width() - LEAST_CHAT)
                    .min(width * 0.65)
                    .max(281.0);
                egui::Panel::right("timings")
                    .default_size((width * 0.46).clamp(320.0, 1100.0))
                    .size_range(280.0..=most)
                    .show(ui, |ui| {
                        self.timings.show(ui, &mut self.settings, &mut actions);
                    });
            }
            self.show_chat(ui, &mut actions);
        }
        ModelsView::show(ui, self, &mut actions);
        top::dialogs(ui, self);
        top::drop_hint(ui);
        // After everything else that Escape could mean.
        if !has_popup && ui.input(|input| input.key_pressed(egui::Key::Escape)) {
            actions.push(Action::Escape);
        }
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

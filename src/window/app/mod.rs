//! What changes the state: actions of the person, events of the engine, files written. Each has a file of its own beside this one;
//! here is what they share.

mod actions;
mod changes;
mod counting;
mod counts;
mod dialogs;
mod drops;
mod events;
mod everywhere;
mod exports;
mod finding;
mod frame;
mod history;
mod imports;
mod model_search;
mod models;
mod pictures;
mod pulling;
mod pulls;
mod reading;
mod requests;
mod saving;
mod texts;
mod trash;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use self::changes::Changes;
use self::counts::Counting;
pub use self::dialogs::Ask;
use self::dialogs::Dialogs;
use self::everywhere::Everywhere;
use self::pictures::Pictures;
pub use self::pulls::Fetch;
use self::pulls::{Pulls, from_hub};
use self::reading::{Reading, is_little, tell_unreadable};
use self::saving::Saving;
use super::action::{Action, BannerId};
use super::conversation::{Conversation, Mode};
use super::options::Options;
use super::pace::Pace;
use super::settings::{Draft, Settings};
use super::state::{Banner, OpenEdit, State};
use super::store::Store;
use super::theme;
use super::views::Views;
use crate::dtype::Dtype;
use crate::engine::Engine;
use crate::hub;

/// The window.
pub struct App {
    state: State,
    views: Views,
    engine: Engine,
    saving: Saving,
    reading: Reading,
    pulls: Pulls,
    /// How models are fetched; `None`: as the environment says.
    hub: Option<hub::Settings>,
    dialogs: Dialogs,
    pictures: Pictures,
    /// Of the list of conversations, to be taken back.
    changes: Changes,
    /// What is to be done with conversations that are being read, by their ids.
    waiting: Vec<(String, Action)>,
    /// Id of the conversation that was asked for last, which may still be being read.
    wanted: String,
    /// Whether the trash has changed since it was read.
    is_trash_old: bool,
    /// Whether models are to be looked for again, once the search that goes on is done.
    are_models_old: bool,
    pace: Pace,
    egui: egui::Context,
    /// What is loaded or loading; events of other loads are of no interest.
    load: LoadRequest,
    /// Earlier loads: a model stays if the next has no usable files.
    earlier: Vec<(u64, String)>,
    /// What is loading is what was used last; if that is gone, the demo takes its place.
    may_fall_back: bool,
    /// The demo stands in for it, and is not to be remembered.
    has_fallen_back: bool,
    /// Whether a model was loaded since the window opened.
    has_loaded: bool,
    /// The device was lost and the model is loading again.
    is_recovering: bool,
    /// Requests so far.
    requests: u64,
    counting: Counting,
    /// The search of all conversations, while something is looked for in them.
    everywhere: Option<Everywhere>,
    /// Ends the request that is running.
    cancel: Arc<AtomicBool>,
    /// While it is set the engine times nothing.
    pause: Arc<AtomicBool>,
}

/// A load, as it was asked for.
#[derive(Default)]
struct LoadRequest {
    id: u64,
    model: String,
    /// The format that was asked for.
    dtype: Option<Dtype>,
    cancel: Arc<AtomicBool>,
}

impl App {
    /// A window on `context` that shows what is in `store` and has `engine` do the work.
    pub fn new(context: &egui::Context, engine: Engine, store: Store) -> Self {
        theme::set_up(context);
        let reading = Reading::new(context, store.reader());
        let mut state = kept(&store, &reading);
        theme::apply(context, state.settings.appearance);
        // Its own keys would go further, and what they do would not be kept.
        context.options_mut(|options| options.zoom_with_keyboard = false);
        context.set_zoom_factor(state.settings.zoom());
        (state.timings.tab, state.timings.beside) = (state.settings.tab, state.settings.beside);
        let mut app = Self {
            dialogs: Dialogs::new(context, store.folder()),
            pictures: Pictures::default(),
            reading,
            pulls: Pulls::new(context),
            hub: None,
            changes: Changes::default(),
            waiting: Vec::new(),
            wanted: String::new(),
            saving: Saving::new(store, &state.settings, &state.drafts),
            state,
            views: Views::default(),
            engine,
            is_trash_old: false,
            are_models_old: false,
            pace: Pace::default(),
            egui: context.clone(),
            load: LoadRequest::default(),
            earlier: Vec::new(),
            may_fall_back: false,
            has_fallen_back: false,
            has_loaded: false,
            is_recovering: false,
            requests: 0,
            counting: Counting::default(),
            everywhere: None,
            cancel: Arc::default(),
            pause: Arc::default(),
        };
        app.new_conversation(Mode::Completion);
        let draft = app.state.settings.draft.clone();
        app.state.set_draft(draft);
        app
    }

    /// Draws no more often than `pace` says while nobody touches anything.
    pub(super) fn set_pace(&mut self, pace: Pace) {
        // A blinking cursor alone would be two frames a second, and a fading button six.
        if pace.is_slow() {
            self.egui.all_styles_mut(|style| {
                style.visuals.text_cursor.blink = false;
                style.animation_time = 0.0;
            });
        }
        self.pace = pace;
    }

    /// Has `dialog` answer in place of the system's file dialogs.
    pub fn set_dialog(&mut self, dialog: impl Fn(Ask) -> Option<PathBuf> + Send + Sync + 'static) {
        self.dialogs.set(dialog);
    }

    /// Has `fetch` fetch models in place of the hub.
    pub fn set_fetch(&mut self, fetch: Fetch) {
        self.pulls.set(fetch);
    }

    /// Loads the model that was asked for, or the one used last.
    pub fn begin(&mut self, options: &Options) {
        let choices = &mut self.state.load;
        choices.tokenizer.clone_from(&options.tokenizer);
        choices.device.clone_from(&options.device);
        choices.tuning_cache.clone_from(&options.tuning_cache);
        self.hub.clone_from(&options.hub);
        self.pulls.set(from_hub(options.hub.clone()));
        if let Some(trace) = &options.trace {
            self.reading.import(vec![trace.clone()]);
        }
        let model = options.model.clone();
        self.may_fall_back = model.is_none();
        self.load(&model.unwrap_or_else(|| self.state.settings.model.clone()));
    }

    /// The conversation in sight.
    pub fn conversation(&self) -> &Conversation {
        self.state.conversation()
    }

    /// How many conversations are listed.
    pub fn listed(&self) -> usize {
        self.state.history.entries().len()
    }

    /// The conversation in sight, which is to be saved afterwards.
    fn conversation_mut(&mut self) -> &mut Conversation {
        let conversation = &mut self.state.conversations[self.state.current];
        self.saving.mark(&conversation.id);
        conversation
    }
}

/// What was kept from the last time, and banners for what of it cannot be read.
fn kept(store: &Store, reading: &Reading) -> State {
    let (settings, problem) = store.settings::<Settings>();
    let mut state = State::default();
    if let Some(text) = problem {
        state.tell(Banner::problem(BannerId::SettingsUnreadable, text));
    }
    let reader = store.reader();
    let mut listing = reader.list();
    let mut problems: Vec<String> = listing.problem.take().into_iter().collect();
    state.history.extend(std::mem::take(&mut listing.entries));
    if is_little(&listing) {
        let mut entries = Vec::new();
        for path in &listing.unread {
            match reader.entry(path) {
                Ok(entry) => entries.push(entry),
                Err(problem) => problems.push(problem),
            }
        }
        state.history.extend(entries);
    } else {
        reading.list(listing);
    }
    tell_unreadable(&mut state, &problems);
    for Draft { conversation, text } in &settings.drafts {
        // Of one that is gone nothing is wanted back.
        if reader.bytes(conversation) > 0 {
            state.drafts.insert(conversation.clone(), text.clone());
        }
    }
    for edit in &settings.edits {
        // One that cannot be read has nothing to be edited, and its file is as it was.
        let Ok(conversation) = reader.conversation(&edit.conversation) else {
            continue;
        };
        if edit.message < conversation.total() {
            let open = OpenEdit {
                message: edit.message,
                text: edit.text.clone(),
            };
            state.edits.insert(edit.conversation.clone(), open);
            state.conversations.push(conversation);
        }
    }
    state.settings = settings;
    state
}

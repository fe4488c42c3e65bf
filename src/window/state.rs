//! What the window shows, as plain data. Views read it; only the app changes it, by actions and by what has happened.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::PathBuf;

use super::action::{Action, BannerId, Overlay};
use super::catalog::{Catalog, Pull};
use super::conversation::{Conversation, MODELS_OWN, Mode, template_for};
use super::find::Find;
use super::history::History;
use super::running::{Offered, Running};
use super::settings::Settings;
use super::store::Thrown;
use super::timings::Record;
use super::tokens::At;
use crate::engine::{ModelInfo, Prompt};
use crate::error::Error;
use crate::text::{ChatTemplate, Role};

/// All that is shown.
#[derive(Debug, Default)]
pub struct State {
    pub settings: Settings,
    /// Those that were read or begun since the window opened; there is always one.
    pub conversations: Vec<Conversation>,
    /// Index of the one in sight.
    pub current: usize,
    /// What is known of all conversations.
    pub history: History,
    /// What lies in the trash, once that was read.
    pub trash: Option<Vec<Thrown>>,
    /// Ids of large conversations that are being read.
    pub opening: Vec<String>,
    pub model: ModelState,
    /// What the model that is loaded was loaded by; the settings may remember another, for which the demo stands in.
    pub loaded: String,
    /// Models that are on this machine.
    pub catalog: Catalog,
    /// Models that are being fetched.
    pub pulls: Vec<Pull>,
    /// How the next model is loaded, beside what the settings say.
    pub load: LoadChoices,
    /// Names of the adapters that there are, as far as drivers have answered; `None`: they were not asked yet.
    pub adapters: Option<Vec<String>>,
    /// What the model is writing.
    pub running: Option<Running>,
    /// Answers to choose from.
    pub offered: Option<Offered>,
    /// What was written below a conversation but not sent, by the conversation's id.
    pub drafts: HashMap<String, String>,
    /// Messages that are being edited, one a conversation, by the conversation's id.
    pub edits: HashMap<String, OpenEdit>,
    /// The token that is looked at.
    pub inspected: Option<At>,
    /// Positions that the prompt takes.
    pub positions: usize,
    /// Positions that it would take with the draft, once they are counted; while it is being written to, those of the draft alone.
    pub with_draft: Option<usize>,
    /// What is looked for, while it is.
    pub find: Option<Find>,
    pub banners: Vec<Banner>,
    pub overlays: BTreeSet<Overlay>,
    /// Whether there is room for one thing at a time only.
    pub is_narrow: bool,
    /// What is shown then.
    pub narrow: NarrowView,
    pub timings: Record,
}

/// The model, as far as it is there.
#[derive(Debug, Default)]
pub enum ModelState {
    #[default]
    None,
    Loading {
        name: String,
        /// Whether files are being fetched; if not, weights go to the device.
        is_download: bool,
        /// Bytes.
        done: u64,
        total: u64,
    },
    Ready(Box<ModelInfo>),
}

impl ModelState {
    /// Loading has begun.
    pub fn loading(name: &str) -> Self {
        Self::Loading {
            name: name.to_owned(),
            is_download: false,
            done: 0,
            total: 0,
        }
    }
}

/// How the next model is loaded: for as long as the window is open.
#[derive(Debug, Default)]
pub struct LoadChoices {
    /// `None`: the best adapter there is.
    pub device: Option<String>,
    /// Where measurements of the adapter are kept.
    pub tuning_cache: Option<PathBuf>,
    /// Takes the place of the settings' tokenizer.
    pub tokenizer: Option<PathBuf>,
}

/// A message that is being edited.
#[derive(Debug)]
pub struct OpenEdit {
    pub message: usize,
    /// What it has become so far.
    pub text: String,
}

/// What is shown when there is room for one thing only.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum NarrowView {
    #[default]
    Chat,
    Sidebar,
    Timings,
}

/// How bad what a banner says is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Note,
    Problem,
}

/// A message that stays until it is dismissed, or until what it is about is over.
#[derive(Debug, Clone)]
pub struct Banner {
    pub id: BannerId,
    pub kind: Kind,
    pub text: String,
    /// What its button says, and does.
    pub fix: Option<(&'static str, Action)>,
}

impl Banner {
    pub fn problem(id: BannerId, text: impl ToString) -> Self {
        Self {
            id,
            kind: Kind::Problem,
            text: text.to_string(),
            fix: None,
        }
    }

    pub fn note(id: BannerId, text: impl ToString) -> Self {
        Self {
            kind: Kind::Note,
            ..Self::problem(id, text)
        }
    }

    pub fn with_fix(mut self, label: &'static str, action: Action) -> Self {
        self.fix = Some((label, action));
        self
    }
}

impl State {
    /// The conversation in sight.
    pub fn conversation(&self) -> &Conversation {
        &self.conversations[self.current]
    }

    /// A conversation by its id, if it was read.
    pub fn conversation_of(&self, id: &str) -> Option<&Conversation> {
        self.conversations.iter().find(|other| other.id == id)
    }

    /// Conversations that were read and are not on disk as they are.
    pub fn unwritten(&self) -> impl Iterator<Item = &Conversation> {
        let entries = self.history.entries().iter();
        let unwritten = entries.filter(|entry| entry.stamp.is_none());
        let unwritten: HashSet<&str> = unwritten.map(|entry| entry.id.as_str()).collect();
        let read = self.conversations.iter();
        read.filter(move |read| unwritten.contains(read.id.as_str()))
    }

    /// The model that is loaded.
    pub fn info(&self) -> Option<&ModelInfo> {
        match &self.model {
            ModelState::Ready(info) => Some(info),
            _ => None,
        }
    }

    /// Why nothing can be sent, if so.
    pub fn not_ready(&self) -> Option<&'static str> {
        match &self.model {
            ModelState::None => Some("No model is loaded: choose one above"),
            ModelState::Loading { .. } => Some("The model is loading"),
            ModelState::Ready(_) if !self.is_busy() => None,
            ModelState::Ready(_) if self.is_writing_here() => {
                Some("The model is writing (Escape stops it)")
            }
            ModelState::Ready(_) => Some("The model is writing in another conversation"),
        }
    }

    /// Whether the model is busy, in this conversation or another.
    pub fn is_busy(&self) -> bool {
        self.running.is_some()
    }

    /// Whether the model can be asked for something now.
    pub fn can_generate(&self) -> bool {
        !self.is_busy() && self.info().is_some()
    }

    /// Whether the model writes in the conversation in sight.
    pub fn is_writing_here(&self) -> bool {
        let running = self.running.as_ref();
        running.is_some_and(|running| running.conversation == self.conversation().id)
    }

    /// Positions that the conversation in sight takes.
    pub fn positions_in_use(&self) -> usize {
        let running = self.running.as_ref().filter(|_| self.is_writing_here());
        running
            .and_then(Running::positions)
            .unwrap_or(self.positions)
    }

    /// Whether it is writing this message of it.
    pub fn is_writing(&self, message: usize) -> bool {
        let running = self.running.as_ref().filter(|_| self.is_writing_here());
        let mut answers = running.into_iter().flat_map(|running| &running.answers);
        answers.any(|answer| answer.message == message)
    }

    /// The answers at the end of the conversation in sight to choose from; none where there are fewer than two.
    pub fn offered(&self) -> Vec<usize> {
        let conversation = self.conversation();
        let offered = self.offered.as_ref();
        let offered = offered.filter(|offered| offered.conversation == conversation.id);
        let (Some(offered), Some(last)) = (offered, conversation.last()) else {
            return Vec::new();
        };
        // Some may be gone: stopped before they had a word, or deleted.
        let there = conversation.siblings(last).iter().copied();
        let there: Vec<usize> = there.filter(|at| offered.messages.contains(at)).collect();
        match there.len() >= 2 && there.contains(&last) {
            true => there,
            false => Vec::new(),
        }
    }

    /// The messages that are shown of the conversation in sight: its path, and answers to choose from.
    pub fn shown(&self) -> Vec<usize> {
        let (mut shown, offered) = (self.conversation().path().to_vec(), self.offered());
        if !offered.is_empty() {
            shown.pop();
            shown.extend(offered);
        }
        shown
    }

    /// Whether a chat ends with what the person said, which nobody has answered: the answer was stopped before its first word, or deleted.
    pub fn has_question(&self) -> bool {
        let conversation = self.conversation();
        let last = conversation.last().map(|last| conversation.message(last));
        let is_asked = last.is_some_and(|last| last.role == Role::User);
        conversation.mode == Mode::Chat && is_asked
    }

    /// Whether prompts are texts: without a tokenizer they are token ids.
    pub fn has_tokenizer(&self) -> bool {
        self.info().is_none_or(|info| info.has_tokenizer)
    }

    /// The template of the conversation in sight.
    pub fn template(&self) -> ChatTemplate {
        let name = &self.conversation().template;
        let own = self.info().and_then(|info| info.chat_template.as_ref());
        match own {
            Some(own) if name == MODELS_OWN => own.clone().into(),
            _ => self.settings.template(name),
        }
    }

    /// The template that a new conversation gets.
    pub fn template_for(&self, mode: Mode) -> &'static str {
        let brings_one = self.info().is_some_and(|info| info.chat_template.is_some());
        match mode {
            Mode::Chat if brings_one => MODELS_OWN,
            mode => template_for(mode),
        }
    }

    /// What the model would be given now.
    ///
    /// # Errors
    /// As [`Conversation::prompt`].
    pub fn prompt(&self) -> Result<Prompt, Error> {
        let conversation = self.conversation();
        conversation.prompt(&self.template(), conversation.last())
    }

    /// What was written below the conversation in sight.
    pub fn draft(&self) -> &str {
        let draft = self.drafts.get(&self.conversation().id);
        draft.map_or("", String::as_str)
    }

    /// Puts a text into the box below the conversation in sight.
    pub fn set_draft(&mut self, text: String) {
        let id = self.conversation().id.clone();
        match text.is_empty() {
            true => self.drafts.remove(&id),
            false => self.drafts.insert(id, text),
        };
    }

    /// What the person sent so many texts ago: in the conversation in sight, then anywhere, latest first. No text comes twice.
    pub fn sent(&self, back: usize) -> Option<&str> {
        let current = self.conversation();
        let messages = (0..current.total()).rev().map(|at| current.message(at));
        let here = messages
            .filter(|message| message.role == Role::User && !message.deleted)
            .map(|message| message.text.trim());
        let anywhere = self.settings.sent.iter().map(|text| text.trim());
        let mut seen = HashSet::new();
        here.chain(anywhere)
            .filter(|text| !text.is_empty() && seen.insert(*text))
            .nth(back)
    }

    /// The edit of the conversation in sight.
    pub fn edit(&self) -> Option<&OpenEdit> {
        self.edits.get(&self.conversation().id)
    }

    /// What there is to edit when a message is to be edited: all of a text that is written together.
    pub fn editable(&self, message: usize) -> String {
        let conversation = self.conversation();
        match conversation.mode {
            Mode::Chat => conversation.message(message).text.clone(),
            Mode::Completion => self.prompt().map_or(String::new(), |prompt| prompt.text),
        }
    }

    /// Whether the conversations are shown beside the chat, or in its place.
    pub fn shows_sidebar(&self) -> bool {
        match self.is_narrow {
            true => self.narrow == NarrowView::Sidebar,
            false => self.settings.sidebar,
        }
    }

    /// As [`State::shows_sidebar`], for the timings.
    pub fn shows_timings(&self) -> bool {
        match self.is_narrow {
            true => self.narrow == NarrowView::Timings,
            false => self.settings.timings,
        }
    }

    pub fn is_shown(&self, overlay: Overlay) -> bool {
        self.overlays.contains(&overlay)
    }

    /// Shows a banner, in place of one about the same.
    pub fn tell(&mut self, banner: Banner) {
        self.dismiss(banner.id);
        self.banners.push(banner);
    }

    /// Drops what only says that something was done.
    pub fn dismiss_notes(&mut self) {
        self.banners
            .retain(|banner| banner.kind == Kind::Problem || banner.fix.is_some());
    }

    pub fn dismiss(&mut self, id: BannerId) {
        self.banners.retain(|banner| banner.id != id);
    }
}

#[cfg(test)]
mod tests {
    use super::super::running::Writing;
    use super::*;

    #[test]
    fn there_is_one_banner_of_each_and_it_is_dismissed_by_its_id() {
        let mut state = State::default();
        state.tell(Banner::note(BannerId::Exported, "a.md"));
        state.tell(Banner::problem(BannerId::NotSaved, "full"));
        state.tell(Banner::note(BannerId::Exported, "b.md"));
        let texts = |state: &State| -> Vec<String> {
            let banners = state.banners.iter();
            banners.map(|banner| banner.text.clone()).collect()
        };
        assert_eq!(texts(&state), ["full", "b.md"]);
        state.dismiss(BannerId::NotSaved);
        assert_eq!(texts(&state), ["b.md"]);
    }

    #[test]
    fn the_model_is_busy_everywhere_but_writes_in_one_conversation() {
        let mut state = State::default();
        for id in ["one", "two"] {
            let conversation = Conversation::new(id.into(), Mode::Chat, "Plain".into());
            state.conversations.push(conversation);
        }
        assert!(!state.is_busy());
        state.running = Some(Running {
            conversation: "two".into(),
            answers: vec![Writing::new(1, 5)],
            has_tokenizer: true,
            forced: Vec::new(),
        });
        assert!(state.is_busy() && !state.can_generate());
        assert!(!state.is_writing_here() && !state.is_writing(5));
        state.current = 1;
        assert!(state.is_writing_here() && state.is_writing(5) && !state.is_writing(4));
    }

    #[test]
    fn answers_are_offered_while_there_are_several_at_the_end() {
        let mut state = State::default();
        let mut chat = Conversation::new("one".into(), Mode::Chat, "Plain".into());
        let asked = chat.add(None, Role::User, "Why?");
        let old = chat.add(Some(asked), Role::Assistant, "So.");
        let messages: Vec<usize> = ["a", "b", "c"]
            .iter()
            .map(|text| chat.add(Some(asked), Role::Assistant, text))
            .collect();
        state.conversations.push(chat);
        assert!(state.offered().is_empty());
        state.offered = Some(Offered {
            conversation: "one".into(),
            messages: messages.clone(),
        });
        assert_eq!(state.offered(), messages);
        state.conversations[0].delete(messages[0]);
        assert_eq!(state.offered(), messages[1..]);
        state.conversations[0].choose(old);
        assert!(state.offered().is_empty(), "another branch is in sight");
        state.conversations[0].choose(messages[1]);
        state.conversations[0].delete(messages[2]);
        assert!(state.offered().is_empty(), "one is no choice");
    }
}

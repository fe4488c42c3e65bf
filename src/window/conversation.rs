//! Conversations as data: a tree of messages in which one path is shown. Regenerating and editing grow branches; nothing that was
//! said is lost before it is deleted, and deleting can be undone.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use super::calendar;
use super::title;
use crate::engine::{Chat, Prompt, TokenEvent};
use crate::error::Error;
use crate::text::{ChatTemplate, Role, Turn};

/// What the conversation is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Turns, put into a template.
    Chat,
    /// One text that person and model write together: what base models were made for.
    #[default]
    Completion,
}

/// What generating a message took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    pub model: String,
    pub prompt_tokens: usize,
    pub prompt_s: f64,
    pub first_token_s: f64,
    pub tokens: usize,
    /// Tokens after the first, and their time.
    pub decode_tokens: usize,
    pub decode_s: f64,
    /// Tokens that were proposed, and those of them that were accepted.
    #[serde(default)]
    pub proposed: usize,
    #[serde(default)]
    pub accepted: usize,
    /// How many times as fast that made it, estimated.
    #[serde(default)]
    pub speed_up: Option<f64>,
    /// Why it ended: `eos`, `stop`, `length`, `context`, `cancelled`, `error`.
    pub finish: String,
}

impl Stats {
    /// Tokens a second after the first.
    pub fn decode_rate(&self) -> Option<f64> {
        (self.decode_tokens > 0 && self.decode_s > 0.0)
            .then(|| self.decode_tokens as f64 / self.decode_s)
    }

    /// Prompt tokens a second.
    pub fn prompt_rate(&self) -> Option<f64> {
        (self.prompt_tokens > 0 && self.prompt_s > 0.0)
            .then(|| self.prompt_tokens as f64 / self.prompt_s)
    }
}

/// A message.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Message {
    /// Index of the message before it.
    pub parent: Option<usize>,
    pub role: Role,
    pub text: String,
    #[serde(default)]
    pub stats: Option<Stats>,
    #[serde(default)]
    pub deleted: bool,
    /// The branch that is shown after it.
    #[serde(default)]
    chosen: Option<usize>,
    #[serde(skip)]
    children: Vec<usize>,
    /// For the token inspector; kept until the window closes.
    #[serde(skip)]
    pub tokens: Vec<TokenEvent>,
    /// Counts changes of the text.
    #[serde(skip)]
    pub version: u64,
}

/// A change that can be taken back, and done again.
#[derive(Debug, Clone)]
enum Change {
    Delete {
        message: usize,
    },
    /// The text that is not shown: the one before the edit, or after it was taken back.
    Edit {
        message: usize,
        text: String,
    },
}

/// Counts what is done, whatever it is done to: of two changes the later one has the greater number.
pub fn turn() -> u64 {
    static TURNS: AtomicU64 = AtomicU64::new(1);
    TURNS.fetch_add(1, Ordering::Relaxed)
}

/// A conversation.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Conversation {
    /// Also the name of its file.
    pub id: String,
    #[serde(default)]
    pub title: String,
    /// When it was begun, and when something was said last, in milliseconds since 1970; 0: unknown.
    #[serde(default)]
    pub created: i64,
    #[serde(default)]
    pub changed: i64,
    /// Whether it is kept at the top.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pinned: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    #[serde(default)]
    pub mode: Mode,
    /// What the assistant is told beforehand.
    #[serde(default)]
    pub system: String,
    /// Name of the template.
    #[serde(default)]
    pub template: String,
    messages: Vec<Message>,
    /// The first message that is shown.
    #[serde(default)]
    chosen: Option<usize>,
    #[serde(skip)]
    roots: Vec<usize>,
    #[serde(skip)]
    path: Vec<usize>,
    /// With the turns that they were made in.
    #[serde(skip)]
    undo: Vec<(u64, Change)>,
    #[serde(skip)]
    redo: Vec<(u64, Change)>,
}

impl Conversation {
    pub fn new(id: String, mode: Mode, template: String) -> Self {
        let now = calendar::now();
        Self {
            id,
            title: String::new(),
            created: now,
            changed: now,
            pinned: false,
            tags: Vec::new(),
            mode,
            system: String::new(),
            template,
            messages: Vec::new(),
            chosen: None,
            roots: Vec::new(),
            path: Vec::new(),
            undo: Vec::new(),
            redo: Vec::new(),
        }
    }

    /// Reads what [`serde_json`] wrote.
    ///
    /// # Errors
    /// Says what is wrong with the bytes.
    pub fn from_json(bytes: &[u8]) -> Result<Self, String> {
        let mut read: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        for (i, message) in read.messages.iter().enumerate() {
            // A parent comes before its children, so there can be no loops.
            if message.parent.is_some_and(|parent| parent >= i) {
                return Err(format!("message {i} comes before the one it answers"));
            }
        }
        read.link();
        Ok(read)
    }

    fn link(&mut self) {
        self.roots.clear();
        for message in &mut self.messages {
            message.children.clear();
        }
        for i in 0..self.messages.len() {
            match self.messages[i].parent {
                _ if self.messages[i].deleted => {}
                Some(parent) => self.messages[parent].children.push(i),
                None => self.roots.push(i),
            }
        }
        self.update_path();
    }

    fn update_path(&mut self) {
        self.path.clear();
        let pick = |chosen: Option<usize>, branches: &[usize]| {
            chosen
                .filter(|chosen| branches.contains(chosen))
                .or_else(|| branches.last().copied())
        };
        let mut next = pick(self.chosen, &self.roots);
        while let Some(at) = next {
            self.path.push(at);
            let message = &self.messages[at];
            next = pick(message.chosen, &message.children);
        }
    }

    /// Indices of the messages that are shown, first to last.
    pub fn path(&self) -> &[usize] {
        &self.path
    }

    pub fn message(&self, index: usize) -> &Message {
        &self.messages[index]
    }

    /// Messages in all branches, deleted ones included.
    pub fn total(&self) -> usize {
        self.messages.len()
    }

    pub fn last(&self) -> Option<usize> {
        self.path.last().copied()
    }

    pub fn is_empty(&self) -> bool {
        self.path.is_empty()
    }

    /// What to call it.
    pub fn name(&self) -> &str {
        match self.title.trim() {
            "" => "New",
            title => title,
        }
    }

    /// What it is called by where it was given no title.
    pub fn first_words(&self) -> String {
        let first = self.path.first();
        first.map_or(String::new(), |at| {
            title::suggested(&self.messages[*at].text)
        })
    }

    /// Adds a message after `parent` and shows it. Returns its index.
    pub fn add(&mut self, parent: Option<usize>, role: Role, text: &str) -> usize {
        let index = self.messages.len();
        self.messages.push(Message {
            parent,
            role,
            text: text.to_owned(),
            stats: None,
            deleted: false,
            chosen: None,
            children: Vec::new(),
            tokens: Vec::new(),
            version: 0,
        });
        self.siblings_mut(index).push(index);
        self.choose(index);
        self.changed = calendar::now();
        if self.title.is_empty() {
            self.title = title::suggested(text);
        }
        index
    }

    fn siblings_mut(&mut self, index: usize) -> &mut Vec<usize> {
        match self.messages[index].parent {
            Some(parent) => &mut self.messages[parent].children,
            None => &mut self.roots,
        }
    }

    /// The branches that `index` is one of, itself included.
    pub fn siblings(&self, index: usize) -> &[usize] {
        match self.messages[index].parent {
            Some(parent) => &self.messages[parent].children,
            None => &self.roots,
        }
    }

    /// Shows the branch of `index`.
    pub fn choose(&mut self, index: usize) {
        let mut index = index;
        while let Some(parent) = self.messages[index].parent {
            self.messages[parent].chosen = Some(index);
            index = parent;
        }
        self.chosen = Some(index);
        self.update_path();
    }

    /// Whether nothing was said or set yet.
    pub fn is_untouched(&self) -> bool {
        self.messages.is_empty()
            && self.title.is_empty()
            && self.system.is_empty()
            && [template_for(self.mode), MODELS_OWN].contains(&self.template.as_str())
    }

    /// What kind of conversation it is, with the template that goes with it.
    pub fn set_mode(&mut self, mode: Mode, template: &str) {
        self.mode = mode;
        self.template = template.to_owned();
    }

    /// For each message its index on disk; none for what was deleted and for what answered that.
    fn numbers(&self) -> Vec<Option<usize>> {
        let mut numbers: Vec<Option<usize>> = Vec::with_capacity(self.messages.len());
        let mut count = 0;
        for message in &self.messages {
            let is_kept = !message.deleted
                && message
                    .parent
                    .is_none_or(|parent| numbers[parent].is_some());
            numbers.push(is_kept.then_some(count));
            count += usize::from(is_kept);
        }
        numbers
    }

    /// The index that a message has on disk.
    pub fn kept_index(&self, index: usize) -> Option<usize> {
        self.numbers().get(index).copied().flatten()
    }

    /// As it is kept on disk: without what was deleted.
    pub fn kept(&self) -> Self {
        let numbers = self.numbers();
        let mut kept = Self {
            messages: Vec::new(),
            undo: Vec::new(),
            redo: Vec::new(),
            ..self.clone_head()
        };
        for (message, number) in self.messages.iter().zip(&numbers) {
            if number.is_none() {
                continue;
            }
            kept.messages.push(Message {
                parent: message.parent.and_then(|parent| numbers[parent]),
                tokens: Vec::new(),
                children: Vec::new(),
                text: message.text.clone(),
                stats: message.stats.clone(),
                ..*message
            });
        }
        let renumber =
            |chosen: Option<usize>| chosen.and_then(|i| numbers.get(i).copied().flatten());
        kept.chosen = renumber(self.chosen);
        for message in &mut kept.messages {
            message.chosen = renumber(message.chosen);
        }
        kept.link();
        kept
    }

    /// Everything but the messages.
    fn clone_head(&self) -> Self {
        let mut head = Self::new(self.id.clone(), self.mode, self.template.clone());
        head.title.clone_from(&self.title);
        (head.created, head.changed) = (self.created, self.changed);
        head.pinned = self.pinned;
        head.tags.clone_from(&self.tags);
        head.system.clone_from(&self.system);
        head
    }

    /// Appends text that was generated.
    pub fn append(&mut self, index: usize, token: TokenEvent) {
        let message = &mut self.messages[index];
        message.text += &token.token.text;
        message.tokens.push(token);
        message.version += 1;
        self.changed = calendar::now();
    }

    pub fn set_stats(&mut self, index: usize, stats: Stats) {
        self.messages[index].stats = Some(stats);
    }

    /// Replaces the text of a message; undoing brings it back, without its tokens' probabilities.
    pub fn edit(&mut self, index: usize, text: String) {
        self.redo.clear();
        let change = self.exchange(index, text);
        self.undo.push((turn(), change));
        self.changed = calendar::now();
    }

    /// Puts a text in the place of another. Returns what takes that back.
    fn exchange(&mut self, message: usize, text: String) -> Change {
        let edited = &mut self.messages[message];
        edited.tokens.clear();
        edited.version += 1;
        let text = std::mem::replace(&mut edited.text, text);
        Change::Edit { message, text }
    }

    /// Takes a message and all that follows it out of sight.
    pub fn delete(&mut self, index: usize) {
        self.redo.clear();
        self.hide(index);
        let change = Change::Delete { message: index };
        self.undo.push((turn(), change));
    }

    /// When the last change was made that can be taken back, in turns, which are counted from the start of the program.
    pub fn last_change(&self) -> Option<u64> {
        self.undo.last().map(|(turn, _)| *turn)
    }

    /// When the last change was taken back that can be done again.
    pub fn last_undone(&self) -> Option<u64> {
        self.redo.last().map(|(turn, _)| *turn)
    }

    fn hide(&mut self, index: usize) {
        self.messages[index].deleted = true;
        self.siblings_mut(index).retain(|sibling| *sibling != index);
        self.update_path();
    }

    fn unhide(&mut self, index: usize) {
        self.messages[index].deleted = false;
        let siblings = self.siblings_mut(index);
        siblings.push(index);
        siblings.sort_unstable();
        self.choose(index);
    }

    /// Takes an answer that never came out of sight.
    pub fn discard_if_empty(&mut self, index: usize) {
        let message = &self.messages[index];
        if message.text.is_empty() && message.children.is_empty() && !message.deleted {
            self.hide(index);
        }
    }

    /// Takes the last edit or deletion back.
    pub fn undo(&mut self) {
        let undone = match self.undo.pop() {
            Some((_, Change::Delete { message })) => {
                self.unhide(message);
                Change::Delete { message }
            }
            Some((_, Change::Edit { message, text })) => self.exchange(message, text),
            None => return,
        };
        self.redo.push((turn(), undone));
    }

    /// Does again what was taken back last.
    pub fn redo(&mut self) {
        let done = match self.redo.pop() {
            Some((_, Change::Delete { message })) => {
                self.hide(message);
                Change::Delete { message }
            }
            Some((_, Change::Edit { message, text })) => self.exchange(message, text),
            None => return,
        };
        self.undo.push((turn(), done));
    }

    /// What the model is to continue; `end` is the last message that counts.
    ///
    /// # Errors
    /// [`Error::ChatTemplate`].
    pub fn prompt(&self, template: &ChatTemplate, end: Option<usize>) -> Result<Prompt, Error> {
        self.prompt_with(template, end, "")
    }

    /// As [`Conversation::prompt`], with something more that the person says, if that is not empty.
    ///
    /// # Errors
    /// [`Error::ChatTemplate`].
    pub fn prompt_with(
        &self,
        template: &ChatTemplate,
        end: Option<usize>,
        more: &str,
    ) -> Result<Prompt, Error> {
        let shown = self
            .path
            .iter()
            .take_while(|at| end.is_some_and(|end| **at <= end));
        let messages = shown.map(|at| &self.messages[*at]);
        if self.mode == Mode::Completion {
            let texts = messages.map(|message| message.text.as_str());
            let text: String = texts.chain([more]).collect();
            return Ok(text.into());
        }
        let told = self.system.trim();
        let told = (!told.is_empty()).then(|| Turn::new(Role::System, told));
        let said = messages.map(|message| Turn::new(message.role, message.text.as_str()));
        let more = (!more.trim().is_empty()).then(|| Turn::new(Role::User, more.trim()));
        let turns: Vec<Turn> = told.into_iter().chain(said).chain(more).collect();
        Ok(Prompt {
            text: template.text(&turns)?,
            chat: Some(Chat {
                template: template.clone(),
                turns,
            }),
        })
    }

    /// What is shown, as Markdown.
    pub fn markdown(&self) -> String {
        let mut text = format!("# {}\n", self.name());
        if !self.system.trim().is_empty() {
            text += &format!("\n**System**\n\n{}\n", self.system.trim());
        }
        if self.mode == Mode::Completion {
            text.push('\n');
        }
        for at in &self.path {
            let message = &self.messages[*at];
            match (self.mode, message.role) {
                (Mode::Completion, _) => text += &message.text,
                (Mode::Chat, Role::Assistant) => {
                    text += &format!("\n**Assistant**\n\n{}\n", message.text);
                }
                (Mode::Chat, _) => text += &format!("\n**You**\n\n{}\n", message.text),
            }
        }
        text + "\n"
    }
}

/// Name of the template that a model brings along.
pub const MODELS_OWN: &str = "The model's own";

/// The template that a new conversation gets where the model brings none.
pub fn template_for(mode: Mode) -> &'static str {
    match mode {
        Mode::Chat => "Instruct",
        Mode::Completion => "Plain",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Template;

    fn chat() -> Conversation {
        Conversation::new("1".into(), Mode::Chat, "Instruct".into())
    }

    fn texts(conversation: &Conversation) -> Vec<&str> {
        let path = conversation.path().iter();
        path.map(|at| conversation.message(*at).text.as_str())
            .collect()
    }

    #[test]
    fn branches_keep_everything() {
        let mut c = chat();
        let question = c.add(None, Role::User, "Why?\nmore");
        let first = c.add(Some(question), Role::Assistant, "Because.");
        let follow = c.add(Some(first), Role::User, "Really?");
        let second = c.add(Some(question), Role::Assistant, "No idea.");
        assert_eq!(c.name(), "Why?");
        assert_eq!(texts(&c), ["Why?\nmore", "No idea."]);
        assert_eq!(c.siblings(second), [first, second]);
        c.choose(first);
        assert_eq!(texts(&c), ["Why?\nmore", "Because.", "Really?"]);
        c.delete(first);
        assert_eq!(texts(&c), ["Why?\nmore", "No idea."]);
        c.undo();
        assert_eq!(c.last(), Some(follow));
        c.edit(first, "Since.".into());
        assert_eq!(c.message(first).text, "Since.");
        c.undo();
        assert_eq!(c.message(first).text, "Because.");
        c.redo();
        assert_eq!(c.message(first).text, "Since.");
        c.undo();
        c.undo();
        assert_eq!(
            c.message(first).text,
            "Because.",
            "there is nothing more to undo"
        );

        let copy = Conversation::from_json(&serde_json::to_vec(&c.kept()).unwrap()).unwrap();
        assert_eq!(texts(&copy), texts(&c));
        assert_eq!(copy.siblings(second), c.siblings(second));

        // What is deleted is not on disk, nor what followed it; the rest keeps its place.
        c.delete(first);
        let copy = Conversation::from_json(&serde_json::to_vec(&c.kept()).unwrap()).unwrap();
        assert_eq!(copy.total(), 2);
        assert_eq!(texts(&copy), ["Why?\nmore", "No idea."]);
        // From another branch, undoing leads back to what was deleted.
        let other = c.add(None, Role::User, "Other");
        c.choose(other);
        c.undo();
        assert_eq!(c.last(), Some(follow));
    }

    #[test]
    fn the_prompt_is_what_is_shown_up_to_a_message() {
        let mut c = chat();
        c.system = " Be brief. ".into();
        let question = c.add(None, Role::User, "Hi");
        let answer = c.add(Some(question), Role::Assistant, "Hel");
        let template = ChatTemplate::from(Template::instruct());
        let asked = "<|system|>\nBe brief.</s>\n<|user|>\nHi</s>\n<|assistant|>\n";
        assert_eq!(c.prompt(&template, Some(question)).unwrap(), asked);
        assert_eq!(
            c.prompt(&template, Some(answer)).unwrap(),
            format!("{asked}Hel")
        );
        c.mode = Mode::Completion;
        assert_eq!(c.prompt(&template, Some(answer)).unwrap(), "HiHel");
    }

    #[test]
    fn broken_files_are_refused() {
        for json in [
            "",
            "{}",
            "[]",
            r#"{"id":"1","messages":[{"parent":0,"role":"user","text":""}]}"#,
            r#"{"id":"1","messages":[{"parent":9,"role":"user","text":""}]}"#,
            r#"{"id":"1","messages":[{"parent":null,"role":"king","text":""}]}"#,
        ] {
            assert!(Conversation::from_json(json.as_bytes()).is_err(), "{json}");
        }
        let odd = r#"{"id":"1","chosen":7,"messages":[{"parent":null,"role":"user","text":"x","chosen":3}]}"#;
        assert_eq!(
            texts(&Conversation::from_json(odd.as_bytes()).unwrap()),
            ["x"]
        );
    }
}

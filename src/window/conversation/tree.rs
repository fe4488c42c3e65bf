//! A conversation as a tree of messages in which one path is shown. Regenerating and editing grow branches.

use serde::{Deserialize, Serialize};

use super::super::calendar;
use super::super::title;
use super::change::Change;
use super::message::{Message, Stats};
use super::mode::{MODELS_OWN, Mode, template_for};
use crate::engine::TokenEvent;
use crate::text::Role;

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
    pub(super) messages: Vec<Message>,
    /// The first message that is shown.
    #[serde(default)]
    pub(super) chosen: Option<usize>,
    #[serde(skip)]
    pub(super) roots: Vec<usize>,
    #[serde(skip)]
    pub(super) path: Vec<usize>,
    /// With the turns that they were made in.
    #[serde(skip)]
    pub(super) undo: Vec<(u64, Change)>,
    #[serde(skip)]
    pub(super) redo: Vec<(u64, Change)>,
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

    pub(super) fn link(&mut self) {
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

    pub(super) fn update_path(&mut self) {
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
        self.messages
            .push(Message::new(parent, role, text.to_owned()));
        self.siblings_mut(index).push(index);
        self.choose(index);
        self.changed = calendar::now();
        if self.title.is_empty() {
            self.title = title::suggested(text);
        }
        index
    }

    /// Adds many messages at once, each after the one whose index among them it names, or as a beginning. Shows the last branches.
    pub fn grow(&mut self, messages: Vec<(Option<usize>, Role, String)>) {
        let base = self.messages.len();
        for (parent, role, text) in messages {
            let parent = parent.map(|parent| base + parent);
            self.messages.push(Message::new(parent, role, text));
        }
        self.link();
    }

    pub(super) fn siblings_mut(&mut self, index: usize) -> &mut Vec<usize> {
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
}

#[cfg(test)]
mod tests {
    use super::*;

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

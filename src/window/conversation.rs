//! Conversations as data: a tree of messages in which one path is shown. Regenerating and editing grow branches; nothing that was
//! said is lost before it is deleted, and deleting can be undone.

use serde::{Deserialize, Serialize};

use crate::engine::TokenEvent;
use crate::text::{Role, Template, Turn};

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

/// How to take something back.
#[derive(Debug, Clone)]
enum Undo {
    Delete { message: usize },
    Edit { message: usize, text: String },
}

/// A conversation.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Conversation {
    /// Also the name of its file.
    pub id: String,
    #[serde(default)]
    pub title: String,
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
    #[serde(skip)]
    undo: Vec<Undo>,
}

impl Conversation {
    pub fn new(id: String, mode: Mode, template: String) -> Self {
        Self {
            id,
            title: String::new(),
            mode,
            system: String::new(),
            template,
            messages: Vec::new(),
            chosen: None,
            roots: Vec::new(),
            path: Vec::new(),
            undo: Vec::new(),
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
        if self.title.is_empty() {
            let line = text.lines().find(|line| !line.trim().is_empty());
            self.title = line.unwrap_or_default().trim().chars().take(60).collect();
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
        match self.messages[index].parent {
            Some(parent) => self.messages[parent].chosen = Some(index),
            None => self.chosen = Some(index),
        }
        self.update_path();
    }

    /// Appends text that was generated.
    pub fn append(&mut self, index: usize, token: TokenEvent) {
        let message = &mut self.messages[index];
        message.text += &token.token.text;
        message.tokens.push(token);
        message.version += 1;
    }

    pub fn append_text(&mut self, index: usize, text: &str) {
        let message = &mut self.messages[index];
        message.text += text;
        message.version += 1;
    }

    pub fn set_stats(&mut self, index: usize, stats: Stats) {
        self.messages[index].stats = Some(stats);
    }

    /// Replaces the text of a message; what the model had said stays until undone or saved over.
    pub fn edit(&mut self, index: usize, text: String) {
        let message = &mut self.messages[index];
        let old = std::mem::replace(&mut message.text, text);
        message.tokens.clear();
        message.version += 1;
        self.undo.push(Undo::Edit {
            message: index,
            text: old,
        });
    }

    /// Takes a message and all that follows it out of sight.
    pub fn delete(&mut self, index: usize) {
        self.messages[index].deleted = true;
        self.siblings_mut(index).retain(|sibling| *sibling != index);
        self.undo.push(Undo::Delete { message: index });
        self.update_path();
    }

    pub fn can_undo(&self) -> bool {
        !self.undo.is_empty()
    }

    /// Takes the last edit or deletion back.
    pub fn undo(&mut self) {
        match self.undo.pop() {
            Some(Undo::Delete { message }) => {
                self.messages[message].deleted = false;
                let siblings = self.siblings_mut(message);
                siblings.push(message);
                siblings.sort_unstable();
                self.choose(message);
            }
            Some(Undo::Edit { message, text }) => {
                let message = &mut self.messages[message];
                message.text = text;
                message.tokens.clear();
                message.version += 1;
            }
            None => {}
        }
    }

    /// The text that the model is to continue; `end` is the last message that counts.
    pub fn prompt(&self, template: &Template, end: Option<usize>) -> String {
        let shown = self
            .path
            .iter()
            .take_while(|at| end.is_some_and(|end| **at <= end));
        let messages = shown.map(|at| &self.messages[*at]);
        match self.mode {
            Mode::Completion => messages.map(|message| message.text.as_str()).collect(),
            Mode::Chat => {
                let system = (!self.system.trim().is_empty()).then_some(Turn {
                    role: Role::System,
                    text: self.system.trim(),
                });
                let turns: Vec<Turn<'_>> = system
                    .into_iter()
                    .chain(messages.map(|message| Turn {
                        role: message.role,
                        text: &message.text,
                    }))
                    .collect();
                template.render(&turns)
            }
        }
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
        assert!(!c.can_undo());

        let copy = Conversation::from_json(&serde_json::to_vec(&c).unwrap()).unwrap();
        assert_eq!(texts(&copy), texts(&c));
        assert_eq!(copy.siblings(second), c.siblings(second));
    }

    #[test]
    fn the_prompt_is_what_is_shown_up_to_a_message() {
        let mut c = chat();
        c.system = " Be brief. ".into();
        let question = c.add(None, Role::User, "Hi");
        let answer = c.add(Some(question), Role::Assistant, "Hel");
        let template = Template::instruct();
        let asked = "<|system|>\nBe brief.</s>\n<|user|>\nHi</s>\n<|assistant|>\n";
        assert_eq!(c.prompt(&template, Some(question)), asked);
        assert_eq!(c.prompt(&template, Some(answer)), format!("{asked}Hel"));
        c.mode = Mode::Completion;
        assert_eq!(c.prompt(&template, Some(answer)), "HiHel");
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

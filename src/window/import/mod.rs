//! Files to import: conversations of this program and of others, and traces. Which it is says what is in it, not its name.
//!
//! Of other programs' conversations roles, text and branches are taken; what is no text is left out and counted. Each format has a file here.

mod chatgpt;
mod json;
mod llama_cpp;
mod lm_studio;
mod open_webui;
mod session;
mod tree;

use std::io::Read as _;
use std::path::Path;

use serde::Deserialize;
use serde::de::IgnoredAny;

use self::tree::Tree;
use super::conversation::Conversation;
use super::store;
use crate::trace::{self, Imported};

/// The most conversations of a file, and the most messages of all of them.
const MOST_CONVERSATIONS: usize = 10_000;
const MOST_MESSAGES: usize = 200_000;

/// What is said of files that are something else.
const UNKNOWN: &str = "is neither a trace nor a conversation: those of this program, ChatGPT, llama.cpp's web UI, Open WebUI and LM Studio can be \
                       imported";
const EVENTS: &str = "is a trace of events, as Perfetto opens them: of those only the JSON can be opened that this program writes";

/// What ZIP archives begin with, and what is said of one.
const ARCHIVE: &[u8] = b"PK\x03\x04";
const UNPACK: &str =
    "is a ZIP archive: unpack it, and import what is in it (of ChatGPT's, conversations.json)";

/// What a file is.
pub enum Found {
    Conversations(Conversations),
    Trace(Box<Imported>),
}

/// Conversations of a file.
#[derive(Default)]
pub struct Conversations {
    pub all: Vec<Conversation>,
    /// The program that wrote them, if it was another.
    pub program: Option<&'static str>,
    /// What was no text.
    pub left_out: usize,
}

/// Formats, as they are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Ours,
    Trace,
    ChatGpt,
    LlamaCpp,
    OpenWebUi,
    LmStudio,
    /// A trace of other programs.
    Events,
    Unknown,
}

/// The fields that a format is known by.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Fields {
    steps: Option<IgnoredAny>,
    mapping: Option<IgnoredAny>,
    conv: Option<IgnoredAny>,
    chat: Option<IgnoredAny>,
    trace_events: Option<IgnoredAny>,
    messages: Option<json::First<Message>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Message {
    versions: Option<IgnoredAny>,
}

impl Fields {
    fn format(&self) -> Format {
        if self.mapping.is_some() {
            Format::ChatGpt
        } else if self.conv.is_some() {
            Format::LlamaCpp
        } else if self.chat.is_some() {
            Format::OpenWebUi
        } else if self.steps.is_some() && self.messages.is_none() {
            Format::Trace
        } else if self.trace_events.is_some() {
            Format::Events
        } else if let Some(messages) = &self.messages {
            let first = messages.0.as_ref();
            match first.is_some_and(|first| first.versions.is_some()) {
                true => Format::LmStudio,
                false => Format::Ours,
            }
        } else {
            Format::Unknown
        }
    }
}

/// Whether a file's first bytes are those of a session in lines of JSON: other files of lines may be anything.
pub fn is_session(path: &Path) -> bool {
    let mut beginning = Vec::new();
    let read =
        std::fs::File::open(path).and_then(|file| file.take(64 << 10).read_to_end(&mut beginning));
    read.is_ok() && session::is_one(&beginning)
}

/// Reads a file.
///
/// # Errors
/// Says which file is wrong, and why.
pub fn read(path: &Path) -> Result<Found, String> {
    let problem = |what: String| format!("{}: {what}", path.display());
    let bytes = store::read(path).map_err(problem)?;
    if bytes.starts_with(ARCHIVE) {
        return Err(problem(UNPACK.to_owned()));
    }
    if session::is_one(&bytes) {
        let mut read = Read::of("llama.cpp");
        let tree = session::read(&bytes).and_then(|tree| read.take(tree));
        return tree.and_then(|()| read.found()).map_err(problem);
    }
    let first: json::First<Fields> =
        serde_json::from_slice(&bytes).map_err(|error| problem(error.to_string()))?;
    let format = first.0.map_or(Format::Unknown, |fields| fields.format());
    let found = match format {
        // Told by the file's times where its own are missing.
        Format::Ours => {
            let is_list = bytes.trim_ascii_start().starts_with(b"[");
            let all = match is_list {
                true => ours(&bytes, path).map_err(problem)?,
                false => vec![store::parse(path)?],
            };
            return Ok(Found::Conversations(Conversations {
                all,
                ..Conversations::default()
            }));
        }
        Format::Unknown => Err(UNKNOWN.to_owned()),
        Format::Events => Err(EVENTS.to_owned()),
        Format::Trace if bytes.len() as u64 > trace::MOST_BYTES => {
            Err(format!("has {} bytes, too many for a trace", bytes.len()))
        }
        Format::Trace => trace::read_json(&bytes).map(|trace| Found::Trace(Box::new(trace))),
        Format::ChatGpt => of::<chatgpt::Conversation>(&bytes, "ChatGPT"),
        Format::LlamaCpp => of::<llama_cpp::Conversation>(&bytes, "llama.cpp"),
        Format::OpenWebUi => of::<open_webui::Conversation>(&bytes, "Open WebUI"),
        Format::LmStudio => of::<lm_studio::Conversation>(&bytes, "LM Studio"),
    };
    found.map_err(problem)
}

/// Several of our own in one file.
fn ours(bytes: &[u8], path: &Path) -> Result<Vec<Conversation>, String> {
    let (mut all, mut messages) = (Vec::new(), 0);
    json::items(bytes, |item| {
        let conversation = Conversation::from_json(item.get().as_bytes())?;
        messages += conversation.total();
        check_size(all.len(), messages)?;
        all.push(store::completed(conversation, path));
        Ok(())
    })?;
    Ok(all)
}

/// Whether there may be one more conversation.
fn check_size(conversations: usize, messages: usize) -> Result<(), String> {
    match conversations == MOST_CONVERSATIONS || messages > MOST_MESSAGES {
        true => Err(format!(
            "more than {MOST_CONVERSATIONS} conversations or {MOST_MESSAGES} messages"
        )),
        false => Ok(()),
    }
}

/// Conversations of another program.
fn of<'de, T: Deserialize<'de> + Into<Tree>>(
    bytes: &'de [u8],
    program: &'static str,
) -> Result<Found, String> {
    let mut read = Read::of(program);
    json::each::<T>(bytes, |tree| read.take(tree))?;
    read.found()
}

/// Conversations of another program, as they are read.
struct Read {
    conversations: Conversations,
    messages: usize,
}

impl Read {
    fn of(program: &'static str) -> Self {
        let conversations = Conversations {
            program: Some(program),
            ..Conversations::default()
        };
        Self {
            conversations,
            messages: 0,
        }
    }

    fn take(&mut self, tree: Tree) -> Result<(), String> {
        let (conversation, left_out) = tree.conversation();
        let read = &mut self.conversations;
        read.left_out += left_out;
        self.messages += conversation.total();
        check_size(read.all.len(), self.messages)?;
        // Some programs write down what was begun and left.
        if conversation.total() > 0 {
            read.all.push(conversation);
        }
        Ok(())
    }

    fn found(self) -> Result<Found, String> {
        match self.conversations.all.is_empty() {
            true => Err("has no messages with text".to_owned()),
            false => Ok(Found::Conversations(self.conversations)),
        }
    }
}

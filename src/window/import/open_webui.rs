//! What Open WebUI exports: a list of chats, each with `chat.history`, a mapping from ids to messages with parents, and the one that is shown.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::json::{Id, Loose, Nodes, Words, or_default};
use super::tree::{Node, Tree, milliseconds};
use crate::text::Role;

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Conversation {
    title: Loose<String>,
    #[serde(deserialize_with = "or_default")]
    chat: Chat,
    /// Seconds.
    created_at: Loose<f64>,
    updated_at: Loose<f64>,
    pinned: Loose<bool>,
    #[serde(deserialize_with = "or_default")]
    meta: Meta,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Meta {
    tags: Nodes<Loose<String>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Chat {
    title: Loose<String>,
    system: Loose<String>,
    #[serde(deserialize_with = "or_default")]
    params: Params,
    #[serde(deserialize_with = "or_default")]
    history: History,
    /// What is shown, in order: all there is where a chat has no history.
    messages: Nodes<Message>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Params {
    system: Loose<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct History {
    messages: Nodes<Message>,
    current_id: Loose<Id>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Message {
    id: Loose<Id>,
    parent_id: Loose<Id>,
    role: Loose<String>,
    content: Words,
    timestamp: Loose<f64>,
    /// Images and documents.
    files: Nodes<IgnoredAny>,
}

/// A model's thoughts and tools stand in what it said, as HTML. Returns what it said, and how many others there were.
fn without_asides(mut text: String) -> (String, usize) {
    const KINDS: [&str; 3] = ["reasoning", "tool_calls", "code_interpreter"];
    const END: &str = "</details>";
    let (mut from, mut count) = (0, 0);
    while let Some(begin) = text[from..].find("<details type=\"") {
        let begin = from + begin;
        let kind = text[begin..].split('"').nth(1).unwrap_or_default();
        let end = text[begin..].find(END).map(|end| begin + end + END.len());
        match end.filter(|_| KINDS.contains(&kind)) {
            Some(end) => {
                text.replace_range(begin..end, "");
                (from, count) = (begin, count + 1);
            }
            None => from = begin + 1,
        }
    }
    match count {
        0 => (text, 0),
        _ => (text.trim().to_owned(), count),
    }
}

impl From<Conversation> for Tree {
    fn from(from: Conversation) -> Self {
        let chat = from.chat;
        let tags = from.meta.tags.0.into_iter();
        let systems = [chat.params.system.0, chat.system.0].into_iter().flatten();
        let system = systems.into_iter().find(|text| !text.trim().is_empty());
        let mut tree = Self {
            title: from.title.0.or(chat.title.0).unwrap_or_default(),
            created: milliseconds(from.created_at.0.unwrap_or_default()),
            changed: milliseconds(from.updated_at.0.unwrap_or_default()),
            system: system.unwrap_or_default(),
            pinned: from.pinned.0.unwrap_or_default(),
            tags: tags.filter_map(|(_, tag)| tag.0).collect(),
            current: chat.history.current_id.0.map(|id| id.0),
            ..Self::default()
        };
        let is_flat = chat.history.messages.0.is_empty();
        let messages = match is_flat {
            true => chat.messages,
            false => chat.history.messages,
        };
        let mut before = None;
        for (place, message) in messages.0 {
            let (text, asides) = without_asides(message.content.text);
            tree.left_out += message.content.others + message.files.0.len() + asides;
            let id = message.id.0.map_or(place, |id| id.0);
            let parent = message.parent_id.0.map(|id| id.0);
            tree.nodes.push(Node {
                parent: if is_flat { before.take() } else { parent },
                id: id.clone(),
                time: match is_flat {
                    true => 0.0,
                    false => message.timestamp.0.unwrap_or_default(),
                },
                role: message.role.0.as_deref().and_then(Role::named),
                text,
            });
            before = Some(id);
        }
        tree
    }
}

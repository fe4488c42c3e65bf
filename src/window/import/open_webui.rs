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
    history: History,
    /// What is shown, in order: all there is where a chat has no history.
    messages: Nodes<Message>,
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

impl From<Conversation> for Tree {
    fn from(from: Conversation) -> Self {
        let chat = from.chat;
        let tags = from.meta.tags.0.into_iter();
        let mut tree = Self {
            title: from.title.0.or(chat.title.0).unwrap_or_default(),
            created: milliseconds(from.created_at.0.unwrap_or_default()),
            changed: milliseconds(from.updated_at.0.unwrap_or_default()),
            system: chat.system.0.unwrap_or_default(),
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
            tree.left_out += message.content.others + message.files.0.len();
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
                text: message.content.text,
            });
            before = Some(id);
        }
        tree
    }
}

//! What the web UI of llama.cpp's server exports: `{conv, messages}`, or a list of these. Messages have parents; the first is a root without
//! words. Ids are numbers in its first version, texts since.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::json::{Id, Loose, Nodes, Words, or_default};
use super::tree::{Node, Tree};
use crate::text::Role;

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Conversation {
    #[serde(deserialize_with = "or_default")]
    conv: Head,
    messages: Nodes<Message>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Head {
    name: Loose<String>,
    /// Milliseconds.
    last_modified: Loose<f64>,
    curr_node: Loose<Id>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Message {
    id: Loose<Id>,
    parent: Loose<Id>,
    r#type: Loose<String>,
    role: Loose<String>,
    content: Words,
    /// Files, some of which are texts. They are apart from what was said.
    extra: Nodes<IgnoredAny>,
}

impl From<Conversation> for Tree {
    fn from(from: Conversation) -> Self {
        let changed = from.conv.last_modified.0.unwrap_or_default() as i64;
        let mut tree = Self {
            title: from.conv.name.0.unwrap_or_default(),
            changed,
            current: from.conv.curr_node.0.map(|id| id.0),
            ..Self::default()
        };
        for (place, message) in from.messages.0 {
            let is_root = message.r#type.0.as_deref() == Some("root");
            tree.left_out += message.content.others + message.extra.0.len();
            tree.nodes.push(Node {
                id: message.id.0.map_or(place, |id| id.0),
                parent: message.parent.0.map(|id| id.0),
                role: message
                    .role
                    .0
                    .as_deref()
                    .filter(|_| !is_root)
                    .and_then(Role::named),
                text: message.content.text,
                ..Node::default()
            });
        }
        tree
    }
}

//! ChatGPT's `conversations.json`: a list of conversations, each a `mapping` from ids to nodes with parents, and the node that is shown.

use serde::Deserialize;

use super::json::{Loose, Nodes, Words, or_default};
use super::tree::{Node, Tree, milliseconds};
use crate::text::Role;

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Conversation {
    title: Loose<String>,
    create_time: Loose<f64>,
    update_time: Loose<f64>,
    mapping: Nodes<MappingNode>,
    current_node: Loose<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct MappingNode {
    message: Option<Message>,
    parent: Loose<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Message {
    #[serde(deserialize_with = "or_default")]
    author: Author,
    create_time: Loose<f64>,
    #[serde(deserialize_with = "or_default")]
    content: Content,
    /// Who it is for: anybody else than `all` is a tool.
    recipient: Loose<String>,
    #[serde(deserialize_with = "or_default")]
    metadata: Metadata,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Author {
    role: Loose<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Content {
    content_type: Loose<String>,
    parts: Words,
    /// What code, and what a tool gave back, has in place of parts.
    text: Words,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Metadata {
    is_visually_hidden_from_conversation: Loose<bool>,
}

impl From<Conversation> for Tree {
    fn from(from: Conversation) -> Self {
        let mut tree = Self {
            title: from.title.0.unwrap_or_default(),
            created: milliseconds(from.create_time.0.unwrap_or_default()),
            changed: milliseconds(from.update_time.0.unwrap_or_default()),
            current: from.current_node.0,
            ..Self::default()
        };
        for (id, MappingNode { message, parent }) in from.mapping.0 {
            let mut node = Node {
                id,
                parent: parent.0,
                ..Node::default()
            };
            if let Some(message) = message {
                node.time = message.create_time.0.unwrap_or_default();
                (node.role, node.text) = said(message, &mut tree.left_out);
            }
            tree.nodes.push(node);
        }
        tree
    }
}

/// Who said what, if it is text that was shown.
fn said(message: Message, left_out: &mut usize) -> (Option<Role>, String) {
    let is_hidden = message.metadata.is_visually_hidden_from_conversation.0 == Some(true);
    let role = message
        .author
        .role
        .0
        .as_deref()
        .filter(|_| !is_hidden)
        .and_then(Role::named);
    let Content {
        content_type,
        parts,
        text,
    } = message.content;
    let is_text = matches!(
        content_type.0.as_deref(),
        None | Some("text" | "multimodal_text")
    );
    let is_for_all = message
        .recipient
        .0
        .is_none_or(|recipient| recipient == "all");
    if role.is_some() && is_text && is_for_all {
        *left_out += parts.others;
        return (role, parts.text);
    }
    let was_shown = !is_hidden && role != Some(Role::System);
    let has_content = !parts.text.is_empty() || !text.text.is_empty() || parts.others > 0;
    *left_out += usize::from(was_shown && has_content);
    (None, String::new())
}

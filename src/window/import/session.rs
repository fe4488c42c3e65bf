//! A session as lines of JSON: a head, then a message each. llama.cpp's web UI exports conversations so since June 2026; Hugging Face documents
//! it as "Session Traces Format". Where messages name their parents there are branches, else each answers the one before it.

use serde::Deserialize;

use super::json::{Id, Loose, MOST_NODES, Words, or_default};
use super::tree::{Node, Tree};
use crate::text::Role;

/// The most bytes of a head.
const MOST_HEAD: usize = 64 << 10;

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Head {
    r#type: Loose<String>,
    name: Loose<String>,
    curr_node: Loose<Id>,
    /// Milliseconds.
    last_modified: Loose<f64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Line {
    r#type: Loose<String>,
    id: Loose<Id>,
    parent: Loose<Id>,
    #[serde(deserialize_with = "or_default")]
    message: Message,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Message {
    id: Loose<Id>,
    parent: Loose<Id>,
    r#type: Loose<String>,
    role: Loose<String>,
    content: Words,
}

/// Whether a file begins as a session does.
pub fn is_one(beginning: &[u8]) -> bool {
    head(beginning).is_some()
}

fn head(bytes: &[u8]) -> Option<Head> {
    let line = bytes.split(|byte| *byte == b'\n').next()?;
    let head = line.get(..MOST_HEAD).unwrap_or(line);
    let head: Head = serde_json::from_slice(head).ok()?;
    (head.r#type.0.as_deref() == Some("session")).then_some(head)
}

/// Reads a session.
///
/// # Errors
/// Says which line is wrong, and why.
pub fn read(bytes: &[u8]) -> Result<Tree, String> {
    let head = head(bytes).ok_or("is no session")?;
    let mut tree = Tree {
        title: head.name.0.unwrap_or_default(),
        changed: head.last_modified.0.unwrap_or_default() as i64,
        current: head.curr_node.0.map(|id| id.0),
        ..Tree::default()
    };
    let lines = bytes.split(|byte| *byte == b'\n').enumerate().skip(1);
    for (i, line) in lines.filter(|(_, line)| !line.trim_ascii().is_empty()) {
        let line: Line =
            serde_json::from_slice(line).map_err(|error| format!("line {}: {error}", i + 1))?;
        if tree.nodes.len() == MOST_NODES {
            return Err(format!("has more than {MOST_NODES} messages"));
        }
        let Line {
            r#type,
            id,
            parent,
            message,
        } = line;
        if r#type.0.as_deref() != Some("message") {
            tree.left_out += 1;
            continue;
        }
        tree.left_out += message.content.others;
        let is_root = message.r#type.0.as_deref() == Some("root");
        let role = message.role.0.as_deref().filter(|_| !is_root);
        let before = tree.nodes.last().map(|node| node.id.clone());
        let named = message.parent.0.or(parent.0).map(|id| id.0);
        tree.nodes.push(Node {
            id: message.id.0.or(id.0).map_or(format!("line {i}"), |id| id.0),
            parent: named.or(before),
            role: role.and_then(Role::named),
            text: message.content.text,
            ..Node::default()
        });
    }
    Ok(tree)
}

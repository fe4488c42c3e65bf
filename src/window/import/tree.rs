//! Conversations of other programs as a tree of messages, and as one of ours.

use std::collections::HashMap;

use super::super::calendar::now;
use super::super::conversation::{Conversation, Mode, template_for};
use crate::text::Role;

/// A message of another program, or a node of its tree that is none.
#[derive(Debug, Default)]
pub struct Node {
    pub id: String,
    pub parent: Option<String>,
    /// Siblings are in this order; those with the same in that of the file.
    pub time: f64,
    /// `None`: nothing of it is kept.
    pub role: Option<Role>,
    pub text: String,
}

/// A conversation of another program.
#[derive(Debug, Default)]
pub struct Tree {
    pub title: String,
    /// Milliseconds since 1970; 0: unknown.
    pub created: i64,
    pub changed: i64,
    pub system: String,
    pub pinned: bool,
    pub tags: Vec<String>,
    pub nodes: Vec<Node>,
    /// The node at the end of what is shown.
    pub current: Option<String>,
    /// What was no text.
    pub left_out: usize,
}

/// Milliseconds of a time in seconds, such as JavaScript and Python write it.
pub fn milliseconds(seconds: f64) -> i64 {
    (1e3 * seconds) as i64
}

impl Tree {
    /// As a conversation without an id, and how much was no text. Loops, and what hangs on them, are no part of it; what answered something that is not kept answers
    /// what that answered.
    pub fn conversation(mut self) -> (Conversation, usize) {
        self.nodes.sort_by(|a, b| a.time.total_cmp(&b.time));
        let mut places: HashMap<&str, usize> = HashMap::new();
        for (i, node) in self.nodes.iter().enumerate() {
            places.entry(&node.id).or_insert(i);
        }
        let parent = |node: &Node| {
            let parent = node.parent.as_deref();
            parent.and_then(|parent| places.get(parent).copied())
        };
        let mut children: Vec<Vec<usize>> = vec![Vec::new(); self.nodes.len()];
        let mut roots = Vec::new();
        for (i, node) in self.nodes.iter().enumerate() {
            match parent(node) {
                // Another of the same id is not to be told from the first.
                _ if places.get(node.id.as_str()) != Some(&i) => {}
                Some(parent) => children[parent].push(i),
                None => roots.push(i),
            }
        }
        let current = self.current.as_deref();
        let current = current.and_then(|current| places.get(current).copied());
        let mut messages: Vec<(Option<usize>, Role, String)> = Vec::new();
        let mut system = std::mem::take(&mut self.system);
        let mut chosen = None;
        // What is kept of each node, or of what is before it. Children come after their parents.
        let mut open: Vec<(usize, Option<usize>)> = roots.iter().map(|at| (*at, None)).collect();
        let mut next = 0;
        while let Some((at, before)) = open.get(next).copied() {
            next += 1;
            let node = &mut self.nodes[at];
            let text = std::mem::take(&mut node.text);
            let kept = match node.role {
                _ if text.trim().is_empty() => before,
                None => before,
                Some(Role::System) => {
                    if before.is_none() && system.trim().is_empty() {
                        system = text;
                    } else if system.trim() != text.trim() {
                        self.left_out += 1;
                    }
                    before
                }
                Some(role) => {
                    messages.push((before, role, text));
                    Some(messages.len() - 1)
                }
            };
            if current == Some(at) {
                chosen = kept;
            }
            open.extend(children[at].iter().map(|child| (*child, kept)));
        }
        let mut conversation =
            Conversation::new(String::new(), Mode::Chat, template_for(Mode::Chat).into());
        conversation.grow(messages);
        if let Some(chosen) = chosen {
            conversation.choose(chosen);
        }
        let latest = now();
        let known = |time: i64| (time > 0).then_some(time.min(latest));
        let changed = known(self.changed).or(known(self.created));
        conversation.changed = changed.unwrap_or(latest);
        let created = known(self.created).unwrap_or(conversation.changed);
        conversation.created = created.min(conversation.changed);
        conversation.title = self.title;
        conversation.system = system;
        conversation.pinned = self.pinned;
        conversation.tags = self.tags;
        (conversation, self.left_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(id: &str, parent: &str, role: Option<Role>) -> Node {
        Node {
            id: id.into(),
            parent: (!parent.is_empty()).then(|| parent.to_owned()),
            role,
            text: format!("{id}."),
            ..Node::default()
        }
    }

    fn shown(tree: Tree) -> Vec<String> {
        let (conversation, _) = tree.conversation();
        let path = conversation.path().iter();
        path.map(|at| conversation.message(*at).text.clone())
            .collect()
    }

    #[test]
    fn what_is_left_out_leaves_no_gap() {
        let (user, assistant) = (Some(Role::User), Some(Role::Assistant));
        let nodes = || {
            vec![
                node("late", "tool", assistant),
                node("root", "", None),
                node("ask", "root", user),
                node("tool", "ask", None),
                node("other", "ask", assistant),
                node("ask", "root", user),
            ]
        };
        let tree = |current: &str| Tree {
            nodes: nodes(),
            current: Some(current.into()),
            ..Tree::default()
        };
        assert_eq!(shown(tree("late")), ["ask.", "late."]);
        assert_eq!(shown(tree("other")), ["ask.", "other."]);
        assert_eq!(shown(tree("tool")).len(), 2, "goes on from what is kept");
        assert_eq!(tree("late").conversation().0.total(), 3);
    }

    #[test]
    fn loops_and_strangers_end() {
        let user = Some(Role::User);
        let tree = Tree {
            nodes: vec![
                node("a", "b", user),
                node("b", "a", user),
                node("self", "self", user),
                node("orphan", "nobody", user),
            ],
            current: Some("a".into()),
            created: i64::MAX,
            changed: -5,
            ..Tree::default()
        };
        let (conversation, _) = tree.conversation();
        assert_eq!(conversation.total(), 1);
        assert!(conversation.created <= now() && conversation.changed <= now());
        // As deep as it is long, and no deeper than the stack.
        let deep = (0..50_000).map(|i| node(&i.to_string(), &(i - 1).to_string(), user));
        let tree = Tree {
            nodes: deep.collect(),
            ..Tree::default()
        };
        assert_eq!(tree.conversation().0.path().len(), 50_000);
    }

    #[test]
    fn the_first_system_message_is_the_system_prompt() {
        let tree = Tree {
            nodes: vec![
                node("brief", "", Some(Role::System)),
                node("ask", "brief", Some(Role::User)),
                node("rude", "ask", Some(Role::System)),
            ],
            ..Tree::default()
        };
        let (conversation, left_out) = tree.conversation();
        assert_eq!(conversation.system, "brief.");
        assert_eq!((conversation.total(), left_out), (1, 1));
    }
}

//! LM Studio's `NAME.conversation.json`: messages in a row, each in one or several versions of which one is selected. What a model wrote is in
//! steps; those that show its thoughts, and tools, are left out.

use serde::Deserialize;

use super::json::{Loose, Nodes, Words, or_default};
use super::tree::{Node, Tree};
use crate::text::Role;

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Conversation {
    name: Loose<String>,
    /// Milliseconds.
    created_at: Loose<f64>,
    pinned: Loose<bool>,
    system_prompt: Loose<String>,
    #[serde(deserialize_with = "or_default")]
    per_chat_prediction_config: Config,
    messages: Nodes<Message>,
}

/// What is set for this chat alone, by name.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Config {
    fields: Nodes<Field>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Field {
    key: Loose<String>,
    value: Loose<String>,
}

const SYSTEM_PROMPT: &str = "llm.prediction.systemPrompt";

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Message {
    versions: Nodes<Version>,
    currently_selected: Loose<usize>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Version {
    role: Loose<String>,
    content: Words,
    steps: Nodes<Step>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Step {
    r#type: Loose<String>,
    content: Words,
    #[serde(deserialize_with = "or_default")]
    style: Style,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Style {
    r#type: Loose<String>,
}

impl From<Conversation> for Tree {
    fn from(from: Conversation) -> Self {
        let created = from.created_at.0.unwrap_or_default() as i64;
        let mut fields = from.per_chat_prediction_config.fields.0.into_iter();
        let own = fields.find(|(_, field)| field.key.0.as_deref() == Some(SYSTEM_PROMPT));
        let own = own.and_then(|(_, field)| field.value.0);
        let system = from.system_prompt.0.filter(|text| !text.trim().is_empty());
        let mut tree = Self {
            title: from.name.0.unwrap_or_default(),
            created,
            system: system.or(own).unwrap_or_default(),
            pinned: from.pinned.0.unwrap_or_default(),
            ..Self::default()
        };
        for (turn, message) in from.messages.0 {
            let versions = message.versions.0;
            let selected = message.currently_selected.0.unwrap_or_default();
            let selected = selected.min(versions.len().saturating_sub(1));
            let before = tree.current.take();
            for (i, (_, version)) in versions.into_iter().enumerate() {
                let id = format!("{turn}.{i}");
                if i == selected {
                    tree.current = Some(id.clone());
                }
                let words = words(version.content, version.steps);
                tree.left_out += words.others;
                tree.nodes.push(Node {
                    id,
                    parent: before.clone(),
                    role: version.role.0.as_deref().and_then(Role::named),
                    text: words.text,
                    ..Node::default()
                });
            }
            // A turn without a version is passed over.
            tree.current = tree.current.take().or(before);
        }
        tree
    }
}

/// What was said: all at once, or in steps.
fn words(content: Words, steps: Nodes<Step>) -> Words {
    let mut all = content;
    for (_, step) in steps.0 {
        let is_thought = step.style.r#type.0.as_deref() == Some("thinking");
        match step.r#type.0.as_deref() {
            Some("contentBlock") if !is_thought => all.add(step.content),
            // It says how the model's steps went, and nothing to anybody.
            Some("debugInfoBlock") => {}
            _ => all.others += 1,
        }
    }
    all
}

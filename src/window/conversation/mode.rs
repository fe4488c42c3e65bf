//! What a conversation is for, and the template that goes with it.

use serde::{Deserialize, Serialize};

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

/// Name of the template that a model brings along.
pub const MODELS_OWN: &str = "The model's own";

/// The template that a new conversation gets where the model brings none.
pub fn template_for(mode: Mode) -> &'static str {
    match mode {
        Mode::Chat => "Instruct",
        Mode::Completion => "Plain",
    }
}

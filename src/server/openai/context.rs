//! What is served, and within which limits.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::super::settings::Limits;
use super::spelling::Spelling;
use crate::generate::Model;
use crate::text::ChatTemplate;

/// What is served. It lives as long as the server.
pub struct Context {
    pub model: Model,
    /// What clients know the model by.
    pub name: String,
    /// How chats are written; `None` for a model that knows none.
    pub template: Option<ChatTemplate>,
    /// Whether requests must ask for the model by its name.
    pub is_strict: bool,
    /// When serving began, in seconds of the epoch.
    pub created: u64,
    /// What a request may ask for at most.
    pub limits: Limits,
    pub(super) spelling: Arc<Spelling>,
}

impl Context {
    /// A model that is served as `name`, without a chat template.
    pub fn new(model: &Model, name: impl Into<String>) -> Self {
        Self {
            spelling: Arc::new(Spelling::new(model.tokenizer(), model.config().vocab_size)),
            model: model.clone(),
            name: name.into(),
            template: None,
            is_strict: false,
            created: now(),
            limits: Limits::default(),
        }
    }
}

/// Seconds of the epoch.
pub fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| now.as_secs())
}

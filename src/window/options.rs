//! What a window can be opened with.

use std::path::PathBuf;

use crate::hub::Settings;

/// What `openelm window` was asked.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Options {
    /// Model to load instead of the one used last.
    pub model: Option<String>,
    pub tokenizer: Option<PathBuf>,
    /// How models are fetched by name; `None`: as the environment says.
    pub hub: Option<Settings>,
    /// Adapter for the model, as in [`crate::LoadOptions`].
    pub device: Option<String>,
    /// As in [`crate::LoadOptions`].
    pub tuning_cache: Option<PathBuf>,
    /// Where conversations and settings are kept; `None`: where the system keeps such things.
    pub data: Option<PathBuf>,
    /// A trace of an earlier run, to be shown.
    pub trace: Option<PathBuf>,
}

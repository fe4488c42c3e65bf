//! `generation_config.json`.

use std::path::Path;

use crate::error::{Error, Result};

/// Sampling settings that a checkpoint brings along in `generation_config.json`; absent fields are `None`.
#[derive(Debug, Clone, Default, PartialEq, serde::Deserialize)]
#[serde(default)]
pub struct GenerationDefaults {
    pub do_sample: Option<bool>,
    pub temperature: Option<f32>,
    pub top_k: Option<u32>,
    pub top_p: Option<f32>,
    pub repetition_penalty: Option<f32>,
    pub max_new_tokens: Option<usize>,
}

impl GenerationDefaults {
    pub(super) fn parse(json: &[u8], path: &Path) -> Result<Self> {
        let defaults: Self =
            serde_json::from_slice(json).map_err(|error| Error::config(path, error.to_string()))?;
        let ranges = [
            ("temperature", defaults.temperature, 0.0, 100.0),
            ("top_p", defaults.top_p, 0.0, 1.0),
            (
                "repetition_penalty",
                defaults.repetition_penalty,
                0.01,
                100.0,
            ),
        ];
        for (field, value, low, high) in ranges {
            if value.is_some_and(|value| !(low..=high).contains(&value)) {
                return Err(Error::config(
                    path,
                    format!("`{field}` must be between {low} and {high}"),
                ));
            }
        }
        Ok(defaults)
    }
}

//! `generation_config.json`: its entries as they are. Which of them make sense, and what they mean, is the business of `generate`.

use std::path::Path;

use serde_json::{Map, Value};

use super::read::read_bounded;
use crate::error::Result;

/// How to generate where nobody says otherwise: the entries of `generation_config.json`, unchecked.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GenerationDefaults {
    pub entries: Map<String, Value>,
}

impl GenerationDefaults {
    /// Parses the file's text. Settings are no reason to refuse a model: where it is no JSON object there are none, and a warning.
    pub(super) fn parse(json: &[u8], path: &Path) -> (Self, Option<String>) {
        let what = match serde_json::from_slice(json) {
            Ok(Value::Object(entries)) => return (Self { entries }, None),
            Ok(_) => "is not a JSON object".to_owned(),
            Err(_) if json.trim_ascii().is_empty() => "is empty".to_owned(),
            Err(error) => format!("is not valid JSON ({error})"),
        };
        let warning = format!("{}: {what}; it is ignored", path.display());
        (Self::default(), Some(warning))
    }
}

/// The file's bytes, if it is there; what is wrong with it otherwise.
pub(super) fn read(path: &Path) -> (Option<Vec<u8>>, Option<String>) {
    let bytes: Result<Option<Vec<u8>>> = match path.exists() {
        true => read_bounded(path, 1 << 20).map(Some),
        false => Ok(None),
    };
    match bytes {
        Ok(bytes) => (bytes, None),
        Err(error) => (None, Some(format!("{error}; it is ignored"))),
    }
}

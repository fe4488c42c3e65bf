//! Values to JSON.

use serde::Serialize;

/// `value` as JSON. What this server answers always can be: its keys are texts and its numbers finite.
pub fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

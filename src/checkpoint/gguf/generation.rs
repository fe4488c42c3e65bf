//! How a GGUF file wants texts to be generated, as the `generation_config.json` that it was made of.
//!
//! Source: `gguf-py/gguf/metadata.py` of llama.cpp.

use serde_json::{Map, Value, json};

use super::header::Header;

/// Keys that have a like, with it.
const KEYS: [(&str, &str); 5] = [
    ("general.sampling.temp", "temperature"),
    ("general.sampling.top_k", "top_k"),
    ("general.sampling.top_p", "top_p"),
    ("general.sampling.min_p", "min_p"),
    ("general.sampling.penalty_repeat", "repetition_penalty"),
];

/// The entries of `generation_config.json`; none where the file says nothing. What is no number is passed over: settings are no reason to
/// refuse a model.
pub fn entries(header: &Header<'_>) -> Map<String, Value> {
    let mut entries = Map::new();
    for (key, ours) in KEYS {
        if let Ok(Some(number)) = header.float(key) {
            entries.insert(ours.into(), plain(number));
        }
    }
    // The file says with what to draw only if it is to be drawn.
    let temperature = entries.get("temperature").and_then(Value::as_f64);
    if entries.contains_key("top_k") || entries.contains_key("top_p") || temperature > Some(0.0) {
        entries.insert("do_sample".into(), json!(temperature != Some(0.0)));
    }
    entries
}

/// A number as it was before the file kept it in f32: whole if it is, else its shortest decimal.
fn plain(number: f64) -> Value {
    match number.fract() == 0.0 && number.abs() < 1e9 {
        true => json!(number as i64),
        false => json!((number as f32).to_string().parse::<f64>().ok()),
    }
}

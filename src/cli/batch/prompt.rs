//! A line of JSON to a prompt, with what it asks for itself.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::request::Own;

/// Bytes of an `id` at most: it is kept while its text is written.
const LONGEST_ID: usize = 1 << 16;

const KEYS: [&str; 7] = [
    "id",
    "prompt",
    "token_ids",
    "max_tokens",
    "seed",
    "stop",
    "generate_kwargs",
];

#[derive(Debug, PartialEq)]
pub enum Prompt {
    Text(String),
    Ids(Vec<u32>),
}

/// The line's `id`, as it is spelled, and what it asks for, or what is wrong with it.
pub type Parsed = (Option<Box<RawValue>>, Result<(Prompt, Own), String>);

/// What a line says.
pub fn parse(line: &str) -> Parsed {
    if line.starts_with('"') {
        let text = serde_json::from_str(line).map_err(|error| no_json(&error));
        return (None, text.map(|text| (Prompt::Text(text), Own::default())));
    }
    if !line.starts_with('{') {
        let what =
            "the line is neither a JSON object, such as {\"prompt\": \"text\"}, nor a JSON text";
        return (None, Err(what.to_owned()));
    }
    match serde_json::from_str::<Fields>(line) {
        Err(error) => (None, Err(no_json(&error))),
        Ok(mut fields) => match fields.remove("id") {
            Some(id) if id.get().len() > LONGEST_ID => {
                let what = format!("`id` is longer than {} KiB", LONGEST_ID >> 10);
                (None, Err(what))
            }
            id => (id, asked(fields)),
        },
    }
}

type Fields = BTreeMap<String, Box<RawValue>>;

fn asked(mut fields: Fields) -> Result<(Prompt, Own), String> {
    if let Some(key) = fields.keys().find(|key| !KEYS.contains(&key.as_str())) {
        return Err(format!(
            "there is no `{key}`; a line can have {}",
            KEYS.join(", ")
        ));
    }
    let text = field(&mut fields, "prompt", "a text")?;
    let ids = field(&mut fields, "token_ids", "a list of token ids")?;
    let prompt = match (text, ids) {
        (Some(text), None) => Prompt::Text(text),
        (None, Some(ids)) => Prompt::Ids(ids),
        (None, None) => return Err("the line has no `prompt` and no `token_ids`".into()),
        (Some(_), Some(_)) => return Err("the line has both `prompt` and `token_ids`".into()),
    };
    let kwargs: Map<String, Value> =
        field(&mut fields, "generate_kwargs", "an object of settings")?.unwrap_or_default();
    let own = Own {
        max_tokens: field(&mut fields, "max_tokens", "a number of tokens")?,
        seed: field(&mut fields, "seed", "a whole number")?,
        stop: field(&mut fields, "stop", "a text or a list of texts")?.map(Texts::list),
        kwargs: kwargs
            .into_iter()
            .map(|(key, value)| (key.replace('-', "_"), value))
            .collect(),
    };
    Ok((prompt, own))
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Texts {
    One(String),
    Several(Vec<String>),
}

impl Texts {
    fn list(self) -> Vec<String> {
        match self {
            Self::One(text) => vec![text],
            Self::Several(texts) => texts,
        }
    }
}

/// The value of a key, `None` where it is absent or null.
fn field<T: for<'a> Deserialize<'a>>(
    fields: &mut Fields,
    key: &str,
    expected: &str,
) -> Result<Option<T>, String> {
    const SHOWN: usize = 40;
    let Some(value) = fields.remove(key) else {
        return Ok(None);
    };
    serde_json::from_str(value.get()).map_err(|_| {
        let mut shown: String = value.get().chars().take(SHOWN).collect();
        if shown.len() < value.get().len() {
            shown.push('…');
        }
        format!("`{key}` is {shown}; {expected} is expected")
    })
}

fn no_json(error: &serde_json::Error) -> String {
    let what = error.to_string();
    // The line of the error is always the first.
    let what = what.replace(" at line 1 column ", " at byte ");
    format!("the line is not JSON: {what}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_is_a_text_or_ids() {
        let prompt = |line: &str| parse(line).1.map(|(prompt, _)| prompt).unwrap();
        assert_eq!(prompt(r#""a\nb""#), Prompt::Text("a\nb".into()));
        assert_eq!(prompt(r#"{"prompt": ""}"#), Prompt::Text(String::new()));
        let ids = r#"{"token_ids": [1, 2], "prompt": null, "seed": null, "id": null}"#;
        assert_eq!(prompt(ids), Prompt::Ids(vec![1, 2]));
    }

    #[test]
    fn an_id_comes_back_as_it_was_spelled() {
        for id in [
            "12345678901234567890123",
            r#"{"b": [1.0,  1e2], "a": "\u00e9"}"#,
            "null",
        ] {
            for rest in [r#""prompt": "a""#, r#""prompt": 5"#, r#""promt": "a""#] {
                let (found, _) = parse(&format!(r#"{{"id": {id}, {rest}}}"#));
                assert_eq!(found.unwrap().get(), id);
            }
        }
        let long = format!(r#"{{"id": "{}", "prompt": "a"}}"#, "a".repeat(LONGEST_ID));
        assert!(parse(&long).0.is_none());
        let deep = format!("{{\"id\": {}{}}}", "[".repeat(9999), "]".repeat(9999));
        assert!(parse(&deep).1.is_err());
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (line, words) in [
            ("", "neither a JSON object"),
            ("5", "neither a JSON object"),
            ("[1, 2]", "neither a JSON object"),
            ("\"a", "not JSON: EOF"),
            ("\"a\" b", "not JSON: trailing"),
            ("{\"prompt\": \"a\"", "not JSON: EOF"),
            ("{}", "no `prompt` and no `token_ids`"),
            (r#"{"prompt": "a", "token_ids": [1]}"#, "both `prompt` and"),
            (r#"{"prompt": ["a"]}"#, "`prompt` is [\"a\"]; a text"),
            (r#"{"token_ids": [-1]}"#, "`token_ids` is [-1]; a list"),
            (r#"{"token_ids": [1.5]}"#, "`token_ids` is [1.5]; a list"),
            (r#"{"token_ids": [4294967296]}"#, "`token_ids` is"),
            (
                r#"{"prompt": "a", "max_tokens": "5"}"#,
                "`max_tokens` is \"5\"",
            ),
            (r#"{"prompt": "a", "seed": -1}"#, "`seed` is -1"),
            (r#"{"prompt": "a", "stop": [1]}"#, "`stop` is [1]"),
            (
                r#"{"prompt": "a", "generate_kwargs": []}"#,
                "`generate_kwargs` is []",
            ),
            (
                r#"{"prompt": "a", "max_token": 5}"#,
                "there is no `max_token`",
            ),
        ] {
            let what = parse(line).1.map(|(prompt, _)| prompt).unwrap_err();
            assert!(what.contains(words), "{line}: {what}");
        }
    }
}

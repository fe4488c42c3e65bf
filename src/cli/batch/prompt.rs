//! A line of JSON to what it asks for: a text after a prompt, or scores of ids.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::request::Own;

/// Bytes of an `id` at most: it is kept while its text is written.
const LONGEST_ID: usize = 1 << 16;

const KEYS: [&str; 8] = [
    "id",
    "prompt",
    "token_ids",
    "max_tokens",
    "seed",
    "stop",
    "generate_kwargs",
    "score_from",
];

#[derive(Debug, PartialEq)]
pub enum Prompt {
    Text(String),
    Ids(Vec<u32>),
}

pub enum Task {
    /// A text after a prompt, with what it asks for itself.
    Continue(Prompt, Own),
    /// How probable each of the ids from an index on is after those before it.
    Score { ids: Vec<u32>, from: usize },
}

/// The line's `id`, as it is spelled, and what it asks for, or what is wrong with it.
pub type Parsed = (Option<Box<RawValue>>, Result<Task, String>);

/// What a line says.
pub fn parse(line: &str) -> Parsed {
    if line.starts_with('"') {
        let text = serde_json::from_str(line).map_err(|error| no_json(&error));
        let task = |text| Task::Continue(Prompt::Text(text), Own::default());
        return (None, text.map(task));
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
            id => (id, task(fields)),
        },
    }
}

type Fields = BTreeMap<String, Box<RawValue>>;

fn task(mut fields: Fields) -> Result<Task, String> {
    if let Some(key) = fields.keys().find(|key| !KEYS.contains(&key.as_str())) {
        return Err(format!(
            "there is no `{key}`; a line can have {}",
            KEYS.join(", ")
        ));
    }
    if let Some(from) = field(&mut fields, "score_from", "the index of an id")? {
        return score(fields, from);
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
    Ok(Task::Continue(prompt, own))
}

fn score(mut fields: Fields, from: usize) -> Result<Task, String> {
    let ids: Option<Vec<u32>> = field(&mut fields, "token_ids", "a list of token ids")?;
    if let Some((key, _)) = fields.iter().find(|(_, value)| value.get() != "null") {
        return Err(format!(
            "`score_from` scores `token_ids`; `{key}` has no place beside it"
        ));
    }
    let ids = ids.ok_or("`score_from` is there, but no `token_ids`")?;
    match from {
        0 => Err("`score_from` is 0; the first id has none before it to score it by".into()),
        from if from > ids.len() => Err(format!(
            "`score_from` is {from}, but `token_ids` has only {}",
            ids.len()
        )),
        from => Ok(Task::Score { ids, from }),
    }
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
        let prompt = |line: &str| match parse(line).1.unwrap() {
            Task::Continue(prompt, _) => prompt,
            Task::Score { .. } => panic!("{line}"),
        };
        assert_eq!(prompt(r#""a\nb""#), Prompt::Text("a\nb".into()));
        assert_eq!(prompt(r#"{"prompt": ""}"#), Prompt::Text(String::new()));
        let ids = r#"{"token_ids": [1, 2], "prompt": null, "seed": null, "id": null}"#;
        assert_eq!(prompt(ids), Prompt::Ids(vec![1, 2]));
    }

    #[test]
    fn ids_are_scored_from_an_index_on() {
        let line = r#"{"token_ids": [1, 2, 3], "score_from": 3, "seed": null, "prompt": null}"#;
        let task = parse(line).1.unwrap();
        assert!(matches!(task, Task::Score { ids, from: 3 } if ids == [1, 2, 3]));
        let none = parse(r#"{"token_ids": [1, 2], "score_from": null}"#).1;
        assert!(matches!(none, Ok(Task::Continue(Prompt::Ids(_), _))));
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
            (r#"{"score_from": 1}"#, "no `token_ids`"),
            (
                r#"{"score_from": 1, "prompt": "a"}"#,
                "`prompt` has no place",
            ),
            (
                r#"{"token_ids": [1, 2], "score_from": 1, "max_tokens": 1}"#,
                "`max_tokens` has no place",
            ),
            (
                r#"{"token_ids": [1], "score_from": 0}"#,
                "`score_from` is 0",
            ),
            (r#"{"token_ids": [1], "score_from": 2}"#, "has only 1"),
            (
                r#"{"token_ids": [1], "score_from": -1}"#,
                "`score_from` is -1",
            ),
            (
                r#"{"token_ids": [1], "score_from": 1e3}"#,
                "`score_from` is 1e3",
            ),
        ] {
            let what = parse(line).1.err().unwrap();
            assert!(what.contains(words), "{line}: {what}");
        }
    }
}

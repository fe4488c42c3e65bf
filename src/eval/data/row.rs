//! A row of data, whatever file it is from. Its fields are asked for by name and kind, and an error says which row lacks what.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value};
use twox_hash::XxHash3_128;

use crate::error::{Error, Result};

/// What tells a row from all others: a hash of all its fields.
pub type Identity = [u8; 16];

/// A row, and where it is from.
#[derive(Debug)]
pub struct Row {
    pub path: Arc<Path>,
    /// Counted from 1; of JSON lines it is the line.
    pub number: usize,
    pub fields: Map<String, Value>,
}

impl Row {
    /// An error about this row.
    pub fn wrong(&self, what: impl Into<String>) -> Error {
        Error::EvalData {
            path: self.path.to_path_buf(),
            row: Some(self.number),
            what: what.into(),
        }
    }

    /// A field, or with a dot a field within one.
    pub fn get(&self, name: &str) -> Result<&Value> {
        let mut parts = name.split('.');
        let first = parts.next().and_then(|part| self.fields.get(part));
        let value = parts.fold(first, |value, part| value?.get(part));
        value.ok_or_else(|| match self.fields.is_empty() {
            true => self.wrong(format!("no field `{name}`; there is none at all")),
            false => {
                let names: Vec<String> = self.fields.keys().take(12).map(|key| cut(key)).collect();
                self.wrong(format!("no field `{name}`; there are {}", names.join(", ")))
            }
        })
    }

    /// A string.
    pub fn text(&self, name: &str) -> Result<&str> {
        let value = self.get(name)?;
        value
            .as_str()
            .ok_or_else(|| self.other_kind(name, value, "a string"))
    }

    /// A list.
    pub fn list(&self, name: &str) -> Result<&[Value]> {
        let value = self.get(name)?;
        match value.as_array() {
            Some(list) => Ok(list),
            None => Err(self.other_kind(name, value, "a list")),
        }
    }

    /// A list of strings.
    pub fn texts(&self, name: &str) -> Result<Vec<&str>> {
        let text =
            |value| as_text(value).ok_or_else(|| self.other_kind(name, value, "a list of strings"));
        self.list(name)?.iter().map(text).collect()
    }

    /// A name, which may be a number: as it is written.
    pub fn name(&self, name: &str) -> Result<String> {
        let value = self.get(name)?;
        as_name(value).ok_or_else(|| self.other_kind(name, value, "a string"))
    }

    /// A list of such.
    pub fn names(&self, name: &str) -> Result<Vec<String>> {
        let text =
            |value| as_name(value).ok_or_else(|| self.other_kind(name, value, "a list of strings"));
        self.list(name)?.iter().map(text).collect()
    }

    /// A list of numbers 0 and 1, or what stands for them.
    pub fn flags(&self, name: &str) -> Result<Vec<bool>> {
        let flag = |value| match label(value) {
            Some(0) => Ok(false),
            Some(1) => Ok(true),
            _ => Err(self.other_kind(name, value, "a list of 0 and 1")),
        };
        self.list(name)?.iter().map(flag).collect()
    }

    /// A number of a choice, `first` being that of the first of `count`; the index from 0. It may be a number, digits or, for 0 and 1, false and
    /// true.
    pub fn choice(&self, name: &str, first: i64, count: usize) -> Result<usize> {
        let value = self.get(name)?;
        let index = label(value).map(|label| label.checked_sub(first));
        let index = index
            .flatten()
            .and_then(|index| usize::try_from(index).ok());
        index.filter(|index| *index < count).ok_or_else(|| {
            let last = first + count as i64 - 1;
            let expected = format!("a number from {first} to {last}, which says what is right");
            self.other_kind(name, value, &expected)
        })
    }

    /// Something that is not what it should be.
    pub fn other_kind(&self, name: &str, value: &Value, expected: &str) -> Error {
        self.wrong(format!(
            "`{name}` is {}; {expected} was expected",
            show(value)
        ))
    }

    /// A hash of all fields, in whatever order they are.
    pub fn identity(&self) -> Identity {
        let mut hash = XxHash3_128::new();
        hash_fields(&self.fields, &mut hash);
        hash.finish_128().to_le_bytes()
    }
}

/// A text, or a whole number as a text.
fn as_name(value: &Value) -> Option<String> {
    let text = as_text(value).map(str::to_owned);
    text.or_else(|| value.as_i64().map(|number| number.to_string()))
}

fn as_text(value: &Value) -> Option<&str> {
    value.as_str()
}

/// Digits, numbers and booleans are all used for labels.
fn label(value: &Value) -> Option<i64> {
    match value {
        Value::Bool(flag) => Some(i64::from(*flag)),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => Some(whole),
            None => whole(number.as_f64()?),
        },
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// A whole number that is written with a point.
fn whole(number: f64) -> Option<i64> {
    (number.fract() == 0.0 && number.abs() < 1e15).then_some(number as i64)
}

/// A value for a message.
fn show(value: &Value) -> String {
    match value {
        Value::Null => "empty".into(),
        Value::Array(list) => format!("a list of {}", list.len()),
        Value::Object(_) => "an object".into(),
        Value::String(text) => format!("\"{}\"", cut(&text.escape_debug().to_string())),
        other => other.to_string(),
    }
}

/// The begin of a text that may be long.
fn cut(text: &str) -> String {
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.into(),
    }
}

fn hash_fields(fields: &Map<String, Value>, hash: &mut XxHash3_128) {
    // Where a field is null in one row and not there in another, Arrow has it null in both.
    let there = fields.iter().filter(|(_, value)| !value.is_null());
    let mut sorted: Vec<(&String, &Value)> = there.collect();
    sorted.sort_by_key(|(name, _)| *name);
    hash.write(&(sorted.len() as u64).to_le_bytes());
    for (name, value) in sorted {
        hash_text('k', name, hash);
        hash_value(value, hash);
    }
}

/// Values that Python takes for equal, such as 1, 1.0 and True, hash alike.
fn hash_value(value: &Value, hash: &mut XxHash3_128) {
    match value {
        Value::Null => hash_text('0', "", hash),
        Value::Bool(flag) => hash_text('n', if *flag { "1" } else { "0" }, hash),
        Value::Number(number) => {
            match number.as_f64().filter(|_| number.is_f64()).and_then(whole) {
                Some(whole) => hash_text('n', &whole.to_string(), hash),
                None => hash_text('n', &number.to_string(), hash),
            }
        }
        Value::String(text) => hash_text('s', text, hash),
        Value::Array(list) => {
            hash_text('l', &list.len().to_string(), hash);
            for value in list {
                hash_value(value, hash);
            }
        }
        Value::Object(fields) => {
            hash_text('o', "", hash);
            hash_fields(fields, hash);
        }
    }
}

/// With its kind and its length, so that no two values are the same bytes.
fn hash_text(kind: char, text: &str, hash: &mut XxHash3_128) {
    hash.write(&[kind as u8]);
    hash.write(&(text.len() as u64).to_le_bytes());
    hash.write(text.as_bytes());
}

//! Prompts, in the four forms that there are: a text, several, ids, several lists of ids.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, SeqAccess, Visitor};

use super::super::api_error::ApiError;
use super::context::Context;
use super::offsets::text_of;
use super::spelling::Spelling;
use crate::text::Tokenizer;

/// Prompts as they were given.
#[derive(Debug, PartialEq, Eq)]
pub enum Given {
    Texts(Vec<String>),
    Ids(Vec<Vec<u32>>),
}

/// A prompt.
#[derive(Debug, PartialEq, Eq)]
pub struct Prompt {
    pub ids: Vec<u32>,
    /// As it was given, if as text.
    pub text: Option<String>,
    /// Whether its first id is a bos that the text has not.
    pub has_silent_bos: bool,
}

impl Given {
    /// The prompts' ids. Ids are what they are; a text gets a bos, if it `gets_bos`.
    ///
    /// # Errors
    /// For texts without a tokenizer, that it cannot express, or that are too long.
    pub fn encode(self, context: &Context, gets_bos: bool) -> Result<Vec<Prompt>, ApiError> {
        let bos = context.model.config().bos_token_id;
        match self {
            Self::Ids(all) => {
                let prompts = all.into_iter().map(|ids| Prompt {
                    has_silent_bos: ids.first() == Some(&bos),
                    text: None,
                    ids,
                });
                Ok(prompts.collect())
            }
            Self::Texts(texts) => {
                let encode = |text: String| {
                    check_length(&text, context)?;
                    let tokenizer = tokenizer(context)?;
                    let mut ids = tokenizer
                        .encode_alone(&text)
                        .map_err(|e| ApiError::from(&e))?;
                    // Before the next one is encoded, for a request may have hundreds.
                    if ids.len() > context.model.context_size() + 1 {
                        let size = context.model.context_size();
                        return Err(ApiError::too_long(size, &ids.len().to_string()));
                    }
                    let has_silent_bos = gets_bos && ids.first() != Some(&bos);
                    if has_silent_bos {
                        ids.insert(0, bos);
                    }
                    Ok(Prompt {
                        ids,
                        text: Some(text),
                        has_silent_bos,
                    })
                };
                texts.into_iter().map(encode).collect()
            }
        }
    }
}

impl Prompt {
    /// As a client sees it: the text that was given, or that of the ids, special ones as they are spelled.
    pub fn shown(&self, spelling: &Spelling) -> String {
        match &self.text {
            Some(text) => text.clone(),
            None => {
                let silent = usize::from(self.has_silent_bos);
                text_of(self.ids.get(silent..).unwrap_or_default(), spelling)
            }
        }
    }
}

/// # Errors
/// 400 where the model has no tokenizer.
pub fn tokenizer(context: &Context) -> Result<&Tokenizer, ApiError> {
    let tokenizer = context.model.require_tokenizer();
    tokenizer.map_err(|error| ApiError::from(&error))
}

/// Whether a text can fit the context, as far as that can be told without the time that it takes to encode a long one.
///
/// # Errors
/// 400 where it cannot.
pub fn check_length(text: &str, context: &Context) -> Result<(), ApiError> {
    let context_size = context.model.context_size();
    // Most tokens are shorter.
    if text.len() <= 4 * context_size {
        return Ok(());
    }
    let tokenizer = context.model.tokenizer();
    let tokens = tokenizer.map_or(0, |tokenizer| tokenizer.least_tokens(text));
    match tokens > context_size + 1 {
        true => Err(ApiError::too_long(
            context_size,
            &format!("at least {tokens}"),
        )),
        false => Ok(()),
    }
}

/// Whether the text of the field `param` has at most so many bytes.
///
/// # Errors
/// 400 where it has more.
pub fn check_bytes(param: &str, bytes: usize, most: usize) -> Result<(), ApiError> {
    if bytes <= most {
        return Ok(());
    }
    let message = format!("`{param}` has {bytes} bytes; at most {most} are possible");
    Err(ApiError::invalid(param, message))
}

/// Reads prompts, of which there can be `most`.
pub struct ReadPrompts {
    pub most: usize,
}

impl<'de> DeserializeSeed<'de> for ReadPrompts {
    type Value = Given;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Given, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ReadPrompts {
    type Value = Given;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, a list of texts, a list of ids, or a list of such lists")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Given, E> {
        Ok(Given::Texts(vec![text.to_owned()]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Given, A::Error> {
        let (mut texts, mut lists, mut ids) = (Vec::new(), Vec::new(), Vec::new());
        while let Some(element) = seq.next_element_seed(ReadElement)? {
            match element {
                Element::Text(text) => texts.push(text),
                Element::Ids(ids) => lists.push(ids),
                Element::Id(id) => ids.push(id),
            }
            let kinds = [!texts.is_empty(), !lists.is_empty(), !ids.is_empty()];
            if kinds.into_iter().filter(|is_there| *is_there).count() > 1 {
                return Err(A::Error::custom(
                    "texts, ids and lists of ids cannot be mixed",
                ));
            }
            if texts.len().max(lists.len()) > self.most {
                let message = format!("there are more than {} prompts", self.most);
                return Err(A::Error::custom(message));
            }
        }
        if !texts.is_empty() {
            return Ok(Given::Texts(texts));
        }
        if !ids.is_empty() {
            lists.push(ids);
        }
        match lists.is_empty() {
            true => Err(A::Error::custom("the list is empty")),
            false => Ok(Given::Ids(lists)),
        }
    }
}

enum Element {
    Text(String),
    Id(u32),
    Ids(Vec<u32>),
}

struct ReadElement;

impl<'de> DeserializeSeed<'de> for ReadElement {
    type Value = Element;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Element, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ReadElement {
    type Value = Element;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, an id, or a list of ids")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Element, E> {
        Ok(Element::Text(text.to_owned()))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Element, E> {
        ReadId.visit_u64(number).map(Element::Id)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Element, E> {
        ReadId.visit_i64(number).map(Element::Id)
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Element, E> {
        ReadId.visit_f64(number).map(Element::Id)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Element, A::Error> {
        ReadIds.visit_seq(seq).map(Element::Ids)
    }
}

/// Reads a list of ids.
pub struct ReadIds;

impl<'de> DeserializeSeed<'de> for ReadIds {
    type Value = Vec<u32>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Vec<u32>, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ReadIds {
    type Value = Vec<u32>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of ids")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<u32>, A::Error> {
        let mut ids = Vec::new();
        while let Some(id) = seq.next_element_seed(ReadId)? {
            ids.push(id);
        }
        Ok(ids)
    }
}

struct ReadId;

impl<'de> DeserializeSeed<'de> for ReadId {
    type Value = u32;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<u32, D::Error> {
        json.deserialize_any(self)
    }
}

impl Visitor<'_> for ReadId {
    type Value = u32;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an id, which is a whole number from 0")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<u32, E> {
        let id = u32::try_from(number);
        id.map_err(|_| E::custom(format_args!("there is no id {number}")))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<u32, E> {
        Err(E::custom(format_args!("there is no id {number}")))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<u32, E> {
        let what = format_args!("an id is a whole number, not {number:?}");
        Err(E::custom(what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Given, String> {
        let mut json = serde_json::Deserializer::from_str(json);
        let given = ReadPrompts { most: 3 }.deserialize(&mut json);
        given.map_err(|error| error.to_string())
    }

    #[test]
    fn there_are_four_forms() {
        let texts = |texts: &[&str]| {
            Ok(Given::Texts(
                texts.iter().map(|t| (*t).to_owned()).collect(),
            ))
        };
        assert_eq!(read(r#""a \"b\"""#), texts(&["a \"b\""]));
        assert_eq!(read(r#"["a", ""]"#), texts(&["a", ""]));
        assert_eq!(read("[1, 2, 3, 4]"), Ok(Given::Ids(vec![vec![1, 2, 3, 4]])));
        assert_eq!(
            read("[[1, 2], []]"),
            Ok(Given::Ids(vec![vec![1, 2], vec![]]))
        );
    }

    #[test]
    fn everything_else_is_refused_with_a_reason() {
        for (json, reason) in [
            ("[]", "empty"),
            ("[1, \"a\"]", "mixed"),
            ("[[1], 1]", "mixed"),
            ("[1.0]", "whole number, not 1.0"),
            ("[-1]", "no id -1"),
            ("[[4294967296]]", "no id 4294967296"),
            ("[123456789012345678901234567890]", "whole number"),
            ("[true]", "expected a text, an id, or a list of ids"),
            ("[[\"1\"]]", "expected an id"),
            ("[[[1]]]", "expected an id"),
            ("[null]", "expected a text"),
            ("{}", "expected a text, a list of texts"),
            ("1", "expected a text"),
            ("[\"a\", \"b\", \"c\", \"d\"]", "more than 3 prompts"),
            ("[[1], [1], [1], [1]]", "more than 3 prompts"),
            ("\"\\ud800\"", "hex escape"),
        ] {
            let error = read(json).unwrap_err();
            assert!(error.contains(reason), "{json}: {error}");
        }
    }
}

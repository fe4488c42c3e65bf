//! Pieces of other programs' JSON, read within bounds: what takes few bytes in a file may take many in memory.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::tree::Tree;

/// The most nodes of one conversation.
pub const MOST_NODES: usize = 50_000;

/// Words of a message: a text, or a list in which texts stand beside other things.
#[derive(Debug, Default)]
pub struct Words {
    pub text: String,
    /// Other things.
    pub others: usize,
}

impl Words {
    pub fn push(&mut self, text: &str) {
        if !self.text.is_empty() && !text.is_empty() {
            self.text.push('\n');
        }
        self.text += text;
    }

    pub fn add(&mut self, other: Self) {
        self.push(&other.text);
        self.others += other.others;
    }
}

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(WordsVisitor)
    }
}

struct WordsVisitor;

impl<'de> Visitor<'de> for WordsVisitor {
    type Value = Words;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("a text or a list of texts")
    }

    fn visit_str<E>(self, text: &str) -> Result<Words, E> {
        Ok(Words {
            text: text.to_owned(),
            others: 0,
        })
    }

    fn visit_unit<E>(self) -> Result<Words, E> {
        Ok(Words::default())
    }

    fn visit_bool<E>(self, _: bool) -> Result<Words, E> {
        Ok(Words::default())
    }

    fn visit_i64<E>(self, _: i64) -> Result<Words, E> {
        Ok(Words::default())
    }

    fn visit_u64<E>(self, _: u64) -> Result<Words, E> {
        Ok(Words::default())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Words, E> {
        Ok(Words::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Words, A::Error> {
        let mut all = Words::default();
        while let Some(part) = parts.next_element::<Words>()? {
            all.add(part);
        }
        Ok(all)
    }

    /// A part with a type: `{"type":"text","text":"…"}`, an image, a file.
    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Words, A::Error> {
        let (mut kind, mut words) = (None, None);
        while let Some(name) = fields.next_key::<String>()? {
            match name.as_str() {
                "type" | "content_type" => kind = fields.next_value::<Loose<String>>()?.0,
                "text" => words = Some(fields.next_value::<Words>()?),
                _ => {
                    fields.next_value::<IgnoredAny>()?;
                }
            }
        }
        // What was spoken is in ChatGPT's files as it was understood.
        let is_text = kind
            .as_deref()
            .is_none_or(|kind| ["text", "audio_transcription"].contains(&kind));
        Ok(words.filter(|_| is_text).unwrap_or(Words {
            text: String::new(),
            others: 1,
        }))
    }
}

/// A value of a kind, or nothing where there is another: programs change what they write.
#[derive(Debug, Clone, Copy)]
pub struct Loose<T>(pub Option<T>);

impl<T> Default for Loose<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<'de, T: TryFrom<Scalar>> Deserialize<'de> for Loose<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let scalar = from.deserialize_any(ScalarVisitor)?;
        Ok(Self(T::try_from(scalar).ok()))
    }
}

/// What a program has not written, or written as nothing.
///
/// # Errors
/// Those of the value.
pub fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    from: D,
) -> Result<T, D::Error> {
    Option::<T>::deserialize(from).map(Option::unwrap_or_default)
}

/// A name by which messages are told apart: a text or a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Id(pub String);

/// A value that is neither a list nor an object.
pub enum Scalar {
    Text(String),
    Number(f64),
    Truth(bool),
    Other,
}

impl TryFrom<Scalar> for String {
    type Error = ();

    fn try_from(from: Scalar) -> Result<Self, ()> {
        match from {
            Scalar::Text(text) => Ok(text),
            _ => Err(()),
        }
    }
}

impl TryFrom<Scalar> for f64 {
    type Error = ();

    fn try_from(from: Scalar) -> Result<Self, ()> {
        match from {
            Scalar::Number(number) => Ok(number),
            _ => Err(()),
        }
    }
}

impl TryFrom<Scalar> for usize {
    type Error = ();

    fn try_from(from: Scalar) -> Result<Self, ()> {
        match from {
            Scalar::Number(number) if number >= 0.0 => Ok(number as Self),
            _ => Err(()),
        }
    }
}

impl TryFrom<Scalar> for bool {
    type Error = ();

    fn try_from(from: Scalar) -> Result<Self, ()> {
        match from {
            Scalar::Truth(truth) => Ok(truth),
            _ => Err(()),
        }
    }
}

impl TryFrom<Scalar> for Id {
    type Error = ();

    fn try_from(from: Scalar) -> Result<Self, ()> {
        match from {
            Scalar::Text(text) => Ok(Self(text)),
            Scalar::Number(number) => Ok(Self(number.to_string())),
            _ => Err(()),
        }
    }
}

struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("a value")
    }

    fn visit_str<E>(self, text: &str) -> Result<Scalar, E> {
        Ok(Scalar::Text(text.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Scalar, E> {
        Ok(Scalar::Other)
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Scalar, E> {
        Ok(Scalar::Truth(truth))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Scalar, E> {
        Ok(Scalar::Number(number as f64))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Scalar, E> {
        Ok(Scalar::Number(number as f64))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Scalar, E> {
        Ok(Scalar::Number(number))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Scalar, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Scalar, A::Error> {
        while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::Other)
    }
}

/// The values of an object, or of a list, with their names; no more than a conversation may have.
#[derive(Debug)]
pub struct Nodes<T>(pub Vec<(String, T)>);

impl<T> Default for Nodes<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Nodes<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(NodesVisitor(PhantomData))
    }
}

struct NodesVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for NodesVisitor<T> {
    type Value = Nodes<T>;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "at most {MOST_NODES} messages")
    }

    fn visit_unit<E>(self) -> Result<Nodes<T>, E> {
        Ok(Nodes::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Nodes<T>, A::Error> {
        let mut all = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            if all.len() == MOST_NODES {
                return Err(serde::de::Error::invalid_length(MOST_NODES + 1, &self));
            }
            all.push(entry);
        }
        Ok(Nodes(all))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Nodes<T>, A::Error> {
        let mut all = Vec::new();
        while let Some(item) = items.next_element()? {
            if all.len() == MOST_NODES {
                return Err(serde::de::Error::invalid_length(MOST_NODES + 1, &self));
            }
            all.push((all.len().to_string(), item));
        }
        Ok(Nodes(all))
    }
}

/// The first of a list, or what is none; nothing where it is something else.
#[derive(Debug)]
pub struct First<T>(pub Option<T>);

impl<T> Default for First<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for First<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(FirstVisitor(PhantomData))
    }
}

struct FirstVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for FirstVisitor<T> {
    type Value = First<T>;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("an object, or a list of them")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<First<T>, A::Error> {
        let first = items.next_element()?;
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(First(first))
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<First<T>, A::Error> {
        let from = serde::de::value::MapAccessDeserializer::new(fields);
        T::deserialize(from).map(Some).map(First)
    }
}

/// Reads one conversation or a list of them, and hands each to `take` before the next is read.
///
/// # Errors
/// Says what is wrong; also what `take` says.
pub fn each<'de, T: Deserialize<'de> + Into<Tree>>(
    bytes: &'de [u8],
    take: impl FnMut(Tree) -> Result<(), String>,
) -> Result<(), String> {
    let mut from = serde_json::Deserializer::from_slice(bytes);
    let visitor = Each(take, PhantomData::<T>);
    from.deserialize_any(visitor)
        .and_then(|()| from.end())
        .map_err(|error| error.to_string())
}

/// Calls `take` for each item of a list, as it is written.
///
/// # Errors
/// Where it is no list, and those of `take`.
pub fn items<'de>(
    bytes: &'de [u8],
    take: impl FnMut(&'de RawValue) -> Result<(), String>,
) -> Result<(), String> {
    let mut from = serde_json::Deserializer::from_slice(bytes);
    from.deserialize_seq(Items(take))
        .and_then(|()| from.end())
        .map_err(|error| error.to_string())
}

struct Items<F>(F);

impl<'de, F: FnMut(&'de RawValue) -> Result<(), String>> Visitor<'de> for Items<F> {
    type Value = ();

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("a list of conversations")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
        while let Some(item) = items.next_element::<&RawValue>()? {
            (self.0)(item).map_err(serde::de::Error::custom)?;
        }
        Ok(())
    }
}

struct Each<F, T>(F, PhantomData<T>);

impl<'de, F: FnMut(Tree) -> Result<(), String>, T: Deserialize<'de> + Into<Tree>> Visitor<'de>
    for Each<F, T>
{
    type Value = ();

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("a conversation, or a list of them")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
        while let Some(item) = items.next_element::<T>()? {
            (self.0)(item.into()).map_err(serde::de::Error::custom)?;
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, fields: A) -> Result<(), A::Error> {
        let item = T::deserialize(serde::de::value::MapAccessDeserializer::new(fields))?;
        (self.0)(item.into()).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(json: &str) -> (String, usize) {
        let words: Words = serde_json::from_str(json).unwrap();
        (words.text, words.others)
    }

    #[test]
    fn words_are_found_among_other_things() {
        assert_eq!(words(r#""Hi""#), ("Hi".into(), 0));
        assert_eq!(words("null"), (String::new(), 0));
        assert_eq!(
            words(r#"["Look:", {"content_type":"image_asset_pointer","width":5}, "a fox"]"#),
            ("Look:\na fox".into(), 1)
        );
        assert_eq!(
            words(r#"[{"type":"text","text":"a"},{"type":"file","text":"b"},{"text":"c"}]"#),
            ("a\nc".into(), 1)
        );
        let deep = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
        assert!(serde_json::from_str::<Words>(&deep).is_err());
    }

    #[test]
    fn there_are_no_more_nodes_than_a_conversation_has() {
        let many = format!("[{}0]", "0,".repeat(MOST_NODES));
        let problem = serde_json::from_str::<Nodes<u8>>(&many).unwrap_err();
        assert!(problem.to_string().contains("at most 50000 messages"));
    }
}

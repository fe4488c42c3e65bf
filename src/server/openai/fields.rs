//! The fields of a JSON object from a stranger: read one by one, so that what is wrong can be named, and never more of them than is asked
//! for. `null` equals absent.

use std::fmt;

use serde::Deserialize;
use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::value::RawValue;

use super::super::api_error::ApiError;
use crate::utf8::{self, NotUtf8};

/// Bytes that are enough to tell UTF-16.
const TELLING: usize = 64;
/// Arrays and objects in each other.
const DEEPEST: usize = 128;
/// Nobody has so many.
const MOST_FIELDS: usize = 256;
/// How much of a wrong value is shown.
const MOST_SHOWN: usize = 40;

/// The fields of an object, unread as yet.
pub struct Fields<'a> {
    /// What comes before a field's name where it is named, such as `messages[0].`.
    path: String,
    fields: Vec<(String, &'a RawValue)>,
}

impl<'a> Fields<'a> {
    /// The fields of a body.
    ///
    /// # Errors
    /// For what is no JSON object.
    pub fn of_body(body: &'a [u8]) -> Result<Self, ApiError> {
        let text = text(body)?;
        if depth(text) > DEEPEST {
            let message =
                format!("the body has more than {DEEPEST} arrays and objects in each other");
            return Err(ApiError::new(400, message));
        }
        Self::read(text, "")
    }

    /// The fields of an object that is the value of `path`.
    ///
    /// # Errors
    /// For what is no JSON object.
    pub fn of_value(value: &'a RawValue, path: &str) -> Result<Self, ApiError> {
        Self::read(value.get(), path)
    }

    fn read(text: &'a str, path: &str) -> Result<Self, ApiError> {
        let wrong = |message: String| match path {
            "" => ApiError::new(400, message),
            path => ApiError::invalid(path, message),
        };
        if !text.trim_start().starts_with('{') {
            let what = if path.is_empty() { "the body" } else { path };
            return Err(wrong(format!(
                "{what} must be an object, not {}",
                shown(text)
            )));
        }
        let (mut fields, mut last) = (Vec::new(), None);
        let mut json = serde_json::Deserializer::from_str(text);
        let read = json
            .deserialize_map(Into {
                fields: &mut fields,
                last: &mut last,
            })
            .and_then(|()| json.end());
        if let Err(error) = read {
            let error = wrong(format!("the body cannot be read: {error}"));
            return Err(match last {
                Some(name) => error.or_param(&name),
                None => error,
            });
        }
        let path = match path {
            "" => String::new(),
            path => format!("{path}."),
        };
        Ok(Self { path, fields })
    }

    /// How a field is named to a client.
    pub fn path(&self, name: &str) -> String {
        format!("{}{name}", self.path)
    }

    /// A field as it is written; the last of several of that name.
    pub fn raw(&self, name: &str) -> Option<&'a RawValue> {
        let mut fields = self.fields.iter().rev();
        let (_, value) = fields.find(|(field, _)| field == name)?;
        (value.get() != "null").then_some(*value)
    }

    /// A field; `expected` says what it must be.
    ///
    /// # Errors
    /// 400 where it is something else.
    pub fn get<T: Deserialize<'a>>(
        &self,
        name: &str,
        expected: &str,
    ) -> Result<Option<T>, ApiError> {
        let value = self.raw(name);
        let value = value.map(|value| serde_json::from_str(value.get()));
        value.transpose().map_err(|_| self.wrong(name, expected))
    }

    /// A field that `seed` reads, which itself says what is wrong.
    ///
    /// # Errors
    /// 400 where `seed` does not take it.
    pub fn get_by<S: DeserializeSeed<'a>>(
        &self,
        name: &str,
        seed: S,
    ) -> Result<Option<S::Value>, ApiError> {
        let Some(value) = self.raw(name) else {
            return Ok(None);
        };
        let mut json = serde_json::Deserializer::from_str(value.get());
        let value = seed.deserialize(&mut json);
        value.map(Some).map_err(|error| {
            let path = self.path(name);
            let message = format!("`{path}`: {}", reason(&error));
            ApiError::invalid(path, message)
        })
    }

    /// That a field is not what it must be.
    pub fn wrong(&self, name: &str, expected: &str) -> ApiError {
        let path = self.path(name);
        let value = self.raw(name).map_or("null", RawValue::get);
        let message = format!("`{path}` must be {expected}, not {}", shown(value));
        ApiError::invalid(path, message)
    }

    /// # Errors
    /// 400 where it is no number.
    pub fn number(&self, name: &str) -> Result<Option<f64>, ApiError> {
        self.get(name, "a number")
    }

    /// A whole number from 0.
    ///
    /// # Errors
    /// 400 where it is something else.
    pub fn count(&self, name: &str) -> Result<Option<usize>, ApiError> {
        self.get(name, "a whole number from 0")
    }

    /// # Errors
    /// 400 where it is neither true nor false.
    pub fn flag(&self, name: &str) -> Result<Option<bool>, ApiError> {
        self.get(name, "true or false")
    }

    /// # Errors
    /// 400 where it is no text.
    pub fn text(&self, name: &str) -> Result<Option<String>, ApiError> {
        self.get(name, "a text")
    }

    /// An object.
    ///
    /// # Errors
    /// 400 where it is something else.
    pub fn object(&self, name: &str) -> Result<Option<Fields<'a>>, ApiError> {
        let value = self.raw(name);
        let object = value.map(|value| Self::of_value(value, &self.path(name)));
        object.transpose()
    }

    /// A list of at most `most` things; `expected` says what it must be.
    ///
    /// # Errors
    /// 400 where it is something else, or longer.
    pub fn list<T: Deserialize<'a>>(
        &self,
        name: &str,
        most: usize,
        expected: &str,
    ) -> Result<Option<Vec<T>>, ApiError> {
        let Some(value) = self.raw(name) else {
            return Ok(None);
        };
        let mut json = serde_json::Deserializer::from_str(value.get());
        let mut items = Vec::new();
        let count = json.deserialize_seq(Items {
            items: &mut items,
            most,
        });
        let count = count.map_err(|_| self.wrong(name, expected))?;
        if count > most {
            let path = self.path(name);
            let message = format!("`{path}` has {count} entries; at most {most} are possible");
            return Err(ApiError::invalid(path, message));
        }
        Ok(Some(items))
    }
}

/// A body as text, without a byte order mark.
fn text(body: &[u8]) -> Result<&str, ApiError> {
    let refused = |what: &str| ApiError::new(400, format!("the body is {what}"));
    // The beginning tells which encoding it is.
    let begin = body.iter().take(TELLING).copied().collect();
    if let Err(NotUtf8::Utf16) = utf8::unmarked(begin) {
        return Err(refused("UTF-16 text; JSON is sent as UTF-8"));
    }
    std::str::from_utf8(utf8::without_mark(body)).map_err(|_| refused("not UTF-8 text"))
}

/// Reads an object.
struct Into<'b, 'a> {
    fields: &'b mut Vec<(String, &'a RawValue)>,
    /// The field whose value is being read.
    last: &'b mut Option<String>,
}

impl<'a> Visitor<'a> for Into<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            *self.last = Some(name.chars().take(MOST_SHOWN).collect());
            let value = map.next_value()?;
            // What is wrong behind it is not wrong with it.
            *self.last = None;
            if self.fields.len() == MOST_FIELDS {
                return Err(A::Error::custom(format_args!(
                    "an object has more than {MOST_FIELDS} fields"
                )));
            }
            self.fields.push((name, value));
        }
        Ok(())
    }
}

/// Reads the first items of a list, and counts all.
struct Items<'b, T> {
    items: &'b mut Vec<T>,
    most: usize,
}

impl<'a, T: Deserialize<'a>> Visitor<'a> for Items<'_, T> {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut seq: A) -> Result<usize, A::Error> {
        while self.items.len() < self.most {
            match seq.next_element()? {
                Some(item) => self.items.push(item),
                None => return Ok(self.items.len()),
            }
        }
        let mut count = self.items.len();
        while seq.next_element::<IgnoredAny>()?.is_some() {
            count += 1;
        }
        Ok(count)
    }
}

/// How deep arrays and objects lie in each other.
fn depth(json: &str) -> usize {
    let (mut depth, mut deepest) = (0usize, 0);
    let mut bytes = json.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'[' | b'{' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'"' => {
                // To the end of the text.
                while let Some(byte) = bytes.next().filter(|byte| *byte != b'"') {
                    if byte == b'\\' {
                        bytes.next();
                    }
                }
            }
            _ => {}
        }
    }
    deepest
}

/// The beginning of a value.
fn shown(json: &str) -> String {
    let json = json.trim();
    let begin: String = json.chars().take(MOST_SHOWN).collect();
    match begin.len() < json.len() {
        true => format!("{begin}…"),
        false if begin.is_empty() => "nothing".into(),
        false => begin,
    }
}

/// What an error says, but for where: lines and columns of a single field help nobody. A text that it quotes is cut short.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let end = text.rfind(" at line ").unwrap_or(text.len());
    let text = &text[..end];
    match (text.find('"'), text.rfind('"')) {
        (Some(open), Some(close)) if open < close => {
            let quoted = &text[open..=close];
            format!("{}{}{}", &text[..open], shown(quoted), &text[close + 1..])
        }
        _ => text.to_owned(),
    }
}

/// Whether it is an empty text, list or object.
pub fn is_empty(value: &RawValue) -> bool {
    let value = value.get();
    let within = |open, close| value.strip_prefix(open)?.strip_suffix(close);
    let inside = within('[', ']').or_else(|| within('{', '}'));
    value == "\"\"" || inside.is_some_and(|inside| inside.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(body: &str) -> ApiError {
        Fields::of_body(body.as_bytes()).err().unwrap()
    }

    #[test]
    fn null_equals_absent_and_the_last_of_several_counts() {
        let fields = Fields::of_body(br#"{"a": null, "n": 1, "n": 2, "\u0061b": true}"#).unwrap();
        assert_eq!(fields.flag("a"), Ok(None));
        assert_eq!(fields.flag("b"), Ok(None));
        assert_eq!(fields.count("n"), Ok(Some(2)));
        assert_eq!(fields.flag("ab"), Ok(Some(true)));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let fields = Fields::of_body(
            br#"{"a": "\ud800", "n": -1, "l": [1, "x"], "o": {"p": 1.5}, "h": 1e999}"#,
        );
        let fields = fields.unwrap();
        let of = |error: ApiError| (error.status, error.param.unwrap(), error.message);
        let says = |param: &str, message: &str| (400, param.to_owned(), message.to_owned());
        let (status, param, _) = of(fields.text("a").unwrap_err());
        assert_eq!((status, param.as_str()), (400, "a"));
        assert_eq!(
            of(fields.count("n").unwrap_err()),
            says("n", "`n` must be a whole number from 0, not -1")
        );
        assert_eq!(
            of(fields.list::<u32>("l", 5, "a list of ids").unwrap_err()),
            says("l", "`l` must be a list of ids, not [1, \"x\"]")
        );
        let object = fields.object("o").unwrap().unwrap();
        assert_eq!(
            of(object.count("p").unwrap_err()),
            says("o.p", "`o.p` must be a whole number from 0, not 1.5")
        );
        assert_eq!(
            of(fields.number("h").unwrap_err()),
            says("h", "`h` must be a number, not 1e999")
        );
        assert_eq!(refused(r#"{"a": 1, "t": NaN}"#).param.as_deref(), Some("t"));
        for behind in [r#"{"a": 1,}"#, r#"{"a": 1"#, r#"{"a": 1 "b": 2}"#] {
            assert_eq!(refused(behind).param, None, "{behind}");
        }
    }

    #[test]
    fn what_is_no_object_is_refused_whatever_it_is() {
        for body in [
            "",
            " ",
            "[]",
            "1",
            "\"{}\"",
            "{",
            "{}x",
            "{\"a\"",
            "{\"a\":1,}",
            "nul",
            "{1:2}",
            "\u{0}",
        ] {
            let error = refused(body);
            assert_eq!(error.status, 400, "{body}");
        }
        assert!(Fields::of_body(b"{\"a\": \"\xff\"}").is_err());
        assert!(Fields::of_body(b" {} \n").is_ok());
        let deep = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        assert!(Fields::of_body(deep(127).as_bytes()).is_ok());
        assert!(refused(&deep(128)).message.contains("128"));
        assert_eq!(depth(r#"{"[[\"[": "{[", "a": [1, {}]}"#), 3);
        let many: Vec<String> = (0..300).map(|i| format!("\"{i}\":0")).collect();
        assert!(
            refused(&format!("{{{}}}", many.join(",")))
                .message
                .contains("256")
        );
    }

    #[test]
    fn other_encodings_are_named_and_a_mark_is_skipped() {
        let fields = Fields::of_body("\u{feff}{\"n\": 1}".as_bytes()).unwrap();
        assert_eq!(fields.count("n"), Ok(Some(1)));
        for body in ["\u{feff}{}", r#"{"prompt": "x"}"#] {
            for bytes in [u16::to_le_bytes, u16::to_be_bytes] {
                let body: Vec<u8> = body.encode_utf16().flat_map(bytes).collect();
                let error = Fields::of_body(&body).err().unwrap();
                assert_eq!(error.status, 400);
                assert!(error.message.contains("UTF-16"), "{}", error.message);
            }
        }
    }

    #[test]
    fn a_list_that_is_too_long_is_counted_not_kept() {
        let body = format!("{{\"stop\": [{}\"a\"]}}", "\"a\",".repeat(999_999));
        let fields = Fields::of_body(body.as_bytes()).unwrap();
        let error = fields.list::<String>("stop", 16, "texts").unwrap_err();
        assert_eq!(
            error.message,
            "`stop` has 1000000 entries; at most 16 are possible"
        );
    }
}

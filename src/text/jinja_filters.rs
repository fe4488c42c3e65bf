//! Jinja2's filters, where minijinja lacks them or has them otherwise. What makes or reads much text pays for it before it does.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Write;

use minijinja::value::{Kwargs, Rest, Value, ValueKind, ValueOrKwargs};
use minijinja::{AutoEscape, Environment, ErrorKind, Output, State};
use serde::Serialize;

use super::jinja_source::LETTERS;
use super::python_json::{Bounded, PythonJson};
use super::python_strings::{self, is_white, strip};

/// Spaces that a level of JSON is indented by at most.
const MOST_INDENT: usize = 16;

/// What comes of running a part of a template.
pub type Run<T> = std::result::Result<T, minijinja::Error>;

/// The filters, and how values are written.
pub fn add(environment: &mut Environment<'_>) {
    environment.set_formatter(write);
    environment.add_filter("tojson", tojson);
    for name in ["default", "d"] {
        environment.add_filter(name, default);
    }
    for name in ["escape", "e"] {
        environment.add_filter(name, escape);
    }
    environment.add_filter("forceescape", forceescape);
    environment.add_filter("int", int);
    environment.add_filter("float", float);
    environment.add_filter("string", string);
    environment.add_filter("sort", sort);
    environment.add_filter("dictsort", dictsort);
    environment.add_filter("wordcount", wordcount);
    environment.add_filter("indent", indent);
    environment.add_filter("trim", trim);
    environment.add_filter("truncate", truncate);
    environment.add_filter("center", center);
    environment.add_filter("striptags", striptags);
    environment.add_filter("urlencode", urlencode);
    environment.add_filter(LETTERS, letters);
}

/// Numbers as Python prints them, and no more of lists in lists than a text may be long.
fn write(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Run<()> {
    match state.auto_escape() {
        AutoEscape::None if value.as_str().is_none() => Ok(out.write_str(&written(value)?)?),
        _ => minijinja::escape_formatter(out, state, value),
    }
}

/// What Python's `str` makes of what is no text.
fn written(value: &Value) -> Run<String> {
    if value.kind() == ValueKind::Number && !value.is_integer() {
        return Ok(python_strings::float(f64::try_from(value.clone())?));
    }
    let mut text = Bounded(Vec::new());
    write!(text, "{value}").map_err(|error| invalid(error.to_string()))?;
    String::from_utf8(text.0).map_err(|error| invalid(error.to_string()))
}

/// What Python's `str` makes of a value.
fn text_of<'a>(state: &State<'_, '_>, value: &'a Value) -> Run<Cow<'a, str>> {
    if let Some(text) = value.as_str() {
        return Ok(text.into());
    }
    let text = written(value)?;
    // Sixteen units a byte, as the library's own filter costs.
    state.consume_fuel(text.len() as u64 / 4)?;
    Ok(text.into())
}

/// A text made of a value: safe from being escaped if that was.
fn made_of(value: &Value, text: impl Into<String>) -> Value {
    match value.is_safe() {
        true => Value::from_safe_string(text.into()),
        false => Value::from(text.into()),
    }
}

/// Pays for `count` times `length` bytes that are to be made.
fn pay(state: &State<'_, '_>, count: usize, length: usize) -> Run<()> {
    state.consume_fuel((count as u64).saturating_mul(length as u64) / 64)
}

fn flag(arguments: &Kwargs, name: &str) -> Run<bool> {
    let value: Option<Value> = arguments.get(name)?;
    Ok(value.is_some_and(|value| value.is_true()))
}

/// A whole number; what is below zero is that.
fn count(arguments: &Kwargs, name: &str, other: usize) -> Run<usize> {
    let value: Option<i64> = arguments.get(name)?;
    Ok(value.map_or(other, |value| usize::try_from(value).unwrap_or(0)))
}

fn invalid(what: impl Into<Cow<'static, str>>) -> minijinja::Error {
    minijinja::Error::new(ErrorKind::InvalidOperation, what)
}

/// Splits arguments by place, each of which has one of `names`, from those by name, and gives all of them names.
pub fn by_name(names: &[&'static str], arguments: Rest<ValueOrKwargs>) -> Run<Kwargs> {
    let arguments = arguments.into_values();
    let (by_place, named) = match arguments.split_last() {
        Some((last, others)) if last.is_kwargs() => (others, Kwargs::try_from(last.clone())?),
        _ => (&arguments[..], Kwargs::from_iter::<[(&str, Value); 0]>([])),
    };
    if by_place.len() > names.len() {
        return Err(minijinja::Error::from(ErrorKind::TooManyArguments));
    }
    let mut all: BTreeMap<String, Value> = BTreeMap::new();
    for name in named.args() {
        all.insert(name.to_owned(), named.get(name)?);
    }
    for (name, value) in names.iter().zip(by_place) {
        all.insert((*name).to_owned(), value.clone());
    }
    Ok(all.into_iter().collect())
}

/// What is missing, and if so asked for what is nothing, is something else.
fn default(value: Value, arguments: Rest<ValueOrKwargs>) -> Run<Value> {
    let arguments = by_name(&["default_value", "boolean"], arguments)?;
    let other: Option<Value> = arguments.get("default_value")?;
    let boolean: Option<Value> = arguments.get("boolean")?;
    arguments.assert_all_used()?;
    let is_lax = boolean.is_some_and(|boolean| boolean.is_true());
    Ok(match value.is_undefined() || (is_lax && !value.is_true()) {
        true => other.unwrap_or_else(|| "".into()),
        false => value,
    })
}

fn int(state: &State<'_, '_>, value: &Value, arguments: Rest<ValueOrKwargs>) -> Run<Value> {
    let arguments = or_zero(&["default", "base"], arguments, 0.into())?;
    minijinja::filters::int(state, value, None, None, arguments)
}

fn float(state: &State<'_, '_>, value: &Value, arguments: Rest<ValueOrKwargs>) -> Run<Value> {
    let arguments = or_zero(&["default"], arguments, 0.0.into())?;
    minijinja::filters::float(state, value, None, arguments)
}

/// As [`by_name`], for what makes a number: of what is none it makes `zero`, unless another default is given.
fn or_zero(names: &[&'static str], arguments: Rest<ValueOrKwargs>, zero: Value) -> Run<Kwargs> {
    let given = by_name(names, arguments)?;
    let mut all = BTreeMap::from([("default".to_owned(), zero)]);
    for name in given.args() {
        all.insert(name.to_owned(), given.get(name)?);
    }
    Ok(all.into_iter().collect())
}

fn sort(state: &State<'_, '_>, value: Value, arguments: Rest<ValueOrKwargs>) -> Run<Value> {
    let names = ["reverse", "case_sensitive", "attribute"];
    minijinja::filters::sort(state, value, by_name(&names, arguments)?)
}

fn dictsort(state: &State<'_, '_>, value: Value, arguments: Rest<ValueOrKwargs>) -> Run<Value> {
    let names = ["case_sensitive", "by", "reverse"];
    let arguments = by_name(&names, arguments)?;
    // As much as sorting costs in the library's own.
    let count = value.len().unwrap_or(0) as u64;
    state.consume_fuel(count * u64::from(count.checked_ilog2().unwrap_or(0) + 1))?;
    minijinja::filters::dictsort(&value, arguments)
}

fn string(state: &State<'_, '_>, value: Value) -> Run<Value> {
    match value.kind() {
        ValueKind::String => Ok(value),
        _ => Ok(text_of(state, &value)?.into_owned().into()),
    }
}

fn escape(state: &State<'_, '_>, value: Value) -> Run<Value> {
    match value.is_safe() {
        true => Ok(value),
        false => forceescape(state, &value),
    }
}

fn forceescape(state: &State<'_, '_>, value: &Value) -> Run<Value> {
    let text = text_of(state, value)?;
    pay(state, text.len(), "&#34;".len())?;
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&#34;",
            '\'' => escaped += "&#39;",
            c => escaped.push(c),
        }
    }
    Ok(Value::from_safe_string(escaped))
}

fn wordcount(state: &State<'_, '_>, value: &Value) -> Run<usize> {
    let text = text_of(state, value)?;
    let words = text.split(|c: char| !c.is_alphanumeric() && c != '_');
    Ok(words.filter(|word| !word.is_empty()).count())
}

/// Lines but the first and empty ones begin with spaces, or with a text.
fn indent(state: &State<'_, '_>, value: &Value, arguments: Rest<ValueOrKwargs>) -> Run<Value> {
    let arguments = by_name(&["width", "first", "blank"], arguments)?;
    let width: Option<Value> = arguments.get("width")?;
    let (is_first, is_blank) = (flag(&arguments, "first")?, flag(&arguments, "blank")?);
    let indention = match width.as_ref().and_then(Value::as_str) {
        Some(text) => text.to_owned(),
        None => {
            let width = count(&arguments, "width", 4)?;
            pay(state, 1, width)?;
            " ".repeat(width)
        }
    };
    arguments.assert_all_used()?;
    // The last line may be empty.
    let text = text_of(state, value)?.into_owned() + "\n";
    pay(state, text.len(), size_of::<&str>())?;
    let lines = python_strings::lines(&text, false);
    pay(state, lines.len(), indention.len())?;
    let mut indented = String::new();
    for (at, line) in lines.into_iter().enumerate() {
        let is_indented = match at {
            0 => is_first,
            _ => is_blank || !line.is_empty(),
        };
        indented += if at > 0 { "\n" } else { "" };
        indented += if is_indented { &indention } else { "" };
        indented += line;
    }
    Ok(made_of(value, indented))
}

fn trim(state: &State<'_, '_>, value: &Value, arguments: Rest<ValueOrKwargs>) -> Run<Value> {
    let arguments = by_name(&["chars"], arguments)?;
    let chars: Option<String> = arguments.get("chars")?;
    arguments.assert_all_used()?;
    let text = text_of(state, value)?;
    Ok(made_of(value, strip(&text, chars.as_deref(), true, true)))
}

fn truncate(state: &State<'_, '_>, value: &Value, arguments: Rest<ValueOrKwargs>) -> Run<Value> {
    let arguments = by_name(&["length", "killwords", "end", "leeway"], arguments)?;
    let length = count(&arguments, "length", 255)?;
    let leeway = count(&arguments, "leeway", 5)?;
    let cuts_words = flag(&arguments, "killwords")?;
    let end: Option<String> = arguments.get("end")?;
    arguments.assert_all_used()?;
    let end = end.as_deref().unwrap_or("...");
    let kept = length
        .checked_sub(end.chars().count())
        .ok_or_else(|| invalid("truncate: the end is longer than the text may be"))?;
    let text = text_of(state, value)?;
    if text.chars().count() <= length.saturating_add(leeway) {
        return Ok(made_of(value, text));
    }
    let kept: String = text.chars().take(kept).collect();
    let whole = match kept.rsplit_once(' ') {
        Some((words, _)) if !cuts_words => words,
        _ => &kept,
    };
    Ok(made_of(value, format!("{whole}{end}")))
}

fn center(state: &mut State<'_, '_>, value: &Value, arguments: Rest<ValueOrKwargs>) -> Run<Value> {
    let arguments = by_name(&["width"], arguments)?;
    let width = count(&arguments, "width", 80)?;
    arguments.assert_all_used()?;
    let text = text_of(state, value)?.into_owned().into();
    let centered = python_strings::unknown_method(state, &text, "center", &[width.into()])?;
    Ok(made_of(value, centered.as_str().unwrap_or_default()))
}

/// A text without comments, tags and needless white space.
fn striptags(state: &State<'_, '_>, value: &Value) -> Run<String> {
    let text = text_of(state, value)?;
    let text = without(&without(&text, "<!--", "-->"), "<", ">");
    let words = text.split(is_white).filter(|word| !word.is_empty());
    let mut stripped = String::with_capacity(text.len());
    for word in words {
        stripped += if stripped.is_empty() { "" } else { " " };
        stripped += word;
    }
    let escapes = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&#34;", "\""),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&nbsp;", "\u{a0}"),
    ];
    // The one that the others begin with goes last.
    let all = escapes.into_iter().chain([("&amp;", "&")]);
    Ok(all.fold(stripped, |text, (escape, c)| text.replace(escape, c)))
}

/// A text without what stands between `begin` and `end`, and those.
fn without(text: &str, begin: &str, end: &str) -> String {
    let (mut left, mut rest) = (String::with_capacity(text.len()), text);
    while let Some((before, behind)) = rest.split_once(begin)
        && let Some((_, behind)) = behind.split_once(end)
    {
        left += before;
        rest = behind;
    }
    left + rest
}

/// A text as a part of an address; pairs as a query.
fn urlencode(state: &State<'_, '_>, value: &Value) -> Run<String> {
    let pairs: Vec<(Value, Value)> = match value.kind() {
        ValueKind::Map => {
            let pair = |key: Value| value.get_item(&key).map(|item| (key, item));
            value.try_iter()?.map(pair).collect::<Run<_>>()?
        }
        ValueKind::Seq | ValueKind::Iterable => {
            let pair = |pair: Value| match pair.len() {
                Some(2) => Ok((pair.get_item_by_index(0)?, pair.get_item_by_index(1)?)),
                _ => Err(invalid("urlencode: not all items are pairs")),
            };
            value.try_iter()?.map(pair).collect::<Run<_>>()?
        }
        _ => return quoted(state, value, "/"),
    };
    let mut query = String::new();
    for (key, item) in pairs {
        query += if query.is_empty() { "" } else { "&" };
        query += &quoted(state, &key, " ")?;
        query += "=";
        query += &quoted(state, &item, " ")?;
    }
    Ok(query.replace(' ', "+"))
}

/// A value's text where all is escaped but letters, digits and what is in `also`.
fn quoted(state: &State<'_, '_>, value: &Value, also: &str) -> Run<String> {
    let text = text_of(state, value)?;
    state.consume_fuel(1 + text.len() as u64 / 4)?;
    let mut quoted = String::with_capacity(text.len());
    for byte in text.bytes() {
        match char::from(byte) {
            c if c.is_ascii_alphanumeric() || "_.-~".contains(c) || also.contains(c) => {
                quoted.push(c);
            }
            _ => quoted += &format!("%{byte:02X}"),
        }
    }
    Ok(quoted)
}

/// The list of a text's letters.
fn letters(state: &State<'_, '_>, value: Value) -> Run<Value> {
    let Some(text) = value.as_str() else {
        return Ok(value);
    };
    pay(state, text.len(), size_of::<Value>())?;
    let letters: Vec<Value> = text.chars().map(Value::from).collect();
    Ok(letters.into())
}

/// As `transformers` defines it over Python's `json.dumps`, which is what templates were written against.
fn tojson(state: &State<'_, '_>, value: Value, arguments: Rest<ValueOrKwargs>) -> Run<String> {
    let wrong = |what: String| invalid(format!("tojson: {what}"));
    let arguments = by_name(
        &["ensure_ascii", "indent", "separators", "sort_keys"],
        arguments,
    )?;
    let option = |name: &str| -> Run<Option<Value>> {
        let value: Option<Value> = arguments.get(name)?;
        Ok(value.filter(|value| !value.is_none()))
    };
    let ensure_ascii = option("ensure_ascii")?;
    let indent = option("indent")?;
    let separators = option("separators")?;
    let sort_keys = option("sort_keys")?;
    arguments.assert_all_used()?;
    let indent = indent.map(usize::try_from).transpose()?;
    let (item, key) = match separators {
        // With an indent every item has a line of its own.
        None if indent.is_some() => (",".to_owned(), ": ".to_owned()),
        None => (", ".to_owned(), ": ".to_owned()),
        Some(separators) => {
            let texts: Vec<String> = separators
                .try_iter()?
                .filter_map(|text| text.as_str().map(str::to_owned))
                .collect();
            let texts: [String; 2] = texts
                .try_into()
                .map_err(|_| wrong("`separators` are two texts".into()))?;
            texts.into()
        }
    };
    let is_set = |option: Option<Value>| option.is_some_and(|value| value.is_true());
    let formatter = PythonJson {
        item,
        key,
        indent: indent.map(|width| width.min(MOST_INDENT)),
        is_ascii: is_set(ensure_ascii),
        depth: 0,
        has_items: false,
    };
    let mut json = Bounded(Vec::new());
    let mut serializer = serde_json::Serializer::with_formatter(&mut json, formatter);
    let done = match is_set(sort_keys) {
        // Its objects are in the order of their keys.
        true => serde_json::to_value(&value).and_then(|value| value.serialize(&mut serializer)),
        false => value.serialize(&mut serializer),
    };
    done.map_err(|error| wrong(error.to_string()))?;
    // Sixteen units a byte, as the library's own filter costs.
    state.consume_fuel(json.0.len() as u64 / 4)?;
    String::from_utf8(json.0).map_err(|error| wrong(error.to_string()))
}

//! Methods of Python's strings and lists that templates call and `minijinja_contrib` lacks, or has otherwise.

use std::collections::BTreeSet;

use minijinja::value::{Kwargs, Value, ValueKind, from_args};
use minijinja::{Error, ErrorKind, State};

/// Methods of Python's own types: for [`minijinja::Environment::set_unknown_method_callback`].
///
/// # Errors
/// [`ErrorKind::UnknownMethod`]; what is wrong with the arguments.
pub fn unknown_method(
    state: &mut State,
    value: &Value,
    method: &str,
    args: &[Value],
) -> Result<Value, Error> {
    let Some(text) = value.as_str() else {
        return of_list(state, value, method, args);
    };
    let args = &by_place(method, args)?;
    match method {
        "removeprefix" => {
            let (prefix,): (&str,) = from_args(args)?;
            Ok(text.strip_prefix(prefix).unwrap_or(text).into())
        }
        "removesuffix" => {
            let (suffix,): (&str,) = from_args(args)?;
            Ok(text.strip_suffix(suffix).unwrap_or(text).into())
        }
        "partition" | "rpartition" => {
            let (separator,): (&str,) = from_args(args)?;
            let separator = not_empty(separator)?;
            let is_last = method == "rpartition";
            let found = match is_last {
                true => text.rsplit_once(separator),
                false => text.split_once(separator),
            };
            let parts = match found {
                Some((before, after)) => [before, separator, after],
                None if is_last => ["", "", text],
                None => [text, "", ""],
            };
            Ok(parts.into_iter().map(Value::from).collect())
        }
        "strip" | "lstrip" | "rstrip" => {
            let (chars,): (Option<&str>,) = from_args(args)?;
            let (is_left, is_right) = (method != "rstrip", method != "lstrip");
            Ok(strip(text, chars, is_left, is_right).into())
        }
        "split" if args.first().is_none_or(Value::is_none) => {
            let (_, most): (Option<&str>, Option<i64>) = from_args(args)?;
            state.consume_fuel(text.len() as u64 / 16)?;
            let words = words(text, most.and_then(|most| usize::try_from(most).ok()));
            Ok(words.into_iter().map(Value::from).collect())
        }
        "splitlines" => {
            let (keeps_ends,): (Option<bool>,) = from_args(args)?;
            state.consume_fuel(text.len() as u64 / 16)?;
            let lines = lines(text, keeps_ends.unwrap_or(false));
            Ok(lines.into_iter().map(Value::from).collect())
        }
        "expandtabs" => {
            let (size,): (Option<i64>,) = from_args(args)?;
            let size = usize::try_from(size.unwrap_or(8)).unwrap_or(0);
            let tabs = text.matches('\t').count() as u64;
            state.consume_fuel(tabs.saturating_mul(size as u64) / 64)?;
            Ok(expand_tabs(text, size).into())
        }
        "rsplit" => {
            let (separator, most): (Option<&str>, Option<i64>) = from_args(args)?;
            let most = most.and_then(|most| usize::try_from(most).ok());
            // Charged as its result is by others: by what is made.
            state.consume_fuel(text.len() as u64 / 16)?;
            let mut parts = match separator {
                Some(separator) => {
                    let separator = not_empty(separator)?;
                    match most {
                        Some(most) => text.rsplitn(most.saturating_add(1), separator).collect(),
                        None => text.rsplit(separator).collect(),
                    }
                }
                None => words_from_the_end(text, most),
            };
            parts.reverse();
            Ok(parts.into_iter().map(Value::from).collect())
        }
        // From the second argument on they say which part of the text is meant.
        "find" | "rfind" | "index" | "rindex" | "count" | "startswith" | "endswith"
            if args.len() > 1 =>
        {
            let (what, begin, end): (Value, Option<i64>, Option<i64>) = from_args(args)?;
            let (begin, part) = part(text, begin, end);
            state.consume_fuel(part.len() as u64 / 64)?;
            let found = unknown_method(state, &part.into(), method, &[what])?;
            Ok(match i64::try_from(found.clone()) {
                Ok(at) if at >= 0 && method.contains("ind") => (at + begin).into(),
                _ => found,
            })
        }
        "index" | "rindex" => {
            let (what,): (&str,) = from_args(args)?;
            let found = match method {
                "index" => text.find(what),
                _ => text.rfind(what),
            };
            let found = found.ok_or_else(|| invalid("substring not found"))?;
            Ok(text[..found].chars().count().into())
        }
        "title" => {
            let () = from_args(args)?;
            Ok(title(text).into())
        }
        "istitle" => {
            let () = from_args(args)?;
            Ok(is_title(text).into())
        }
        "isspace" => {
            let () = from_args(args)?;
            Ok((text.chars().all(is_white) && !text.is_empty()).into())
        }
        "swapcase" => {
            let () = from_args(args)?;
            let swapped = text.chars().map(|c| match c.is_uppercase() {
                true => c.to_lowercase().to_string(),
                false => c.to_uppercase().to_string(),
            });
            Ok(swapped.collect::<String>().into())
        }
        "casefold" => {
            let () = from_args(args)?;
            Ok(text.to_lowercase().replace('ß', "ss").into())
        }
        "isdecimal" => {
            let () = from_args(args)?;
            let are_digits = text.chars().all(|c| c.is_ascii_digit());
            Ok((are_digits && !text.is_empty()).into())
        }
        "ljust" | "rjust" | "center" | "zfill" => {
            let (width, fill): (i64, Option<&str>) = from_args(args)?;
            let length = text.chars().count();
            let missing = usize::try_from(width).unwrap_or(0).saturating_sub(length);
            state.consume_fuel(missing as u64 / 16)?;
            let fill = fill.unwrap_or(if method == "zfill" { "0" } else { " " });
            if fill.chars().count() != 1 {
                return Err(invalid(
                    "the fill character must be exactly one character long",
                ));
            }
            let (sign, digits) = match text.strip_prefix(['+', '-']) {
                Some(digits) if method == "zfill" => (&text[..1], digits),
                _ => ("", text),
            };
            let before = match method {
                "ljust" => 0,
                // As CPython: what cannot be halved goes to the left of a text of odd width.
                "center" => missing / 2 + (missing & (length + missing) & 1),
                _ => missing,
            };
            let after = missing - before;
            Ok(format!(
                "{sign}{}{digits}{}",
                fill.repeat(before),
                fill.repeat(after)
            )
            .into())
        }
        _ => minijinja_contrib::pycompat::unknown_method_callback(state, value, method, args),
    }
}

/// Methods of what is no text.
fn of_list(state: &mut State, value: &Value, method: &str, args: &[Value]) -> Result<Value, Error> {
    let is_list = matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable);
    if method == "copy" && (is_list || value.kind() == ValueKind::Map) {
        // Nothing changes either of them.
        let () = from_args(args)?;
        return Ok(value.clone());
    }
    if !is_list || !matches!(method, "index" | "count") {
        return minijinja_contrib::pycompat::unknown_method_callback(state, value, method, args);
    }
    let (what,): (&Value,) = from_args(args)?;
    let mut found = value
        .try_iter()?
        .enumerate()
        .filter(|(_, item)| item == what);
    match method {
        "count" => Ok(found.count().into()),
        _ => found
            .next()
            .map(|(at, _)| at.into())
            .ok_or_else(|| invalid("the value is not in the list")),
    }
}

/// Arguments in their order, of methods whose arguments may be given by name.
fn by_place(method: &str, args: &[Value]) -> Result<Vec<Value>, Error> {
    let names: &[&str] = match method {
        "split" | "rsplit" => &["sep", "maxsplit"],
        "splitlines" => &["keepends"],
        "expandtabs" => &["tabsize"],
        _ => return Ok(args.to_vec()),
    };
    let Some((named, places)) = args.split_last().filter(|(last, _)| last.is_kwargs()) else {
        return Ok(args.to_vec());
    };
    let named = Kwargs::try_from(named.clone())?;
    let mut all = places.to_vec();
    for name in names.iter().skip(places.len()) {
        all.push(named.get::<Option<Value>>(name)?.unwrap_or(Value::from(())));
    }
    named.assert_all_used()?;
    Ok(all)
}

/// `text[begin:end]`, and where it begins.
fn part(text: &str, begin: Option<i64>, end: Option<i64>) -> (i64, String) {
    let length = text.chars().count() as i64;
    let within = |at: i64| if at < 0 { at + length } else { at }.clamp(0, length);
    let begin = within(begin.unwrap_or(0));
    let end = within(end.unwrap_or(length));
    let part = text.chars().skip(begin as usize);
    (begin, part.take((end - begin).max(0) as usize).collect())
}

/// Letters behind what is no letter are capitals, all others small.
fn title(text: &str) -> String {
    let mut is_inside = false;
    let mut titled = String::with_capacity(text.len());
    for c in text.chars() {
        match is_inside {
            true => titled.extend(c.to_lowercase()),
            false => titled.extend(c.to_uppercase()),
        }
        is_inside = c.is_alphabetic();
    }
    titled
}

/// Whether [`title`] would change nothing, and there is something that it could.
fn is_title(text: &str) -> bool {
    let (mut is_inside, mut has_letters) = (false, false);
    for c in text.chars() {
        let is_letter = c.is_uppercase() || c.is_lowercase();
        if is_letter && c.is_uppercase() == is_inside {
            return false;
        }
        is_inside = is_letter;
        has_letters |= is_letter;
    }
    has_letters
}

/// Spaces up to the next multiple of `size`, counted from the beginning of a line, for every tab.
fn expand_tabs(text: &str, size: usize) -> String {
    let (mut expanded, mut column) = (String::with_capacity(text.len()), 0_usize);
    for c in text.chars() {
        if c == '\t' {
            let missing = size - column.checked_rem(size).unwrap_or(size);
            expanded.extend(std::iter::repeat_n(' ', missing));
            column += missing;
            continue;
        }
        expanded.push(c);
        column = if matches!(c, '\n' | '\r') {
            0
        } else {
            column + 1
        };
    }
    expanded
}

/// What Python takes for white space: Unicode's, and the separators of ASCII.
pub fn is_white(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\x1c'..='\x1f')
}

/// A text without white space, or without any of `chars`, at its beginning and end.
pub fn strip<'a>(text: &'a str, chars: Option<&str>, is_left: bool, is_right: bool) -> &'a str {
    // Both may be long.
    let chars: Option<BTreeSet<char>> = chars.map(|chars| chars.chars().collect());
    let goes = |c: char| {
        chars
            .as_ref()
            .map_or(is_white(c), |chars| chars.contains(&c))
    };
    let text = if is_left {
        text.trim_start_matches(goes)
    } else {
        text
    };
    if is_right {
        text.trim_end_matches(goes)
    } else {
        text
    }
}

/// Lines, with what ends them if it is to be kept.
pub fn lines(text: &str, keeps_ends: bool) -> Vec<&str> {
    let is_end = |c| {
        matches!(
            c,
            '\n' | '\r' | '\x0b' | '\x0c' | '\x1c'..='\x1e' | '\u{85}' | '\u{2028}' | '\u{2029}'
        )
    };
    let (mut lines, mut rest) = (Vec::new(), text);
    while let Some((at, end)) = rest.char_indices().find(|(_, c)| is_end(*c)) {
        let length = if rest[at..].starts_with("\r\n") {
            2
        } else {
            end.len_utf8()
        };
        lines.push(&rest[..at + if keeps_ends { length } else { 0 }]);
        rest = &rest[at + length..];
    }
    if !rest.is_empty() {
        lines.push(rest);
    }
    lines
}

/// A number as Python prints it.
pub fn float(number: f64) -> String {
    if number.is_nan() {
        return "nan".to_owned();
    }
    // Exponents begin at the same numbers, but have a sign and two digits there.
    let text = format!("{number:?}");
    match text.split_once('e') {
        Some((digits, exponent)) => match exponent.strip_prefix('-') {
            Some(exponent) => format!("{digits}e-{exponent:0>2}"),
            None => format!("{digits}e+{exponent:0>2}"),
        },
        None => text,
    }
}

/// Words between white space; what is left after `most` cuts is one.
fn words(text: &str, most: Option<usize>) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = text.trim_start_matches(is_white);
    while !rest.is_empty() {
        if most == Some(words.len()) {
            words.push(rest);
            break;
        }
        let (word, behind) = rest.split_at(rest.find(is_white).unwrap_or(rest.len()));
        words.push(word);
        rest = behind.trim_start_matches(is_white);
    }
    words
}

/// Words between white space, the last first; what is left after `most` cuts is one.
fn words_from_the_end(text: &str, most: Option<usize>) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = text.trim_end_matches(is_white);
    while !rest.is_empty() {
        if most == Some(words.len()) {
            words.push(rest);
            break;
        }
        let begin = rest
            .char_indices()
            .rev()
            .find(|(_, c)| is_white(*c))
            .map_or(0, |(at, c)| at + c.len_utf8());
        words.push(&rest[begin..]);
        rest = rest[..begin].trim_end_matches(is_white);
    }
    words
}

fn not_empty(separator: &str) -> Result<&str, Error> {
    match separator.is_empty() {
        true => Err(invalid("empty separator")),
        false => Ok(separator),
    }
}

fn invalid(what: &'static str) -> Error {
    Error::new(ErrorKind::InvalidOperation, what)
}

#[cfg(test)]
mod tests {
    use minijinja::{Environment, context};

    #[test]
    fn methods_are_pythons() {
        let mut environment = Environment::new();
        environment.set_unknown_method_callback(super::unknown_method);
        for (expression, expected) in [
            ("'xab'.removeprefix('x')", "ab"),
            ("'xab'.removeprefix('ab')", "xab"),
            ("'xab'.removesuffix('ab')", "x"),
            ("'a:b:c'.partition(':')|join('|')", "a|:|b:c"),
            ("'a:b:c'.rpartition(':')|join('|')", "a:b|:|c"),
            ("'abc'.partition(':')|join('|')", "abc||"),
            ("'abc'.rpartition(':')|join('|')", "||abc"),
            ("'a</t>b</t>c'.rsplit('</t>', 1)[-1]", "c"),
            ("'a</t>b</t>c'.rsplit('</t>', 1)[0]", "a</t>b"),
            ("'a,b,c'.rsplit(',')|join('|')", "a|b|c"),
            ("' a  b c '.rsplit()|join('|')", "a|b|c"),
            ("' a  b c '.rsplit(none, 1)|join('|')", " a  b|c"),
            ("'éab'.index('a')", "1"),
            ("'abca'.rindex('a')", "3"),
            ("'Ab'.lower()", "ab"),
            ("'a,b,c'.split(',', maxsplit=1)|join('|')", "a|b,c"),
            ("'a,b,c'.rsplit(sep=',', maxsplit=1)|join('|')", "a,b|c"),
            ("'a b c'.split(maxsplit=1)|join('|')", "a|b c"),
            ("'a\nb'.splitlines(keepends=true)|join('|')", "a\n|b"),
            (
                "'a\u{1c}b\u{2028}c\r\nd\x0b'.splitlines()|join('|')",
                "a|b|c|d",
            ),
            ("'\u{1f} a\u{1c}b '.split()|join('|')", "a|b"),
            ("' a  b c '.split(none, 1)|join('|')", "a|b c "),
            ("'\u{1c} a\u{85}'.strip() ~ 'xya'.lstrip('yx')", "aa"),
            ("'\u{1e}'.isspace()", "True"),
            ("'a\tbc\n\td'.expandtabs(4)", "a   bc\n    d"),
            ("'\ta'.expandtabs(tabsize=0)", "a"),
            (
                "'It\\'S 3D'.istitle() ~ 'aB'.istitle() ~ '1'.istitle()",
                "TrueFalseFalse",
            ),
            ("{'a': 1}.copy().a ~ [1, 2].copy()", "1[1, 2]"),
            ("'ébab'.find('b', 2)", "3"),
            ("'abab'.rfind('b', 0, -1)", "1"),
            ("'abab'.index('b', 2)", "3"),
            ("'abab'.find('x', 2)", "-1"),
            ("'abab'.count('b', 2)", "1"),
            ("'abab'.startswith('ba', 1)", "True"),
            ("'abab'.endswith('ab', 0, 3)", "False"),
            ("\"it's user_name 3d\".title()", "It'S User_Name 3D"),
            ("'aB'.swapcase()", "Ab"),
            ("'Straße'.casefold()", "strasse"),
            ("'12'.isdecimal()", "True"),
            ("'-7'.zfill(4)", "-007"),
            ("'ab'.ljust(4, '.')", "ab.."),
            ("'ab'.rjust(4)", "  ab"),
            ("'ab'.center(5, '.')", "..ab."),
            ("'abc'.center(6, '.')", ".abc.."),
            ("['a', 'b', 'b'].index('b')", "1"),
            ("['a', 'b', 'b'][1:].count('b')", "2"),
        ] {
            let source = format!("{{{{ {expression} }}}}");
            let text = environment.render_str(&source, context! {}).unwrap();
            assert_eq!(text, expected, "{expression}");
        }
        for wrong in [
            "'a'.index('b')",
            "'a'.partition('')",
            "[1].rsplit(',')",
            "[1].index(2)",
            "'a'.split(limit=1)",
            "'a'.ljust(3, '')",
        ] {
            let source = format!("{{{{ {wrong} }}}}");
            assert!(
                environment.render_str(&source, context! {}).is_err(),
                "{wrong}"
            );
        }
    }
}

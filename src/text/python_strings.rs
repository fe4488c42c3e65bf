//! Methods of Python's strings and lists that templates call and `minijinja_contrib` lacks, or has otherwise.

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

/// Words between white space, the last first; what is left after `most` cuts is one.
fn words_from_the_end(text: &str, most: Option<usize>) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = text.trim_end();
    while !rest.is_empty() {
        if most == Some(words.len()) {
            words.push(rest.trim_start());
            break;
        }
        let begin = rest
            .char_indices()
            .rev()
            .find(|(_, c)| c.is_whitespace())
            .map_or(0, |(at, c)| at + c.len_utf8());
        words.push(&rest[begin..]);
        rest = rest[..begin].trim_end();
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
            ("' a  b c '.rsplit(none, 1)|join('|')", "a  b|c"),
            ("'éab'.index('a')", "1"),
            ("'abca'.rindex('a')", "3"),
            ("'Ab'.lower()", "ab"),
            ("'a,b,c'.split(',', maxsplit=1)|join('|')", "a|b,c"),
            ("'a,b,c'.rsplit(sep=',', maxsplit=1)|join('|')", "a,b|c"),
            ("'a b c'.split(maxsplit=1)|join('|')", "a|b c"),
            ("'a\nb'.splitlines(keepends=true)|join('|')", "a\n|b"),
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

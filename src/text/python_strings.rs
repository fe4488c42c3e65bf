//! Methods of Python's strings that templates call and `minijinja_contrib` lacks.

use minijinja::value::{Value, ValueKind, from_args};
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
    let text = match value.kind() {
        ValueKind::String => value.as_str().unwrap_or_default(),
        _ => "",
    };
    let is_text = value.kind() == ValueKind::String;
    match method {
        "removeprefix" if is_text => {
            let (prefix,): (&str,) = from_args(args)?;
            Ok(text.strip_prefix(prefix).unwrap_or(text).into())
        }
        "removesuffix" if is_text => {
            let (suffix,): (&str,) = from_args(args)?;
            Ok(text.strip_suffix(suffix).unwrap_or(text).into())
        }
        "partition" | "rpartition" if is_text => {
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
        "rsplit" if is_text => {
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
        "index" | "rindex" if is_text => {
            let (what,): (&str,) = from_args(args)?;
            let found = match method {
                "index" => text.find(what),
                _ => text.rfind(what),
            };
            let found = found.ok_or_else(|| invalid("substring not found"))?;
            Ok(text[..found].chars().count().into())
        }
        _ => minijinja_contrib::pycompat::unknown_method_callback(state, value, method, args),
    }
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
        ] {
            let source = format!("{{{{ {expression} }}}}");
            let text = environment.render_str(&source, context! {}).unwrap();
            assert_eq!(text, expected, "{expression}");
        }
        for wrong in ["'a'.index('b')", "'a'.partition('')", "[1].rsplit(',')"] {
            let source = format!("{{{{ {wrong} }}}}");
            assert!(
                environment.render_str(&source, context! {}).is_err(),
                "{wrong}"
            );
        }
    }
}

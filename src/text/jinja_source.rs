//! A chat template's source as Jinja2 reads it: written so that minijinja, which reads some of it otherwise, understands the same.

/// The filter that makes a list of a text, and leaves all else as it is.
pub const LETTERS: &str = "letters_of_text";

/// A template's text with what minijinja would not read as Jinja2 does: ends of lines, Python's escapes in string literals, literals side by
/// side, which are one, the tags by which transformers finds what the assistant says, which change no text, blocks that keep to themselves
/// what is set in them, and loops over texts.
pub fn as_jinja2_reads(source: &str) -> String {
    let source = source.replace("\r\n", "\n").replace('\r', "\n");
    let mut read = String::with_capacity(source.len());
    let mut rest = source.as_str();
    while let Some(begin) = begin_of_tag(rest) {
        read += &rest[..begin];
        let (open, behind) = rest[begin..].split_at(2);
        read += open;
        rest = match open {
            "{#" => comment(behind, &mut read),
            "{%" => block(behind, &mut read),
            _ => code(behind, "}}", &mut read),
        };
    }
    read + rest
}

fn begin_of_tag(source: &str) -> Option<usize> {
    let behind = |at: usize| source.as_bytes().get(at + 1);
    let mut braces = source.match_indices('{').map(|(at, _)| at);
    braces.find(|at| matches!(behind(*at), Some(b'{' | b'%' | b'#')))
}

/// Copies a comment; returns what comes behind it, as all of these do.
fn comment<'a>(source: &'a str, read: &mut String) -> &'a str {
    copy(source, source.find("#}").unwrap_or(source.len()), read)
}

fn block<'a>(source: &'a str, read: &mut String) -> &'a str {
    let begin = read.len();
    let behind = code(source, "%}", read);
    let Some(tag) = read[begin..].strip_suffix("%}").map(str::to_owned) else {
        return behind;
    };
    let inner = tag.trim_start_matches(['-', '+']);
    let open = &tag[..tag.len() - inner.len()];
    let inner = inner.trim_end_matches(['-', '+']);
    let close = &tag[open.len() + inner.len()..];
    let name = inner.trim_start();
    let (name, rest) = name.split_at(name.find(|c| !is_in_name(c)).unwrap_or(name.len()));
    let is_raw = name == "raw" && rest.trim().is_empty();
    let tag = match name {
        // What is set within these is not seen outside.
        "generation" if rest.trim().is_empty() => tag.replacen(name, "with", 1),
        "endgeneration" if rest.trim().is_empty() => tag.replacen(name, "endwith", 1),
        "filter" => format!("{tag}%}}{{% with {close}"),
        "set" if !is_assignment(rest) => format!("{tag}%}}{{% with {close}"),
        "endfilter" | "endset" => format!("{open} endwith %}}{{%{tag}"),
        "for" => match texts_by_letter(inner) {
            Some(inner) => [open, &inner, close].concat(),
            None => return behind,
        },
        // The line's end behind it is text.
        "raw" if is_raw && close.is_empty() => tag + "+",
        _ => tag,
    };
    read.truncate(begin);
    *read += &tag;
    *read += "%}";
    match is_raw {
        true => copy(behind, end_of_raw(behind), read),
        false => behind,
    }
}

fn is_in_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Whether what is behind `set` gives a value, rather than begin a block.
fn is_assignment(rest: &str) -> bool {
    rest.find(['=', '|'])
        .is_some_and(|at| rest[at..].starts_with('='))
}

/// A loop's tag that goes over the list of a text's letters, which has a length and a last one, where it would go over the text.
fn texts_by_letter(tag: &str) -> Option<String> {
    let begin = find_word(tag, "in")? + "in".len();
    let (target, rest) = tag.split_at(begin);
    let end = ["if", "recursive"].map(|word| find_word(rest, word));
    let (items, rest) = rest.split_at(end.into_iter().flatten().min().unwrap_or(rest.len()));
    match items.trim() {
        "" => None,
        _ => Some([target, " (", items, ")|", LETTERS, " ", rest].concat()),
    }
}

/// Where a word stands in a tag, outside of literals and brackets.
fn find_word(tag: &str, word: &str) -> Option<usize> {
    let (mut depth, mut quote, mut before) = (0_usize, None, ' ');
    let mut chars = tag.char_indices();
    while let Some((at, c)) = chars.next() {
        match (quote, c) {
            (Some(_), '\\') => drop(chars.next()),
            (Some(own), _) => quote = Some(own).filter(|own| *own != c),
            (None, '"' | '\'') => quote = Some(c),
            (None, '(' | '[' | '{') => depth += 1,
            (None, ')' | ']' | '}') => depth = depth.saturating_sub(1),
            _ if depth > 0 || before == '.' || is_in_name(before) => {}
            _ => match tag[at..].strip_prefix(word) {
                Some(behind) if !behind.starts_with(is_in_name) => return Some(at),
                _ => {}
            },
        }
        before = c;
    }
    None
}

/// Where the tag begins that ends a raw block.
fn end_of_raw(source: &str) -> usize {
    let is_end = |(at, _): &(usize, &str)| {
        let tag = source[at + 2..].trim_start_matches(['-', '+']).trim_start();
        tag.starts_with("endraw")
    };
    let end = source.match_indices("{%").find(is_end);
    end.map_or(source.len(), |(at, _)| at)
}

fn copy<'a>(source: &'a str, length: usize, read: &mut String) -> &'a str {
    let (copied, behind) = source.split_at(length);
    *read += copied;
    behind
}

/// Copies the code of a tag and what closes it.
fn code<'a>(source: &'a str, close: &str, read: &mut String) -> &'a str {
    let (mut rest, mut depth) = (source, 0_usize);
    while let Some(c) = rest.chars().next() {
        if depth == 0 && rest.starts_with(close) {
            return copy(rest, close.len(), read);
        }
        match c {
            '{' | '[' | '(' => depth += 1,
            '}' | ']' | ')' => depth = depth.saturating_sub(1),
            '"' | '\'' => match literals(rest, c) {
                Some((literal, behind)) => {
                    *read += &literal;
                    rest = behind;
                    continue;
                }
                // It does not end, which is an error of minijinja's to report.
                None => break,
            },
            _ => {}
        }
        rest = copy(rest, c.len_utf8(), read);
    }
    copy(rest, rest.len(), read)
}

/// One literal for all those that a source begins with, in `quote`s, and what comes behind them.
fn literals(source: &str, quote: char) -> Option<(String, &str)> {
    let mut all = String::from(quote);
    let mut rest = source;
    while let Some(own @ ('"' | '\'')) = rest.trim_start().chars().next() {
        let mut chars = rest.trim_start()[1..].chars();
        loop {
            match chars.next()? {
                '\\' => escape(&mut chars, &mut all)?,
                c if c == own => break,
                c if c == quote => all.extend(['\\', c]),
                c => all.push(c),
            }
        }
        rest = chars.as_str();
    }
    all.push(quote);
    Some((all, rest))
}

/// Writes the escape behind a backslash as minijinja knows it. `None` if the source ends.
fn escape(chars: &mut std::str::Chars<'_>, read: &mut String) -> Option<()> {
    match chars.next()? {
        // A line that goes on.
        '\n' => {}
        'a' => read.push('\x07'),
        'v' => read.push('\x0b'),
        // No escape of Python's.
        '/' => read.push_str("\\\\/"),
        'U' => match chars
            .as_str()
            .get(..8)
            .and_then(|digits| char::from_u32(u32::from_str_radix(digits, 16).ok()?))
        {
            Some(c) => {
                // A quote or a backslash would mean something else.
                match c.is_ascii() {
                    true => *read += &format!("\\x{:02x}", u32::from(c)),
                    false => read.push(c),
                }
                chars.nth(7)?;
            }
            None => read.push_str("\\U"),
        },
        c => read.extend(['\\', c]),
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::as_jinja2_reads;

    fn reads(source: &str) -> String {
        as_jinja2_reads(source)
    }

    #[test]
    fn what_both_read_alike_stays() {
        for source in [
            "a\n{{ b['c'] }}{%- if d == \"e\\n\\u00e9\" -%}f{% endif %}{# it's #}g",
            "{{ {'a': {'b': 1}}['a'] }}'text \\/ stays'",
            "{% raw -%}{% generation %} 'a' 'b'{% endraw %}{{ 'c' }}",
            "{{ 'no end }} and more",
            "{% if 'no end",
            "{# no end",
            "{",
        ] {
            assert_eq!(reads(source), source);
        }
    }

    #[test]
    fn escapes_are_pythons() {
        assert_eq!(
            reads(r"{{ '\a\v\/\d\\\'' }}"),
            "{{ '\x07\x0b\\\\/\\d\\\\\\'' }}"
        );
        assert_eq!(
            reads(r"{{ '\U0001F600\U00000027\U0001' }}"),
            r"{{ '😀\x27\U0001' }}"
        );
        assert_eq!(reads("{{ 'a\\\nb' }}"), "{{ 'ab' }}");
    }

    #[test]
    fn literals_side_by_side_are_one() {
        assert_eq!(
            reads("{{ 'a' \n\"b'\" 'c\"' ~ 'd' }}"),
            "{{ 'ab\\'c\"' ~ 'd' }}"
        );
    }

    #[test]
    fn blocks_are_pythons() {
        for (source, expected) in [
            ("{% raw %}\na{% endraw %}", "{% raw +%}\na{% endraw %}"),
            (
                "{%- filter upper -%}a{%+ endfilter %}",
                "{%- filter upper -%}{% with -%}a{%+ endwith %}{%+ endfilter %}",
            ),
            (
                "{% set a|d(x=1) %}b{% endset %}",
                "{% set a|d(x=1) %}{% with %}b{% endwith %}{% endset %}",
            ),
            ("{% set a='b|c' %}", "{% set a='b|c' %}"),
            (
                "{% for(i, j) in x.if['in'] -%}",
                "{% for(i, j) in ( x.if['in'] )|letters_of_text -%}",
            ),
            (
                "{%for i in x if i in y recursive%}",
                "{%for i in ( x )|letters_of_text if i in y recursive%}",
            ),
            (
                "{% for x in y recursive %}",
                "{% for x in ( y )|letters_of_text recursive %}",
            ),
            (
                "{% for x in %}{% for x %}{%%}{%-%}{% 'a",
                "{% for x in %}{% for x %}{%%}{%-%}{% 'a",
            ),
        ] {
            assert_eq!(reads(source), expected);
        }
    }

    #[test]
    fn lines_and_the_marks_of_training_change_no_text() {
        assert_eq!(
            reads("a\r\nb\r{%- generation %}c{% endgeneration -%}"),
            "a\nb\n{%- with %}c{% endwith -%}"
        );
        assert_eq!(
            reads("{% set a = 'generation' %}"),
            "{% set a = 'generation' %}"
        );
    }
}

//! A chat template's source as Jinja2 reads it: written so that minijinja, which reads some of it otherwise, understands the same.

/// A template's text with what minijinja would not read as Jinja2 does: ends of lines, Python's escapes in string literals, literals side by
/// side, which are one, and the tags by which transformers finds what the assistant says, which change no text.
pub fn as_jinja2_reads(source: &str) -> String {
    let source = source.replace("\r\n", "\n").replace('\r', "\n");
    let mut read = String::with_capacity(source.len());
    let mut rest = source.as_str();
    while let Some(begin) = rest
        .find("{{")
        .into_iter()
        .chain(rest.find("{%"))
        .chain(rest.find("{#"))
        .min()
    {
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

/// Copies a comment; returns what comes behind it, as all of these do.
fn comment<'a>(source: &'a str, read: &mut String) -> &'a str {
    copy(source, source.find("#}").unwrap_or(source.len()), read)
}

fn block<'a>(source: &'a str, read: &mut String) -> &'a str {
    let begin = read.len();
    let behind = code(source, "%}", read);
    let name = read[begin..]
        .trim_end_matches("%}")
        .trim_matches(['-', '+'])
        .trim();
    match name {
        "generation" => {
            let tag = read.split_off(begin).replacen("generation", "if true", 1);
            *read += &tag;
        }
        "endgeneration" => {
            let tag = read.split_off(begin).replacen("endgeneration", "endif", 1);
            *read += &tag;
        }
        "raw" => return copy(behind, end_of_raw(behind), read),
        _ => {}
    }
    behind
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
            "{% raw %}{% generation %} 'a' 'b'{% endraw %}{{ 'c' }}",
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
    fn lines_and_the_marks_of_training_change_no_text() {
        assert_eq!(
            reads("a\r\nb\r{%- generation %}c{% endgeneration -%}"),
            "a\nb\n{%- if true %}c{% endif -%}"
        );
        assert_eq!(
            reads("{% set a = 'generation' %}"),
            "{% set a = 'generation' %}"
        );
    }
}

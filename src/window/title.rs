//! What to call a conversation that has no name yet.

/// Characters of a title at most.
const MOST: usize = 60;

/// The first words of a text, without the signs of Markdown.
pub fn suggested(text: &str) -> String {
    // A text may be all of one long line, and only its beginning is of interest.
    const LOOK_AT: usize = 2000;
    let beginning = &text[..text.floor_char_boundary(LOOK_AT)];
    let mut lines = beginning.lines().map(str::trim);
    let plain = lines.clone().map(plain).find(|line| !line.is_empty());
    let title = match plain {
        Some(line) => line,
        // Signs are all that there is.
        None => lines
            .find(|line| !line.is_empty())
            .unwrap_or_default()
            .into(),
    };
    shortened(&title)
}

/// A line without what Markdown makes of it something else than text.
fn plain(line: &str) -> String {
    if line.starts_with("```") || line.starts_with("~~~") {
        return String::new();
    }
    let mut rest = line;
    loop {
        let before = rest;
        rest = rest.trim_start_matches(['#', '>', ' ']);
        for bullet in ["- ", "* ", "+ ", "[ ] ", "[x] "] {
            rest = rest.strip_prefix(bullet).unwrap_or(rest);
        }
        if rest == before {
            break;
        }
    }
    let mut words: Vec<String> = Vec::new();
    for word in without_links(rest).split_whitespace() {
        // A sign alone is arithmetic, and an underline within a word part of a name.
        let is_rule = word.len() > 2 && word.chars().all(|c| "-=*_|:".contains(c));
        let plain = match word.chars().any(char::is_alphanumeric) {
            true => word.replace(['`', '*'], "").replace("~~", ""),
            false => word.to_owned(),
        };
        if !is_rule {
            words.push(plain.trim_matches('_').to_owned());
        }
    }
    words.join(" ")
}

/// `[text](address)` as `text`.
fn without_links(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some(open) = rest.find('[') {
        let link = rest[open..].find("](").map(|middle| open + middle);
        let end = link.and_then(|middle| Some(middle + rest[middle..].find(')')?));
        let (Some(middle), Some(end)) = (link, end) else {
            break;
        };
        out += rest[..open].trim_end_matches('!');
        out += &rest[open + 1..middle];
        rest = &rest[end + 1..];
    }
    out + rest
}

/// Ends at a word, if one ends.
fn shortened(title: &str) -> String {
    let Some((end, _)) = title.char_indices().nth(MOST) else {
        return title.to_owned();
    };
    // A language without spaces has none to end at, and a single long word neither.
    let kept = &title[..end];
    let is_word_end = title[end..].starts_with(char::is_whitespace);
    let kept = match kept.rfind(char::is_whitespace) {
        Some(space) if !is_word_end && 2 * space > end => &kept[..space],
        _ => kept,
    };
    let kept = kept.trim_end_matches(|c: char| c.is_whitespace() || ",;:-–—(".contains(c));
    format!("{kept}…")
}

#[cfg(test)]
mod tests {
    use super::suggested;

    #[test]
    fn titles_are_plain_words() {
        for (text, title) in [
            ("Once upon a time", "Once upon a time"),
            ("\n\n  Why?\nmore", "Why?"),
            ("# **A story** of `two` _kings_", "A story of two kings"),
            (
                "> - [ ] see [the page](https://a.b/c_d) now",
                "see the page now",
            ),
            ("![a fox](fox.png) runs", "a fox runs"),
            ("```rust\nlet snake_case = 1;", "let snake_case = 1;"),
            ("3 * 4 - 2 [is] it (?", "3 * 4 - 2 [is] it (?"),
            ("```", "```"),
            ("| a | b |\n|---|---|", "| a | b |"),
            ("***", "***"),
            ("", ""),
        ] {
            assert_eq!(suggested(text), title, "{text:?}");
        }
    }

    #[test]
    fn long_ones_end_at_a_word() {
        let text = "Tell me a story about the fox, the owl and the bear, who lived in a forest.";
        let title = "Tell me a story about the fox, the owl and the bear, who…";
        assert_eq!(suggested(text), title);
        let word = "x".repeat(100);
        assert_eq!(suggested(&word), format!("{}…", "x".repeat(60)));
        // Signs count as they are written, not as bytes.
        let signs = "字".repeat(5000);
        assert_eq!(suggested(&signs), format!("{}…", "字".repeat(60)));
    }
}

//! What holds a report together: its head, style and script, and how texts of others get into it.

use std::borrow::Cow;
use std::fmt::Write;

use super::about::About;

const STYLE: &str = include_str!("../../../assets/report/style.css");
const SCRIPT: &str = include_str!("../../../assets/report/script.js");

/// A text that a browser takes as text, wherever it stands between tags or in a quoted attribute.
pub fn escaped(text: &str) -> Cow<'_, str> {
    let is_special = |c: char| matches!(c, '&' | '<' | '>' | '"' | '\'') || c.is_control();
    if !text.contains(is_special) {
        return text.into();
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' | '\t' => escaped.push(c),
            // HTML has no way to say these.
            c if c.is_control() => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped.into()
}

/// Everything up to the figures at the top.
pub fn begin(text: &mut String, about: &About<'_>) {
    let [title, model, dtype, adapter] =
        [about.title, about.model, about.dtype, about.adapter].map(escaped);
    let run = match (title.is_empty(), model.is_empty()) {
        (true, _) => format!("<bdi>{dtype}</bdi> on <bdi>{adapter}</bdi>"),
        (false, true) => String::new(),
        (false, false) => {
            format!("<bdi>{model}</bdi>, <bdi>{dtype}</bdi>, on <bdi>{adapter}</bdi>")
        }
    };
    let heading = if title.is_empty() { &model } else { &title };
    // Even if something got past `escaped`, a browser would load nothing.
    let _ = write!(
        text,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{heading}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <header><h1><bdi>{heading}</bdi></h1><p class=\"on\">{run}</p></header>\n<main>\n"
    );
}

pub fn end(text: &mut String) {
    let _ = write!(
        text,
        "</main>\n<script>\n{SCRIPT}</script>\n</body>\n</html>\n"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_others_stay_texts() {
        assert_eq!(escaped("OpenELM-270M"), "OpenELM-270M");
        assert_eq!(
            escaped("</title><script>alert('\"')</script>&\0"),
            "&lt;/title&gt;&lt;script&gt;alert(&#39;&quot;&#39;)&lt;/script&gt;&amp;\u{fffd}"
        );
    }

    #[test]
    fn style_and_script_end_where_they_should() {
        for part in [STYLE, SCRIPT] {
            assert!(!part.contains("</"), "a browser would end there");
        }
        for word in ["http:", "https:", "url(", "@import", "fetch(", "src="] {
            assert!(!STYLE.contains(word) && !SCRIPT.contains(word), "{word}");
        }
    }
}

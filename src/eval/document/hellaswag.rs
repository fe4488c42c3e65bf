//! HellaSwag, whose texts are cleaned of what WikiHow's articles are marked up with.

use super::parts::Document;
use crate::error::Result;
use crate::eval::data::Row;
use crate::eval::python::{capitalize, strip};

pub fn read(row: &Row) -> Result<Document> {
    let activity = row.text("activity_label")?;
    let (begin, end) = (row.text("ctx_a")?, capitalize(row.text("ctx_b")?));
    let question = clean(&format!("{activity}: {begin} {end}"));
    let endings: Vec<String> = row.texts("endings")?.into_iter().map(clean).collect();
    let gold = row.choice("label", 0, endings.len())?;
    Ok(Document::new(question, endings, gold))
}

/// What lm-evaluation-harness does. Two spaces become one in a single pass, so three become two; an ending that began with a mark keeps the
/// space behind it.
fn clean(text: &str) -> String {
    let text = strip(text).replace(" [title]", ". ");
    without_brackets(&text).replace("  ", " ")
}

/// Without every shortest `[…]` on a line.
fn without_brackets(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('[') {
        kept += before;
        match after.find([']', '\n']) {
            Some(end) if after[end..].starts_with(']') => rest = &after[end + 1..],
            _ => {
                kept.push('[');
                rest = after;
            }
        }
    }
    kept + rest
}

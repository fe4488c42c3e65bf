//! `openelm tokenize`: text to ids, without a device.

use std::fmt::Write;

use anyhow::Result;
use openelm::hub::TokenizerNeed;
use serde_json::json;

use super::args::{Tokenize, read_text};
use super::{hub, output};

pub fn run(arguments: &Tokenize) -> Result<()> {
    let files = hub::open(
        &arguments.model,
        &arguments.hub,
        arguments.tokenizer.as_deref(),
        TokenizerNeed::Needed,
    )?;
    let tokenizer = files.require_tokenizer()?;
    let ids = tokenizer.encode(&read_text(&arguments.prompt)?)?;
    let tokens: Vec<String> = ids
        .iter()
        .map(|id| tokenizer.token(*id).unwrap_or_default())
        .collect();
    if arguments.json {
        let object = json!({ "ids": ids, "tokens": tokens });
        return output::write(&format!("{object}\n"));
    }
    let mut text = String::new();
    for (id, token) in ids.iter().zip(&tokens) {
        writeln!(text, "{id:>8}  {token}")?;
    }
    output::write(&text)
}

//! `openelm tokenize`: text to ids, without a device.

use std::fmt::Write;

use anyhow::Result;
use openelm::ModelFiles;
use serde_json::json;

use super::args::{Tokenize, read_text};
use super::output;

pub fn run(arguments: &Tokenize) -> Result<()> {
    let mut files = ModelFiles::open(&arguments.model)?;
    if let Some(path) = &arguments.tokenizer {
        files.set_tokenizer(path)?;
    }
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

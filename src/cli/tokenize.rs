//! `openelm tokenize`: text to ids, without a device.

use std::fmt::Write;

use anyhow::{Result, bail};
use openelm::Checkpoint;
use openelm::checkpoint::read_tokenizer;
use openelm::text::{HOW_TO_GET_ONE, Tokenizer};
use serde_json::json;

use super::args::{Tokenize, read_text};
use super::output;

pub fn run(arguments: &Tokenize) -> Result<()> {
    let checkpoint = Checkpoint::open(&arguments.model)?;
    let bytes = match (&arguments.tokenizer, checkpoint.tokenizer) {
        (Some(path), _) => read_tokenizer(path)?,
        (None, Some(bytes)) => bytes,
        (None, None) => bail!("`{}` has no tokenizer. {HOW_TO_GET_ONE}", arguments.model),
    };
    let config = &checkpoint.config;
    let tokenizer = Tokenizer::from_bytes(&bytes, config.bos_token_id, config.vocab_size)?;
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

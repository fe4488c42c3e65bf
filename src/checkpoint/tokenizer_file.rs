//! The file that has a model's tokenizer: `tokenizer.json`, or what SentencePiece keeps.

use std::path::{Path, PathBuf};

use super::read::{read_bounded, read_bytes};
use super::sentencepiece;
use crate::error::Result;

/// What a tokenizer is called in a model's folder, and what SentencePiece calls one.
const TOKENIZER: &str = "tokenizer.json";
const SENTENCEPIECE: &str = "tokenizer.model";

/// How large either may be.
const MOST_TOKENIZER: u64 = 256 << 20;

/// The tokenizer in a model's folder, or where it would be.
pub fn tokenizer_in(folder: &Path) -> PathBuf {
    match (folder.join(TOKENIZER), folder.join(SENTENCEPIECE)) {
        (json, model) if !is_there(&json) && is_there(&model) => model,
        (json, _) => json,
    }
}

/// Whether there is anything of that name. A link to nowhere counts: opening it says what is wrong.
pub fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// Reads a tokenizer file, or that in a folder, as the text of a `tokenizer.json`; returns its path too.
///
/// # Errors
/// [`Error::Read`] if it cannot be read, [`Error::Config`] if it is far too large; [`Error::Tokenizer`] for a model of SentencePiece that cannot
/// be one.
pub fn read_tokenizer(path: &Path) -> Result<(PathBuf, Vec<u8>)> {
    let file = match path.is_dir() {
        true => tokenizer_in(path),
        false => path.to_owned(),
    };
    let is_sentencepiece = file.extension().is_some_and(|ending| ending == "model");
    let bytes = match is_sentencepiece {
        true => sentencepiece::tokenizer_json(&read_bytes(&file, MOST_TOKENIZER)?, &file)?,
        false => read_bounded(&file, MOST_TOKENIZER)?,
    };
    Ok((file, bytes))
}

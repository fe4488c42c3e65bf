//! Reads files that may be anything: small ones whole, and none that is no file.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::error::{Error, Result};
use crate::utf8;

/// Opens a file, refusing what is none: a pipe or a device would hang, or never end.
pub fn open_file(path: &Path) -> Result<File> {
    let read = |error| Error::read(path, error);
    if !std::fs::metadata(path).map_err(read)?.is_file() {
        return Err(Error::checkpoint(path, "is not a file"));
    }
    File::open(path).map_err(read)
}

/// Reads a small text file whole, refusing one of more than `limit` bytes. A byte order mark is left out.
pub fn read_bounded(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let bytes = read_bytes(path, limit)?;
    utf8::unmarked(bytes).map_err(|error| Error::config(path, error.to_string()))
}

/// The same of any file.
pub fn read_bytes(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_file(path)?
        .take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Error::read(path, error))?;
    if bytes.len() as u64 > limit {
        return Err(Error::config(
            path,
            format!("is larger than {limit} bytes, too large to be what its name says"),
        ));
    }
    refuse_pointer(path, &bytes)?;
    Ok(bytes)
}

/// A clone without Git LFS leaves small texts where files should be.
pub fn refuse_pointer(path: &Path, bytes: &[u8]) -> Result<()> {
    if bytes.starts_with(b"version https://git-lfs") {
        return Err(Error::checkpoint(
            path,
            "is only a Git LFS pointer to the file; run `git lfs pull` in its folder",
        ));
    }
    Ok(())
}

/// A text of the file as messages have it: short, and nothing that a terminal obeys.
pub fn shown(text: &str) -> String {
    const MOST: usize = 80;
    let mut shown: String = text.escape_debug().take(MOST).collect();
    if text.escape_debug().nth(MOST).is_some() {
        shown.push('…');
    }
    shown
}

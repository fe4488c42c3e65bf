//! Reads files that may be anything: small ones whole, and none that is no file.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

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
    utf8::unmarked(bytes).map_err(|error| Error::config(path, error.to_string()))
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

/// Reads a tokenizer file that lies elsewhere; returns its path too.
///
/// # Errors
/// [`Error::Read`] if it cannot be read, [`Error::Config`] if it is far too large.
pub fn read_tokenizer(path: &Path) -> Result<(PathBuf, Vec<u8>)> {
    let file = if path.is_dir() {
        path.join("tokenizer.json")
    } else {
        PathBuf::from(path)
    };
    let bytes = read_bounded(&file, 256 << 20)?;
    Ok((file, bytes))
}

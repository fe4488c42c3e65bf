//! Small files of a person's: read with a bound, written whole or not at all.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use openelm::utf8;

/// Reads a text, refusing what is no file and what has more than `most` bytes.
pub fn read_text_file(path: &Path, most: u64) -> Result<String> {
    let name = path.display();
    let cannot = || format!("cannot read {name}");
    // A pipe or a device would hang, or never end.
    if !std::fs::metadata(path).with_context(cannot)?.is_file() {
        bail!("{name} is not a file");
    }
    let mut bytes = Vec::new();
    let file = File::open(path).with_context(cannot)?;
    file.take(most + 1)
        .read_to_end(&mut bytes)
        .with_context(cannot)?;
    if bytes.len() as u64 > most {
        bail!("{name} has more than {} MiB", most >> 20);
    }
    utf8::text(bytes).with_context(|| name.to_string())
}

/// Writes a file that takes the place of `path` when it is whole; what was there stays until then.
pub fn replace_file(path: &Path, bytes: &[u8]) -> Result<()> {
    // A link stays one: what it leads to is replaced.
    let path = &dunce::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let beside = write_beside(path, bytes)?;
    let done = std::fs::rename(&beside, path);
    if done.is_err() {
        let _ = std::fs::remove_file(&beside);
    }
    done.with_context(|| format!("cannot write {}", path.display()))
}

/// Finds out whether a file could be written there.
pub fn check_writable(path: &Path) -> Result<()> {
    let beside = write_beside(path, b"")?;
    let _ = std::fs::remove_file(beside);
    Ok(())
}

/// Writes a file next to `path`, with what may be done with that. Returns its path.
fn write_beside(path: &Path, bytes: &[u8]) -> Result<PathBuf> {
    let cannot = || format!("cannot write {}", path.display());
    let Some(name) = path.file_name() else {
        bail!("{}: no file has such a name", path.display());
    };
    let mut beside = name.to_owned();
    beside.push(format!(".{}.part", std::process::id()));
    let beside = path.with_file_name(beside);
    let write = || -> std::io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&beside)?;
        if let Ok(metadata) = path.metadata() {
            file.set_permissions(metadata.permissions())?;
        }
        file.write_all(bytes)?;
        file.sync_all()
    };
    let done = write();
    if done.is_err() {
        let _ = std::fs::remove_file(&beside);
    }
    done.with_context(cannot)?;
    Ok(beside)
}

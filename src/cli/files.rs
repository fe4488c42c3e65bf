//! Small files of a person's: read with a bound, written whole or not at all.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use anyhow::{Context, Result, bail};
use openelm::utf8;
use openelm::whole_file::WholeFile;

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
    let write = || {
        let mut file = WholeFile::begin(path)?;
        file.write_all(bytes)?;
        file.finish()
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

/// Finds out whether a file could be written there.
pub fn check_writable(path: &Path) -> Result<()> {
    let begun = WholeFile::begin(path);
    begun.with_context(|| format!("cannot write {}", path.display()))?;
    Ok(())
}

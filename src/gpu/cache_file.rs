//! Files that only save time: what is too long to be ours is not read, and what cannot be written is done without.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{Read, Result};
use std::path::Path;

/// All of a file, or `None` where it cannot be read or has more than `most` bytes.
pub fn read(path: &Path, most: u64) -> Option<Vec<u8>> {
    let file = std::fs::File::open(path).ok()?;
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 <= most).then_some(bytes)
}

/// Writes a file whole or not at all, also when two processes write it at once. Its folder is made where there is none.
///
/// # Errors
/// Those of the file system.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let random = RandomState::new().build_hasher().finish();
    let beside = path.with_extension(format!("{random:016x}.part"));
    let written = std::fs::write(&beside, bytes).and_then(|()| std::fs::rename(&beside, path));
    written.inspect_err(|_| {
        let _ = std::fs::remove_file(&beside);
    })
}

//! Files read within a bound, and what is left of those that were never finished.

use std::io::Read;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::super::history::Stamp;
use crate::utf8;
use crate::whole_file::is_unfinished;

/// Larger files are none of ours.
pub const MOST_BYTES: u64 = 256 << 20;

/// Digits of an id, which is the time that it was given at, in nanoseconds since 1970.
pub const ID_DIGITS: usize = 20;

/// What a clock says: names that are made of it are in the order of time.
pub fn nanoseconds() -> u128 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| now.as_nanos())
}

/// Which version of a file lies at `path`, if one does.
pub fn stamp(path: &Path) -> std::io::Result<Stamp> {
    let data = std::fs::metadata(path)?;
    let modified = data.modified()?.duration_since(UNIX_EPOCH);
    Ok(Stamp {
        bytes: data.len(),
        modified: modified.map_or(0, |time| time.as_nanos() as u64),
    })
}

/// All of a file that is no larger than those of this program are, without a byte order mark.
///
/// # Errors
/// Says why not, but not of which file.
pub fn read(path: &Path) -> Result<Vec<u8>, String> {
    let describe = |error: std::io::Error| error.to_string();
    let data = std::fs::metadata(path).map_err(describe)?;
    // A pipe has no end.
    if !data.is_file() {
        return Err("is no file".into());
    }
    if data.len() > MOST_BYTES {
        return Err(format!(
            "has {} bytes, too many for a conversation",
            data.len()
        ));
    }
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(describe)?;
    file.take(MOST_BYTES)
        .read_to_end(&mut bytes)
        .map_err(describe)?;
    utf8::unmarked(bytes).map_err(|error| error.to_string())
}

/// Removes what a crash has left half-written; what is younger may be another window's.
pub fn remove_remains(folder: &Path) {
    const OLD: Duration = Duration::from_secs(3600);
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        // Thousands of conversations need not be asked how old they are.
        if !is_unfinished(&path) {
            continue;
        }
        let age = entry.metadata().and_then(|data| data.modified());
        let age = age.ok().and_then(|time| time.elapsed().ok());
        if age > Some(OLD) {
            let _ = std::fs::remove_file(path);
        }
    }
}

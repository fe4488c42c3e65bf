//! What was known of the conversations when the window was closed, in one file, so that the next start need not read them all. An entry
//! counts only where the file that it is of has the same size and time; all else is read again. So nothing depends on this file.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::super::history::Entry;
use super::files::{read, stamp};
use crate::whole_file;

/// Changes with the meaning of the entries.
const VERSION: u32 = 2;

#[derive(Serialize, Deserialize)]
struct Index<Entries> {
    version: u32,
    entries: Entries,
}

/// What there is.
#[derive(Default)]
pub struct Listing {
    pub entries: Vec<Entry>,
    /// Files that must be read first, and their bytes in all.
    pub unread: Vec<PathBuf>,
    pub unread_bytes: u64,
    /// What keeps the folder from being read.
    pub problem: Option<String>,
}

fn path(folder: &Path) -> PathBuf {
    folder.join("index.json")
}

/// Keeps entries whose files are known.
///
/// # Errors
/// Those of the system.
pub fn write(folder: &Path, entries: &[Entry]) -> std::io::Result<()> {
    let known = entries.iter().filter(|entry| entry.stamp.is_some());
    let index = Index {
        version: VERSION,
        entries: known.collect::<Vec<_>>(),
    };
    whole_file::replace(&path(folder), &serde_json::to_vec(&index)?)
}

/// Lists the conversations in `folder`, as far as that can be told without reading them.
pub fn list(folder: &Path) -> Listing {
    let bytes = read(&path(folder)).unwrap_or_default();
    let index: Option<Index<Vec<Entry>>> = serde_json::from_slice(&bytes).ok();
    let entries = index
        .filter(|index| index.version == VERSION)
        .map_or(Vec::new(), |index| index.entries);
    let mut known: HashMap<String, Entry> = entries
        .into_iter()
        .map(|entry| (entry.id.clone(), entry))
        .collect();

    let mut listing = Listing::default();
    let conversations = folder.join("conversations");
    let found = match std::fs::read_dir(&conversations) {
        Ok(found) => found,
        Err(error) => {
            if error.kind() != std::io::ErrorKind::NotFound {
                listing.problem = Some(format!("{}: {error}", conversations.display()));
            }
            return listing;
        }
    };
    for path in found.flatten().map(|entry| entry.path()) {
        if path.extension().is_none_or(|end| end != "json") {
            continue;
        }
        let stamp = stamp(&path).ok();
        let id = path.file_stem().unwrap_or_default().to_string_lossy();
        match known.remove(&*id) {
            Some(entry) if stamp.is_some() && entry.stamp == stamp => listing.entries.push(entry),
            _ => {
                listing.unread_bytes += stamp.map_or(0, |stamp| stamp.bytes);
                listing.unread.push(path);
            }
        }
    }
    listing
}

//! Where deleted conversations lie until it is emptied: `trash/ID.SECONDS.json`, with the time of the deletion in the name, since the file's
//! own time is that of the last word.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::files::nanoseconds;

/// How long a deleted conversation can be had back.
pub(super) const KEPT: Duration = Duration::from_hours(30 * 24);

pub(super) const NANOSECONDS: u128 = 1_000_000_000;

/// Moves a conversation into the trash. Fine if it is not there.
///
/// # Errors
/// Those of the system; then it is where it was.
pub fn throw(folder: &Path, path: &Path) -> std::io::Result<()> {
    let trash = folder.join("trash");
    // One that was never saved leaves nothing behind.
    if !std::fs::exists(path)? {
        return Ok(());
    }
    std::fs::create_dir_all(&trash)?;
    let id = path.file_stem().unwrap_or_default().to_string_lossy();
    let seconds = nanoseconds() / NANOSECONDS;
    std::fs::rename(path, trash.join(format!("{id}.{seconds}.json")))
}

/// What lies in the trash, listed once for many that come back.
#[derive(Default)]
pub struct Listing(Option<HashMap<String, Vec<(u128, PathBuf)>>>);

impl Listing {
    /// The file of the latest of that id, which is listed no longer.
    fn take_latest(&mut self, folder: &Path, id: &str) -> Option<PathBuf> {
        let all = self.0.get_or_insert_with(|| {
            let mut all: HashMap<_, Vec<_>> = HashMap::new();
            for (id, seconds, path) in thrown(folder) {
                all.entry(id).or_default().push((seconds, path));
            }
            all
        });
        let of_it = all.get_mut(id)?;
        let latest = (0..of_it.len()).max_by_key(|at| of_it[*at].0)?;
        Some(of_it.swap_remove(latest).1)
    }

    /// To be called when the trash has changed otherwise.
    pub fn forget(&mut self) {
        self.0 = None;
    }
}

/// Puts a conversation back that was thrown away, the latest of that name. Nothing is written over.
///
/// # Errors
/// Those of the system; [`std::io::ErrorKind::NotFound`] if it is not in the trash.
pub fn restore(folder: &Path, path: &Path, listing: &mut Listing) -> std::io::Result<()> {
    if std::fs::exists(path)? {
        return Ok(());
    }
    let id = path.file_stem().unwrap_or_default().to_string_lossy();
    let thrown = listing.take_latest(folder, &id);
    let thrown = thrown.ok_or(std::io::ErrorKind::NotFound)?;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::rename(thrown, path)
}

/// The file of the conversation of that id that was thrown away last.
pub fn latest(folder: &Path, id: &str) -> Option<PathBuf> {
    Listing::default().take_latest(folder, id)
}

/// Removes what was thrown away long ago.
pub fn empty(folder: &Path) {
    let now = nanoseconds() / NANOSECONDS;
    for (_, seconds, path) in thrown(folder) {
        if now.saturating_sub(seconds) > u128::from(KEPT.as_secs()) {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// What lies in the trash: id, when it was thrown there, and its file. What has another name is none of ours.
pub fn thrown(folder: &Path) -> Vec<(String, u128, PathBuf)> {
    let entries = std::fs::read_dir(folder.join("trash"));
    let paths = entries.into_iter().flatten().flatten();
    let named = paths.filter_map(|entry| {
        let path = entry.path();
        let name = path.file_name()?.to_str()?.strip_suffix(".json")?;
        let (id, seconds) = name.rsplit_once('.')?;
        // No clock has said more.
        let seconds: u128 = seconds.parse().ok().filter(|seconds| *seconds < 1 << 40)?;
        Some((id.to_owned(), seconds, path.clone()))
    });
    named.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_thrown_away_can_be_had_back_for_a_month() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("conversations/1.json");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "first").unwrap();
        throw(folder.path(), &path).unwrap();
        assert!(!path.exists());
        throw(folder.path(), &path).unwrap();
        empty(folder.path());
        assert!(latest(folder.path(), "1").unwrap().exists());
        assert_eq!(latest(folder.path(), "2"), None);
        restore(folder.path(), &path, &mut Listing::default()).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "first");
        // What is there stays, and what is not there cannot come back.
        restore(folder.path(), &path, &mut Listing::default()).unwrap();
        let other = folder.path().join("conversations/2.json");
        assert!(restore(folder.path(), &other, &mut Listing::default()).is_err());

        let trash = folder.path().join("trash");
        let now = nanoseconds() / NANOSECONDS;
        let old = now - u128::from(KEPT.as_secs()) - 10;
        for name in [
            format!("1.{now}.json"),
            format!("2.{old}.json"),
            "thesis.json".into(),
            "3.x.json".into(),
        ] {
            std::fs::write(trash.join(name), "").unwrap();
        }
        empty(folder.path());
        let entries = std::fs::read_dir(trash).unwrap().flatten();
        let mut left: Vec<String> = entries
            .map(|entry| entry.file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(
            left,
            [
                format!("1.{now}.json"),
                "3.x.json".into(),
                "thesis.json".into()
            ]
        );
    }
}

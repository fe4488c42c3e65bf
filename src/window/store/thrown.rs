//! What lies in the trash, as it is shown.

use std::collections::HashSet;
use std::path::PathBuf;

use super::super::history::Entry;
use super::files::nanoseconds;
use super::reader::{Reader, parse};
use super::trash::{self, KEPT, NANOSECONDS};

const DAY: u64 = 24 * 60 * 60;

/// Characters of what is said of a file that cannot be read.
const MOST_PROBLEM: usize = 200;

/// A conversation in the trash.
#[derive(Debug, Clone)]
pub struct Thrown {
    pub id: String,
    pub path: PathBuf,
    /// As it is to be listed again; `None` where the file cannot be read.
    pub entry: Option<Entry>,
    pub title: String,
    /// Milliseconds since 1970.
    pub thrown: i64,
    /// Days until it goes, the one that has begun among them.
    pub days_left: u64,
}

/// What lies in the trash, the latest first; of each conversation what was thrown there last. Every file is read.
pub fn thrown(reader: &Reader) -> Vec<Thrown> {
    let now = nanoseconds() / NANOSECONDS;
    let mut all = trash::thrown(reader.folder());
    all.sort_by(|a, b| (b.1, &b.0).cmp(&(a.1, &a.0)));
    let mut seen = HashSet::new();
    all.retain(|(id, ..)| seen.insert(id.clone()));
    let describe = |(id, seconds, path): (String, u128, PathBuf)| {
        let read = parse(&path).map(|mut conversation| {
            conversation.id.clone_from(&id);
            Entry::of(&conversation, None)
        });
        let age = now.saturating_sub(seconds) as u64;
        let left = KEPT.as_secs().saturating_sub(age);
        Thrown {
            title: match &read {
                Ok(entry) => entry.title.clone(),
                Err(problem) => problem.chars().take(MOST_PROBLEM).collect(),
            },
            entry: read.ok(),
            thrown: (seconds * 1000).try_into().unwrap_or(i64::MAX),
            days_left: left.div_ceil(DAY),
            id,
            path,
        }
    };
    all.into_iter().map(describe).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_comes_first_and_what_cannot_be_read_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let trash = folder.path().join("trash");
        std::fs::create_dir_all(&trash).unwrap();
        let now = nanoseconds() / NANOSECONDS;
        let conversation = r#"{"id":"x","title":"Kings","messages":[]}"#;
        let day = u128::from(DAY);
        for (name, text) in [
            (format!("1.{}.json", now - 3 * day), conversation),
            (format!("2.{now}.json"), "{"),
            (format!("1.{}.json", now - 29 * day), "older"),
            (format!("3.{}.json", u128::MAX), conversation),
        ] {
            std::fs::write(trash.join(name), text).unwrap();
        }
        let listed = thrown(&Reader::new(folder.path()));
        let shown: Vec<(&str, u64, bool)> = listed
            .iter()
            .map(|one| (one.id.as_str(), one.days_left, one.entry.is_some()))
            .collect();
        assert_eq!(shown, [("2", 30, false), ("1", 27, true)]);
        assert!(listed[0].title.contains("json") && listed[1].title == "Kings");
        assert_eq!(listed[1].entry.as_ref().unwrap().id, "1");
    }
}

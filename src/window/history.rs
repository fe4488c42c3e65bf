//! What is known of all conversations without reading them: enough to list, find and sort ten thousand.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};

use super::conversation::{Conversation, Mode};

/// Characters of a title.
const MOST_TITLE: usize = 200;

/// A conversation may be used this long before its place in the list is looked at again, in milliseconds.
const FRESH: i64 = 60_000;

/// Which version of a file that was: another size or time is another version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    pub bytes: u64,
    /// Nanoseconds since 1970.
    pub modified: u64,
}

/// A conversation, as it is listed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    pub id: String,
    pub title: String,
    pub mode: Mode,
    /// Milliseconds since 1970.
    pub created: i64,
    pub changed: i64,
    pub pinned: bool,
    pub tags: Vec<String>,
    /// The file that says so; `None` while that is being written.
    pub stamp: Option<Stamp>,
}

impl Entry {
    pub fn of(conversation: &Conversation, stamp: Option<Stamp>) -> Self {
        Self {
            id: conversation.id.clone(),
            title: title_of(conversation.name()),
            mode: conversation.mode,
            created: conversation.created,
            changed: conversation.changed,
            pinned: conversation.pinned,
            tags: conversation.tags.clone(),
            stamp,
        }
    }

    /// Whether `other` would be listed the same and in the same place.
    fn is_listed_as(&self, other: &Self) -> bool {
        self.title == other.title
            && self.mode == other.mode
            && self.pinned == other.pinned
            && self.tags == other.tags
    }
}

/// All conversations in which something was said or set, latest used first.
#[derive(Debug, Default)]
pub struct History {
    entries: Vec<Entry>,
    revision: u64,
}

impl History {
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Changes whenever something would be listed otherwise.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    pub fn get(&self, id: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.id == id)
    }

    fn place(&self, id: &str) -> Option<usize> {
        self.entries.iter().position(|entry| entry.id == id)
    }

    /// Adds many at once; what is said already of one of them is newer than that.
    pub fn extend(&mut self, entries: Vec<Entry>) {
        let known: HashSet<String> = self.entries.iter().map(|entry| entry.id.clone()).collect();
        let new = entries
            .into_iter()
            .filter(|entry| !known.contains(&entry.id));
        self.entries.extend(new);
        self.entries
            .sort_by(|a, b| (b.changed, &b.id).cmp(&(a.changed, &a.id)));
        self.revision += 1;
    }

    /// Lists one as it is now, in place of what was listed.
    pub fn put(&mut self, entry: Entry) {
        match self.place(&entry.id) {
            Some(at) if entry == self.entries[at] => return,
            Some(0) if self.stays_first(&entry) => {
                self.entries[0] = entry;
                return;
            }
            Some(at) => {
                self.entries.remove(at);
            }
            None => {}
        }
        let key = (entry.changed, entry.id.as_str());
        let at = self
            .entries
            .partition_point(|other| (other.changed, other.id.as_str()) > key);
        self.entries.insert(at, entry);
        self.revision += 1;
    }

    /// Lists each as it is now, thousands as fast as a few.
    pub fn put_all(&mut self, entries: Vec<Entry>) {
        const FEW: usize = 16;
        if entries.len() <= FEW {
            entries.into_iter().for_each(|entry| self.put(entry));
            return;
        }
        let new: HashSet<String> = entries.iter().map(|entry| entry.id.clone()).collect();
        self.entries.retain(|entry| !new.contains(&entry.id));
        self.extend(entries);
    }

    /// Whether the first looks no other than before: so it is with every word that a model writes.
    fn stays_first(&self, entry: &Entry) -> bool {
        let first = &self.entries[0];
        first.is_listed_as(entry)
            && (0..FRESH).contains(&entry.changed.saturating_sub(first.changed))
    }

    /// Says which files entries are of.
    pub fn set_stamps(&mut self, stamps: &HashMap<String, Option<Stamp>>) {
        if stamps.is_empty() {
            return;
        }
        for entry in &mut self.entries {
            if let Some(stamp) = stamps.get(&entry.id) {
                entry.stamp = *stamp;
            }
        }
    }

    pub fn remove(&mut self, id: &str) -> Option<Entry> {
        let at = self.place(id)?;
        self.revision += 1;
        Some(self.entries.remove(at))
    }

    /// Takes those of these ids out of the list.
    pub fn remove_all(&mut self, ids: &HashSet<String>) -> Vec<Entry> {
        let all = std::mem::take(&mut self.entries).into_iter();
        let (removed, kept) = all.partition(|entry| ids.contains(&entry.id));
        self.entries = kept;
        self.revision += 1;
        removed
    }

    /// All tags, those first that most conversations have.
    pub fn tags(&self) -> Vec<String> {
        let mut counts: Vec<(usize, &String)> = Vec::new();
        for tag in self.entries.iter().flat_map(|entry| &entry.tags) {
            match counts.iter_mut().find(|(_, other)| *other == tag) {
                Some((count, _)) => *count += 1,
                None => counts.push((1, tag)),
            }
        }
        counts.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(b.1)));
        counts.into_iter().map(|(_, tag)| tag.clone()).collect()
    }
}

/// A title as it is kept: one line, which is not endless.
pub fn title_of(text: &str) -> String {
    let one_line = text.trim().chars().map(|c| match c {
        // Separators of lines and paragraphs are no control characters.
        c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => ' ',
        c => c,
    });
    one_line.take(MOST_TITLE).collect()
}

/// Tags as a person types them: separated by commas, each once.
pub fn parse_tags(text: &str) -> Vec<String> {
    const MOST: usize = 40;
    let mut tags: Vec<String> = Vec::new();
    for tag in text.split(',') {
        let words: Vec<&str> = tag.split_whitespace().collect();
        let tag: String = words.join(" ").chars().take(MOST).collect();
        let tag = tag.trim_start_matches('#').trim().to_owned();
        let is_new = !tags
            .iter()
            .any(|other| other.to_lowercase() == tag.to_lowercase());
        if !tag.is_empty() && is_new {
            tags.push(tag);
        }
    }
    tags
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: &str, changed: i64) -> Entry {
        let mut conversation = Conversation::new(id.into(), Mode::Chat, String::new());
        conversation.title = id.into();
        conversation.changed = changed;
        Entry::of(&conversation, None)
    }

    fn ids(history: &History) -> Vec<&str> {
        let entries = history.entries().iter();
        entries.map(|entry| entry.id.as_str()).collect()
    }

    #[test]
    fn the_latest_comes_first() {
        let mut history = History::default();
        history.extend(vec![entry("a", 1), entry("c", 3), entry("b", 2)]);
        assert_eq!(ids(&history), ["c", "b", "a"]);
        history.put(entry("a", 9));
        history.put(entry("d", 2));
        history.extend(vec![entry("a", 1)]);
        assert_eq!(ids(&history), ["a", "c", "d", "b"], "what is newer stays");
        assert!(history.remove("c").is_some() && history.remove("c").is_none());
        assert_eq!(ids(&history), ["a", "d", "b"]);
    }

    #[test]
    fn many_are_put_as_one_by_one() {
        let names: Vec<String> = (0..40).map(|i| format!("{i:02}")).collect();
        let old = || names.iter().take(20).map(|name| entry(name, 1)).collect();
        let new = || {
            names
                .iter()
                .skip(10)
                .map(|name| entry(name, 2))
                .collect::<Vec<_>>()
        };
        let (mut one_by_one, mut all) = (History::default(), History::default());
        one_by_one.extend(old());
        all.extend(old());
        new().into_iter().for_each(|entry| one_by_one.put(entry));
        all.put_all(new());
        assert_eq!(ids(&one_by_one), ids(&all));
        assert_eq!(ids(&all).len(), 40);
        assert_eq!(all.get("15").unwrap().changed, 2);
    }

    /// A list of ten thousand is not laid out anew with every word.
    #[test]
    fn what_is_written_to_the_first_changes_no_list() {
        let mut history = History::default();
        history.extend(vec![entry("a", 1_000), entry("b", 2_000)]);
        let revision = history.revision();
        history.put(entry("b", 2_500));
        assert_eq!(history.revision(), revision);
        assert_eq!(history.get("b").unwrap().changed, 2_500);
        history.put(entry("b", 2_500 + FRESH));
        assert_ne!(history.revision(), revision, "that may be another day");
        let revision = history.revision();
        history.put(Entry {
            title: "other".into(),
            ..entry("b", 2_500 + FRESH)
        });
        assert_ne!(history.revision(), revision);
    }

    #[test]
    fn tags_are_words_between_commas() {
        assert_eq!(
            parse_tags(" #fairy  tales, work,,FAIRY tales, # "),
            ["fairy tales", "work"]
        );
        assert!(parse_tags(" , ").is_empty());
        let long = parse_tags(&"x".repeat(1000));
        assert_eq!(long[0].len(), 40);
        let mut history = History::default();
        let tagged = |id: &str, tags: &str| Entry {
            tags: parse_tags(tags),
            ..entry(id, 1)
        };
        history.extend(vec![tagged("1", "b, a"), tagged("2", "b"), entry("3", 1)]);
        assert_eq!(history.tags(), ["b", "a"]);
    }
}

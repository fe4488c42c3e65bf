//! Conversations and settings on disk. Every file is replaced whole or not at all, in a thread of its own: a crash, a full disk
//! or a slow one costs neither text nor frames.
//!
//! ```text
//! settings.json            conversations/ID.json    trash/ID.SECONDS.json    index.json, which only saves time
//! ```

mod files;
mod index;
pub(super) mod lenient;
mod lock;
mod reader;
mod thrown;
mod trash;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use self::files::{ID_DIGITS, MOST_BYTES, read};
pub use self::index::Listing;
pub use self::lock::lock;
pub use self::reader::{Reader, completed, parse};
pub use self::thrown::{Thrown, thrown};
pub use self::writer::Saved;
use self::writer::{Job, work};
use super::conversation::Conversation;
use super::history::Entry;

/// A folder with what the window keeps.
pub struct Store {
    folder: PathBuf,
    jobs: Option<Sender<Job>>,
    saved: Receiver<Saved>,
    writer: Option<JoinHandle<()>>,
}

impl Store {
    /// Opens, or begins, the store in `folder`.
    ///
    /// # Errors
    /// Says why no writer could be started.
    pub fn open(folder: &Path) -> Result<Self, String> {
        files::remove_remains(folder);
        files::remove_remains(&folder.join("conversations"));
        let (jobs, inbox) = channel();
        let (outbox, saved) = channel();
        let place = folder.to_owned();
        let writer = std::thread::Builder::new()
            .name("store".into())
            .spawn(move || work(&place, &inbox, &outbox))
            .map_err(|error| format!("cannot start a thread: {error}"))?;
        Ok(Self {
            folder: folder.to_owned(),
            jobs: Some(jobs),
            saved,
            writer: Some(writer),
        })
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What reads conversations, in any thread.
    pub fn reader(&self) -> Reader {
        Reader::new(&self.folder)
    }

    pub fn settings_path(&self) -> PathBuf {
        self.folder.join("settings.json")
    }

    pub fn conversation_path(&self, id: &str) -> PathBuf {
        self.reader().path(id)
    }

    /// The conversation that a file is of.
    pub fn id_of(&self, path: &Path) -> Option<String> {
        let is_one = path.parent() == Some(&self.folder.join("conversations"));
        let id = path.file_stem().filter(|_| is_one)?;
        Some(id.to_string_lossy().into_owned())
    }

    /// The settings as they were saved, as far as they can be used; nothing is said of the rest, nor changed.
    pub fn peek<T: Serialize + DeserializeOwned + Default>(&self) -> T {
        let read = files::read(&self.settings_path()).and_then(|bytes| lenient::read(&bytes));
        read.map_or_else(|_| T::default(), |(settings, _)| settings)
    }

    /// The settings as they were saved. What of the file cannot be used begins anew, alone where that can be told apart; then a copy of the
    /// file as it was is put aside, and the second value says so.
    pub fn settings<T: Serialize + DeserializeOwned + Default>(&self) -> (T, Option<String>) {
        let path = self.settings_path();
        let read = match std::fs::exists(&path) {
            Ok(false) => return (T::default(), None),
            _ => files::read(&path),
        };
        let read = match read.and_then(|bytes| lenient::read(&bytes)) {
            Ok((settings, problems)) if problems.is_empty() => return (settings, None),
            other => other,
        };
        // One that was put aside before stays.
        let aside = path.with_extension(format!("broken-{}.json", files::nanoseconds()));
        let copied = std::fs::copy(&path, &aside);
        let kept = match &copied {
            Ok(_) => format!("A copy of the file as it was: {}.", aside.display()),
            Err(error) => format!("No copy of it could be made ({error})."),
        };
        let path = path.display();
        let (settings, what) = match read {
            Ok((settings, problems)) => {
                let problems = problems.join("; ");
                let what = format!(
                    "In {path} these cannot be used: {problems}. All others are as they were."
                );
                (settings, what)
            }
            Err(error) => {
                let what = format!("{path} is not usable: {error}. The settings begin anew.");
                (T::default(), what)
            }
        };
        if copied.is_ok() {
            // Or the same would be told, and copied, at every start.
            self.save_settings(&settings);
        }
        (settings, Some(format!("{what} {kept}")))
    }

    pub fn save_conversation(&self, conversation: &Conversation) {
        self.write(
            self.conversation_path(&conversation.id),
            &conversation.kept(),
        );
    }

    pub fn save_settings(&self, settings: &impl Serialize) {
        self.write(self.settings_path(), settings);
    }

    /// Removes a conversation that has nothing in it.
    pub fn remove_conversation(&self, id: &str) {
        self.send(Job::Remove(self.conversation_path(id)));
    }

    /// Puts a conversation into the trash, where it stays for 30 days.
    pub fn throw_conversation(&self, id: &str) {
        self.send(Job::Throw(self.conversation_path(id)));
    }

    /// Takes a conversation out of the trash.
    pub fn restore_conversation(&self, id: &str) {
        self.send(Job::Restore(self.conversation_path(id)));
    }

    /// Deletes a file of the trash for ever.
    pub fn delete_for_good(&self, path: PathBuf) {
        self.send(Job::DeleteForGood(path));
    }

    /// Keeps what is known of the conversations for the next start.
    pub fn save_index(&self, entries: &[Entry]) {
        self.send(Job::Index(entries.to_vec()));
    }

    /// As [`Store::save_index`], at once: when nothing else is to be written.
    pub fn write_index(&self, entries: &[Entry]) {
        // Without it the next start takes a little longer.
        let _ = index::write(&self.folder, entries);
    }

    fn write(&self, path: PathBuf, value: &impl Serialize) {
        if let Ok(bytes) = serde_json::to_vec(value) {
            self.send(Job::Write(path, bytes));
        }
    }

    fn send(&self, job: Job) {
        if let Some(jobs) = &self.jobs {
            // The writer ends only after this end of the channel is gone.
            let _ = jobs.send(job);
        }
    }

    /// What has been written since the last call, and what could not be.
    pub fn saved(&self) -> impl Iterator<Item = Saved> {
        self.saved.try_iter()
    }

    /// Waits until everything is written. Returns what became of it.
    pub fn finish(&mut self) -> Vec<Saved> {
        self.jobs = None;
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
        self.saved.try_iter().collect()
    }

    /// A name for a new conversation: later ones sort later.
    pub fn new_id(&self) -> String {
        format!("{:0ID_DIGITS$}", files::nanoseconds())
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.finish();
    }
}

#[cfg(test)]
mod tests {
    use super::super::conversation::Mode;
    use super::*;
    use crate::text::Role;
    use std::collections::BTreeMap;
    use std::time::{Duration, SystemTime};

    #[test]
    fn one_that_was_had_back_is_read_wherever_it_lies() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(folder.path()).unwrap();
        let mut c = Conversation::new(store.new_id(), Mode::Chat, "Instruct".into());
        c.add(None, Role::User, "Hi");
        store.save_conversation(&c);
        store.throw_conversation(&c.id);
        store.finish();
        let reader = store.reader();
        assert!(!reader.is_there(&c.id));
        let read = reader.conversation(&c.id).unwrap();
        assert_eq!((&read.id, read.total()), (&c.id, 1));
        assert!(
            reader.entry(&reader.path(&c.id)).is_err(),
            "it is not listed"
        );
        assert!(reader.conversation("nothing").is_err());
    }

    #[test]
    fn what_is_saved_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(folder.path()).unwrap();
        let mut c = Conversation::new(store.new_id(), Mode::Chat, "Instruct".into());
        c.add(None, Role::User, "Hi");
        for _ in 0..20 {
            c.edit(0, format!("{}!", c.message(0).text));
            store.save_conversation(&c);
        }
        let saved = store.finish();
        assert!(saved.iter().all(|saved| saved.outcome.is_ok()));
        let jobs = saved.iter().map(|saved| saved.jobs).sum::<usize>();
        assert_eq!(jobs, 20, "those that were merged are told too");
        let path = store.conversation_path("broken");
        std::fs::write(&path, "{").unwrap();
        let store = Store::open(folder.path()).unwrap();
        let listing = store.reader().list();
        let mut problems = Vec::new();
        let mut found = Vec::new();
        for path in &listing.unread {
            match store.reader().entry(path) {
                Ok(entry) => found.push(entry),
                Err(problem) => problems.push(problem),
            }
        }
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].title, "Hi");
        let read = store.reader().conversation(&found[0].id).unwrap();
        assert_eq!(read.message(0).text, format!("Hi{}", "!".repeat(20)));
        assert!(problems[0].contains("broken.json"));
        assert!(path.exists(), "nothing is lost");
        let names: Vec<_> = std::fs::read_dir(folder.path().join("conversations"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(names.len(), 2, "no files left over: {names:?}");
    }

    #[test]
    fn what_cannot_be_saved_is_reported_and_the_old_file_stays() {
        let folder = tempfile::tempdir().unwrap();
        // A file where the folder should be: as good as a full disk, and works for root too.
        std::fs::write(folder.path().join("conversations"), "in the way").unwrap();
        let mut store = Store::open(folder.path()).unwrap();
        store.save_conversation(&Conversation::new("1".into(), Mode::Chat, String::new()));
        let failed = store.finish();
        assert_eq!(failed.len(), 1);
        assert!(failed[0].outcome.is_err());
        let kept = std::fs::read_to_string(folder.path().join("conversations")).unwrap();
        assert_eq!(kept, "in the way");
    }

    #[test]
    fn only_old_remains_of_our_own_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let old = SystemTime::now() - Duration::from_secs(7200);
        let make = |name: &str, is_old: bool| {
            let path = folder.path().join(name);
            let file = std::fs::File::create(&path).unwrap();
            if is_old {
                file.set_modified(old).unwrap();
            }
            path
        };
        let left = make("openelm.1700000000000000000.tmp", true);
        let hidden = make(".openelm.18446744073709551615.tmp", true);
        let young = make("openelm.1700000000000000001.tmp", false);
        let foreign = ["thesis.tmp", "openelm.tmp", "openelm.b1.tmp"].map(|name| make(name, true));
        Store::open(folder.path()).unwrap();
        assert!(!left.exists() && !hidden.exists());
        assert!(young.exists() && foreign.iter().all(|path| path.exists()));
    }

    #[test]
    fn broken_settings_are_put_aside() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("settings.json"), "{").unwrap();
        let store = Store::open(folder.path()).unwrap();
        let (settings, problem) = store.settings::<BTreeMap<String, u32>>();
        assert!(settings.is_empty());
        assert!(problem.unwrap().contains("settings.broken-"));
        drop(store);
        let store = Store::open(folder.path()).unwrap();
        assert_eq!(
            store.settings::<BTreeMap<String, u32>>().1,
            None,
            "it is told once"
        );
        let names = std::fs::read_dir(folder.path()).unwrap().flatten();
        let aside = names.filter(|entry| entry.file_name().to_string_lossy().contains("broken-"));
        let aside: Vec<_> = aside.collect();
        assert_eq!(std::fs::read_to_string(aside[0].path()).unwrap(), "{");
        assert_eq!(aside.len(), 1);
    }
}

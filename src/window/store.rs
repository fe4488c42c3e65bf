//! Conversations and settings on disk. Every file is replaced whole or not at all, in a thread of its own: a crash, a full disk
//! or a slow one costs neither text nor frames.

use std::fs::{File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::conversation::Conversation;
use crate::error::Error;

/// Larger files are none of ours.
const MOST_BYTES: u64 = 256 << 20;

/// What became of a file.
pub struct Saved {
    pub path: PathBuf,
    /// Why it could not be written; it is as it was before.
    pub error: Option<String>,
}

enum Job {
    Write(PathBuf, Vec<u8>),
    Remove(PathBuf),
}

/// A folder with `settings.json` and `conversations/`.
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
        remove_remains(folder);
        let (jobs, inbox) = channel();
        let (outbox, saved) = channel();
        let writer = std::thread::Builder::new()
            .name("store".into())
            .spawn(move || work(&inbox, &outbox))
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

    pub fn settings_path(&self) -> PathBuf {
        self.folder.join("settings.json")
    }

    pub fn conversation_path(&self, id: &str) -> PathBuf {
        self.folder.join("conversations").join(format!("{id}.json"))
    }

    /// The settings as they were saved. A file that cannot be read as settings is put aside, not written over; the second value
    /// says so.
    pub fn settings<T: serde::de::DeserializeOwned + Default>(&self) -> (T, Option<String>) {
        let path = self.settings_path();
        let read = match std::fs::exists(&path) {
            Ok(false) => return (T::default(), None),
            _ => read(&path),
        };
        let parsed = read
            .and_then(|bytes| serde_json::from_slice(&bytes).map_err(|error| error.to_string()));
        match parsed {
            Ok(settings) => (settings, None),
            Err(error) => {
                // One that was put aside before stays.
                let aside = path.with_extension(format!("broken-{}.json", nanoseconds()));
                let kept = match std::fs::rename(&path, &aside) {
                    Ok(()) => format!("it was put aside as {}", aside.display()),
                    Err(error) => format!("it could not be put aside ({error})"),
                };
                let problem = format!(
                    "{} is not usable: {error}; {kept}, and the settings begin anew",
                    path.display()
                );
                (T::default(), Some(problem))
            }
        }
    }

    /// All conversations, oldest first, and what is wrong with those that cannot be read; their files stay as they are.
    pub fn conversations(&self) -> (Vec<Conversation>, Vec<String>) {
        let (mut found, mut problems) = (Vec::new(), Vec::new());
        let folder = self.folder.join("conversations");
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => Some(entries),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => {
                problems.push(format!("{}: {error}", folder.display()));
                None
            }
        };
        let entries = entries.into_iter().flatten().flatten();
        let paths = entries.map(|entry| entry.path());
        for path in paths.filter(|path| path.extension().is_some_and(|end| end == "json")) {
            match read(&path).and_then(|bytes| Conversation::from_json(&bytes)) {
                // The file's name counts: what is saved must go back to where it came from.
                Ok(mut conversation) => {
                    if let Some(stem) = path.file_stem() {
                        conversation.id = stem.to_string_lossy().into_owned();
                    }
                    found.push(conversation);
                }
                Err(error) => problems.push(format!("{}: {error}", path.display())),
            }
        }
        found.sort_by(|a, b| a.id.cmp(&b.id));
        (found, problems)
    }

    pub fn save_conversation(&self, conversation: &Conversation) {
        self.write(
            self.conversation_path(&conversation.id),
            &conversation.kept(),
        );
    }

    pub fn save_settings(&self, settings: &impl serde::Serialize) {
        self.write(self.settings_path(), settings);
    }

    pub fn remove_conversation(&self, id: &str) {
        self.send(Job::Remove(self.conversation_path(id)));
    }

    fn write(&self, path: PathBuf, value: &impl serde::Serialize) {
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

    /// Waits until everything is written. Returns what could not be.
    pub fn finish(&mut self) -> Vec<Saved> {
        self.jobs = None;
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
        self.saved
            .try_iter()
            .filter(|saved| saved.error.is_some())
            .collect()
    }

    /// A name for a new conversation: later ones sort later.
    pub fn new_id(&self) -> String {
        format!("{:020}", nanoseconds())
    }
}

/// Keeps other windows from `folder` for as long as the file lives: each would write over what the other has kept. `None` where the
/// system cannot tell.
///
/// # Errors
/// [`Error::DataFolderInUse`] if another window is there.
pub fn lock(folder: &Path) -> Result<Option<File>, Error> {
    // What keeps the folder from being made is said when something is saved.
    let _ = std::fs::create_dir_all(folder);
    let mut options = File::options();
    options.create(true).truncate(false).write(true);
    let Ok(file) = options.open(folder.join("lock")) else {
        return Ok(None);
    };
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::Error(_)) => Ok(None),
        Err(TryLockError::WouldBlock) => Err(Error::DataFolderInUse {
            folder: folder.to_owned(),
        }),
    }
}

fn nanoseconds() -> u128 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| now.as_nanos())
}

impl Drop for Store {
    fn drop(&mut self) {
        self.finish();
    }
}

/// Removes what a crash has left half-written; what is younger may be another window's.
fn remove_remains(folder: &Path) {
    const OLD: Duration = Duration::from_secs(3600);
    for folder in [folder.to_owned(), folder.join("conversations")] {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let age = entry.metadata().and_then(|data| data.modified());
            let age = age.ok().and_then(|time| time.elapsed().ok());
            if is_remains(&path) && age > Some(OLD) {
                let _ = std::fs::remove_file(path);
            }
        }
    }
}

/// Whether a name is one that [`replace`] gives: `NAME.json.DIGITS.tmp`.
fn is_remains(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let number = name
        .strip_suffix(".tmp")
        .and_then(|rest| rest.rsplit_once(".json."));
    number.is_some_and(|(_, digits)| {
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
    })
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let describe = |error: std::io::Error| error.to_string();
    let size = std::fs::metadata(path).map_err(describe)?.len();
    if size > MOST_BYTES {
        return Err(format!("has {size} bytes, too many for a conversation"));
    }
    std::fs::read(path).map_err(describe)
}

fn work(jobs: &Receiver<Job>, saved: &Sender<Saved>) {
    while let Ok(first) = jobs.recv() {
        // Of several writes of one file only the last counts.
        let mut batch = vec![first];
        batch.extend(jobs.try_iter());
        let mut todo: Vec<(PathBuf, Option<Vec<u8>>)> = Vec::new();
        for job in batch {
            let (path, bytes) = match job {
                Job::Write(path, bytes) => (path, Some(bytes)),
                Job::Remove(path) => (path, None),
            };
            todo.retain(|(other, _)| *other != path);
            todo.push((path, bytes));
        }
        for (path, bytes) in todo {
            let done = match &bytes {
                Some(bytes) => replace(&path, bytes),
                None => match std::fs::remove_file(&path) {
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
                    _ => Ok(()),
                },
            };
            let error = done.err().map(|error| error.to_string());
            // Nobody listens only when the window is gone.
            let _ = saved.send(Saved { path, error });
        }
    }
}

/// Writes a file beside `path`, and puts it in its place once it is safe on disk.
pub fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    // A name of its own: another window may be saving the same file.
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.tmp", nanoseconds()));
    let beside = PathBuf::from(beside);
    let write = || {
        let mut file = std::fs::File::create(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&beside, path)?;
        // The name as well must survive a power cut; where folders cannot be opened, they need no such thing.
        if let Some(folder) = path
            .parent()
            .and_then(|folder| std::fs::File::open(folder).ok())
        {
            let _ = folder.sync_all();
        }
        Ok(())
    };
    write().inspect_err(|_| {
        // The half-written one is of no use to anybody.
        let _ = std::fs::remove_file(&beside);
    })
}

#[cfg(test)]
mod tests {
    use super::super::conversation::Mode;
    use super::*;
    use crate::text::Role;

    #[test]
    fn one_window_a_folder() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("not/there");
        let held = lock(&folder).unwrap();
        if held.is_none() {
            return;
        }
        let error = lock(&folder).unwrap_err();
        assert!(error.to_string().contains("not/there"), "{error}");
        assert!(matches!(error, Error::DataFolderInUse { .. }), "{error}");
        drop(held);
        assert!(lock(&folder).unwrap().is_some());
        // Where a folder cannot be made, saving says so.
        std::fs::write(parent.path().join("file"), "").unwrap();
        assert!(lock(&parent.path().join("file/folder")).unwrap().is_none());
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
        assert!(store.finish().is_empty());
        let path = store.conversation_path("broken");
        std::fs::write(&path, "{").unwrap();
        let store = Store::open(folder.path()).unwrap();
        let (found, problems) = store.conversations();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].message(0).text, format!("Hi{}", "!".repeat(20)));
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
        assert!(failed[0].error.is_some());
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
        let left = make("settings.json.1700000000000000000.tmp", true);
        let young = make("settings.json.1700000000000000001.tmp", false);
        let foreign = ["thesis.tmp", "a.json.tmp", "a.json.b1.tmp"].map(|name| make(name, true));
        Store::open(folder.path()).unwrap();
        assert!(!left.exists());
        assert!(young.exists() && foreign.iter().all(|path| path.exists()));
    }

    #[test]
    fn broken_settings_are_put_aside() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("settings.json"), "{").unwrap();
        let store = Store::open(folder.path()).unwrap();
        let (settings, problem) = store.settings::<Vec<u32>>();
        assert!(settings.is_empty());
        assert!(problem.unwrap().contains("settings.broken-"));
        let names = std::fs::read_dir(folder.path()).unwrap().flatten();
        let aside = names.filter(|entry| entry.file_name().to_string_lossy().contains("broken-"));
        assert_eq!(aside.count(), 1);
        assert!(!folder.path().join("settings.json").exists());
    }
}

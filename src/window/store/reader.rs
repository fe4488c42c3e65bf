//! Conversations read when they are wanted, in whatever thread wants them.

use std::path::{Path, PathBuf};

use super::super::calendar::now;
use super::super::conversation::Conversation;
use super::super::history::{Entry, parse_tags, title_of};
use super::files::{ID_DIGITS, read, stamp};
use super::index::{self, Listing};
use super::trash;

/// Reads conversations of a folder. It is small, and can be handed to other threads.
#[derive(Debug, Clone)]
pub struct Reader {
    folder: PathBuf,
}

impl Reader {
    pub(super) fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
        }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the conversation of that id lies.
    pub fn path(&self, id: &str) -> PathBuf {
        self.folder.join("conversations").join(format!("{id}.json"))
    }

    /// What there is, as far as that can be told without reading conversations.
    pub fn list(&self) -> Listing {
        index::list(&self.folder)
    }

    /// Whether something lies where the conversation of that id would, whatever it is.
    pub fn is_there(&self, id: &str) -> bool {
        self.path(id).symlink_metadata().is_ok()
    }

    /// Ids of the conversations that lie in the trash.
    pub fn thrown_ids(&self) -> impl Iterator<Item = String> {
        let thrown = trash::thrown(&self.folder).into_iter();
        thrown.map(|(id, ..)| id)
    }

    /// Bytes of a conversation's file; 0 where there is none.
    pub fn bytes(&self, id: &str) -> u64 {
        stamp(&self.path(id)).map_or(0, |stamp| stamp.bytes)
    }

    /// The conversation of that id, as it was saved. One that was deleted and had back may lie in the trash until the writer comes to it.
    ///
    /// # Errors
    /// Says which file is wrong, and why.
    pub fn conversation(&self, id: &str) -> Result<Conversation, String> {
        let path = self.path(id);
        let read = parse(&path).or_else(|problem| {
            let thrown = match self.is_there(id) {
                true => None,
                false => trash::latest(&self.folder, id),
            };
            // It may be put back between one look and the next.
            let thrown = thrown.ok_or(problem)?;
            parse(&thrown).or_else(|_| parse(&path))
        });
        read.map(|conversation| called(conversation, id))
    }

    /// What is to be listed of the conversation in a file of the folder.
    ///
    /// # Errors
    /// As [`Reader::conversation`].
    pub fn entry(&self, path: &Path) -> Result<Entry, String> {
        // Asked before it is read: who changes it meanwhile makes it another version.
        let stamp = stamp(path).ok();
        let Some(id) = path.file_stem().and_then(|stem| stem.to_str()) else {
            return Err(format!("{}: its name is no text", path.display()));
        };
        Ok(Entry::of(&called(parse(path)?, id), stamp))
    }
}

/// The file's name counts, not what it says: what is saved must go back to where it came from.
fn called(mut conversation: Conversation, id: &str) -> Conversation {
    id.clone_into(&mut conversation.id);
    conversation
}

/// The conversation in a file anywhere.
///
/// # Errors
/// Says which file is wrong, and why.
pub fn parse(path: &Path) -> Result<Conversation, String> {
    let read = read(path).and_then(|bytes| Conversation::from_json(&bytes));
    let conversation = read.map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(completed(conversation, path))
}

/// A conversation that was read from a file, with what it lacks.
pub fn completed(mut conversation: Conversation, path: &Path) -> Conversation {
    // Of a version of this program that kept no times, the file's own is the best there is; ids are times too.
    const MILLISECOND: u64 = 1_000_000;
    let modified = || stamp(path).map_or(0, |stamp| (stamp.modified / MILLISECOND) as i64);
    // None was written tomorrow, whatever its file says.
    const DAY: i64 = 86_400_000;
    if conversation.changed == 0 || conversation.changed > now().saturating_add(DAY) {
        conversation.changed = modified();
    }
    if conversation.created == 0 {
        let is_time = conversation.id.len() == ID_DIGITS;
        let begun = conversation.id.parse::<u64>().ok().filter(|_| is_time);
        let begun = begun.map(|nanoseconds| (nanoseconds / MILLISECOND) as i64);
        conversation.created = begun
            .unwrap_or(conversation.changed)
            .min(conversation.changed);
    }
    // Titles and tags are as a person could have typed them.
    conversation.title = match conversation.title.trim() {
        "" => conversation.first_words(),
        title => title_of(title),
    };
    conversation.tags = parse_tags(&conversation.tags.join(","));
    conversation
}

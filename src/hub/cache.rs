//! The cache as Hugging Face's own library lays it out, so that both share what was fetched:
//!
//! ```text
//! models--ORG--NAME/blobs/ETAG               contents
//! models--ORG--NAME/refs/REVISION            a commit, as text
//! models--ORG--NAME/snapshots/COMMIT/FILE    a link to ../../blobs/ETAG
//! .locks/models--ORG--NAME/ETAG.lock         held by whoever fetches that blob
//! models--ORG--NAME/.openelm/COMMIT          ours: the GGUF file that the repository's name alone means
//! ```

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use super::gguf;
use super::name::{MAIN, RepoId, Revision, is_component, is_file_name};
use crate::error::{Error, HubError, Result};
use crate::utf8;
use crate::whole_file;

/// How large an index of shards may be; real ones have some kilobytes.
const MOST_INDEX: u64 = 8 << 20;

/// A cache of models, by its folder.
#[derive(Debug, Clone)]
pub struct Cache {
    root: PathBuf,
}

impl Cache {
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// HF_HUB_CACHE (once HUGGINGFACE_HUB_CACHE), else HF_HOME/hub, else ~/.cache/huggingface/hub.
    ///
    /// # Errors
    /// [`HubError::NoCacheFolder`] where nothing names one.
    pub fn from_env() -> Result<Self> {
        let named = ["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"];
        let named = named.into_iter().find_map(path_variable);
        let root = named.or_else(|| home().map(|home| home.join("hub")));
        Ok(Self::new(root.ok_or(HubError::NoCacheFolder)?))
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn repo(&self, id: &RepoId) -> RepoFolder {
        self.repo_named(&id.folder_name())
    }

    /// `folder` is a name as in the cache, `models--ORG--NAME`.
    pub(super) fn repo_named(&self, folder: &str) -> RepoFolder {
        RepoFolder {
            path: self.root.join(folder),
            locks: self.root.join(".locks").join(folder),
        }
    }
}

/// HF_HOME, or what stands for it.
pub(super) fn home() -> Option<PathBuf> {
    path_variable("HF_HOME").or_else(|| {
        let caches =
            path_variable("XDG_CACHE_HOME").or_else(|| Some(user_home()?.join(".cache")))?;
        Some(caches.join("huggingface"))
    })
}

fn user_home() -> Option<PathBuf> {
    std::env::home_dir().filter(|home| !home.as_os_str().is_empty())
}

/// A path from the environment; `~` at its beginning is the home folder, and `$NAME` or `${NAME}` in it another variable.
pub(super) fn path_variable(name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(std::env::var_os(name).filter(|value| !value.is_empty())?);
    let path = match path.strip_prefix("~") {
        Ok(rest) => user_home()?.join(rest),
        Err(_) => path,
    };
    Some(match path.to_str() {
        Some(text) => expanded(text, |name| std::env::var(name).ok()).into(),
        None => path,
    })
}

/// As Python's `expandvars`: what is not set stays as it is written.
fn expanded(text: &str, value: impl Fn(&str) -> Option<String>) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut parts = text.split('$');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = match part.strip_prefix('{').and_then(|part| part.split_once('}')) {
            Some(braced) => braced,
            None => part.split_at(part.find(|c| !is_part(c)).unwrap_or(part.len())),
        };
        match value(name).filter(|_| !name.is_empty()) {
            Some(value) => out.extend([value.as_str(), rest]),
            None => out.extend(["$", part]),
        }
    }
    out
}

/// A repository's folder in the cache. It need not be there.
#[derive(Debug, Clone)]
pub(super) struct RepoFolder {
    pub path: PathBuf,
    /// Where its locks lie.
    pub locks: PathBuf,
}

impl RepoFolder {
    pub fn blobs(&self) -> PathBuf {
        self.path.join("blobs")
    }

    pub fn snapshots(&self) -> PathBuf {
        self.path.join("snapshots")
    }

    pub fn refs(&self) -> PathBuf {
        self.path.join("refs")
    }

    pub fn snapshot(&self, commit: &str) -> PathBuf {
        self.snapshots().join(commit)
    }

    /// The commit that a revision was when it was last fetched.
    pub fn commit(&self, revision: &Revision) -> Option<String> {
        let revision = revision.as_str();
        let mut text = String::new();
        let opened = File::open(self.refs().join(revision));
        if let Ok(file) = opened
            && file.take(256).read_to_string(&mut text).is_ok()
            && is_component(text.trim())
        {
            return Some(text.trim().to_owned());
        }
        let is_commit = is_component(revision) && self.snapshot(revision).is_dir();
        is_commit.then(|| revision.to_owned())
    }

    /// Remembers which commit a revision is.
    pub fn set_commit(&self, revision: &Revision, commit: &str) -> Result<()> {
        if revision.as_str() == commit {
            return Ok(());
        }
        let place = self.refs().join(revision.as_str());
        replace(&place, commit)
    }

    /// The file that is meant where the repository alone is named, if that was found out of a commit.
    pub fn usual_file(&self, commit: &str) -> Option<String> {
        let mut name = String::new();
        let file = File::open(self.usual_path(commit)).ok()?;
        file.take(1024).read_to_string(&mut name).ok()?;
        is_file_name(&name).then_some(name)
    }

    /// Remembers that file.
    pub fn set_usual_file(&self, commit: &str, name: &str) -> Result<()> {
        replace(&self.usual_path(commit), name)
    }

    /// A place of our own, which other programs pass over.
    pub fn usual_path(&self, commit: &str) -> PathBuf {
        self.path.join(".openelm").join(commit)
    }

    /// Puts a blob into a snapshot under a file's name.
    pub fn link(&self, commit: &str, file: &str, etag: &str) -> Result<()> {
        let folder = self.snapshot(commit);
        let place = folder.join(file);
        let target: PathBuf = ["..", "..", "blobs", etag].iter().collect();
        if std::fs::read_link(&place).is_ok_and(|there| there == target) {
            return Ok(());
        }
        create_folder(&folder)?;
        let beside = folder.join(unused_name());
        let placed = symlink(&target, &beside)
            // File systems without links, and Windows for those who may not make them.
            .or_else(|_| std::fs::copy(self.blobs().join(etag), &beside).map(|_| ()))
            .and_then(|()| std::fs::rename(&beside, &place))
            .map_err(|error| Error::write(&place, error));
        if placed.is_err() {
            let _ = std::fs::remove_file(&beside);
        }
        placed
    }

    /// The snapshot that stands for the repository: of `main`, else of another revision, else the latest.
    fn usual_snapshot(&self) -> Option<PathBuf> {
        if let Ok(main) = Revision::parse(MAIN)
            && let Some(commit) = self.commit(&main)
            && self.snapshot(&commit).is_dir()
        {
            return Some(self.snapshot(&commit));
        }
        let snapshots = std::fs::read_dir(self.snapshots()).ok()?.flatten();
        let folders = snapshots.filter(|entry| entry.path().is_dir());
        let latest = folders.max_by_key(|entry| {
            let changed = entry.metadata().and_then(|metadata| metadata.modified());
            (changed.ok(), entry.file_name())
        });
        Some(latest?.path())
    }
}

/// Writes a small file that others may be reading.
fn replace(place: &Path, text: &str) -> Result<()> {
    whole_file::replace(place, text.as_bytes()).map_err(|error| Error::write(place, error))
}

/// A hidden name that nobody else takes, in this process or another.
fn unused_name() -> String {
    use std::hash::{BuildHasher, Hasher, RandomState};
    format!(".{:016x}", RandomState::new().build_hasher().finish())
}

#[cfg(unix)]
fn symlink(target: &Path, place: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(target, place)
}

#[cfg(windows)]
fn symlink(target: &Path, place: &Path) -> std::io::Result<()> {
    std::os::windows::fs::symlink_file(target, place)
}

#[cfg(not(any(unix, windows)))]
fn symlink(_: &Path, _: &Path) -> std::io::Result<()> {
    Err(ErrorKind::Unsupported.into())
}

pub(super) fn create_folder(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|error| match error.kind() {
        // Something that is no folder is in the way, and the message would be only "File exists".
        ErrorKind::AlreadyExists => Error::write(folder, ErrorKind::NotADirectory.into()),
        _ => Error::write(folder, error),
    })
}

/// A snapshot in some cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The repository's name, as `apple/OpenELM-270M`.
    pub name: String,
    /// The folder with the model's files.
    pub folder: PathBuf,
    /// The folder of the cache.
    pub cache: PathBuf,
}

impl Snapshot {
    /// What a path leads to, if that is a repository's folder in a cache, or a snapshot in one.
    pub fn at(path: &Path) -> Option<Self> {
        // The path may be `.`, or have links in it.
        let folder = dunce::canonicalize(path).ok()?;
        let (repo, folder) = match repo_name(&folder) {
            Some(_) => {
                let repo = RepoFolder {
                    path: folder,
                    locks: PathBuf::new(),
                };
                let snapshot = repo.usual_snapshot()?;
                (repo.path, snapshot)
            }
            None => {
                let snapshots = folder.parent()?;
                if snapshots.file_name()? != "snapshots" {
                    return None;
                }
                (snapshots.parent()?.to_owned(), folder)
            }
        };
        Some(Self {
            name: repo_name(&repo)?,
            cache: repo.parent()?.to_owned(),
            folder,
        })
    }
}

/// The name of the repository whose folder in a cache this is, going by the folder's own name.
pub(super) fn repo_name(folder: &Path) -> Option<String> {
    let name = folder.file_name()?.to_str()?.strip_prefix("models--")?;
    Some(name.replace("--", "/"))
}

/// The file that a model's folder lacks: its configuration, or weights. Files that are there are whole, because they get their names
/// only then.
pub fn missing_file(folder: &Path) -> Option<String> {
    const CONFIG: &str = "config.json";
    const WEIGHTS: &str = "model.safetensors";
    if !folder.join(CONFIG).is_file() {
        // A GGUF file has its configuration in it.
        let is_gguf = !gguf::in_folder(folder).is_empty();
        return (!is_gguf).then(|| CONFIG.to_owned());
    }
    if folder.join(WEIGHTS).is_file() {
        return None;
    }
    match shards(&folder.join(INDEX)) {
        Ok(shards) => shards
            .into_iter()
            .find(|shard| !folder.join(shard).is_file()),
        Err(_) => Some(WEIGHTS.to_owned()),
    }
}

/// The index of a model in several files.
pub(super) const INDEX: &str = "model.safetensors.index.json";

/// Names of the files that an index names, each once.
pub(super) fn shards(index: &Path) -> Result<Vec<String>> {
    #[derive(serde::Deserialize)]
    struct Index {
        weight_map: std::collections::BTreeMap<String, String>,
    }
    let mut bytes = Vec::new();
    let file = File::open(index).map_err(|error| Error::read(index, error))?;
    file.take(MOST_INDEX)
        .read_to_end(&mut bytes)
        .map_err(|error| Error::read(index, error))?;
    let bytes =
        utf8::unmarked(bytes).map_err(|error| Error::checkpoint(index, error.to_string()))?;
    let Index { weight_map } = serde_json::from_slice(&bytes)
        .map_err(|error| Error::checkpoint(index, format!("not an index of shards: {error}")))?;
    let mut names: Vec<String> = weight_map.into_values().collect();
    names.sort();
    names.dedup();
    match names.iter().find(|name| !is_shard(name)) {
        None if names.is_empty() => Err(Error::checkpoint(index, "`weight_map` names no file")),
        None => Ok(names),
        Some(name) => Err(Error::checkpoint(
            index,
            format!(
                "`weight_map` names `{}`, which is no .safetensors file beside the index",
                super::name::printable(name)
            ),
        )),
    }
}

pub(super) fn is_shard(name: &str) -> bool {
    is_file_name(name) && name.ends_with(".safetensors")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_stand_for_their_values() {
        let value = |name: &str| match name {
            "USER" => Some("ada".to_owned()),
            "MONEY" => Some("$USER".to_owned()),
            _ => None,
        };
        for (text, expected) in [
            ("/scratch/$USER/hf", "/scratch/ada/hf"),
            ("/${USER}s/$USER-$USER", "/adas/ada-ada"),
            ("$USERS/${NONE}/$NONE/$/${", "$USERS/${NONE}/$NONE/$/${"),
            // Once is enough.
            ("$MONEY", "$USER"),
            ("/plain", "/plain"),
        ] {
            assert_eq!(expanded(text, value), expected);
        }
    }
}

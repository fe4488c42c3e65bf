//! What is in the cache, and how it is removed.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use super::cache::{Cache, RepoFolder, missing_file, repo_name};
use super::lock::{Hold, Lock};
use super::name::{is_component, printable};
use crate::error::{Error, HubError, Result};

/// A repository in the cache.
#[derive(Debug, Clone)]
pub struct CachedModel {
    /// As on the hub: `apple/OpenELM-270M`.
    pub name: String,
    /// Its folder in the cache.
    pub folder: PathBuf,
    /// Bytes of everything in it, what is not whole yet included, and of what it shares.
    pub bytes: u64,
    /// Bytes of blobs that lie beside all repositories, so that several can have them: a repository that is removed leaves them.
    pub shared: u64,
    /// By commit.
    pub snapshots: Vec<CachedSnapshot>,
}

/// A repository's files as they were at one commit, as far as they were fetched.
#[derive(Debug, Clone)]
pub struct CachedSnapshot {
    pub commit: String,
    /// Branches and tags that it was when they were fetched last.
    pub revisions: Vec<String>,
    pub folder: PathBuf,
    /// Bytes of its files, which other snapshots may share.
    pub bytes: u64,
    /// Names of its files.
    pub files: Vec<String>,
    /// What is missing to make it a model; `None` if nothing is.
    pub missing: Option<String>,
}

impl Cache {
    /// All that is in the cache, by name. A cache that is not there is empty.
    ///
    /// # Errors
    /// [`Error::Read`] if the cache cannot be read.
    pub fn models(&self) -> Result<Vec<CachedModel>> {
        let mut models = Vec::new();
        for folder in entries(self.root())? {
            // A link leads out of the cache: what lies there is not the cache's.
            if is_folder(&folder)
                && let Some(name) = repo_name(&folder)
            {
                let shared = self.shared_size(&folder.join("blobs"));
                models.push(CachedModel {
                    name: printable(&name),
                    bytes: size(&folder) + shared,
                    shared,
                    snapshots: snapshots(&folder)?,
                    folder,
                });
            }
        }
        models.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(models)
    }

    /// The model of that name.
    ///
    /// # Errors
    /// [`HubError::NotCached`]; [`Error::Read`].
    pub fn model(&self, name: &str) -> Result<CachedModel> {
        let found = self.models()?.into_iter().find(|model| model.name == name);
        found.ok_or_else(|| {
            HubError::NotCached {
                name: printable(name),
                cache: self.root().display().to_string(),
            }
            .into()
        })
    }

    /// Removes a model from the cache: all of it, or one revision (a branch, tag or commit) with what no other one uses. Returns the
    /// bytes that this frees. Nothing outside the cache is touched: links are removed, not followed.
    ///
    /// # Errors
    /// [`HubError::NotCached`], [`HubError::RevisionNotFound`]; [`HubError::InUse`] while it is being fetched; [`Error::Write`].
    pub fn remove(&self, name: &str, revision: Option<&str>) -> Result<u64> {
        let model = self.model(name)?;
        let folder_name = model.folder.file_name().unwrap_or_default();
        let repo = self.repo_named(&folder_name.to_string_lossy());
        let _locks = repo.lock_all(name)?;
        // What is shared stays.
        let bytes = size(&repo.path);
        let Some(revision) = revision else {
            remove(&repo.path)?;
            return Ok(bytes);
        };
        let is_meant = |snapshot: &CachedSnapshot| {
            snapshot.commit == revision || snapshot.revisions.iter().any(|r| r == revision)
        };
        let (meant, kept): (Vec<_>, Vec<_>) = model.snapshots.into_iter().partition(is_meant);
        if meant.is_empty() {
            return Err(HubError::RevisionNotFound {
                repo: name.to_owned(),
                revision: printable(revision),
            }
            .into());
        }
        if kept.is_empty() {
            remove(&repo.path)?;
            return Ok(bytes);
        }
        // Found before anything goes: what cannot be read may use any blob.
        let mut used = HashSet::new();
        for snapshot in &kept {
            add_blobs(&snapshot.folder, &mut used)?;
        }
        for snapshot in &meant {
            for revision in &snapshot.revisions {
                remove(&repo.refs().join(revision))?;
            }
            remove(&snapshot.folder)?;
            remove(&repo.usual_path(&snapshot.commit))?;
        }
        for blob in entries(&repo.blobs())? {
            if !blob.file_name().is_some_and(|name| used.contains(name)) {
                remove(&blob)?;
            }
        }
        Ok(bytes.saturating_sub(size(&repo.path)))
    }
}

impl Cache {
    /// Bytes of blobs that are links to those that Hugging Face's library keeps beside all repositories. Links to elsewhere are not the cache's.
    fn shared_size(&self, blobs: &Path) -> u64 {
        let Ok(shared) = fs::canonicalize(self.root().join("blobs")) else {
            return 0;
        };
        let read = fs::read_dir(blobs).into_iter().flatten().flatten();
        let links = read
            .map(|entry| entry.path())
            .filter(|path| path.is_symlink());
        let is_shared =
            |path: &PathBuf| fs::canonicalize(path).is_ok_and(|target| target.starts_with(&shared));
        links
            .filter(is_shared)
            .map(|path| followed_size(&path))
            .sum()
    }
}

impl RepoFolder {
    /// The lock that those share who fetch something of this repository.
    pub fn lock_path(&self) -> PathBuf {
        self.locks.join("repository.lock")
    }

    /// Keeps everybody from fetching something of this repository, also other programs.
    fn lock_all(&self, name: &str) -> Result<Vec<Lock>> {
        let mut paths = vec![self.lock_path()];
        paths.extend(entries(&self.locks)?);
        let mut locks = Vec::new();
        for path in paths {
            // What stands there twice is held already.
            if path == self.lock_path() && !locks.is_empty() {
                continue;
            }
            match Lock::take(&path, Hold::Alone)? {
                Some(lock) => locks.push(lock),
                None => return Err(HubError::InUse { repo: name.into() }.into()),
            }
        }
        Ok(locks)
    }
}

fn snapshots(repo: &Path) -> Result<Vec<CachedSnapshot>> {
    let refs = revisions(&repo.join("refs"), "");
    let mut found = Vec::new();
    for folder in entries(&repo.join("snapshots"))? {
        let commit = folder.file_name().unwrap_or_default().to_string_lossy();
        if !is_folder(&folder) || !is_component(&commit) {
            continue;
        }
        let mut files: Vec<PathBuf> = entries(&folder)?;
        files.sort();
        found.push(CachedSnapshot {
            revisions: refs
                .iter()
                .filter(|(_, of)| *of == commit)
                .map(|(name, _)| name.clone())
                .collect(),
            bytes: files.iter().map(|file| followed_size(file)).sum(),
            files: files
                .iter()
                .map(|file| printable(&file.file_name().unwrap_or_default().to_string_lossy()))
                .collect(),
            missing: missing_file(&folder),
            commit: commit.into_owned(),
            folder,
        });
    }
    found.sort_by(|a, b| a.commit.cmp(&b.commit));
    Ok(found)
}

/// Revisions and their commits below a folder of refs, whose names may have `/` in them.
fn revisions(folder: &Path, above: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for path in entries(folder).unwrap_or_default() {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let name = format!("{above}{name}");
        if is_folder(&path) {
            found.extend(revisions(&path, &format!("{name}/")));
        } else if let Ok(commit) = fs::read_to_string(&path) {
            found.push((name, commit.trim().to_owned()));
        }
    }
    found.sort();
    found
}

/// Adds the names of the blobs that links in a snapshot lead to: of all files, since other programs fetch hidden ones too, and whole folders.
fn add_blobs(folder: &Path, names: &mut HashSet<OsString>) -> Result<()> {
    let cannot = |error| Error::read(folder, error);
    for entry in fs::read_dir(folder).map_err(cannot)? {
        let path = entry.map_err(cannot)?.path();
        if is_folder(&path) {
            add_blobs(&path, names)?;
        } else if let Ok(target) = fs::read_link(&path)
            && let Some(name) = target.file_name()
        {
            names.insert(name.to_owned());
        }
    }
    Ok(())
}

/// What lies in a folder, but for what is hidden; nothing if there is no such folder.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let read = match fs::read_dir(folder) {
        Ok(read) => read,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::read(folder, error)),
    };
    let paths = read.flatten().map(|entry| entry.path());
    let is_hidden = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default();
        name.to_string_lossy().starts_with('.')
    };
    Ok(paths.filter(|path| !is_hidden(path)).collect())
}

/// Whether it is a folder itself, and no link to one.
fn is_folder(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|found| found.is_dir())
}

/// Bytes of all that lies in a folder, without following links.
fn size(path: &Path) -> u64 {
    let Ok(found) = path.symlink_metadata() else {
        return 0;
    };
    match found.is_dir() {
        true => {
            let read = fs::read_dir(path).into_iter().flatten().flatten();
            read.map(|entry| size(&entry.path())).sum()
        }
        false if found.is_file() => found.len(),
        false => 0,
    }
}

fn followed_size(path: &Path) -> u64 {
    match fs::metadata(path) {
        Ok(found) if found.is_file() => found.len(),
        _ => 0,
    }
}

/// Removes a file, a link or a folder; fine if it is gone already.
fn remove(path: &Path) -> Result<()> {
    let removed = match is_folder(path) {
        true => fs::remove_dir_all(path),
        false => fs::remove_file(path),
    };
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::write(path, error))
        }
        _ => Ok(()),
    }
}

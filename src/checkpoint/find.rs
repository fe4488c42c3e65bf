//! Which files of a folder hold the tensors: as they should be called, or else whatever is there and fits.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::read::read_bounded;
use crate::error::{Error, Result};

pub const SINGLE: &str = "model.safetensors";
pub const INDEX: &str = "model.safetensors.index.json";

const ENDING: &str = ".safetensors";

/// Of a LoRA adapter, which is no model.
const ADAPTER: &str = "adapter_model.safetensors";

/// Files that together may be a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// As a list of what was found calls it.
    pub name: String,
    pub files: Vec<PathBuf>,
    /// Where an index says that each tensor is.
    pub index: Option<Index>,
    /// Shards that there should be as well.
    pub missing: Vec<String>,
}

/// An index of shards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    pub path: PathBuf,
    /// File names, by tensor.
    pub weight_map: BTreeMap<String, String>,
}

/// The files called as Hugging Face's library calls them, if they are there.
///
/// # Errors
/// [`Error::Checkpoint`] for an index that is none; [`Error::Read`].
pub fn usual(folder: &Path) -> Result<Option<Candidate>> {
    let single = folder.join(SINGLE);
    // A link to nowhere is an answer too: opening it says what is wrong.
    if single.exists() || single.is_symlink() {
        return Ok(Some(Candidate {
            name: SINGLE.into(),
            files: vec![single],
            index: None,
            missing: Vec::new(),
        }));
    }
    let index = folder.join(INDEX);
    match index.exists() {
        true => indexed(folder, index).map(Some),
        false => Ok(None),
    }
}

/// All that could be a model beside [`usual`], by name.
///
/// # Errors
/// [`Error::Read`] where the folder cannot be read.
pub fn others(folder: &Path) -> Result<Vec<Candidate>> {
    let mut candidates: BTreeMap<String, Candidate> = BTreeMap::new();
    for name in names(folder)? {
        let is_index = name.contains(".safetensors.index.") && name.ends_with(".json");
        if is_index && name != INDEX {
            // One that is no index is of no interest here.
            if let Ok(candidate) = indexed(folder, folder.join(&name)) {
                candidates.insert(name.clone(), candidate);
            }
        }
        if !name.ends_with(ENDING) || name == SINGLE || name == ADAPTER {
            continue;
        }
        let (called, missing) = match shard(&name) {
            Some(shard) => (shard.set(), shard.all()),
            None => (name.clone(), vec![name.clone()]),
        };
        let candidate = candidates.entry(called.clone()).or_insert(Candidate {
            name: called,
            files: Vec::new(),
            index: None,
            missing,
        });
        candidate.missing.retain(|other| *other != name);
        candidate.files.push(folder.join(name));
    }
    let mut candidates: Vec<Candidate> = candidates.into_values().collect();
    // Shards with an index are one candidate, not two.
    let indexed: Vec<Vec<PathBuf>> = candidates
        .iter()
        .filter(|candidate| candidate.index.is_some())
        .map(|candidate| candidate.files.clone())
        .collect();
    candidates.retain(|candidate| candidate.index.is_some() || !indexed.contains(&candidate.files));
    Ok(candidates)
}

/// Shards in the folder that an index does not name: left over from another download.
///
/// # Errors
/// [`Error::Read`] where the folder cannot be read.
pub fn stale_shards(folder: &Path, candidate: &Candidate) -> Result<Vec<String>> {
    let is_named = |name: &String| candidate.files.contains(&folder.join(name));
    let mut names = names(folder)?;
    names.retain(|name| candidate.index.is_some() && shard(name).is_some() && !is_named(name));
    Ok(names)
}

/// The names in a folder, sorted; those that begin with a dot are not meant.
fn names(folder: &Path) -> Result<Vec<String>> {
    let entries = std::fs::read_dir(folder).map_err(|error| Error::read(folder, error))?;
    let names = entries.flatten().map(|entry| entry.file_name());
    let mut names: Vec<String> = names
        .filter_map(|name| name.into_string().ok())
        .filter(|name| !name.starts_with('.'))
        .collect();
    names.sort();
    Ok(names)
}

fn indexed(folder: &Path, path: PathBuf) -> Result<Candidate> {
    #[derive(serde::Deserialize)]
    struct Fields {
        weight_map: BTreeMap<String, String>,
    }
    let json = read_bounded(&path, 64 << 20)?;
    let Fields { weight_map } = serde_json::from_slice(&json)
        .map_err(|error| Error::checkpoint(&path, format!("not an index of shards: {error}")))?;
    if weight_map.is_empty() {
        return Err(Error::checkpoint(
            &path,
            "`weight_map` names no tensor; download the index again",
        ));
    }
    let mut names: Vec<&String> = weight_map.values().collect();
    names.sort();
    names.dedup();
    for name in &names {
        if name.contains(['/', '\\']) || !name.ends_with(ENDING) {
            return Err(Error::checkpoint(
                &path,
                format!(
                    "`weight_map` names `{name}`, which is no .safetensors file beside the index"
                ),
            ));
        }
    }
    let (there, missing): (Vec<&String>, Vec<&String>) = names
        .into_iter()
        .partition(|name| folder.join(name).exists());
    Ok(Candidate {
        name: path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned(),
        files: there.into_iter().map(|name| folder.join(name)).collect(),
        missing: missing.into_iter().cloned().collect(),
        index: Some(Index { path, weight_map }),
    })
}

/// One of several files, by its name.
#[derive(Debug, PartialEq, Eq)]
struct Shard<'a> {
    before: &'a str,
    digits: usize,
    total: usize,
}

/// More shards than any model has; names can say anything.
const MOST_SHARDS: usize = 1000;

/// Takes `model-00001-of-00002.safetensors` apart.
fn shard(name: &str) -> Option<Shard<'_>> {
    let (begin, total) = name.strip_suffix(ENDING)?.rsplit_once("-of-")?;
    let (before, number) = begin.rsplit_once('-')?;
    let (number, digits): (usize, _) = (number.parse().ok()?, number.len());
    let total = total.parse().ok()?;
    let fits = (1..=total).contains(&number) && total <= MOST_SHARDS;
    fits.then_some(Shard {
        before,
        digits,
        total,
    })
}

impl Shard<'_> {
    /// What all of them are called together.
    fn set(&self) -> String {
        format!(
            "{}-*-of-{:0digits$}{ENDING}",
            self.before,
            self.total,
            digits = self.digits
        )
    }

    fn all(&self) -> Vec<String> {
        let &Self {
            before,
            digits,
            total,
        } = self;
        (1..=total)
            .map(|number| format!("{before}-{number:0digits$}-of-{total:0digits$}{ENDING}"))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_told_by_their_names() {
        let one = shard("model-00001-of-00002.safetensors").unwrap();
        assert_eq!(one.set(), "model-*-of-00002.safetensors");
        assert_eq!(
            one.all(),
            [
                "model-00001-of-00002.safetensors",
                "model-00002-of-00002.safetensors"
            ]
        );
        for none in [
            "model.safetensors",
            "model-00003-of-00002.safetensors",
            "model-0-of-2.safetensors",
            "model-1-of-9999999.safetensors",
            "a-of-b.safetensors",
            "model-00001-of-00002.bin",
        ] {
            assert_eq!(shard(none), None, "{none}");
        }
    }
}

//! Finds the files of a split: by the names of task, configuration and split, wherever in the folder they lie.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Endings of the formats that can be read.
const FORMATS: &[&str] = &["jsonl", "parquet"];

/// Folders within each other at most.
const DEEPEST: usize = 8;

/// Files and folders that are looked at, at most.
const MOST_ENTRIES: usize = 100_000;

/// What to look for. Names are in small letters.
#[derive(Debug, Clone)]
pub struct Wanted<'a> {
    /// A file in the folder itself is called like this, and taken before all others.
    pub file: String,
    /// What the folder of the data set may be called, the best first.
    pub folders: &'a [&'a str],
    /// Folders of the configuration: files in one of these are taken before others.
    pub configs: &'a [&'a str],
    /// Folders of other configurations, whose files look alike: they are never taken.
    pub other_configs: &'a [&'a str],
    /// Whether files of other configurations look alike, so that no others will do.
    pub needs_config: bool,
    /// Whether there may be one folder for each subject.
    pub by_subject: bool,
    /// What the split may be called, the best first.
    pub splits: &'a [&'a str],
    /// Where the data set is published, for messages.
    pub repository: &'a str,
}

/// Files that together are a split, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The folder's name, where there is one for each subject.
    pub subject: Option<String>,
    pub files: Vec<PathBuf>,
}

/// The files of a split: one source, or one for each subject.
///
/// # Errors
/// [`Error::EvalData`] if there are none, or if it is not plain which; [`Error::Read`] if the folder cannot be read.
pub fn find(data: &Path, wanted: &Wanted) -> Result<Vec<Source>> {
    let own = FORMATS
        .iter()
        .map(|format| data.join(format!("{}.{format}", wanted.file)));
    let own: Vec<PathBuf> = own.filter(|path| path.is_file()).collect();
    if !own.is_empty() {
        return Ok(vec![one_source(data, own)?]);
    }
    let folders = dataset_folders(data, wanted)?;
    for name in wanted.folders {
        let mut files = Vec::new();
        let mut left = MOST_ENTRIES;
        for (_, folder) in folders
            .iter()
            .filter(|(folder_name, _)| folder_name == name)
        {
            walk(folder, DEEPEST, &mut left, &mut files)?;
        }
        files.sort();
        let files = of_config(data, files, wanted);
        for split in wanted.splits {
            let of_split = of_split(&files, split);
            if !of_split.is_empty() {
                return match wanted.by_subject {
                    true => subjects(data, of_split, split),
                    false => Ok(vec![one_source(data, of_split)?]),
                };
            }
        }
    }
    Err(nothing(data, wanted))
}

fn nothing(data: &Path, wanted: &Wanted) -> Error {
    let splits: Vec<String> = wanted
        .splits
        .iter()
        .map(|split| format!("{split}*"))
        .collect();
    let config = match wanted.configs.first() {
        Some(config) => format!(" with `{config}` in the path"),
        None => String::new(),
    };
    Error::EvalData {
        path: data.to_path_buf(),
        row: None,
        what: format!(
            "no {file}.jsonl or {file}.parquet, and no {splits}.jsonl or .parquet below a folder {folders}{config}. The data are {repository} on the \
             Hugging Face hub: put its files into {name}",
            file = wanted.file,
            splits = splits.join(" or "),
            folders = wanted.folders.join(" or "),
            repository = wanted.repository,
            name = data
                .join(wanted.folders.last().copied().unwrap_or_default())
                .display(),
        ),
    }
}

/// Folders with one of the names, here or one folder below, in small letters. `datasets--OWNER--NAME` is NAME in the hub's cache.
fn dataset_folders(data: &Path, wanted: &Wanted) -> Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    for folder in subfolders(data).map_err(|cause| Error::read(data, cause))? {
        let is_wanted = |path: &Path| {
            let name = file_name(path);
            let name = name.rsplit("--").next().unwrap_or_default().to_owned();
            wanted.folders.contains(&name.as_str()).then_some(name)
        };
        if let Some(name) = is_wanted(&folder) {
            found.push((name, folder));
            continue;
        }
        // What may not be read is nobody's data.
        for below in subfolders(&folder).unwrap_or_default() {
            if let Some(name) = is_wanted(&below) {
                found.push((name, below));
            }
        }
    }
    Ok(found)
}

fn subfolders(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)?.take(MOST_ENTRIES) {
        let path = entry?.path();
        if path.is_dir() && !is_hidden(&path) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// All files of the formats below a folder.
fn walk(folder: &Path, deepest: usize, left: &mut usize, files: &mut Vec<PathBuf>) -> Result<()> {
    let cannot = |cause| Error::read(folder, cause);
    for entry in std::fs::read_dir(folder).map_err(cannot)? {
        let entry = entry.map_err(cannot)?;
        let path = entry.path();
        *left = left.checked_sub(1).ok_or_else(|| Error::EvalData {
            path: folder.to_path_buf(),
            row: None,
            what: format!("more than {MOST_ENTRIES} files to look through"),
        })?;
        if is_hidden(&path) {
            continue;
        }
        // A link to a folder may lead back here; links to files are what the hub's cache consists of.
        if entry.file_type().map_err(cannot)?.is_dir() {
            if deepest > 0 {
                walk(&path, deepest - 1, left, files)?;
            }
        } else if FORMATS.contains(&extension(&path).as_str()) && path.is_file() {
            files.push(path);
        }
    }
    Ok(())
}

/// Files of the configuration, if there are any, else all but those of others that look alike.
fn of_config(data: &Path, files: Vec<PathBuf>, wanted: &Wanted) -> Vec<PathBuf> {
    let is_below = |path: &Path, names: &[&str]| {
        let below = path.strip_prefix(data).unwrap_or(path);
        below.parent().is_some_and(|folders| {
            folders.iter().any(|folder| {
                let folder = folder.to_string_lossy().to_lowercase();
                names.contains(&folder.as_str())
            })
        })
    };
    let (chosen, mut rest): (Vec<PathBuf>, Vec<PathBuf>) = files
        .into_iter()
        .partition(|path| is_below(path, wanted.configs));
    if !chosen.is_empty() || wanted.needs_config {
        return chosen;
    }
    rest.retain(|path| !is_below(path, wanted.other_configs));
    rest
}

/// Files of the split. Those called `SPLIT`, `SPLIT-00000-of-00001` or, in a folder `SPLIT`, by a number are taken before those that only begin with the
/// split's name.
fn of_split(files: &[PathBuf], split: &str) -> Vec<PathBuf> {
    let rest = |path: &PathBuf| stem(path).strip_prefix(split).map(str::to_owned);
    let is_exact = |path: &&PathBuf| match rest(path) {
        Some(rest) => {
            let mut chars = rest.chars();
            chars.next().is_none_or(|c| "-_.".contains(c))
                && chars.next().is_none_or(|c| c.is_ascii_digit())
        }
        None => {
            stem(path).starts_with(|c: char| c.is_ascii_digit())
                && path
                    .parent()
                    .is_some_and(|folder| file_name(folder) == split)
        }
    };
    let begins =
        |path: &&PathBuf| rest(path).is_some_and(|rest| !rest.starts_with(char::is_alphanumeric));
    let exact: Vec<PathBuf> = files.iter().filter(is_exact).cloned().collect();
    match exact.is_empty() {
        true => files.iter().filter(begins).cloned().collect(),
        false => exact,
    }
}

/// A source for each folder, or only that which has all subjects.
fn subjects(data: &Path, files: Vec<PathBuf>, split: &str) -> Result<Vec<Source>> {
    let folder = |path: &PathBuf| {
        let mut folder = path.parent().unwrap_or(data);
        if file_name(folder) == split {
            folder = folder.parent().unwrap_or(data);
        }
        folder.to_path_buf()
    };
    let mut sources: Vec<Source> = Vec::new();
    for files in files.chunk_by(|a, b| folder(a) == folder(b)) {
        let subject = files.first().map(|path| file_name(&folder(path)));
        sources.push(Source {
            subject,
            ..one_source(data, files.to_vec())?
        });
    }
    let all = sources
        .iter()
        .position(|source| source.subject.as_deref() == Some("all"));
    Ok(match all {
        Some(all) => vec![sources.swap_remove(all)],
        None => sources,
    })
}

/// Files that are one split: a single one, or numbered parts of which none is missing.
fn one_source(data: &Path, mut files: Vec<PathBuf>) -> Result<Source> {
    let wrong = |what: String| Error::EvalData {
        path: data.to_path_buf(),
        row: None,
        what,
    };
    let parts: Vec<Option<Part>> = files.iter().map(|path| part(path)).collect();
    let is_whole = match parts.first() {
        Some(Some(first)) => {
            let expected = (0..first.count).map(|index| {
                Some(Part {
                    index,
                    ..first.clone()
                })
            });
            if let Some(missing) = expected.clone().find(|part| !parts.contains(part)) {
                let missing = missing.map_or(0, |part| part.index);
                let name = files.first().map(|path| path.display().to_string());
                return Err(wrong(format!(
                    "part {missing} of the {} that {} belongs to is missing",
                    first.count,
                    name.unwrap_or_default()
                )));
            }
            expected.eq(parts.iter().cloned())
        }
        // Numbered without saying how many.
        _ if files.len() > 1 => {
            // As text, 10 comes before 2.
            files.sort_by_key(|path| number(path));
            let first = number(&files[0]).unwrap_or(0);
            let gap = (first..)
                .zip(&files)
                .find(|(index, path)| number(path) != Some(*index));
            if are_numbered(&files)
                && let Some((missing, path)) = gap
            {
                return Err(wrong(format!(
                    "part {missing} is missing before {}, or there twice",
                    path.display()
                )));
            }
            are_numbered(&files)
        }
        _ => true,
    };
    if !is_whole {
        let names: Vec<String> = files
            .iter()
            .take(4)
            .map(|path| path.display().to_string())
            .collect();
        return Err(wrong(format!(
            "more than one file could be meant: {}{}. Keep one of them here",
            names.join(", "),
            if files.len() > 4 { ", …" } else { "" }
        )));
    }
    Ok(Source {
        subject: None,
        files,
    })
}

/// One of several files that are a split: `train-00001-of-00003`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Part {
    folder: PathBuf,
    /// What comes before the number.
    name: String,
    index: usize,
    count: usize,
}

fn part(path: &Path) -> Option<Part> {
    let stem = stem(path);
    let (head, tail) = stem.split_once("-of-")?;
    let (name, index) = head.rsplit_once('-')?;
    let count = tail.split('-').next()?.parse().ok()?;
    Some(Part {
        folder: path.parent()?.join(extension(path)),
        name: name.to_owned(),
        index: index.parse().ok()?,
        // No split has as many files as this.
        count: (1..=MOST_ENTRIES).contains(&count).then_some(count)?,
    })
}

/// The number that a file is called by.
fn number(path: &Path) -> Option<u64> {
    stem(path).parse().ok()
}

/// Whether all lie in one folder and are called by numbers.
fn are_numbered(files: &[PathBuf]) -> bool {
    let folder = |path: &PathBuf| path.parent().map(|folder| folder.join(extension(path)));
    let first = files.first().and_then(folder);
    files
        .iter()
        .all(|path| number(path).is_some() && folder(path) == first)
}

/// In small letters.
fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().to_lowercase()
}

/// The name without its ending, in small letters.
fn stem(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default();
    stem.to_string_lossy().to_lowercase()
}

fn extension(path: &Path) -> String {
    let extension = path.extension().unwrap_or_default();
    extension.to_string_lossy().to_lowercase()
}

fn is_hidden(path: &Path) -> bool {
    file_name(path).starts_with('.')
}

//! Answers that are kept in a file as they come, so that a run that was ended goes on.
//!
//! The file has a line of JSON for each item, and before the first of a model one that describes it. What an item's answers depend on is in
//! its line: `model` is a number for the weights, their format, that of keys and values, the adapter and the kernels; `asked` is one for the
//! ids that were asked, which follow from the data, the examples, the tokenizer and the context. Lines of other models, and those of items
//! that were asked other ids, stay and are passed over.

use std::collections::HashMap;
use std::fs::{File, TryLockError};
use std::io::{BufRead, BufReader, Error as IoError, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use twox_hash::XxHash3_128;

use super::answer::Answer;
use super::plan::Job;
use super::task::Task;
use crate::error::{Error, Result};
use crate::generate::Model;
use crate::model::KvOrigin;

/// What every line begins with.
const BEGINNING: &str = "{\"model\":";

/// No line is longer: an item has no more than some choices.
const LONGEST: u64 = 1 << 20;

#[derive(Serialize)]
struct ModelLine<'a> {
    model: &'a str,
    name: &'a str,
    origin: &'a KvOrigin,
}

#[derive(Serialize)]
struct ItemLine<'a> {
    model: &'a str,
    task: &'a str,
    num_fewshot: usize,
    doc: usize,
    asked: String,
    ll: Vec<f64>,
    greedy: Vec<bool>,
}

/// A line, as it is read.
#[derive(Deserialize)]
struct WrittenItem {
    model: String,
    task: String,
    num_fewshot: usize,
    doc: usize,
    asked: String,
    /// Rust's library reads back every bit of a number.
    ll: Vec<Box<RawValue>>,
    greedy: Vec<bool>,
}

#[derive(Deserialize)]
struct WrittenModel {
    model: String,
    #[serde(rename = "origin")]
    _origin: IgnoredAny,
}

/// An item, and what it asks: runs that ask otherwise may take turns.
#[derive(PartialEq, Eq, Hash)]
struct Key {
    task: String,
    num_fewshot: usize,
    doc: usize,
    asked: String,
}

impl Key {
    fn new(task: &Task, job: &Job) -> Self {
        Self {
            task: task.name().to_owned(),
            num_fewshot: task.num_fewshot(),
            doc: job.doc,
            asked: number_of(job),
        }
    }
}

/// A file of answers, held by nobody else.
pub struct Records {
    path: PathBuf,
    file: File,
    /// A number for the model.
    model: String,
    /// Of this model.
    found: HashMap<Key, Vec<Answer>>,
    /// Whether the model is described.
    is_described: bool,
    /// Items of other models.
    others: usize,
    end: u64,
}

impl Records {
    /// Opens a file, or begins one. A last line that was not written to its end is cut off. The model must have been loaded with
    /// [`crate::LoadOptions::can_save`].
    ///
    /// # Errors
    /// [`Error::Read`] and [`Error::Write`], also for a file that another run writes; [`Error::EvalData`] for one that holds something else.
    pub fn open(path: &Path, model: &Model) -> Result<Self> {
        let origin = model.network().kv_origin()?;
        let text = serde_json::to_string(&origin).map_err(|error| cannot_write(path, error))?;
        let number = XxHash3_128::oneshot(text.as_bytes()) as u64;
        let mut options = File::options();
        let file = options.read(true).write(true).create(true).truncate(false);
        let file = file.open(path).map_err(|cause| cannot_write(path, cause))?;
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            let busy = IoError::new(ErrorKind::ResourceBusy, "another run writes it");
            return Err(cannot_write(path, busy));
        }
        let mut records = Self {
            path: path.to_owned(),
            file,
            model: format!("{number:016x}"),
            found: HashMap::new(),
            is_described: false,
            others: 0,
            end: 0,
        };
        records.read()?;
        let cut = records.file.set_len(records.end);
        cut.map_err(|cause| cannot_write(path, cause))?;
        if !records.is_described {
            let line = ModelLine {
                model: &records.model.clone(),
                name: model.name(),
                origin: &origin,
            };
            records.write(&line)?;
        }
        Ok(records)
    }

    fn read(&mut self) -> Result<()> {
        let mut source = BufReader::new(&self.file);
        let mut bytes = Vec::new();
        let (mut found, mut others) = (HashMap::new(), 0);
        for row in 1.. {
            bytes.clear();
            let mut line = source.by_ref().take(LONGEST);
            line.read_until(b'\n', &mut bytes)
                .map_err(|cause| Error::Read {
                    path: self.path.clone(),
                    cause,
                })?;
            if bytes.last() != Some(&b'\n') {
                let begins = bytes.starts_with(BEGINNING.as_bytes())
                    || BEGINNING.as_bytes().starts_with(&bytes);
                match begins && (bytes.len() as u64) < LONGEST {
                    true => break,
                    false => return Err(self.is_something_else(row)),
                }
            }
            if let Ok(item) = serde_json::from_slice::<WrittenItem>(&bytes) {
                let (Some(answers), true) = (item.answers(), item.ll.len() == item.greedy.len())
                else {
                    return Err(self.is_something_else(row));
                };
                match item.model == self.model {
                    true => _ = found.insert(item.into_key(), answers),
                    false => others += 1,
                }
            } else if let Ok(written) = serde_json::from_slice::<WrittenModel>(&bytes) {
                self.is_described |= written.model == self.model;
            } else {
                return Err(self.is_something_else(row));
            }
            self.end += bytes.len() as u64;
        }
        (self.found, self.others) = (found, others);
        Ok(())
    }

    fn is_something_else(&self, row: usize) -> Error {
        Error::EvalData {
            path: self.path.clone(),
            row: Some(row),
            what: "this is no answer of an evaluation, so the file is left alone".into(),
        }
    }

    /// How many items the file has of other models.
    pub fn others(&self) -> usize {
        self.others
    }

    /// The answers of an item, if it was asked the same before.
    pub fn find(&self, task: &Task, job: &Job) -> Option<&[Answer]> {
        let answers = self.found.get(&Key::new(task, job))?;
        Some(answers)
    }

    /// Keeps the answers of an item.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn add(&mut self, task: &Task, job: &Job, answers: &[Answer]) -> Result<()> {
        let line = ItemLine {
            model: &self.model.clone(),
            task: task.name(),
            num_fewshot: task.num_fewshot(),
            doc: job.doc,
            asked: number_of(job),
            ll: answers.iter().map(|answer| answer.ll).collect(),
            greedy: answers.iter().map(|answer| answer.is_greedy).collect(),
        };
        self.write(&line)
    }

    /// Writes a line in one go.
    fn write(&mut self, line: &impl Serialize) -> Result<()> {
        let cannot = |cause| cannot_write(&self.path, cause);
        let text = serde_json::to_string(line).map_err(|error| cannot_write(&self.path, error))?;
        let bytes = (text + "\n").into_bytes();
        self.file.seek(SeekFrom::Start(self.end)).map_err(cannot)?;
        self.file.write_all(&bytes).map_err(cannot)?;
        self.end += bytes.len() as u64;
        Ok(())
    }
}

fn number_of(job: &Job) -> String {
    format!("{:016x}", job.fingerprint)
}

fn cannot_write(path: &Path, cause: impl Into<IoError>) -> Error {
    Error::Write {
        path: path.to_owned(),
        cause: cause.into(),
    }
}

impl WrittenItem {
    fn into_key(self) -> Key {
        Key {
            task: self.task,
            num_fewshot: self.num_fewshot,
            doc: self.doc,
            asked: self.asked,
        }
    }

    fn answers(&self) -> Option<Vec<Answer>> {
        let pairs = self.ll.iter().zip(&self.greedy);
        pairs
            .map(|(ll, is_greedy)| {
                Some(Answer {
                    ll: ll.get().parse().ok()?,
                    is_greedy: *is_greedy,
                })
            })
            .collect()
    }
}

//! Where results go: standard output, or a file that is added to, so that a run that was ended goes on.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{File, TryLockError};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use openelm::Finish;
use openelm::whole_file::WholeFile;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Bytes of results that may wait for one before them.
const MOST_WAITING: usize = 16 << 20;

/// What every result begins with.
const BEGINNING: &str = "{\"line\":";

/// A line of results.
#[derive(Serialize)]
pub struct Record<'a> {
    pub line: u64,
    pub id: Option<&'a RawValue>,
    #[serde(flatten)]
    pub outcome: Outcome<'a>,
    /// Of the line and all settings, where results are kept; not of an error, which is no result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<&'a str>,
}

/// What became of a line. Numbers are written so that they come back to the same bits.
#[derive(Serialize)]
#[serde(untagged)]
pub enum Outcome<'a> {
    Text {
        ids: &'a [u32],
        text: Option<&'a str>,
        finish_reason: Option<Finish>,
        #[serde(skip_serializing_if = "Option::is_none")]
        logprobs: Option<&'a [f32]>,
        /// Where chance has a part in it.
        #[serde(skip_serializing_if = "Option::is_none")]
        seed: Option<u64>,
    },
    /// For each scored id its log-probability, and whether greedy decoding would have chosen it.
    Scores {
        logprobs: &'a [f32],
        greedy: &'a [bool],
    },
    Error {
        error: &'a str,
    },
}

/// What is read of a line of results.
#[derive(Deserialize)]
struct Written {
    line: u64,
    request: Option<String>,
    error: Option<IgnoredAny>,
}

/// A result in the file.
struct Place {
    begin: u64,
    length: usize,
    /// `None`: an error.
    request: Option<String>,
}

enum Out {
    Stream(Box<dyn Write>),
    File { path: PathBuf, file: File },
}

pub struct Results {
    out: Out,
    places: BTreeMap<u64, Place>,
    end: u64,
    /// Whether every result in the file is the last of its line, and lines follow each other as they should.
    is_tidy: bool,
    is_ordered: bool,
    /// Lines whose results are to come, in order.
    expected: VecDeque<u64>,
    /// Results that wait for one before them.
    waiting: BTreeMap<u64, String>,
    waiting_bytes: usize,
}

impl Results {
    /// Opens a file, or standard output without one and for `-`. What is there already must be results, but for a last line that was not
    /// written to its end, which is cut off.
    pub fn open(path: Option<&Path>, is_ordered: bool) -> Result<Self> {
        let mut results = Self {
            out: Out::Stream(Box::new(std::io::stdout())),
            places: BTreeMap::new(),
            end: 0,
            is_tidy: true,
            is_ordered,
            expected: VecDeque::new(),
            waiting: BTreeMap::new(),
            waiting_bytes: 0,
        };
        let Some(path) = path.filter(|path| *path != Path::new("-")) else {
            return Ok(results);
        };
        let cannot = || format!("cannot write {}", path.display());
        let mut options = File::options();
        let file = options.write(true).create(true).truncate(false);
        let file = file.open(path).with_context(cannot)?;
        // Of what is none, such as Windows' NUL, not every system can tell anything.
        if !file.metadata().is_ok_and(|data| data.is_file()) {
            results.out = Out::Stream(Box::new(file));
            return Ok(results);
        }
        drop(file);
        let file = options.read(true).open(path).with_context(cannot)?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => {
                bail!("{} is being written by another run", path.display())
            }
            // Where files cannot be locked nobody can be told.
            Ok(()) | Err(TryLockError::Error(_)) => {}
        }
        results.read(&file, path)?;
        file.set_len(results.end).with_context(cannot)?;
        let path = path.to_owned();
        results.out = Out::File { path, file };
        Ok(results)
    }

    /// Reads what is there.
    fn read(&mut self, file: &File, path: &Path) -> Result<()> {
        /// No result is this long.
        const LONGEST: u64 = 64 << 20;
        let mut source = BufReader::new(file);
        for number in 1u64.. {
            let mut bytes = Vec::new();
            let mut line = source.by_ref().take(LONGEST);
            line.read_until(b'\n', &mut bytes)
                .with_context(|| format!("cannot read {}", path.display()))?;
            if bytes.is_empty() {
                break;
            }
            let is_whole = bytes.last() == Some(&b'\n');
            let written = match is_whole {
                true => serde_json::from_slice::<Written>(&bytes).ok(),
                false => None,
            };
            let begins =
                bytes.starts_with(BEGINNING.as_bytes()) || BEGINNING.as_bytes().starts_with(&bytes);
            match written {
                Some(written) if begins => {
                    let request = written.request.filter(|_| written.error.is_none());
                    self.note(written.line, request, bytes.len());
                }
                None if begins && !is_whole && (bytes.len() as u64) < LONGEST => break,
                _ => bail!(
                    "{} holds something else than results of --prompts (its line {number}); name another file with --out",
                    path.display()
                ),
            }
        }
        Ok(())
    }

    fn note(&mut self, line: u64, request: Option<String>, length: usize) {
        let last = self.places.last_key_value().map(|(last, _)| *last);
        let is_in_order = !self.is_ordered || last.is_none_or(|last| last < line);
        let place = Place {
            begin: self.end,
            length,
            request,
        };
        self.end += length as u64;
        let is_new = self.places.insert(line, place).is_none();
        self.is_tidy &= is_new && is_in_order;
    }

    /// What the text of a line was made from, if it is there.
    pub fn request_of(&self, line: u64) -> Option<&str> {
        self.places.get(&line)?.request.as_deref()
    }

    /// Whether more results may come before those that are expected.
    pub fn has_room(&self) -> bool {
        self.waiting_bytes < MOST_WAITING
    }

    /// The result of a line is to come, after those before.
    pub fn queue(&mut self, line: u64) {
        if self.is_ordered {
            self.expected.push_back(line);
        }
    }

    /// Writes a result, now or in its turn.
    pub fn add(&mut self, record: &Record<'_>) -> Result<()> {
        let text = serde_json::to_string(record)? + "\n";
        if !self.is_ordered {
            return self.write(record.line, &text);
        }
        self.waiting_bytes += text.len();
        self.waiting.insert(record.line, text);
        while let Some(line) = self.expected.front().copied()
            && let Some(text) = self.waiting.remove(&line)
        {
            self.expected.pop_front();
            self.waiting_bytes -= text.len();
            self.write(line, &text)?;
        }
        Ok(())
    }

    /// Writes what waits for results that will not come.
    pub fn write_waiting(&mut self) -> Result<()> {
        for (line, text) in std::mem::take(&mut self.waiting) {
            self.write(line, &text)?;
        }
        self.waiting_bytes = 0;
        Ok(())
    }

    fn write(&mut self, line: u64, text: &str) -> Result<()> {
        match &mut self.out {
            Out::Stream(stream) => {
                let written = stream
                    .write_all(text.as_bytes())
                    .and_then(|()| stream.flush());
                written.context("cannot write the results")?;
            }
            Out::File { path, file } => {
                let written = file
                    .seek(SeekFrom::Start(self.end))
                    .and_then(|_| file.write_all(text.as_bytes()));
                written.with_context(|| format!("cannot write {}", path.display()))?;
                let written: Written = serde_json::from_str(text)?;
                self.note(line, written.request, text.len());
            }
        }
        Ok(())
    }

    /// Has the file hold the last result of each line, in their order if that is wanted: it may have been written in several runs.
    pub fn tidy(self) -> Result<()> {
        let Out::File { path, mut file } = self.out else {
            return Ok(());
        };
        if self.is_tidy {
            return Ok(());
        }
        let mut places: Vec<Place> = self.places.into_values().collect();
        if !self.is_ordered {
            places.sort_by_key(|place| place.begin);
        }
        let copy = || -> std::io::Result<WholeFile> {
            let mut to = std::io::BufWriter::new(WholeFile::begin(&path)?);
            for Place { begin, length, .. } in places {
                let mut bytes = vec![0; length];
                file.seek(SeekFrom::Start(begin))?;
                file.read_exact(&mut bytes)?;
                to.write_all(&bytes)?;
            }
            Ok(to.into_inner()?)
        };
        let copied = copy();
        // Elsewhere than on Unix, what is open cannot be replaced.
        drop(file);
        let placed = copied.and_then(WholeFile::finish);
        placed.with_context(|| format!("cannot put {} in order", path.display()))
    }

    /// Whether results go to standard output or the like, where nothing is kept.
    pub fn path(&self) -> Option<&Path> {
        match &self.out {
            Out::Stream(_) => None,
            Out::File { path, .. } => Some(path),
        }
    }
}

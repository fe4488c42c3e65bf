//! How far several files have come that are fetched side by side.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

/// How often news are worth telling.
const PACE: Duration = Duration::from_millis(50);

/// How far the files of a model have come.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Progress {
    pub files: Vec<FileProgress>,
}

/// How far a file has come.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct FileProgress {
    pub name: String,
    /// Bytes that are there.
    pub done: u64,
    /// Bytes that there will be; 0: not known.
    pub total: u64,
}

impl Progress {
    /// Bytes that are there of all files, and that there will be.
    pub fn sum(&self) -> (u64, u64) {
        let files = self.files.iter();
        files.fold((0, 0), |(done, total), file| {
            (done + file.done, total + file.total)
        })
    }

    /// Takes news in; files are told apart by their numbers.
    pub(super) fn take(&mut self, news: News) {
        match news {
            News::Begin { name, total } => self.files.push(FileProgress {
                name,
                done: 0,
                total,
            }),
            News::Done { file, done } => {
                if let Some(file) = self.files.get_mut(file) {
                    file.done = done;
                }
            }
        }
    }
}

/// What threads tell.
pub(super) enum News {
    /// One more file is wanted; its number is how many were before.
    Begin {
        name: String,
        total: u64,
    },
    Done {
        file: usize,
        done: u64,
    },
}

/// Where threads tell how far they have come.
pub(super) struct Reports {
    news: Sender<News>,
    begun: AtomicUsize,
}

impl Reports {
    pub fn new(news: Sender<News>) -> Self {
        Self {
            news,
            begun: AtomicUsize::new(0),
        }
    }

    /// A file of `total` bytes is to be fetched.
    pub fn begin(&self, name: &str, total: u64) -> Reporter {
        let name = name.to_owned();
        // Nobody listens any more when all was cancelled.
        let _ = self.news.send(News::Begin { name, total });
        Reporter {
            news: self.news.clone(),
            file: self.begun.fetch_add(1, Ordering::Relaxed),
            total,
            told: Cell::default(),
        }
    }
}

/// Tells how far one file has come, not too often.
pub(super) struct Reporter {
    news: Sender<News>,
    file: usize,
    total: u64,
    told: Cell<Option<Instant>>,
}

impl Reporter {
    pub fn tell(&self, done: u64) {
        let is_due = self.told.get().is_none_or(|told| told.elapsed() > PACE);
        if is_due || done >= self.total {
            self.told.set(Some(Instant::now()));
            let file = self.file;
            let _ = self.news.send(News::Done { file, done });
        }
    }
}

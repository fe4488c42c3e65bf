//! The thread that changes files, one after the other in the order in which that was asked for.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender};

use super::super::history::{Entry, Stamp};
use super::files::stamp;
use super::{index, trash};
use crate::whole_file;

/// What is to be done with a file.
pub enum Job {
    Write(PathBuf, Vec<u8>),
    Remove(PathBuf),
    /// To the trash, and back.
    Throw(PathBuf),
    Restore(PathBuf),
    /// Out of the trash, for ever.
    DeleteForGood(PathBuf),
    Index(Vec<Entry>),
}

impl Job {
    fn path(&self) -> Option<&Path> {
        match self {
            Self::Write(path, _)
            | Self::Remove(path)
            | Self::Throw(path)
            | Self::Restore(path)
            | Self::DeleteForGood(path) => Some(path),
            Self::Index(_) => None,
        }
    }
}

/// What became of a file.
pub struct Saved {
    pub path: PathBuf,
    /// How many jobs that was: of several writes only the last is done.
    pub jobs: usize,
    /// Which version of it is there now, or why it is as it was before.
    pub outcome: Result<Option<Stamp>, String>,
}

pub fn work(folder: &Path, jobs: &Receiver<Job>, saved: &Sender<Saved>) {
    trash::empty(folder);
    while let Ok(first) = jobs.recv() {
        let mut batch = vec![first];
        batch.extend(jobs.try_iter());
        let next = followers(&batch);
        let mut trash = trash::Listing::default();
        let mut left_out: HashMap<&Path, usize> = HashMap::new();
        for (job, next) in batch.iter().zip(next) {
            // Of several writes of one file only the last counts.
            if matches!(
                (job, next),
                (Job::Write(..), Some(Job::Write(..) | Job::Remove(_)))
                    | (Job::Index(_), Some(Job::Index(_)))
            ) {
                if let Some(path) = job.path() {
                    *left_out.entry(path).or_default() += 1;
                }
                continue;
            }
            let outcome = run(folder, job, &mut trash);
            if let Some(path) = job.path() {
                let jobs = 1 + left_out.remove(path).unwrap_or_default();
                let outcome = outcome.map_err(|error| error.to_string());
                let path = path.to_owned();
                // Nobody listens only when the window is gone.
                let _ = saved.send(Saved {
                    path,
                    jobs,
                    outcome,
                });
            }
        }
    }
}

/// For each job the next one of the same file.
fn followers(batch: &[Job]) -> Vec<Option<&Job>> {
    let mut next: HashMap<Option<&Path>, &Job> = HashMap::new();
    let backwards = batch.iter().rev();
    let mut followers: Vec<Option<&Job>> =
        backwards.map(|job| next.insert(job.path(), job)).collect();
    followers.reverse();
    followers
}

fn run(folder: &Path, job: &Job, listing: &mut trash::Listing) -> std::io::Result<Option<Stamp>> {
    if !matches!(job, Job::Restore(_)) {
        listing.forget();
    }
    match job {
        Job::Write(path, bytes) => whole_file::replace(path, bytes)?,
        Job::Remove(path) => match std::fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        },
        Job::Throw(path) => trash::throw(folder, path)?,
        Job::Restore(path) => trash::restore(folder, path, listing)?,
        // What cannot be deleted is still there to be seen.
        Job::DeleteForGood(path) => {
            let _ = std::fs::remove_file(path);
        }
        // It only saves time: without it files are read.
        Job::Index(entries) => {
            let _ = index::write(folder, entries);
        }
    }
    Ok(job.path().and_then(|path| stamp(path).ok()))
}

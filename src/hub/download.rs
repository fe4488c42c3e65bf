//! One blob: fetched to a file beside its place, gone on with where it was cut off, and given its name only when it is whole.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;

use super::cache::{RepoFolder, create_folder};
use super::client::{About, Answer, Client, MOST_TRIES};
use super::hasher::{Hasher, hex, parse_hex};
use super::lock::{Hold, Lock};
use super::name::{is_component, printable};
use crate::error::{Error, HubError, Result};

/// How often a connection may break although something came each time.
const MOST_BREAKS: u32 = 1000;

/// What may be fetched of a file whose length nobody says.
const MOST_UNANNOUNCED: u64 = 1 << 30;

/// What the hub says of a file.
#[derive(Debug, Clone)]
pub struct Meta {
    /// The blob's name.
    pub etag: String,
    /// Bytes; `None` if it is not said.
    pub size: Option<u64>,
    /// The contents' SHA-256; files that are no Git LFS objects have none.
    pub sha256: Option<[u8; 32]>,
    /// The commit of the revision that was asked for.
    pub commit: Option<String>,
}

impl Meta {
    /// Asks the hub.
    pub fn of(client: &Client, url: &str, about: &About) -> Result<Self> {
        let answer = client.head(url)?;
        let is_redirect = answer.response.status().is_redirection();
        if !is_redirect && !answer.response.status().is_success() {
            return Err(client.refusal(&answer, about));
        }
        let odd = |what: String| HubError::Answer {
            url: answer.url.clone(),
            what,
        };
        let linked = answer.header("x-linked-etag");
        let etag = linked.or(answer.header("etag"));
        let etag = etag.ok_or_else(|| odd("says no ETag".into()))?;
        let etag = etag.strip_prefix("W/").unwrap_or(etag).trim_matches('"');
        if !is_component(etag) || etag.ends_with(".incomplete") {
            return Err(odd(format!("has an odd ETag, `{}`", printable(etag))).into());
        }
        let size = match answer.header("x-linked-size") {
            Some(size) => Some(size),
            // A redirect's own length is of no interest.
            None if is_redirect => None,
            None => answer.header("content-length"),
        };
        let size = size
            .map(|size| size.trim().parse())
            .transpose()
            .map_err(|_| odd("says a length that is no number".into()))?;
        Ok(Self {
            sha256: parse_hex(etag),
            etag: etag.to_owned(),
            size,
            commit: answer.commit.filter(|commit| is_component(commit)),
        })
    }
}

/// Sees to it that a blob is in the cache, whole. `report` is told how many bytes of it are there.
pub fn fetch(
    client: &Client,
    repo: &RepoFolder,
    url: &str,
    about: &About,
    meta: &Meta,
    report: &dyn Fn(u64),
) -> Result<()> {
    let blob = repo.blobs().join(&meta.etag);
    create_folder(&repo.blobs())?;
    let lock = repo.locks.join(format!("{}.lock", meta.etag));
    let _lock = loop {
        // Whoever has it now fetches the same file.
        match Lock::take(&lock, Hold::Alone)? {
            Some(lock) => break lock,
            None => client.cancel.sleep(Duration::from_millis(100))?,
        }
    };
    if let Ok(there) = std::fs::metadata(&blob)
        && there.is_file()
        && meta.size.is_none_or(|size| size == there.len())
    {
        report(there.len());
        return Ok(());
    }
    let unfinished = repo.blobs().join(format!("{}.incomplete", meta.etag));
    let mut partial = Partial::open(&unfinished, meta)?;
    let had_before = partial.length > 0;
    let mut outcome = partial.complete(client, url, about, meta, report);
    if had_before && matches!(&outcome, Err(error) if is_corrupt(error)) {
        // What was there before may be to blame.
        partial.restart()?;
        outcome = partial.complete(client, url, about, meta, report);
    }
    if let Err(error) = outcome {
        drop(partial);
        if is_corrupt(&error) {
            let _ = std::fs::remove_file(&unfinished);
        }
        return Err(error);
    }
    drop(partial);
    std::fs::rename(&unfinished, &blob).map_err(|error| Error::write(&blob, error))
}

/// Whether nothing that was fetched can be trusted.
fn is_corrupt(error: &Error) -> bool {
    matches!(
        error,
        Error::Hub(HubError::Hash { .. } | HubError::Length { .. })
    )
}

/// A blob in the making.
struct Partial<'a> {
    path: &'a Path,
    file: File,
    /// Bytes in it that are in the hash too.
    length: u64,
    hasher: Hasher,
}

impl<'a> Partial<'a> {
    /// What is there of it already is taken up again if it can be checked afterwards.
    fn open(path: &'a Path, meta: &Meta) -> Result<Self> {
        let write = |error| Error::write(path, error);
        if path.symlink_metadata().is_ok_and(|there| !there.is_file()) {
            // A link or a device in its place: reading that might never end.
            std::fs::remove_file(path).map_err(write)?;
        }
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(write)?;
        let mut partial = Self {
            path,
            file,
            length: 0,
            hasher: Hasher::start()?,
        };
        let there = partial.file.metadata().map_err(write)?.len();
        if meta.sha256.is_none() || meta.size.is_some_and(|size| there > size) {
            partial.restart()?;
            return Ok(partial);
        }
        loop {
            let file = &mut partial.file;
            let read = partial.hasher.add(|buffer| file.read(buffer));
            let read = read.map_err(|error| Error::read(path, error))?;
            if read == 0 {
                return Ok(partial);
            }
            partial.length += read as u64;
        }
    }

    /// Throws away what is there.
    fn restart(&mut self) -> Result<()> {
        self.file
            .set_len(0)
            .and_then(|()| self.file.seek(SeekFrom::Start(0)))
            .map_err(|error| Error::write(self.path, error))?;
        self.length = 0;
        self.hasher = Hasher::start()?;
        Ok(())
    }

    /// Fetches what is missing, and checks the whole.
    fn complete(
        &mut self,
        client: &Client,
        url: &str,
        about: &About,
        meta: &Meta,
        report: &dyn Fn(u64),
    ) -> Result<()> {
        let mut backoff = client.backoff();
        let mut breaks = 0;
        loop {
            report(self.length);
            if self.length > 0 && Some(self.length) == meta.size {
                break;
            }
            let before = self.length;
            match self.append(client, url, about, meta, report) {
                Ok(()) => break,
                Err(broken @ Error::Hub(HubError::Connection { .. })) => {
                    breaks += 1;
                    if self.length > before && breaks < MOST_BREAKS {
                        backoff.reset();
                    }
                    if !backoff.again(MOST_TRIES, None, &client.cancel)? {
                        return Err(broken);
                    }
                    if meta.sha256.is_none() {
                        self.restart()?;
                    }
                }
                Err(error) => return Err(error),
            }
        }
        self.check(url, meta)
    }

    /// Goes on where the file ends, as long as the connection lasts.
    fn append(
        &mut self,
        client: &Client,
        url: &str,
        about: &About,
        meta: &Meta,
        report: &dyn Fn(u64),
    ) -> Result<()> {
        let mut answer = client.get(url, self.length)?;
        match answer.status() {
            206 if range_start(&answer) == Some(self.length) => {}
            // All of it although a part was asked for, or another part.
            200 if self.length == 0 => {}
            200 => self.restart()?,
            206 | 416 if self.length > 0 => {
                self.restart()?;
                return Err(lost(&answer.url, "another part of the file came".into()));
            }
            206 => return Err(lost(&answer.url, "a part of the file came".into())),
            _ => return Err(client.refusal(&answer, about)),
        }
        let announced = answer.response.body().content_length();
        let is_chunked = answer.header("transfer-encoding").is_some();
        if announced.is_none() && !is_chunked && meta.size.is_none() && meta.sha256.is_none() {
            // It could end anywhere, and nobody would notice.
            return Err(HubError::Answer {
                url: answer.url,
                what: "says neither the file's length nor its hash".into(),
            }
            .into());
        }
        let source = answer.url.clone();
        let wrong = |found, expected| HubError::Length {
            url: source.clone(),
            expected,
            found,
        };
        let broken = |error: std::io::Error| match client.cancel.is_set() {
            true => Error::Cancelled,
            false => lost(&source, error.to_string()),
        };
        if let (Some(announced), Some(size)) = (announced, meta.size)
            && self.length.saturating_add(announced) != size
        {
            return Err(wrong(self.length.saturating_add(announced), size).into());
        }
        let most = meta.size.unwrap_or(MOST_UNANNOUNCED);
        let body = answer.response.body_mut();
        let mut reader = body.with_config().limit(u64::MAX).reader();
        loop {
            client.cancel.check()?;
            let (file, path, before) = (&mut self.file, self.path, self.length);
            let read = self.hasher.add(|buffer| {
                let read = reader.read(buffer).map_err(&broken)?;
                let length = before + read as u64;
                if length > most {
                    return Err(wrong(length, most).into());
                }
                let written = file.write_all(&buffer[..read]);
                written.map_err(|error| Error::write(path, error))?;
                Ok::<_, Error>(read)
            })?;
            if read == 0 {
                break;
            }
            self.length += read as u64;
            report(self.length);
        }
        match meta.size {
            Some(size) if self.length < size => {
                let cause = format!("it ended after {} of {size} bytes", self.length);
                Err(lost(&source, cause))
            }
            _ => Ok(()),
        }
    }

    fn check(&mut self, url: &str, meta: &Meta) -> Result<()> {
        let found = self.hasher.finish();
        match meta.sha256 {
            Some(expected) if found != Some(expected) => Err(HubError::Hash {
                url: url.to_owned(),
                expected: hex(&expected),
                found: found.map_or_else(String::new, |found| hex(&found)),
            }
            .into()),
            _ => Ok(()),
        }
    }
}

/// A connection that is as good as broken.
fn lost(url: &str, cause: String) -> Error {
    HubError::Connection {
        url: url.to_owned(),
        cause: printable(&cause),
    }
    .into()
}

/// The first byte of what `Content-Range: bytes 5-9/10` announces.
fn range_start(answer: &Answer) -> Option<u64> {
    let range = answer.header("content-range")?.strip_prefix("bytes ")?;
    range.split_once('-')?.0.trim().parse().ok()
}

//! Sessions on disk: ids with their keys and values, so that a prompt that begins with the same ids need not be computed again.
//!
//! Only what was computed as a prompt is kept. A generated row's keys and values may differ from those of a prompt's row by rounding, and
//! with them a text that begins with them would not be the one that comes without the file.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::saved_file::{Header, Reader, Writer, damaged};
use super::session::Session;
use crate::error::{Error, Origin, Result};
use crate::model::{common_prefix, kv_row_bytes};

/// A saved session's file, open and checked: it is whole, and what was written.
#[derive(Debug)]
pub struct SavedSession {
    path: PathBuf,
    file: File,
    header: Header,
    ids: Vec<u32>,
}

impl SavedSession {
    /// Opens a file of [`Session::save`]. No device is needed, and no more memory than for its ids.
    ///
    /// # Errors
    /// [`Error::SavedSession`] for a file that is none, damaged, or of another version; [`Error::Read`].
    pub fn open(path: &Path) -> Result<Self> {
        let unreadable = |error| Error::read(path, error);
        // A pipe would be waited for.
        if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
            return Err(Error::SavedSession {
                path: path.to_owned(),
                what: "it is not a file".into(),
            });
        }
        let file = File::open(path).map_err(unreadable)?;
        let bytes = file.metadata().map_err(unreadable)?.len();
        let mut reader = Reader::new(path, &file)?;
        let (header, ids) = reader.begin(bytes)?;
        reader.skip(header.positions * header.position_bytes)?;
        reader.end()?;
        Ok(Self {
            path: path.to_owned(),
            file,
            header,
            ids,
        })
    }

    /// The tokens that it has keys and values for.
    pub fn tokens(&self) -> &[u32] {
        &self.ids
    }

    /// How many tokens it begins with that `ids` begins with too.
    pub fn matching(&self, ids: &[u32]) -> usize {
        common_prefix(&self.ids, ids)
    }

    /// At where keys and values begin. The file may not be what it was; its end will tell, as far as this does not.
    fn reader(&self) -> Result<Reader<'_>> {
        let metadata = self.file.metadata();
        let metadata = metadata.map_err(|error| Error::read(&self.path, error))?;
        let mut reader = Reader::new(&self.path, &self.file)?;
        let (header, ids) = reader.begin(metadata.len())?;
        match header == self.header && ids == self.ids {
            true => Ok(reader),
            false => Err(damaged(&self.path)),
        }
    }

    /// Checks that keys and values are those that the session's model would compute.
    fn check(&self, session: &Session) -> Result<()> {
        let model = session.model();
        let here = model.network().kv_origin()?;
        if let Some((origin, saved, here)) = self.header.origin.difference(&here) {
            let named = |name: &str, value: &str| match origin {
                Origin::Model => format!("`{name}` ({value})"),
                _ => value.to_owned(),
            };
            return Err(Error::OtherOrigin {
                path: self.path.clone(),
                origin,
                saved: named(&self.header.name, saved),
                here: named(model.name(), here),
            });
        }
        let config = model.config();
        let bytes: u64 = kv_row_bytes(config, model.network().has_exact_kv())
            .iter()
            .sum();
        let is_known = |id: &u32| (*id as usize) < config.vocab_size;
        match bytes == self.header.position_bytes && self.ids.iter().all(is_known) {
            true => Ok(()),
            false => Err(Error::SavedSession {
                path: self.path.clone(),
                what: "this saved session contradicts itself: its sizes or token ids are not those of its model"
                    .into(),
            }),
        }
    }
}

impl Session {
    /// Writes the tokens of [`Session::prompt_tokens`], with their keys and values, to a file: it is replaced when the new one is whole, or
    /// stays as it is. Returns how many tokens it has; where that is 0, nothing is written. Takes a few MiB of memory, however many
    /// there are.
    ///
    /// # Errors
    /// [`Error::Write`], and those of the device.
    pub fn save(&mut self, path: &Path) -> Result<usize> {
        let network = std::sync::Arc::clone(self.model().network());
        // Steps of a prompt have no results that would have told.
        network.settle()?;
        let ids = self.prompt_tokens();
        if ids.is_empty() {
            return Ok(0);
        }
        let header = Header {
            name: self.model().name().to_owned(),
            origin: network.kv_origin()?,
            positions: ids.len() as u64,
            position_bytes: kv_row_bytes(network.config(), network.has_exact_kv())
                .iter()
                .sum(),
        };
        // What a link leads to is replaced, not the link.
        let target = dunce::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let mut writer = Writer::new(&target, &header, ids)?;
        let take = |bytes: &[u8]| writer.write(bytes);
        if !self.sequence().read_kv(ids.len(), take)? {
            return Ok(0);
        }
        let count = ids.len();
        writer.finish()?;
        Ok(count)
    }

    /// Makes the session hold the first `count` tokens of `saved`, or all, or as many as the context has positions for, and nothing else.
    /// Returns how many these are: 0 where another session's keys and values had to become f32 meanwhile.
    ///
    /// Whatever follows is the same, to the bit, as if they had been computed here.
    ///
    /// # Errors
    /// [`Error::OtherOrigin`] where they would not have been computed alike: the session is as it was. [`Error::SavedSession`] where the file
    /// has changed since it was opened, [`Error::OutOfMemory`], and others of the device: the session is empty.
    pub fn restore(&mut self, saved: &SavedSession, count: usize) -> Result<usize> {
        saved.check(self)?;
        let count = count.min(saved.ids.len()).min(self.model().context_size());
        self.rewind(0);
        let (positions, kept) = (saved.header.positions, count as u64);
        let mut reader = saved.reader()?;
        let exact = self.model().network().has_exact_kv();
        let mut rows = kv_row_bytes(self.model().config(), exact).into_iter();
        // Of the keys, or the values, of a layer: bytes still to come, and those of positions that are not wanted.
        let (mut left, mut rest) = (0, 0);
        let fill = |bytes: &mut [u8]| {
            if left == 0 {
                let row = rows.next().unwrap_or(0);
                (left, rest) = (row * kept, row * (positions - kept));
            }
            reader.read(bytes)?;
            left = left.saturating_sub(bytes.len() as u64);
            match left {
                0 => reader.skip(rest),
                _ => Ok(()),
            }
        };
        let ids = &saved.ids[..count];
        if ids.is_empty() || !self.sequence_mut().write_kv(ids, fill)? {
            return Ok(0);
        }
        match reader.end() {
            Ok(()) => Ok(count),
            Err(error) => {
                self.rewind(0);
                Err(error)
            }
        }
    }
}

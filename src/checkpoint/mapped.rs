//! Files as bytes in memory: mapped, not read, so that nothing is loaded before it is needed.

use std::fs::File;
use std::path::Path;

use memmap2::Mmap;

use super::read::open_file;
use crate::error::{Error, Result};

/// Bytes of a file, or of the program itself.
pub enum Bytes {
    Mapped {
        map: Mmap,
        /// To ask how long it is now.
        file: File,
    },
    Embedded(&'static [u8]),
}

impl Bytes {
    /// Maps a file.
    ///
    /// # Errors
    /// [`Error::Read`]; [`Error::Checkpoint`] for an empty file, and for what is none.
    pub fn map(path: &Path) -> Result<Self> {
        let file = open_file(path)?;
        // SAFETY: the map is read-only. If another process truncates the file, reading beyond its new end would end this one (SIGBUS), so
        // `check_length` is asked before each piece that is read.
        let map = unsafe { Mmap::map(&file) }.map_err(|error| match error.kind() {
            std::io::ErrorKind::InvalidInput => {
                Error::checkpoint(path, "the file is empty; download it again")
            }
            _ => Error::read(path, error),
        })?;
        Ok(Self::Mapped { map, file })
    }

    pub fn as_slice(&self) -> &[u8] {
        match self {
            Self::Mapped { map, .. } => map,
            Self::Embedded(bytes) => bytes,
        }
    }

    /// Checks that the file is still as long as it was, for a moment: whoever downloads into it, or clears it, does so for longer.
    ///
    /// # Errors
    /// [`Error::Read`]; [`Error::Checkpoint`] if it has become shorter.
    pub fn check_length(&self, path: &Path) -> Result<()> {
        let Self::Mapped { map, file } = self else {
            return Ok(());
        };
        let now = file
            .metadata()
            .map_err(|error| Error::read(path, error))?
            .len();
        match now < map.len() as u64 {
            true => Err(Error::checkpoint(
                path,
                format!(
                    "became shorter while it was read, from {} bytes to {now}; somebody is writing to it",
                    map.len()
                ),
            )),
            false => Ok(()),
        }
    }
}

//! A file's bytes, mapped into memory: nothing of them is read until it is looked at.

use std::ops::Deref;
use std::path::Path;

use memmap2::Mmap;

use super::read::{open_file, refuse_pointer};
use crate::error::{Error, Result};

/// The bytes of a file, or of what is part of the program.
pub enum Bytes {
    Mapped(Mmap),
    Embedded(&'static [u8]),
}

impl Bytes {
    /// Maps a file, refusing one that is empty and the pointer to one.
    ///
    /// # Errors
    /// [`Error::Read`], [`Error::Checkpoint`].
    pub fn map(path: &Path) -> Result<Self> {
        let empty = || Error::checkpoint(path, "the file is empty; download it again");
        let file = open_file(path)?;
        // SAFETY: the map is read-only. Another process that truncates the file while it is mapped can still make reads fail
        // (SIGBUS), as in every program that maps its model; copying gigabytes to avoid that would not be worth it.
        let map = unsafe { Mmap::map(&file) }.map_err(|error| match error.kind() {
            std::io::ErrorKind::InvalidInput => empty(),
            _ => Error::read(path, error),
        })?;
        if map.is_empty() {
            return Err(empty());
        }
        refuse_pointer(path, &map)?;
        Ok(Self::Mapped(map))
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Embedded(bytes) => bytes,
        }
    }
}

//! Locks between processes: the operating system's, which end with whoever holds them. Hugging Face's own library takes the same ones.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;

use super::cache::create_folder;
use crate::error::{Error, Result};

/// Held until it is dropped.
#[derive(Debug)]
pub(super) struct Lock {
    /// `None` on file systems that know no locks: there nobody is kept out.
    _file: Option<File>,
}

/// Whom a lock keeps out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hold {
    /// Everybody.
    Alone,
    /// Those who want to be alone.
    Shared,
}

impl Lock {
    /// `None` if somebody else has it.
    pub fn take(path: &Path, hold: Hold) -> Result<Option<Self>> {
        if let Some(folder) = path.parent() {
            create_folder(folder)?;
        }
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(|error| Error::write(path, error))?;
        let taken = match hold {
            Hold::Alone => file.try_lock(),
            Hold::Shared => file.try_lock_shared(),
        };
        match taken {
            Ok(()) => Ok(Some(Self { _file: Some(file) })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(_)) => Ok(Some(Self { _file: None })),
        }
    }
}

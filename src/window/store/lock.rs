//! One window a folder.

use std::fs::{File, TryLockError};
use std::path::Path;

use crate::error::Error;

/// Keeps other windows from `folder` for as long as the file lives: each would write over what the other has kept. `None` where the
/// system cannot tell.
///
/// # Errors
/// [`Error::DataFolderInUse`] if another window is there.
pub fn lock(folder: &Path) -> Result<Option<File>, Error> {
    // What keeps the folder from being made is said when something is saved.
    let _ = std::fs::create_dir_all(folder);
    let mut options = File::options();
    options.create(true).truncate(false).write(true);
    let Ok(file) = options.open(folder.join("lock")) else {
        return Ok(None);
    };
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::Error(_)) => Ok(None),
        Err(TryLockError::WouldBlock) => Err(Error::DataFolderInUse {
            folder: folder.to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_window_a_folder() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("not/there");
        let held = lock(&folder).unwrap();
        if held.is_none() {
            return;
        }
        let error = lock(&folder).unwrap_err();
        assert!(error.to_string().contains("not/there"), "{error}");
        assert!(matches!(error, Error::DataFolderInUse { .. }), "{error}");
        drop(held);
        assert!(lock(&folder).unwrap().is_some());
        // Where a folder cannot be made, saving says so.
        std::fs::write(parent.path().join("file"), "").unwrap();
        assert!(lock(&parent.path().join("file/folder")).unwrap().is_none());
    }
}

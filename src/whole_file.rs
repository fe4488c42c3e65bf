//! Files that are written whole or not at all: beside their place, which they take once they are safe on disk.

use std::fs::File;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{ErrorKind, Result, Write};
use std::path::{Path, PathBuf};

/// A file under way. Dropped before it is finished, it leaves nothing behind, and what lay in its place stays.
#[derive(Debug)]
pub struct WholeFile {
    place: PathBuf,
    beside: PathBuf,
    file: File,
}

impl WholeFile {
    /// Begins the file that is to lie at `path`, in a folder that there is. A link stays one: what it leads to is replaced. Who may read a file
    /// that is replaced stays as it was.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn begin(path: &Path) -> Result<Self> {
        let place = dunce::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        if place.file_name().is_none() {
            return Err(ErrorKind::InvalidFilename.into());
        }
        // A short name of its own: others may be writing the same file, whose own name may be as long as names can be.
        let number = RandomState::new().build_hasher().finish();
        let beside = place.with_file_name(format!(".openelm.{number}.tmp"));
        let file = File::create_new(&beside)?;
        let begun = Self {
            place,
            beside,
            file,
        };
        #[cfg(unix)]
        if let Ok(before) = std::fs::metadata(&begun.place) {
            begun.file.set_permissions(before.permissions())?;
        }
        Ok(begun)
    }

    /// Puts the file in its place.
    ///
    /// # Errors
    /// Those of the file system; what lay there stays.
    pub fn finish(self) -> Result<()> {
        self.file.sync_all()?;
        std::fs::rename(&self.beside, &self.place)?;
        // The name as well must survive a power cut; where folders cannot be opened, they need no such thing.
        if let Some(folder) = self.place.parent().and_then(|path| File::open(path).ok()) {
            let _ = folder.sync_all();
        }
        Ok(())
    }
}

impl Write for WholeFile {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> Result<()> {
        self.file.flush()
    }
}

impl Drop for WholeFile {
    fn drop(&mut self) {
        // Once it has taken its place there is none of that name.
        let _ = std::fs::remove_file(&self.beside);
    }
}

/// Writes a file; its folder is made where there is none.
///
/// # Errors
/// Those of the file system; what lay at `path` stays.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut file = WholeFile::begin(path)?;
    file.write_all(bytes)?;
    file.finish()
}

/// Whether a name is one of a [`WholeFile`] that was never finished: `.openelm.DIGITS.tmp`, in earlier versions without the first dot.
pub fn is_unfinished(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = name.strip_prefix('.').unwrap_or(&name);
    let number = name.strip_prefix("openelm.");
    let number = number.and_then(|rest| rest.strip_suffix(".tmp"));
    number.is_some_and(|digits| {
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::{WholeFile, is_unfinished, replace};
    use std::io::Write;

    #[test]
    fn what_is_not_finished_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kept");
        replace(&path, b"old").unwrap();
        let mut file = WholeFile::begin(&path).unwrap();
        file.write_all(b"new").unwrap();
        let names = || std::fs::read_dir(folder.path()).unwrap().flatten();
        assert_eq!(
            names().filter(|entry| is_unfinished(&entry.path())).count(),
            1
        );
        drop(file);
        assert_eq!(names().count(), 1);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "old");
    }

    #[test]
    fn a_name_as_long_as_names_can_be_is_no_obstacle() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(format!("{}.json", "a".repeat(250)));
        replace(&path, b"old").unwrap();
        replace(&path, b"new").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "new");
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_is_replaced_stays_where_and_whose_it_was() {
        use std::os::unix::fs::{PermissionsExt, symlink};

        let folder = tempfile::tempdir().unwrap();
        let [kept, link] = ["kept.json", "link.json"].map(|name| folder.path().join(name));
        std::fs::write(&kept, "old").unwrap();
        std::fs::set_permissions(&kept, std::fs::Permissions::from_mode(0o600)).unwrap();
        symlink("kept.json", &link).unwrap();
        replace(&link, b"new").unwrap();
        assert!(link.symlink_metadata().unwrap().is_symlink());
        assert_eq!(std::fs::read_to_string(&kept).unwrap(), "new");
        let mode = std::fs::metadata(&kept).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

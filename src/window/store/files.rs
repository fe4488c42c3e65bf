//! Files read within a bound and replaced whole.

use std::io::{Read, Write};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::super::history::Stamp;
use crate::utf8;

/// Larger files are none of ours.
pub const MOST_BYTES: u64 = 256 << 20;

/// Digits of an id, which is the time that it was given at, in nanoseconds since 1970.
pub const ID_DIGITS: usize = 20;

/// What a clock says: names that are made of it are in the order of time.
pub fn nanoseconds() -> u128 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| now.as_nanos())
}

/// Which version of a file lies at `path`, if one does.
pub fn stamp(path: &Path) -> std::io::Result<Stamp> {
    let data = std::fs::metadata(path)?;
    let modified = data.modified()?.duration_since(UNIX_EPOCH);
    Ok(Stamp {
        bytes: data.len(),
        modified: modified.map_or(0, |time| time.as_nanos() as u64),
    })
}

/// All of a file that is no larger than those of this program are, without a byte order mark.
///
/// # Errors
/// Says why not, but not of which file.
pub fn read(path: &Path) -> Result<Vec<u8>, String> {
    let describe = |error: std::io::Error| error.to_string();
    let data = std::fs::metadata(path).map_err(describe)?;
    // A pipe has no end.
    if !data.is_file() {
        return Err("is no file".into());
    }
    if data.len() > MOST_BYTES {
        return Err(format!(
            "has {} bytes, too many for a conversation",
            data.len()
        ));
    }
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(describe)?;
    file.take(MOST_BYTES)
        .read_to_end(&mut bytes)
        .map_err(describe)?;
    utf8::unmarked(bytes).map_err(|error| error.to_string())
}

/// Writes a file beside `path`, and puts it in its place once it is safe on disk. A link stays one, and who may read the file is as before.
///
/// # Errors
/// Those of the system; what lay at `path` is as it was.
pub fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let path = &dunce::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    // A name of its own, since another window may be saving the same file, and a short one: the file's may be as long as names can be.
    let beside = path.with_file_name(format!("openelm.{}.tmp", nanoseconds()));
    let mut file = std::fs::File::create_new(&beside)?;
    let mut write = || {
        #[cfg(unix)]
        if let Ok(before) = std::fs::metadata(path) {
            file.set_permissions(before.permissions())?;
        }
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&beside, path)?;
        // The name as well must survive a power cut; where folders cannot be opened, they need no such thing.
        if let Some(folder) = path
            .parent()
            .and_then(|folder| std::fs::File::open(folder).ok())
        {
            let _ = folder.sync_all();
        }
        Ok(())
    };
    write().inspect_err(|_| {
        // The half-written one is of no use to anybody.
        let _ = std::fs::remove_file(&beside);
    })
}

/// Removes what a crash has left half-written; what is younger may be another window's.
pub fn remove_remains(folder: &Path) {
    const OLD: Duration = Duration::from_secs(3600);
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        // Thousands of conversations need not be asked how old they are.
        if !is_remains(&path) {
            continue;
        }
        let age = entry.metadata().and_then(|data| data.modified());
        let age = age.ok().and_then(|time| time.elapsed().ok());
        if age > Some(OLD) {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Whether a name is one that [`replace`] gives: `openelm.DIGITS.tmp`.
fn is_remains(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let number = name.strip_prefix("openelm.");
    let number = number.and_then(|rest| rest.strip_suffix(".tmp"));
    number.is_some_and(|digits| {
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_name_as_long_as_names_can_be_is_no_obstacle() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(format!("{}.json", "a".repeat(250)));
        super::replace(&path, b"old").unwrap();
        super::replace(&path, b"new").unwrap();
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
        super::replace(&link, b"new").unwrap();
        assert!(link.symlink_metadata().unwrap().is_symlink());
        assert_eq!(std::fs::read_to_string(&kept).unwrap(), "new");
        let mode = std::fs::metadata(&kept).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

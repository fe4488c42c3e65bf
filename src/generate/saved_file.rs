//! The file of a saved session: written whole or not at all, checked before it is believed.
//!
//! Little-endian, one after the other:
//!
//! ```text
//! magic         8 bytes, "oelm-kv" and a zero
//! version       u32
//! header size   u32
//! header        JSON: Header
//! ids           [positions] u32
//! keys, values  by layer: keys [positions, kv_heads, head_dim], then values; heads in whole blocks of eight, f16 or f32
//! checksum      u128: XXH3 of all before it
//! ```

use std::fs::File;
use std::io::{BufReader, BufWriter, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use twox_hash::XxHash3_128;

use crate::error::{Error, Result};
use crate::model::KvOrigin;
use crate::whole_file::WholeFile;

const MAGIC: [u8; 8] = *b"oelm-kv\0";
const VERSION: u32 = 1;
/// Magic, version and size of the header.
const PRELUDE: usize = 16;
/// A larger header is none of ours.
const MOST_HEADER: u32 = 1 << 16;
/// No context is longer.
const MOST_POSITIONS: u64 = 1 << 20;
const CHECKSUM: u64 = 16;

/// What is known of a saved session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// What the model was called, for messages.
    pub name: String,
    pub origin: KvOrigin,
    pub positions: u64,
    /// Bytes of a position's keys and values.
    pub position_bytes: u64,
}

impl Header {
    /// Bytes of a file with this header, which takes `size` bytes itself; `None` where that is too much for any file.
    fn file_bytes(&self, size: u32) -> Option<u64> {
        let positions = self.position_bytes.checked_add(4)?;
        let positions = positions.checked_mul(self.positions)?;
        positions.checked_add(PRELUDE as u64 + u64::from(size) + CHECKSUM)
    }
}

/// Writes a file that in the end takes its place. Dropped before that, it leaves nothing behind.
pub struct Writer<'a> {
    path: &'a Path,
    file: BufWriter<WholeFile>,
    hash: XxHash3_128,
}

impl<'a> Writer<'a> {
    /// # Errors
    /// [`Error::Write`], as all of these.
    pub fn new(path: &'a Path, header: &Header, ids: &[u32]) -> Result<Self> {
        let file = WholeFile::begin(path).map_err(|error| Error::write(path, error))?;
        let mut writer = Self {
            path,
            file: BufWriter::new(file),
            hash: XxHash3_128::new(),
        };
        let json = serde_json::to_vec(header)
            .map_err(|error| Error::write(path, std::io::Error::other(error)))?;
        writer.write(&MAGIC)?;
        writer.write(&VERSION.to_le_bytes())?;
        writer.write(&(json.len() as u32).to_le_bytes())?;
        writer.write(&json)?;
        for id in ids {
            writer.write(&id.to_le_bytes())?;
        }
        Ok(writer)
    }

    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.hash.write(bytes);
        let written = self.file.write_all(bytes);
        written.map_err(|error| Error::write(self.path, error))
    }

    pub fn finish(mut self) -> Result<()> {
        let checksum = self.hash.finish_128().to_le_bytes();
        let finish = || {
            self.file.write_all(&checksum)?;
            self.file.into_inner()?.finish()
        };
        finish().map_err(|error: std::io::Error| Error::write(self.path, error))
    }
}

/// Reads and keeps count of what was read.
pub struct Reader<'a> {
    path: &'a Path,
    file: BufReader<&'a File>,
    hash: XxHash3_128,
}

impl<'a> Reader<'a> {
    /// From the beginning of the file.
    pub fn new(path: &'a Path, mut file: &'a File) -> Result<Self> {
        let rewound = file.seek(SeekFrom::Start(0));
        rewound.map_err(|error| Error::read(path, error))?;
        Ok(Self {
            path,
            file: BufReader::with_capacity(1 << 16, file),
            hash: XxHash3_128::new(),
        })
    }

    pub fn read(&mut self, bytes: &mut [u8]) -> Result<()> {
        match self.file.read_exact(bytes) {
            Ok(()) => {
                self.hash.write(bytes);
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Err(damaged(self.path)),
            Err(error) => Err(Error::read(self.path, error)),
        }
    }

    pub fn skip(&mut self, mut bytes: u64) -> Result<()> {
        let mut some = [0; 1 << 12];
        while bytes > 0 {
            let size = bytes.min(some.len() as u64);
            self.read(&mut some[..size as usize])?;
            bytes -= size;
        }
        Ok(())
    }

    /// Magic, version, header and ids. `bytes`: the file's.
    pub fn begin(&mut self, bytes: u64) -> Result<(Header, Vec<u32>)> {
        let wrong = |what: String| Error::SavedSession {
            path: self.path.to_owned(),
            what,
        };
        let foreign = || wrong("it is no saved session of openelm".into());
        let mut prelude = [0; PRELUDE];
        if bytes < PRELUDE as u64 {
            return Err(foreign());
        }
        self.read(&mut prelude)?;
        if prelude[..8] != MAGIC {
            return Err(foreign());
        }
        let word = |at: usize| {
            let bytes: [u8; 4] = std::array::from_fn(|i| prelude[at + i]);
            u32::from_le_bytes(bytes)
        };
        let (version, size) = (word(8), word(12));
        if version != VERSION {
            return Err(wrong(format!(
                "it was saved in format {version}; this version of openelm has format {VERSION}"
            )));
        }
        if size > MOST_HEADER {
            return Err(damaged(self.path));
        }
        let mut json = vec![0; size as usize];
        self.read(&mut json)?;
        let header: Header = serde_json::from_slice(&json).map_err(|_| damaged(self.path))?;
        if header.positions > MOST_POSITIONS || header.file_bytes(size) != Some(bytes) {
            return Err(damaged(self.path));
        }
        let mut ids = vec![0; header.positions as usize * 4];
        self.read(&mut ids)?;
        let ids = ids.chunks_exact(4);
        let ids = ids.map(|id| u32::from_le_bytes([id[0], id[1], id[2], id[3]]));
        Ok((header, ids.collect()))
    }

    /// Checks what was read against the checksum, which comes next.
    pub fn end(mut self) -> Result<()> {
        let expected = self.hash.finish_128();
        let mut checksum = [0; CHECKSUM as usize];
        self.read(&mut checksum)?;
        match u128::from_le_bytes(checksum) == expected {
            true => Ok(()),
            false => Err(damaged(self.path)),
        }
    }
}

/// What is said of a file that was written by nobody as it is.
pub fn damaged(path: &Path) -> Error {
    Error::SavedSession {
        path: path.to_owned(),
        what: "this saved session is damaged: cut off, or not all of it is what was written".into(),
    }
}

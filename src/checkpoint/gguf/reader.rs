//! Numbers and texts from the front of some bytes. A file may say anything: every length is held against what is left.

pub use crate::checkpoint::read::shown;

/// A result whose error says what is wrong; whoever knows the file's name adds it.
pub type Found<T> = std::result::Result<T, String>;

/// Reads bytes in order.
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Bytes read so far.
    pub fn at(&self) -> usize {
        self.at
    }

    /// What is not read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    pub fn take(&mut self, count: u64) -> Found<&'a [u8]> {
        let rest = self.rest();
        let taken = usize::try_from(count)
            .ok()
            .and_then(|count| rest.get(..count));
        match taken {
            Some(taken) => {
                self.at += taken.len();
                Ok(taken)
            }
            None => Err(format!(
                "{count} bytes are expected from byte {} on, and there are only {}",
                self.at,
                rest.len()
            )),
        }
    }

    pub fn array<const N: usize>(&mut self) -> Found<[u8; N]> {
        let bytes = self.take(N as u64)?.first_chunk();
        bytes
            .copied()
            .ok_or_else(|| format!("{N} bytes are expected"))
    }

    pub fn u32(&mut self) -> Found<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub fn u64(&mut self) -> Found<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// A length, and as many bytes.
    pub fn string(&mut self) -> Found<&'a [u8]> {
        let length = self.u64()?;
        self.take(length)
    }

    /// The name of a key or tensor.
    pub fn name(&mut self) -> Found<&'a str> {
        let begin = self.at;
        std::str::from_utf8(self.string()?)
            .map_err(|_| format!("the name at byte {begin} is not UTF-8"))
    }
}

//! SHA-256 on a thread of its own, so that a download is as fast as its connection and its disk.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use sha2::{Digest, Sha256};

use crate::error::Error;

/// Bytes of a buffer.
const BUFFER: usize = 1 << 20;

/// Buffers between a download and its hash.
const BUFFERS: usize = 4;

/// Hashes what it is given, in that order.
pub struct Hasher {
    /// `None` once it is finished.
    full: Option<SyncSender<(Box<[u8]>, usize)>>,
    empty: Receiver<Box<[u8]>>,
    thread: Option<JoinHandle<Sha256>>,
}

impl Hasher {
    /// # Errors
    /// [`Error::Thread`].
    pub fn start() -> crate::error::Result<Self> {
        let (full, incoming) = sync_channel::<(Box<[u8]>, usize)>(BUFFERS);
        let (done, empty) = sync_channel(BUFFERS);
        for _ in 0..BUFFERS {
            // There is room for all of them.
            let _ = done.send(vec![0; BUFFER].into());
        }
        let thread = std::thread::Builder::new()
            .name("sha-256".into())
            .spawn(move || {
                let mut hash = Sha256::new();
                for (buffer, length) in incoming {
                    hash.update(&buffer[..length]);
                    let _ = done.try_send(buffer);
                }
                hash
            })
            .map_err(Error::Thread)?;
        Ok(Self {
            full: Some(full),
            empty,
            thread: Some(thread),
        })
    }

    /// Has `fill` put the next bytes into a buffer, as soon as there is one, and say how many they are. Returns what `fill` does.
    ///
    /// # Errors
    /// Those of `fill`; then nothing is added.
    pub fn add<E>(&self, fill: impl FnOnce(&mut [u8]) -> Result<usize, E>) -> Result<usize, E> {
        // A thread that has died shows in `finish`.
        let buffer = self.empty.recv();
        let mut buffer = buffer.unwrap_or_else(|_| vec![0; BUFFER].into());
        let filled = fill(&mut buffer);
        let length = *filled.as_ref().unwrap_or(&0);
        if let Some(full) = &self.full {
            let _ = full.send((buffer, length));
        }
        filled
    }

    /// The hash of everything, once; `None` if the thread has died.
    pub fn finish(&mut self) -> Option<[u8; 32]> {
        self.full = None;
        let hash = self.thread.take()?.join().ok()?;
        Some(hash.finalize().into())
    }
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes of 64 hexadecimal digits.
pub fn parse_hex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_the_standard() {
        let mut hasher = Hasher::start().unwrap();
        for part in ["a", "bc"] {
            let added = hasher.add(|buffer| {
                buffer[..part.len()].copy_from_slice(part.as_bytes());
                Ok::<_, ()>(part.len())
            });
            assert_eq!(added, Ok(part.len()));
        }
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let found = hasher.finish().unwrap();
        assert_eq!(hex(&found), abc);
        assert_eq!(parse_hex(abc), Some(found));
        assert_eq!(parse_hex(&abc[1..]), None);
        assert_eq!(parse_hex(&"g".repeat(64)), None);
    }
}

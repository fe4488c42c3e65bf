//! Lines of a file or of standard input, read ahead by a thread of their own: whoever is slow to send more holds up nobody.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::mpsc::{Receiver, sync_channel};

use anyhow::{Context, Result};
use openelm::utf8;

/// Bytes of a line at most.
const LONGEST: usize = 16 << 20;

/// Lines that are read ahead.
const AHEAD: usize = 2;

/// A line that has something on it.
pub struct Line {
    /// From 1, lines without anything included.
    pub number: u64,
    /// Without what ends it, or why that cannot be had.
    pub text: Result<String, String>,
}

/// Lines to come, and how many there are, if that can be known beforehand.
pub struct Source {
    pub lines: Receiver<io::Result<Line>>,
    pub count: Option<u64>,
}

/// Begins to read a file, or standard input for `-`.
pub fn open(path: &Path) -> Result<Source> {
    if path == Path::new("-") {
        return Ok(Source {
            lines: read_ahead(BufReader::new(io::stdin())),
            count: None,
        });
    }
    let cannot = || format!("cannot read {}", path.display());
    let file = File::open(path).with_context(cannot)?;
    let count = match file.metadata().with_context(cannot)?.is_file() {
        true => Some(count(File::open(path).with_context(cannot)?).with_context(cannot)?),
        false => None,
    };
    Ok(Source {
        lines: read_ahead(BufReader::new(file)),
        count,
    })
}

fn count(mut file: File) -> io::Result<u64> {
    let (mut buffer, mut count, mut last) = (vec![0; 1 << 16], 0, b'\n');
    loop {
        let bytes = match file.read(&mut buffer) {
            Ok(0) => return Ok(count + u64::from(last != b'\n')),
            Ok(bytes) => &buffer[..bytes],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        count += bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
        last = bytes.last().copied().unwrap_or(last);
    }
}

fn read_ahead(source: impl BufRead + Send + 'static) -> Receiver<io::Result<Line>> {
    let (sender, receiver) = sync_channel(AHEAD);
    std::thread::spawn(move || {
        for line in (Lines { source, number: 0 }) {
            let is_last = line.is_err();
            if sender.send(line).is_err() || is_last {
                break;
            }
        }
    });
    receiver
}

struct Lines<R> {
    source: R,
    number: u64,
}

impl<R: BufRead> Lines<R> {
    /// The bytes up to the next end of a line, which is taken and left out; `None` in their place where there are too many. `None` at the
    /// end of all.
    fn bytes(&mut self) -> io::Result<Option<Option<Vec<u8>>>> {
        let (mut bytes, mut is_begun) = (Some(Vec::new()), false);
        loop {
            let chunk = match self.source.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                chunk => chunk?,
            };
            if chunk.is_empty() {
                return Ok(is_begun.then_some(bytes));
            }
            is_begun = true;
            let end = chunk.iter().position(|byte| *byte == b'\n');
            let part = &chunk[..end.unwrap_or(chunk.len())];
            bytes = bytes.filter(|bytes| bytes.len() + part.len() <= LONGEST);
            if let Some(bytes) = &mut bytes {
                bytes.extend_from_slice(part);
            }
            let taken = part.len() + usize::from(end.is_some());
            self.source.consume(taken);
            if end.is_some() {
                return Ok(Some(bytes));
            }
        }
    }
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = io::Result<Line>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let bytes = match self.bytes() {
                Ok(bytes) => bytes?,
                Err(error) => return Some(Err(error)),
            };
            self.number += 1;
            let text = match &bytes {
                None => Err(format!("the line is longer than {} MiB", LONGEST >> 20)),
                Some(bytes) => {
                    let bytes = utf8::without_mark(bytes).trim_ascii();
                    if bytes.is_empty() {
                        continue;
                    }
                    utf8::text(bytes.to_vec()).map_err(|error| format!("the line {error}"))
                }
            };
            return Some(Ok(Line {
                number: self.number,
                text,
            }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(bytes: &[u8]) -> Vec<(u64, Result<String, String>)> {
        // Pieces as small as they come.
        let source = BufReader::with_capacity(3, bytes);
        let lines = Lines { source, number: 0 };
        lines
            .map(|line| line.map(|line| (line.number, line.text)).unwrap())
            .collect()
    }

    #[test]
    fn lines_are_numbered_and_bare() {
        let text = |number: u64, text: &str| (number, Ok(text.to_owned()));
        assert_eq!(lines(b""), []);
        // Marks of several files that were joined.
        assert_eq!(lines(b"\n \r\n\xef\xbb\xbf"), []);
        assert_eq!(
            lines(b"\xef\xbb\xbfone\r\n\n  two \nthree"),
            [text(1, "one"), text(3, "two"), text(4, "three")]
        );
        let bad = &lines(b"\xff\xfe\nfine\n")[..];
        assert!(bad[0].1.as_ref().is_err_and(|what| what.contains("UTF-8")));
        assert_eq!(bad[1], text(2, "fine"));
        let utf16: Vec<u8> = "\u{feff}\"Once\"\n"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        let first = &lines(&utf16)[0].1;
        assert!(first.as_ref().is_err_and(|what| what.contains("UTF-16")));
    }

    #[test]
    fn a_line_has_a_longest_length() {
        let mut bytes = vec![b'a'; LONGEST];
        bytes.extend(b"\n");
        bytes.extend(vec![b'a'; LONGEST + 1]);
        bytes.extend(b"\nb");
        let source = Lines {
            source: &bytes[..],
            number: 0,
        };
        let found: Vec<_> = source
            .map(|line| line.unwrap().text.map(|text| text.len()))
            .collect();
        assert_eq!(found[0], Ok(LONGEST));
        assert!(found[1].as_ref().is_err_and(|what| what.contains("16 MiB")));
        assert_eq!(found[2], Ok(1));
    }
}

//! What a parquet file says of itself, looked at before the library that reads it: that nests as deep as the file says, and takes as much memory.
//!
//! Source: `parquet.thrift` of Apache Parquet, and Thrift's compact protocol.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

/// Bytes at most: those of published data sets have some ten thousand.
const LARGEST: u64 = 4 << 20;

/// Groups of fields within each other at most.
const DEEPEST: usize = 32;

/// Structures within each other at most.
const MOST_NESTED: usize = 16;

/// A field of `FileMetaData`, and one of `SchemaElement`.
const SCHEMA: i64 = 2;
const CHILDREN: i64 = 5;

/// Why it cannot be read, if so. What is no parquet file at all is left to the library to say.
pub fn check(file: &mut File) -> std::io::Result<Result<(), String>> {
    let end = file.seek(SeekFrom::End(0))?;
    let mut tail = [0; 8];
    if end < 12 {
        return Ok(Ok(()));
    }
    file.seek(SeekFrom::Start(end - 8))?;
    file.read_exact(&mut tail)?;
    let [a, b, c, d, magic @ ..] = tail;
    let length = u64::from(u32::from_le_bytes([a, b, c, d]));
    if &magic != b"PAR1" || length > end - 8 {
        return Ok(Ok(()));
    }
    if length > LARGEST {
        return Ok(Err(format!(
            "its footer has more than {} MiB",
            LARGEST >> 20
        )));
    }
    let mut footer = vec![0; length as usize];
    file.seek(SeekFrom::Start(end - 8 - length))?;
    file.read_exact(&mut footer)?;
    Ok(schema(&footer))
}

/// Checks that the elements of the schema, which say how many of those behind them are theirs, are a tree of a sane depth.
fn schema(footer: &[u8]) -> Result<(), String> {
    let mut children = Vec::new();
    let mut reader = Reader(footer);
    let read = reader.structure(0, &mut |reader, id, kind| {
        if id != SCHEMA || kind != LIST {
            return Some(false);
        }
        let (count, kind) = reader.list()?;
        for _ in 0..count {
            let mut of_this = 0;
            if kind != STRUCT {
                return None;
            }
            reader.structure(1, &mut |reader, id, kind| {
                if id == CHILDREN && kind == I32 {
                    of_this = reader.number()?;
                    return Some(true);
                }
                Some(false)
            })?;
            children.push(usize::try_from(of_this).ok()?);
        }
        Some(true)
    });
    read.ok_or("its footer is damaged")?;
    // How many are still to come of each group that is open.
    let mut open = vec![1_usize];
    for count in children {
        while open.last() == Some(&0) {
            open.pop();
        }
        *open.last_mut().ok_or("its schema has fields of nobody")? -= 1;
        open.push(count);
        if open.len() > DEEPEST {
            return Err(format!("its fields are nested deeper than {DEEPEST}"));
        }
    }
    match open.iter().all(|count| *count == 0) {
        true => Ok(()),
        false => Err("its schema lacks fields".into()),
    }
}

const I32: u8 = 5;
const LIST: u8 = 9;
const STRUCT: u8 = 12;

/// Bytes in Thrift's compact protocol. `None`: they are not, or end too early.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn skip_bytes(&mut self, count: u64) -> Option<()> {
        self.0 = self.0.get(usize::try_from(count).ok()?..)?;
        Some(())
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    /// A signed number, its sign in the lowest bit.
    fn number(&mut self) -> Option<i64> {
        let value = self.varint()?;
        Some((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// How many values follow, and of which type.
    fn list(&mut self) -> Option<(u64, u8)> {
        let head = self.byte()?;
        let count = match head >> 4 {
            15 => self.varint()?,
            count => u64::from(count),
        };
        // A value has a byte at least.
        (count <= self.0.len() as u64).then_some((count, head & 15))
    }

    /// Reads a structure. `field` is told the number and type of each field, and returns whether it has read it; others are passed over.
    fn structure(
        &mut self,
        depth: usize,
        field: &mut dyn FnMut(&mut Self, i64, u8) -> Option<bool>,
    ) -> Option<()> {
        let mut id = 0_i64;
        loop {
            let head = self.byte()?;
            if head == 0 {
                return Some(());
            }
            id = match head >> 4 {
                0 => self.number()?,
                step => id.checked_add(i64::from(step))?,
            };
            let kind = head & 15;
            if !field(self, id, kind)? {
                self.skip(kind, depth)?;
            }
        }
    }

    fn skip(&mut self, kind: u8, depth: usize) -> Option<()> {
        if depth > MOST_NESTED {
            return None;
        }
        match kind {
            // A flag, whose type says which.
            1 | 2 => Some(()),
            3 => self.skip_bytes(1),
            4..=6 => self.varint().map(drop),
            7 => self.skip_bytes(8),
            8 => {
                let length = self.varint()?;
                self.skip_bytes(length)
            }
            9 | 10 => {
                let (count, kind) = self.list()?;
                (0..count).try_for_each(|_| self.skip_item(kind, depth + 1))
            }
            11 => {
                let count = self.varint()?;
                if count == 0 {
                    return Some(());
                }
                let kinds = self.byte()?;
                (0..count).try_for_each(|_| {
                    self.skip_item(kinds >> 4, depth + 1)?;
                    self.skip_item(kinds & 15, depth + 1)
                })
            }
            12 => self.structure(depth + 1, &mut |reader, _, kind| {
                reader.skip(kind, depth + 1)?;
                Some(true)
            }),
            _ => None,
        }
    }

    /// In lists flags are bytes.
    fn skip_item(&mut self, kind: u8, depth: usize) -> Option<()> {
        match kind {
            1 | 2 => self.skip_bytes(1),
            kind => self.skip(kind, depth),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A footer whose schema has elements with so many children each.
    fn footer(children: &[u32]) -> Vec<u8> {
        // A version, which is passed over, then the list.
        let mut bytes = vec![0x15, 2, 0x19, 0xfc];
        let varint = |bytes: &mut Vec<u8>, mut value: u32| {
            while value > 127 {
                bytes.push(value as u8 | 0x80);
                value >>= 7;
            }
            bytes.push(value as u8);
        };
        varint(&mut bytes, children.len() as u32);
        for count in children {
            // Its name is the fourth field, its children the fifth.
            bytes.extend([0x48, 1, b'x', 0x15]);
            varint(&mut bytes, count << 1);
            bytes.push(0);
        }
        bytes.push(0);
        bytes
    }

    #[test]
    fn a_schema_is_a_tree_that_is_not_deep() {
        assert_eq!(schema(&footer(&[2, 0, 1, 0])), Ok(()));
        let deep = |depth: usize| {
            let mut children = vec![1; depth];
            children.push(0);
            schema(&footer(&children))
        };
        assert_eq!(deep(20), Ok(()));
        assert!(deep(40).unwrap_err().contains("nested"));
        assert!(deep(100_000).unwrap_err().contains("nested"));
        for (children, word) in [
            (&[1_000_000_000, 0][..], "lacks"),
            (&[1], "lacks"),
            (&[1, 0, 0], "nobody"),
            (&[], "lacks"),
        ] {
            assert!(schema(&footer(children)).unwrap_err().contains(word));
        }
    }

    #[test]
    fn damage_ends_in_an_error() {
        let whole = footer(&[2, 0, 1, 0]);
        for length in 0..whole.len() {
            assert!(schema(&whole[..length]).is_err(), "{length}");
        }
        // Lists within lists, a count of values that are not there, a number without an end.
        for bytes in [
            &[0x29; 4000][..],
            &[0x19, 0xfc, 0xff, 0xff, 0xff, 0x7f],
            &[0x15, 0xff, 0xff],
        ] {
            assert!(schema(bytes).is_err());
        }
    }
}

//! What stands before the tensors of a GGUF file: keys with values, then names, shapes and places of tensors.
//!
//! Source: `docs/gguf.md` of ggml. Versions 2 and 3 are the same for little-endian files.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Range;

use super::encoding::Encoding;
use super::reader::{Found, Reader, shown};

const MAGIC: &[u8; 4] = b"GGUF";

/// The most keys, and the most tensors: far more than any model has, few enough to keep.
const MOST_ENTRIES: u64 = 1 << 16;

/// The least that an entry takes: lengths and types alone.
const LEAST_KEY_BYTES: u64 = 13;
const LEAST_TENSOR_BYTES: u64 = 24;

/// Where tensors begin, if the file does not say: at multiples of this many bytes.
const USUAL_ALIGNMENT: u64 = 32;

/// A value of the metadata.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// Any integer: of 64 bits, with or without a sign.
    Whole(i128),
    Float(f64),
    Bool(bool),
    /// Bytes that should be UTF-8.
    Text(&'a [u8]),
    List(List<'a>),
}

/// Values of one kind, read when they are asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct List<'a> {
    kind: Kind,
    pub count: u64,
    items: &'a [u8],
}

impl<'a> List<'a> {
    pub fn values(&self) -> impl Iterator<Item = Value<'a>> {
        let (kind, mut reader) = (self.kind, Reader::new(self.items));
        (0..self.count).map_while(move |_| kind.read(&mut reader).ok())
    }

    /// Bytes that they take in the file.
    pub fn bytes(&self) -> usize {
        self.items.len()
    }
}

/// The kind of a value that is no list.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    F32,
    Bool,
    Text,
    U64,
    I64,
    F64,
}

/// How the file writes that a value is a list.
const LIST: u32 = 9;

impl Kind {
    fn numbered(number: u32) -> Found<Self> {
        Ok(match number {
            0 => Self::U8,
            1 => Self::I8,
            2 => Self::U16,
            3 => Self::I16,
            4 => Self::U32,
            5 => Self::I32,
            6 => Self::F32,
            7 => Self::Bool,
            8 => Self::Text,
            LIST => return Err("is a list of lists, which means nothing here".into()),
            10 => Self::U64,
            11 => Self::I64,
            12 => Self::F64,
            other => {
                return Err(format!(
                    "has a type of the number {other}, which is unknown"
                ));
            }
        })
    }

    /// Bytes of a value; `None`: it says so itself.
    fn size(self) -> Option<u64> {
        match self {
            Self::U8 | Self::I8 | Self::Bool => Some(1),
            Self::U16 | Self::I16 => Some(2),
            Self::U32 | Self::I32 | Self::F32 => Some(4),
            Self::U64 | Self::I64 | Self::F64 => Some(8),
            Self::Text => None,
        }
    }

    fn read<'a>(self, reader: &mut Reader<'a>) -> Found<Value<'a>> {
        Ok(match self {
            Self::U8 => Value::Whole(u8::from_le_bytes(reader.array()?).into()),
            Self::I8 => Value::Whole(i8::from_le_bytes(reader.array()?).into()),
            Self::U16 => Value::Whole(u16::from_le_bytes(reader.array()?).into()),
            Self::I16 => Value::Whole(i16::from_le_bytes(reader.array()?).into()),
            Self::U32 => Value::Whole(reader.u32()?.into()),
            Self::I32 => Value::Whole(i32::from_le_bytes(reader.array()?).into()),
            Self::U64 => Value::Whole(reader.u64()?.into()),
            Self::I64 => Value::Whole(i64::from_le_bytes(reader.array()?).into()),
            Self::F32 => Value::Float(f32::from_le_bytes(reader.array()?).into()),
            Self::F64 => Value::Float(f64::from_le_bytes(reader.array()?)),
            Self::Bool => Value::Bool(reader.array() != Ok([0])),
            Self::Text => Value::Text(reader.string()?),
        })
    }
}

fn value<'a>(reader: &mut Reader<'a>) -> Found<Value<'a>> {
    let number = reader.u32()?;
    if number != LIST {
        return Kind::numbered(number)?.read(reader);
    }
    let kind = Kind::numbered(reader.u32()?)?;
    let count = reader.u64()?;
    let items = match kind.size() {
        Some(size) => reader.take(count.saturating_mul(size))?,
        None => {
            let mut ahead = Reader::new(reader.rest());
            for _ in 0..count {
                ahead.string()?;
            }
            reader.take(ahead.at() as u64)?
        }
    };
    Ok(Value::List(List { kind, count, items }))
}

/// A tensor as the header describes it.
#[derive(Debug, Clone, PartialEq)]
pub struct TensorInfo {
    /// Rows first, as everywhere else in this crate; ggml has columns first.
    pub shape: Vec<usize>,
    pub encoding: Encoding,
    /// Its bytes in the file.
    pub place: Range<usize>,
}

/// A header whose every length and place lies within the file.
#[derive(Debug)]
pub struct Header<'a> {
    metadata: BTreeMap<&'a str, Value<'a>>,
    pub tensors: BTreeMap<&'a str, TensorInfo>,
    /// Tensors of a format that cannot be read, with its name.
    pub unreadable: BTreeMap<&'a str, String>,
}

impl<'a> Header<'a> {
    /// Whether a file calls itself GGUF.
    pub fn is_of(file: &[u8]) -> bool {
        file.starts_with(MAGIC)
    }

    /// Reads the header of a whole file.
    pub fn parse(file: &'a [u8]) -> Found<Self> {
        let mut reader = Reader::new(file);
        if reader.take(MAGIC.len() as u64) != Ok(MAGIC) {
            return Err("is not a GGUF file: it does not begin with `GGUF`".into());
        }
        check_version(reader.u32()?)?;
        let tensors = reader.u64()?;
        let keys = reader.u64()?;
        check_count(keys, "keys", LEAST_KEY_BYTES, &reader)?;
        let mut metadata = BTreeMap::new();
        for index in 0..keys {
            let of = |what: String| format!("key {index} of the metadata: {what}");
            let key = reader.name().map_err(of)?;
            let of = |what: String| format!("`{}`: {what}", shown(key));
            let value = value(&mut reader).map_err(of)?;
            if metadata.insert(key, value).is_some() {
                return Err(format!("`{}` is there twice", shown(key)));
            }
        }
        let mut header = Self {
            metadata,
            tensors: BTreeMap::new(),
            unreadable: BTreeMap::new(),
        };
        check_count(tensors, "tensors", LEAST_TENSOR_BYTES, &reader)?;
        let mut described = Vec::new();
        for index in 0..tensors {
            let of = |what: String| format!("the description of tensor {index}: {what}");
            let name = reader.name().map_err(of)?;
            described.push((name, Description::read(&mut reader).map_err(of)?));
        }
        let alignment = header.alignment()?;
        let data = (reader.at() as u64).next_multiple_of(alignment);
        // They lie one behind the other, as llama.cpp wants it too: elsewhere they would be other numbers than was meant. Behind one of a format
        // that cannot be read nothing is known.
        let mut next = Some(0);
        for (name, description) in described {
            if let Some(next) = next.filter(|next| *next != description.offset) {
                return Err(format!(
                    "tensor `{}`: begins at {} of the data, and the one before it ends at {next}; compare the file with the original and download it again",
                    shown(name),
                    description.offset
                ));
            }
            let end = header.place(name, &description, data, alignment, file.len())?;
            next = end.and_then(|end| end.checked_next_multiple_of(alignment));
        }
        Ok(header)
    }

    fn alignment(&self) -> Found<u64> {
        const KEY: &str = "general.alignment";
        match self.whole(KEY, 1 << 20)? {
            None => Ok(USUAL_ALIGNMENT),
            Some(alignment) if alignment.is_power_of_two() => Ok(alignment),
            Some(other) => Err(format!("`{KEY}` is {other}; a power of two is expected")),
        }
    }

    /// Adds a tensor, where it lies within the file. Returns where in the data it ends; `None` for a format that cannot be read.
    fn place(
        &mut self,
        name: &'a str,
        description: &Description,
        data: u64,
        alignment: u64,
        file_bytes: usize,
    ) -> Found<Option<u64>> {
        let of = |what: String| format!("tensor `{}`: {what}", shown(name));
        let twice = || of("is there twice".into());
        let Some(encoding) = Encoding::numbered(description.encoding) else {
            let format = Encoding::name_of(description.encoding);
            return match self.unreadable.insert(name, format) {
                None if !self.tensors.contains_key(name) => Ok(None),
                _ => Err(twice()),
            };
        };
        if !description.offset.is_multiple_of(alignment) {
            return Err(of(format!(
                "begins at {}, which is no multiple of the alignment {alignment}",
                description.offset
            )));
        }
        let (shape, bytes) = description.sizes(encoding).map_err(of)?;
        let begin = data.checked_add(description.offset);
        let end = begin.and_then(|begin| begin.checked_add(bytes));
        let (begin, end) = match (begin, end) {
            (Some(begin), Some(end)) if end <= file_bytes as u64 => (begin, end),
            _ => {
                return Err(of(format!(
                    "its {bytes} bytes lie beyond the end of the file, which has {file_bytes}; compare that with the original and download it again"
                )));
            }
        };
        let info = TensorInfo {
            shape,
            encoding,
            place: begin as usize..end as usize,
        };
        if self.unreadable.contains_key(name) {
            return Err(twice());
        }
        match self.tensors.entry(name) {
            Entry::Vacant(entry) => {
                entry.insert(info);
                Ok(Some(end - data))
            }
            Entry::Occupied(_) => Err(twice()),
        }
    }

    fn get(&self, key: &str) -> Option<Value<'a>> {
        self.metadata.get(key).copied()
    }

    /// A whole number from 0 to `most`.
    pub fn whole(&self, key: &str, most: u64) -> Found<Option<u64>> {
        let expected = || format!("`{key}` is not a whole number from 0 to {most}");
        match self.get(key) {
            None => Ok(None),
            Some(value) => whole(value, most).map(Some).ok_or_else(expected),
        }
    }

    /// `count` whole numbers: a list, or one number for all.
    pub fn wholes(&self, key: &str, count: usize, most: u64) -> Found<Option<Vec<u64>>> {
        let expected = || format!("`{key}` holds something else than whole numbers up to {most}");
        let values: Vec<Value> = match self.get(key) {
            None => return Ok(None),
            Some(Value::List(list)) if list.count == count as u64 => list.values().collect(),
            Some(Value::List(list)) => {
                return Err(format!(
                    "`{key}` has {} entries, and {count} are expected",
                    list.count
                ));
            }
            Some(single) => vec![single; count],
        };
        let numbers: Option<Vec<u64>> =
            values.into_iter().map(|value| whole(value, most)).collect();
        numbers.map(Some).ok_or_else(expected)
    }

    pub fn float(&self, key: &str) -> Found<Option<f64>> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Float(number)) => Ok(Some(number)),
            Some(Value::Whole(number)) => Ok(Some(number as f64)),
            Some(_) => Err(format!("`{key}` is not a number")),
        }
    }

    pub fn flag(&self, key: &str) -> Found<Option<bool>> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(_) => Err(format!("`{key}` is neither true nor false")),
        }
    }

    pub fn text(&self, key: &str) -> Found<Option<&'a str>> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Text(bytes)) => match std::str::from_utf8(bytes) {
                Ok(text) => Ok(Some(text)),
                Err(_) => Err(format!("`{key}` is not UTF-8")),
            },
            Some(_) => Err(format!("`{key}` is not a text")),
        }
    }

    pub fn list(&self, key: &str) -> Found<Option<List<'a>>> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::List(list)) => Ok(Some(list)),
            Some(_) => Err(format!("`{key}` is not a list")),
        }
    }
}

fn whole(value: Value<'_>, most: u64) -> Option<u64> {
    match value {
        Value::Whole(number) => u64::try_from(number).ok().filter(|number| *number <= most),
        _ => None,
    }
}

fn check_version(version: u32) -> Found<()> {
    match version {
        2 | 3 => Ok(()),
        1 => Err("is GGUF of version 1, of August 2023; convert the model again".into()),
        swapped if matches!(swapped.swap_bytes(), 1..=3) => {
            Err("is a big-endian GGUF file; take the usual, little-endian one".into())
        }
        other => Err(format!(
            "is GGUF of version {other}; versions 2 and 3 can be read"
        )),
    }
}

/// Refuses a count of entries that the file cannot hold.
fn check_count(count: u64, what: &str, least_bytes: u64, reader: &Reader<'_>) -> Found<()> {
    let most = (reader.rest().len() as u64 / least_bytes).min(MOST_ENTRIES);
    match count <= most {
        true => Ok(()),
        false => Err(format!(
            "claims to have {count} {what}, and no more than {most} are possible; compare it with the original and download it again"
        )),
    }
}

/// A tensor's entry as it is written.
struct Description {
    /// Columns first.
    sizes: Vec<u64>,
    encoding: u32,
    /// From where tensors begin.
    offset: u64,
}

impl Description {
    fn read(reader: &mut Reader<'_>) -> Found<Self> {
        let rank = reader.u32()?;
        if !(1..=4).contains(&rank) {
            return Err(format!("has {rank} dimensions"));
        }
        let sizes = (0..rank).map(|_| reader.u64()).collect::<Found<_>>()?;
        Ok(Self {
            sizes,
            encoding: reader.u32()?,
            offset: reader.u64()?,
        })
    }

    /// The shape, rows first, and how many bytes that is.
    fn sizes(&self, encoding: Encoding) -> Found<(Vec<usize>, u64)> {
        let (values, bytes) = encoding.block();
        let columns = self.sizes.first().copied().unwrap_or(0);
        if !columns.is_multiple_of(values as u64) {
            return Err(format!(
                "rows of {columns} values are no whole blocks of {encoding}"
            ));
        }
        let mut rest = self.sizes.iter().skip(1);
        let total = (columns / values as u64)
            .checked_mul(bytes as u64)
            .and_then(|row| rest.try_fold(row, |total, size| u64::checked_mul(total, *size)));
        let shape: Option<Vec<usize>> = self
            .sizes
            .iter()
            .rev()
            .map(|size| usize::try_from(*size).ok())
            .collect();
        shape.zip(total).ok_or_else(|| {
            format!(
                "{:?} values are more than any file holds",
                self.sizes.as_slice()
            )
        })
    }
}

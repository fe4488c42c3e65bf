//! One safetensors file: its header, and what exactly is wrong with one that cannot be used.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use safetensors::tensor::{Metadata, SafeTensors, TensorInfo};
use serde_json::Value;

use super::entries::Entries;
use super::mapped::Bytes;
use super::read::refuse_pointer;
use crate::error::{Error, Result};

/// Bytes that say how long the header is.
const LENGTH: usize = 8;

/// The longest header that is read, since it takes many times its length while it is. Those of OpenELM have tens of thousands of bytes.
const MOST_HEADER: u64 = 16 << 20;

/// What stands in a header beside tensors.
const METADATA: &str = "__metadata__";

/// A file with a sound header.
pub struct TensorFile {
    pub path: PathBuf,
    bytes: Bytes,
    /// Where tensor data begins.
    data_start: usize,
}

impl TensorFile {
    /// Maps a file.
    ///
    /// # Errors
    /// [`Error::Read`], [`Error::Checkpoint`].
    pub fn map(path: &Path) -> Result<(Self, Metadata)> {
        Self::parse(path, Bytes::map(path)?)
    }

    pub fn parse(path: &Path, bytes: Bytes) -> Result<(Self, Metadata)> {
        let slice = bytes.as_slice();
        if slice.is_empty() {
            return Err(Error::checkpoint(
                path,
                "the file is empty; download it again",
            ));
        }
        refuse_pointer(path, slice)?;
        let length = slice.first_chunk().copied().map_or(0, u64::from_le_bytes);
        if (MOST_HEADER + 1..=slice.len() as u64).contains(&length) {
            let what = format!("its header has {length} bytes; up to {MOST_HEADER} are read");
            return Err(Error::checkpoint(path, what));
        }
        let (header, metadata) = SafeTensors::read_metadata(slice).map_err(|error| {
            let what = fault(slice).unwrap_or_else(|| {
                format!(
                    "not a safetensors file, or not all of it ({error}{}); it has {} bytes: compare that with the original and download it again",
                    beginning(slice),
                    slice.len()
                )
            });
            Error::checkpoint(path, what)
        })?;
        // The parser takes the last of several entries.
        if let Some(name) = entries(slice).and_then(|entries| twice(&entries)) {
            return Err(Error::checkpoint(path, named_twice(&name)));
        }
        let file = Self {
            path: path.to_owned(),
            data_start: LENGTH + header,
            bytes,
        };
        Ok((file, metadata))
    }

    /// The bytes of a tensor.
    pub fn data(&self, info: &TensorInfo) -> Option<&[u8]> {
        let (start, end) = info.data_offsets;
        let bytes = self.bytes.as_slice();
        bytes.get(self.data_start + start..self.data_start + end)
    }

    /// As [`Bytes::check_length`].
    ///
    /// # Errors
    /// The same.
    pub fn check_length(&self) -> Result<()> {
        self.bytes.check_length(&self.path)
    }
}

/// The header of a file, if it is JSON.
fn entries(file: &[u8]) -> Option<Vec<(String, Value)>> {
    let length = u64::from_le_bytes(*file.first_chunk()?);
    let header = file.get(LENGTH..)?.get(..usize::try_from(length).ok()?)?;
    let Entries(entries) = serde_json::from_slice(header).ok()?;
    Some(entries)
}

fn twice(entries: &[(String, Value)]) -> Option<String> {
    let mut names = HashSet::new();
    let mut names = entries.iter().filter(|(name, _)| !names.insert(name));
    names.next().map(|(name, _)| name.clone())
}

fn named_twice(name: &str) -> String {
    format!("its header names `{name}` twice; whatever wrote the file is at fault")
}

/// What is wrong with a file whose header is JSON at least, where it is known.
fn fault(file: &[u8]) -> Option<String> {
    let entries = entries(file)?;
    if let Some(name) = twice(&entries) {
        return Some(named_twice(&name));
    }
    let length = u64::from_le_bytes(*file.first_chunk()?);
    let has = file.len() as u64 - LENGTH as u64 - length;
    let mut places = Vec::new();
    for (name, value) in entries {
        if name == METADATA {
            if let Some(what) = odd_metadata(&value) {
                return Some(what);
            }
            continue;
        }
        let info = match tensor_info(&name, value) {
            Ok(info) => info,
            Err(what) => return Some(what),
        };
        let (begin, end) = info.data_offsets;
        let bits = info
            .shape
            .iter()
            .try_fold(info.dtype.bitsize(), |bits, size| bits.checked_mul(*size));
        let bytes = end.checked_sub(begin);
        if bits.is_none() || bits != bytes.and_then(|bytes| bytes.checked_mul(8)) {
            return Some(format!(
                "not a safetensors file, or not all of it (the shape and type of tensor `{name}` do not come to its bytes); it has {} bytes: \
                 compare that with the original and download it again",
                file.len()
            ));
        }
        places.push((begin as u64, end as u64, name));
    }
    // One begins where another ends.
    places.sort_unstable();
    let mut needs = 0;
    for (begin, end, name) in places {
        if begin != needs {
            return Some(format!(
                "its header puts tensor `{name}` at byte {begin} of the data, and the one before it ends at {needs}; compare the file with the \
                 original and download it again"
            ));
        }
        needs = end;
    }
    match has.checked_sub(needs) {
        None => Some(format!(
            "not a safetensors file, or not all of it: {} bytes are missing at its end; download it again",
            needs - has
        )),
        Some(0) => None,
        Some(behind) => Some(format!(
            "{behind} bytes lie behind the last tensor that its header tells of; compare the file with the original and download it again"
        )),
    }
}

/// What a header says about a tensor, or what is wrong with that.
fn tensor_info(name: &str, value: Value) -> std::result::Result<TensorInfo, String> {
    let dtype = value.get("dtype").cloned();
    serde_json::from_value(value).map_err(|error| {
        let known = |dtype: &Value| {
            serde_json::from_value::<safetensors::Dtype>(dtype.clone()).is_ok()
        };
        match dtype {
            Some(Value::String(dtype)) if !known(&Value::String(dtype.clone())) => format!(
                "tensor `{name}` is stored as `{dtype}`, which is no type of safetensors; F64, F32, F16 and BF16 can be read"
            ),
            _ => format!("its header makes no sense at `{name}`: {error}"),
        }
    })
}

fn odd_metadata(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::Object(map) => {
            let (key, value) = map.iter().find(|(_, value)| !value.is_string())?;
            let mut shown = value.to_string();
            shown.truncate(shown.floor_char_boundary(40));
            Some(format!(
                "`{METADATA}` of its header has `{key}` as {shown}, and only texts belong there; whatever wrote the file is at fault"
            ))
        }
        _ => Some(format!(
            "`{METADATA}` of its header is no object of texts; whatever wrote the file is at fault"
        )),
    }
}

/// What a file seems to be that begins as others do.
fn beginning(file: &[u8]) -> &'static str {
    let begins = |with: &[u8]| file.starts_with(with);
    if begins(b"PK\x03\x04") || begins(b"\x80\x02") || begins(b"\x80\x04") {
        "; it begins as PyTorch's files do"
    } else if begins(b"GGUF") {
        "; it begins as GGUF files do"
    } else if file.trim_ascii_start().starts_with(b"<") {
        "; it begins as a web page does"
    } else if begins(b"\x1f\x8b") || begins(b"7z") {
        "; it begins as an archive does"
    } else {
        ""
    }
}

//! Safetensors files, single or sharded, mapped into memory; nothing is read until it is uploaded.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use safetensors::tensor::{Metadata, SafeTensorError, SafeTensors, TensorInfo};

use super::mapped::Bytes;
use super::quantize::can_quantize;
use super::read::read_bounded;
use super::{Config, Tensor, TensorSpec};
use crate::dtype::Dtype;
use crate::error::{Error, Result};

struct TensorFile {
    path: PathBuf,
    bytes: Bytes,
    /// Where tensor data begins.
    data_start: usize,
}

impl TensorFile {
    fn map(path: &Path) -> Result<(Self, Metadata)> {
        Self::parse(path, Bytes::map(path)?)
    }

    fn parse(path: &Path, bytes: Bytes) -> Result<(Self, Metadata)> {
        let slice: &[u8] = &bytes;
        let (header, metadata) = SafeTensors::read_metadata(slice).map_err(|error| {
            let which = match error {
                SafeTensorError::TensorInvalidInfo | SafeTensorError::ValidationOverflow => {
                    misfit(slice).map(|name| format!(" `{name}`")).unwrap_or_default()
                }
                _ => String::new(),
            };
            Error::checkpoint(
                path,
                format!(
                    "not a safetensors file, or not all of it ({error}{which}); it has {} bytes: compare that with the original and download it again",
                    slice.len()
                ),
            )
        })?;
        let file = Self {
            path: path.to_owned(),
            data_start: 8 + header,
            bytes,
        };
        Ok((file, metadata))
    }
}

/// The first tensor of a header whose shape and type do not come to the bytes it claims; the parser that found it does not say.
fn misfit(file: &[u8]) -> Option<String> {
    let length = u64::from_le_bytes(*file.first_chunk()?) as usize;
    let header: BTreeMap<String, serde_json::Value> =
        serde_json::from_slice(file.get(8..)?.get(..length)?).ok()?;
    header.into_iter().find_map(|(name, value)| {
        let info: TensorInfo = serde_json::from_value(value).ok()?;
        let bits = info
            .shape
            .iter()
            .try_fold(info.dtype.bitsize(), |bits, size| bits.checked_mul(*size));
        let (begin, end) = info.data_offsets;
        let fits = bits
            == end
                .checked_sub(begin)
                .and_then(|bytes| bytes.checked_mul(8));
        (!fits || bits.is_none()).then_some(name)
    })
}

/// All tensors of a checkpoint, by name.
pub struct TensorFiles {
    files: Vec<TensorFile>,
    tensors: HashMap<String, (usize, TensorInfo)>,
}

impl TensorFiles {
    /// A checkpoint that is part of the program.
    pub fn embedded(bytes: &'static [u8]) -> Result<Self> {
        let parsed = TensorFile::parse(Path::new("demo"), Bytes::Embedded(bytes))?;
        Ok(Self::collect(vec![parsed]))
    }

    /// `model.safetensors`, or the shards that `model.safetensors.index.json` names.
    pub fn open_folder(folder: &Path) -> Result<Self> {
        let single = folder.join("model.safetensors");
        // A link to nowhere is an answer too: opening it says what is wrong.
        if single.exists() || single.is_symlink() {
            return Ok(Self::collect(vec![TensorFile::map(&single)?]));
        }
        let index = folder.join("model.safetensors.index.json");
        if index.exists() {
            return Self::open_shards(folder, &index);
        }
        Err(Error::checkpoint(
            folder,
            "neither model.safetensors nor model.safetensors.index.json is here; download the model's .safetensors files into this folder",
        ))
    }

    fn open_shards(folder: &Path, index: &Path) -> Result<Self> {
        #[derive(serde::Deserialize)]
        struct Index {
            weight_map: BTreeMap<String, String>,
        }
        let json = read_bounded(index, 64 << 20)?;
        let Index { weight_map } = serde_json::from_slice(&json).map_err(|error| {
            Error::checkpoint(index, format!("not an index of shards: {error}"))
        })?;
        let mut names: Vec<&String> = weight_map.values().collect();
        names.sort();
        names.dedup();
        for name in &names {
            if name.contains(['/', '\\']) || !name.ends_with(".safetensors") {
                return Err(Error::checkpoint(
                    index,
                    format!(
                        "`weight_map` names `{name}`, which is no .safetensors file beside the index"
                    ),
                ));
            }
            if !folder.join(name).exists() {
                return Err(Error::checkpoint(
                    index,
                    format!("shard {name} is missing from the folder; download it too"),
                ));
            }
        }
        refuse_unlisted_shards(folder, index, &names)?;
        let parsed = names
            .iter()
            .map(|name| TensorFile::map(&folder.join(name)))
            .collect::<Result<Vec<_>>>()?;
        for ((file, metadata), name) in parsed.iter().zip(&names) {
            for tensor in metadata.tensors().keys() {
                if weight_map.get(tensor) != Some(*name) {
                    return Err(Error::tensor(
                        &file.path,
                        tensor,
                        "is in this shard, but the index does not say so; index and shards belong to different downloads",
                    ));
                }
            }
        }
        let all = Self::collect(parsed);
        match weight_map
            .keys()
            .find(|name| !all.tensors.contains_key(*name))
        {
            Some(name) => Err(Error::tensor(
                index,
                name,
                format!("is said to be in {}, but is not", weight_map[name]),
            )),
            None => Ok(all),
        }
    }

    fn collect(parsed: Vec<(TensorFile, Metadata)>) -> Self {
        let mut all = Self {
            files: Vec::new(),
            tensors: HashMap::new(),
        };
        for (file, metadata) in parsed {
            let at = all.files.len();
            let infos = metadata.tensors();
            all.tensors.extend(
                infos
                    .into_iter()
                    .map(|(name, info)| (name, (at, info.clone()))),
            );
            all.files.push(file);
        }
        all
    }

    /// The file that a complaint about `name` should point to.
    fn path_of(&self, name: &str) -> &Path {
        let at = self.tensors.get(name).map_or(0, |(at, _)| *at);
        &self.files[at].path
    }

    /// Checks that exactly the tensors of `config` are here, in the right shapes and in formats that can be read.
    /// Returns warnings.
    pub fn check(&self, config: &Config) -> Result<Vec<String>> {
        let specs = config.tensors();
        for spec in &specs {
            let fail =
                |what: String| Err(Error::tensor(self.path_of(&spec.name), &spec.name, what));
            let Some((_, info)) = self.tensors.get(&spec.name) else {
                return fail("is missing; config.json asks for it".into());
            };
            let Some(dtype) = dtype(info) else {
                return fail(format!(
                    "is stored as {:?}; F32, F16 and BF16 can be read, and U8 rows that openelm quantised",
                    info.dtype
                ));
            };
            if stored_as(info, spec).is_none() {
                let expected = match dtype {
                    Stored::Float(_) => format!("{:?}", spec.shape),
                    Stored::Bytes => "rows of q8 or q4 for such a matrix".into(),
                };
                return fail(format!(
                    "has shape {:?}, but config.json makes it {expected}",
                    info.shape
                ));
            }
        }
        let known: std::collections::HashSet<&str> =
            specs.iter().map(|spec| spec.name.as_str()).collect();
        let mut extra: Vec<&str> = self
            .tensors
            .keys()
            .map(String::as_str)
            .filter(|name| !known.contains(name))
            .collect();
        extra.sort_unstable();
        match extra[..] {
            [] => Ok(Vec::new()),
            ["lm_head.weight"] => Ok(vec![
                "lm_head.weight is ignored: config.json says the output head is the embedding (share_input_output_layers)".into(),
            ]),
            [name, ..] => Err(Error::tensor(
                self.path_of(name),
                name,
                "is not part of the model that config.json describes",
            )),
        }
    }

    /// A tensor, as bytes of its file.
    pub fn tensor(&self, spec: &TensorSpec) -> Result<Tensor<'_>> {
        let name = &spec.name;
        let found = self.tensors.get(name).and_then(|(at, info)| {
            let file = &self.files[*at];
            let (start, end) = info.data_offsets;
            let bytes = file
                .bytes
                .get(file.data_start + start..file.data_start + end)?;
            Some(Tensor::stored(&spec.shape, stored_as(info, spec)?, bytes))
        });
        found.ok_or_else(|| Error::tensor(self.path_of(name), name, "is missing or unreadable"))
    }
}

/// What a file's own type says about a tensor.
enum Stored {
    Float(Dtype),
    /// Rows of bytes: quantised.
    Bytes,
}

fn dtype(info: &TensorInfo) -> Option<Stored> {
    match info.dtype {
        safetensors::Dtype::F32 => Some(Stored::Float(Dtype::F32)),
        safetensors::Dtype::F16 => Some(Stored::Float(Dtype::F16)),
        safetensors::Dtype::BF16 => Some(Stored::Float(Dtype::Bf16)),
        safetensors::Dtype::U8 => Some(Stored::Bytes),
        _ => None,
    }
}

/// The format of a tensor whose shape is as it should be.
fn stored_as(info: &TensorInfo, spec: &TensorSpec) -> Option<Dtype> {
    match (dtype(info)?, &spec.shape[..]) {
        (Stored::Float(dtype), shape) => (info.shape == shape).then_some(dtype),
        (Stored::Bytes, [rows, columns]) if can_quantize(*columns) => [Dtype::Q8, Dtype::Q4]
            .into_iter()
            .find(|dtype| info.shape == [*rows, dtype.row_bytes(*columns)]),
        _ => None,
    }
}

/// A shard that lies in the folder but not in the index is a sign of mixed downloads.
fn refuse_unlisted_shards(folder: &Path, index: &Path, names: &[&String]) -> Result<()> {
    let entries = std::fs::read_dir(folder).map_err(|error| Error::read(folder, error))?;
    for entry in entries.flatten() {
        let file = entry.file_name().to_string_lossy().into_owned();
        let is_shard =
            file.starts_with("model-") && file.contains("-of-") && file.ends_with(".safetensors");
        if is_shard && !names.contains(&&file) {
            return Err(Error::checkpoint(
                index,
                format!(
                    "{file} lies in the folder but not in the index; remove it, or download the index again"
                ),
            ));
        }
    }
    Ok(())
}

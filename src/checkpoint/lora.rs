//! LoRA adapters in PEFT's layout, merged into a model while it is read: `W + scale * B A`.
//!
//! A folder holds `adapter_config.json` and `adapter_model.safetensors`, whose tensors are called `base_model.model.MODULE.lora_A.weight`
//! `[rank, columns]` and `lora_B.weight` `[rows, rank]`; of the embedding `lora_embedding_A` `[rank, vocabulary]` and `lora_embedding_B`
//! `[model_dim, rank]`.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use super::config::Config;
use super::foreign;
use super::lora_config::LoraConfig;
use super::mapped::Bytes;
use super::read::read_bounded;
use super::tensor::{Delta, RowReader, Stored, Tensor};
use super::tensor_file::TensorFile;
use crate::dtype::Dtype;
use crate::error::{Error, Result};

const CONFIG: &str = "adapter_config.json";
const TENSORS: &str = "adapter_model.safetensors";

/// More than anybody trains.
const MOST_RANK: usize = 4096;

/// Rows of numbers, read whole: adapters are small.
struct Matrix {
    rows: usize,
    columns: usize,
    values: Vec<f32>,
}

/// The two matrices of a module.
#[derive(Default)]
struct Pair {
    a: Option<Matrix>,
    b: Option<Matrix>,
    is_embedding: bool,
}

/// What an adapter does.
pub struct Adapter {
    /// What it adds to tensors of the model, by name.
    pub deltas: BTreeMap<String, Delta>,
    /// Tensors that it has matrices for, but which its configuration does not name.
    pub unused: Vec<String>,
}

/// Reads an adapter for a model.
///
/// # Errors
/// [`Error::Adapter`] for what cannot be merged, or not into this model; [`Error::Read`], [`Error::Checkpoint`].
pub fn read(folder: &Path, config: &Config) -> Result<Adapter> {
    let path = folder.join(CONFIG);
    if !path.exists() {
        return Err(Error::adapter(
            folder,
            format!(
                "there is no {CONFIG}: this is not the folder of a LoRA adapter as PEFT writes it"
            ),
        ));
    }
    let settings = LoraConfig::parse(&read_bounded(&path, 1 << 20)?, &path)?;
    let path = folder.join(TENSORS);
    if !path.exists() {
        let what = match folder.join("adapter_model.bin").exists() {
            true => {
                "the adapter is in adapter_model.bin, a file of PyTorch, which is not read: it may run any program. Have PEFT save it again, \
                 which makes adapter_model.safetensors"
            }
            false => "adapter_model.safetensors is not there; download it too",
        };
        return Err(Error::adapter(folder, what));
    }
    let (file, metadata) = TensorFile::parse(&path, Bytes::map(&path)?)?;
    file.check_length()?;
    let shapes: HashMap<String, Vec<usize>> = config
        .tensors()
        .into_iter()
        .map(|spec| (spec.name, spec.shape))
        .collect();
    let mut pairs: BTreeMap<String, Pair> = BTreeMap::new();
    for (name, info) in metadata.tensors() {
        let fail = |what: String| Error::adapter(&path, format!("tensor `{name}`: {what}"));
        let part = Part::of(&name).ok_or_else(|| {
            fail("is neither lora_A nor lora_B of a module: the adapter does more than can be merged".into())
        })?;
        let stored = match info.dtype {
            safetensors::Dtype::F64 => Stored::F64,
            safetensors::Dtype::F32 => Stored::As(Dtype::F32),
            safetensors::Dtype::F16 => Stored::As(Dtype::F16),
            safetensors::Dtype::BF16 => Stored::As(Dtype::Bf16),
            other => {
                return Err(fail(format!(
                    "is stored as {other:?}; F64, F32, F16 and BF16 can be read"
                )));
            }
        };
        let &[rows, columns] = &info.shape[..] else {
            return Err(fail(format!(
                "has shape {:?}; a matrix is expected",
                info.shape
            )));
        };
        // Of rows without numbers a file of a few bytes may have any number.
        if rows == 0 || columns == 0 || rows.min(columns) > MOST_RANK {
            return Err(fail(format!(
                "has shape {:?}; one of both is the adapter's rank, 1 to {MOST_RANK}",
                info.shape
            )));
        }
        let bytes = file.data(info).unwrap_or_default();
        let tensor = Tensor::stored(&info.shape, stored, bytes);
        let mut reader = RowReader::default();
        let mut values = Vec::with_capacity(rows * columns);
        for row in 0..rows {
            values.extend(reader.read_f32(&tensor, row));
        }
        if reader.saw_non_finite {
            return Err(fail(
                "holds NaN or infinite values; the file is damaged".into(),
            ));
        }
        let matrix = Matrix {
            rows,
            columns,
            values,
        };
        let pair = pairs.entry(part.tensor).or_default();
        pair.is_embedding = part.is_embedding;
        let place = if part.is_b { &mut pair.b } else { &mut pair.a };
        if place.replace(matrix).is_some() {
            return Err(fail("is there twice, under two names".into()));
        }
    }
    if pairs.is_empty() {
        return Err(Error::adapter(&path, "there is no tensor in it"));
    }
    // Before anything else is wrong with them.
    let unused: Vec<String> = pairs
        .extract_if(.., |tensor, _| !settings.is_for(module_of(tensor)))
        .map(|(tensor, _)| tensor)
        .collect();
    let merge = |(tensor, pair): (String, Pair)| {
        let fail = |what: String| Error::adapter(&path, format!("for `{tensor}` {what}"));
        let Some(shape) = shapes.get(&tensor) else {
            let base = foreign::base_of(folder).map_or(String::new(), |base| {
                format!("; the adapter was trained for `{base}`")
            });
            return Err(fail(format!("this model has no such tensor{base}")));
        };
        let (Some(a), Some(b)) = (pair.a, pair.b) else {
            return Err(fail("one of the two matrices A and B is missing".into()));
        };
        let (a, b) = match pair.is_embedding {
            true => (b.transposed(), a.transposed()),
            false => (a, b),
        };
        let rank = a.rows;
        let is_rank = (1..=MOST_RANK).contains(&rank) && b.columns == rank;
        if !is_rank || shape[..] != [b.rows, a.columns] {
            return Err(fail(format!(
                "A and B make [{}, {}] of ranks {} and {rank}; the model's tensor is {shape:?}",
                b.rows, a.columns, b.columns
            )));
        }
        let delta = Delta {
            scale: settings.scale(module_of(&tensor), rank).map_err(fail)?,
            rank,
            a: a.values,
            b: b.values,
        };
        Ok((tensor, delta))
    };
    Ok(Adapter {
        deltas: pairs.into_iter().map(merge).collect::<Result<_>>()?,
        unused,
    })
}

/// A tensor's module, as PEFT calls it.
fn module_of(tensor: &str) -> &str {
    tensor.strip_suffix(".weight").unwrap_or(tensor)
}

impl Matrix {
    fn transposed(self) -> Self {
        let Self {
            rows,
            columns,
            values,
        } = self;
        let value = |i: usize| values.get((i % rows) * columns + i / rows).copied();
        Self {
            rows: columns,
            columns: rows,
            values: (0..rows * columns).filter_map(value).collect(),
        }
    }
}

/// What one tensor of an adapter is.
#[derive(Debug, PartialEq, Eq)]
struct Part {
    /// The tensor of the model that it changes.
    tensor: String,
    is_b: bool,
    is_embedding: bool,
}

impl Part {
    /// Takes `base_model.model.transformer.layers.0.attn.qkv_proj.lora_A.weight` apart. Some have the adapter's own name behind `lora_A`.
    fn of(name: &str) -> Option<Self> {
        let module = name
            .trim_start_matches("base_model.")
            .trim_start_matches("model.");
        let kinds = [
            (".lora_A", false, false),
            (".lora_B", true, false),
            (".lora_embedding_A", false, true),
            (".lora_embedding_B", true, true),
        ];
        let (module, rest, is_b, is_embedding) =
            kinds.into_iter().find_map(|(kind, is_b, is_embedding)| {
                let (module, rest) = module.split_once(kind)?;
                Some((module, rest, is_b, is_embedding))
            })?;
        let is_end = match rest.strip_suffix(".weight").unwrap_or(rest) {
            "" => true,
            adapter => adapter
                .strip_prefix('.')
                .is_some_and(|name| !name.contains('.')),
        };
        let has_root = module.starts_with("transformer.") || module == "lm_head";
        let root = if has_root { "" } else { "transformer." };
        (is_end && !rest.ends_with(".bias")).then(|| Self {
            tensor: format!("{root}{module}.weight"),
            is_b,
            is_embedding,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_peft() {
        let part =
            |name: &str| Part::of(name).map(|part| (part.tensor, part.is_b, part.is_embedding));
        let qkv = "transformer.layers.0.attn.qkv_proj.weight".to_owned();
        for (name, expected) in [
            (
                "base_model.model.transformer.layers.0.attn.qkv_proj.lora_A.weight",
                (qkv.clone(), false, false),
            ),
            (
                "base_model.model.transformer.layers.0.attn.qkv_proj.lora_B.default.weight",
                (qkv.clone(), true, false),
            ),
            (
                "base_model.model.layers.0.attn.qkv_proj.lora_B.weight",
                (qkv, true, false),
            ),
            (
                "base_model.model.transformer.token_embeddings.lora_embedding_A",
                (
                    "transformer.token_embeddings.weight".to_owned(),
                    false,
                    true,
                ),
            ),
        ] {
            assert_eq!(part(name), Some(expected), "{name}");
        }
        for none in [
            "base_model.model.transformer.norm.weight",
            "base_model.model.transformer.layers.0.attn.qkv_proj.lora_magnitude_vector",
            "base_model.model.transformer.layers.0.attn.qkv_proj.lora_B.bias",
            "base_model.model.transformer.layers.0.attn.qkv_proj.lora_A.a.b.weight",
            "",
        ] {
            assert_eq!(part(none), None, "{none}");
        }
    }

    #[test]
    fn a_matrix_is_turned() {
        let matrix = Matrix {
            rows: 2,
            columns: 3,
            values: vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
        };
        let turned = matrix.transposed();
        assert_eq!((turned.rows, turned.columns), (3, 2));
        assert_eq!(turned.values, [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    }
}

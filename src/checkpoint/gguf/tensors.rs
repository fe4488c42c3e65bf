//! The tensors of a GGUF file under the names that checkpoints of OpenELM have.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use super::encoding::Encoding;
use super::header::{Header, TensorInfo};
use super::reader::shown;
use super::rows::{Part, Rows};
use crate::checkpoint::{Config, TensorSpec};
use crate::error::{Error, Result};

/// The name of the embedding in the file.
pub const EMBEDDING: &str = "token_embd.weight";

/// What llama.cpp's converter calls tensors outside the layers.
const OUTER: [(&str, &str); 2] = [
    ("transformer.token_embeddings.weight", EMBEDDING),
    ("transformer.norm.weight", "output_norm.weight"),
];

/// The same in layers, without prefix and `.weight`. It writes the gate and what the gate is for as two tensors; nothing is permuted.
const IN_LAYER: [(&str, &[&str]); 8] = [
    ("attn_norm", &["attn_norm"]),
    ("attn.qkv_proj", &["attn_qkv"]),
    ("attn.q_norm", &["attn_q_norm"]),
    ("attn.k_norm", &["attn_k_norm"]),
    ("attn.out_proj", &["attn_output"]),
    ("ffn_norm", &["ffn_norm"]),
    ("ffn.proj_1", &["ffn_gate", "ffn_up"]),
    ("ffn.proj_2", &["ffn_down"]),
];

/// Names in the file of what a checkpoint calls `name`; none if llama.cpp has no name for it.
fn names(name: &str) -> Vec<String> {
    if let Some((_, outer)) = OUTER.iter().find(|(ours, _)| *ours == name) {
        return vec![(*outer).to_owned()];
    }
    let in_layer = || {
        let rest = name.strip_prefix("transformer.layers.")?;
        let (layer, rest) = rest.strip_suffix(".weight")?.split_once('.')?;
        let (_, theirs) = IN_LAYER.iter().find(|(ours, _)| *ours == rest)?;
        let names = theirs
            .iter()
            .map(|name| format!("blk.{layer}.{name}.weight"));
        Some(names.collect())
    };
    in_layer().unwrap_or_default()
}

/// The tensors of a configuration in a file, by our names.
pub struct Tensors(HashMap<String, Vec<TensorInfo>>);

impl Tensors {
    /// Finds exactly the tensors of `config`.
    ///
    /// # Errors
    /// [`Error::Tensor`] names what is missing, superfluous, or of another shape or format.
    pub fn find(header: &Header<'_>, config: &Config, path: &Path) -> Result<Self> {
        let mut found = HashMap::new();
        let mut used = BTreeSet::new();
        for spec in config.tensors() {
            let names = names(&spec.name);
            let shape = part_shape(&spec.shape, names.len());
            let parts = names
                .iter()
                .map(|name| find(header, name, &shape, path))
                .collect::<Result<_>>()?;
            found.insert(spec.name, parts);
            used.extend(names);
        }
        let mut all = header.tensors.keys().chain(header.unreadable.keys());
        match all.find(|name| !used.contains(**name)) {
            None => Ok(Self(found)),
            Some(name) => Err(Error::tensor(
                path,
                &shown(name),
                "is not part of the model that the metadata describes",
            )),
        }
    }

    /// The rows of a tensor; `None` if `file` is not the file that it was found in.
    pub fn rows<'a>(&self, spec: &TensorSpec, file: &'a [u8]) -> Option<Rows<'a>> {
        let parts = self.0.get(&spec.name)?.iter().map(|info| {
            let (values, bytes) = info.encoding.block();
            Some(Part {
                encoding: info.encoding,
                bytes: file.get(info.place.clone())?,
                row_bytes: info.shape.last()? / values * bytes,
            })
        });
        Some(Rows::new(parts.collect::<Option<_>>()?))
    }

    /// Formats that have no like here, as they are called.
    pub fn widened(&self) -> BTreeSet<String> {
        let infos = self.0.values().flatten();
        let widened = infos.filter(|info| info.encoding.is_k_quant());
        widened.map(|info| info.encoding.to_string()).collect()
    }
}

/// The shape of each of `parts` tensors that have the rows of one between them.
fn part_shape(shape: &[usize], parts: usize) -> Vec<usize> {
    match shape {
        [rows, columns] => vec![rows / parts.max(1), *columns],
        other => other.to_vec(),
    }
}

fn find(header: &Header<'_>, name: &str, shape: &[usize], path: &Path) -> Result<TensorInfo> {
    let what = match (header.tensors.get(name), header.unreadable.get(name)) {
        (Some(info), _) if info.shape == shape => return Ok(info.clone()),
        (Some(info), _) => format!(
            "has shape {:?}, but the metadata makes it {shape:?}",
            info.shape
        ),
        (None, Some(format)) => format!(
            "is stored as {format}; {} can be read: take a file of the model in one of these, of which Q8_0 loses least",
            Encoding::READABLE
        ),
        (None, None) => "is missing; the metadata asks for it".into(),
    };
    Err(Error::tensor(path, name, what))
}

//! `config.json`: parsed, completed where fields may be left out, and refused where it makes no sense.
//!
//! Source: Apple's published configurations and configuration code; field names are theirs.

use std::path::Path;

use serde_json::Value;

use super::TensorSpec;
use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::excerpt::excerpt;

/// The non-linearity of the feed-forward network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// `x * sigmoid(x)`, called `swish` or `silu`.
    Silu,
    Relu,
    /// The tanh approximation: `gelu_new`, `gelu_pytorch_tanh`.
    GeluTanh,
    /// With the error function: `gelu`.
    Gelu,
}

/// One layer; OpenELM's layers differ in width by design.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerConfig {
    pub q_heads: usize,
    pub kv_heads: usize,
    /// Width of the feed-forward network.
    pub ffn_dim: usize,
}

/// What a checkpoint holds for one layer.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerTensors {
    pub attn_norm: TensorSpec,
    pub qkv: TensorSpec,
    /// q's, then k's; empty where the model has none.
    pub qk_norms: Vec<TensorSpec>,
    pub out: TensorSpec,
    pub ffn_norm: TensorSpec,
    pub proj_1: TensorSpec,
    pub proj_2: TensorSpec,
}

impl LayerTensors {
    pub fn into_list(self) -> Vec<TensorSpec> {
        let mut list = vec![self.attn_norm, self.qkv, self.out, self.ffn_norm];
        list.extend([self.proj_1, self.proj_2]);
        list.extend(self.qk_norms);
        list
    }
}

/// What a checkpoint holds beside the layers.
#[derive(Debug, Clone, PartialEq)]
pub struct OuterTensors {
    pub embedding: TensorSpec,
    pub norm: TensorSpec,
    /// `None`: the embedding is the output head.
    pub head: Option<TensorSpec>,
}

impl OuterTensors {
    pub fn into_list(self) -> Vec<TensorSpec> {
        [self.embedding, self.norm]
            .into_iter()
            .chain(self.head)
            .collect()
    }
}

/// A checked configuration. Counts are elements, not bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    pub vocab_size: usize,
    pub model_dim: usize,
    pub head_dim: usize,
    pub max_context_length: usize,
    pub rope_freq_constant: f32,
    pub ffn_with_glu: bool,
    pub activation: Activation,
    pub normalize_qk_projections: bool,
    /// Whether the output head is the embedding, transposed.
    pub share_input_output_layers: bool,
    pub bos_token_id: u32,
    /// Ids that end a text; never empty.
    pub eos_token_ids: Vec<u32>,
    pub layers: Vec<LayerConfig>,
    /// Field names that the file left out and that were derived or defaulted.
    pub derived: Vec<&'static str>,
}

/// Epsilon of every RMSNorm.
pub const NORM_EPSILON: f32 = 1e-6;

/// The largest head the kernels hold in workgroup memory.
pub const MAX_HEAD_DIM: usize = 256;

impl Config {
    /// Parses and completes a configuration; `path` is only for messages.
    ///
    /// # Errors
    /// [`Error::Config`] that names the field.
    pub fn parse(json: &[u8], path: &Path) -> Result<Self> {
        let value: Value = serde_json::from_slice(json)
            .map_err(|error| Error::config(path, format!("not valid JSON: {error}")))?;
        let Value::Object(map) = value else {
            return Err(Error::config(
                path,
                "not a JSON object; an OpenELM config.json is expected",
            ));
        };
        Fields {
            map: &map,
            path,
            derived: Vec::new(),
        }
        .config()
    }

    /// Width of a layer's fused query, key and value product.
    pub fn qkv_dim(&self, layer: &LayerConfig) -> usize {
        (layer.q_heads + 2 * layer.kv_heads) * self.head_dim
    }

    /// Rows of a layer's `proj_1`.
    pub fn proj_1_rows(&self, layer: &LayerConfig) -> usize {
        layer.ffn_dim * if self.ffn_with_glu { 2 } else { 1 }
    }

    /// The tensors of one layer.
    pub fn layer_tensors(&self, index: usize) -> LayerTensors {
        let layer = &self.layers[index];
        let (dim, head_dim) = (self.model_dim, self.head_dim);
        let spec = |name: &str, shape: &[usize]| TensorSpec {
            name: format!("transformer.layers.{index}.{name}.weight"),
            shape: shape.to_vec(),
        };
        LayerTensors {
            attn_norm: spec("attn_norm", &[dim]),
            qkv: spec("attn.qkv_proj", &[self.qkv_dim(layer), dim]),
            qk_norms: match self.normalize_qk_projections {
                true => vec![
                    spec("attn.q_norm", &[head_dim]),
                    spec("attn.k_norm", &[head_dim]),
                ],
                false => Vec::new(),
            },
            out: spec("attn.out_proj", &[dim, layer.q_heads * head_dim]),
            ffn_norm: spec("ffn_norm", &[dim]),
            proj_1: spec("ffn.proj_1", &[self.proj_1_rows(layer), dim]),
            proj_2: spec("ffn.proj_2", &[dim, layer.ffn_dim]),
        }
    }

    /// The tensors outside the layers.
    pub fn outer_tensors(&self) -> OuterTensors {
        let spec = |name: &str, shape: &[usize]| TensorSpec {
            name: name.to_owned(),
            shape: shape.to_vec(),
        };
        let embedding = [self.vocab_size, self.model_dim];
        OuterTensors {
            embedding: spec("transformer.token_embeddings.weight", &embedding),
            norm: spec("transformer.norm.weight", &[self.model_dim]),
            head: (!self.share_input_output_layers).then(|| spec("lm_head.weight", &embedding)),
        }
    }

    /// Every tensor that a checkpoint of this configuration holds.
    pub fn tensors(&self) -> Vec<TensorSpec> {
        (0..self.layers.len())
            .flat_map(|index| self.layer_tensors(index).into_list())
            .chain(self.outer_tensors().into_list())
            .collect()
    }

    /// Bytes of weights that decoding a token reads, were all matrices stored as `dtype`: those of the layers and the head.
    pub fn bytes_per_token(&self, dtype: Dtype) -> u64 {
        let matrix = |rows: usize, columns: usize| (rows * dtype.row_bytes(columns)) as u64;
        let dim = self.model_dim;
        let layer = |layer: &LayerConfig| {
            matrix(self.qkv_dim(layer), dim)
                + matrix(dim, layer.q_heads * self.head_dim)
                + matrix(self.proj_1_rows(layer), dim)
                + matrix(dim, layer.ffn_dim)
        };
        self.layers.iter().map(layer).sum::<u64>() + matrix(self.vocab_size, dim)
    }

    /// Number of parameters.
    pub fn parameters(&self) -> u64 {
        self.tensors()
            .iter()
            .map(|spec| spec.shape.iter().product::<usize>() as u64)
            .sum()
    }
}

/// Smallest multiple of `divisor` near `value`, not below 0.9 of it (Apple's `make_divisible`).
fn make_divisible(value: f64, divisor: usize) -> usize {
    let rounded = ((value + divisor as f64 / 2.0) as usize / divisor * divisor).max(divisor);
    if (rounded as f64) < 0.9 * value {
        rounded + divisor
    } else {
        rounded
    }
}

/// `count` values from `low` to `high`, each rounded to two decimals.
fn rounded_linspace(low: f64, high: f64, count: usize) -> Vec<f64> {
    let step = if count > 1 {
        (high - low) / (count - 1) as f64
    } else {
        0.0
    };
    (0..count)
        .map(|i| {
            let value = if i > 0 && i + 1 == count {
                high
            } else {
                low + i as f64 * step
            };
            // As NumPy rounds its numbers, which is not as Python rounds its own: 0.525 becomes 0.52.
            (value * 100.0).round_ties_even() / 100.0
        })
        .collect()
}

/// What is to be said of fields that would change another model, and that OpenELM's code does not know: people copy them from one model to another.
pub(super) fn notice(json: &[u8]) -> Option<String> {
    let fields: serde_json::Map<String, Value> = serde_json::from_slice(json).ok()?;
    let scaling = fields
        .get("rope_scaling")
        .filter(|value| !value.is_null())?;
    let kind = scaling.get("rope_type").or_else(|| scaling.get("type"));
    let is_plain = kind.and_then(Value::as_str) == Some("default");
    (!is_plain).then(|| {
        "config.json: `rope_scaling` is nothing that OpenELM's code knows; it is ignored".to_owned()
    })
}

struct Fields<'a> {
    map: &'a serde_json::Map<String, Value>,
    path: &'a Path,
    derived: Vec<&'static str>,
}

impl Fields<'_> {
    fn fail<T>(&self, what: impl Into<String>) -> Result<T> {
        Err(Error::config(self.path, what))
    }

    fn get(&self, field: &str) -> Option<&Value> {
        self.map.get(field).filter(|value| !value.is_null())
    }

    /// A whole number between 1 and `most`.
    fn count(&self, field: &str, value: &Value, most: u64) -> Result<usize> {
        match value.as_u64() {
            Some(n) if (1..=most).contains(&n) => Ok(n as usize),
            _ => self.fail(format!(
                "field `{field}` is {}; a whole number from 1 to {most} is expected",
                excerpt(value)
            )),
        }
    }

    fn required(&self, field: &str, most: u64) -> Result<usize> {
        match self.get(field) {
            Some(value) => self.count(field, value, most),
            None => self.fail(format!("field `{field}` is missing")),
        }
    }

    fn or_default(&mut self, field: &'static str, default: usize, most: u64) -> Result<usize> {
        match self.get(field) {
            Some(value) => self.count(field, value, most),
            None => {
                self.derived.push(field);
                Ok(default)
            }
        }
    }

    fn flag(&mut self, field: &'static str, default: bool) -> Result<bool> {
        match self.get(field) {
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(other) => self.fail(format!(
                "field `{field}` is {}; true or false is expected",
                excerpt(other)
            )),
            None => {
                self.derived.push(field);
                Ok(default)
            }
        }
    }

    fn text(&self, field: &str) -> Result<Option<&str>> {
        match self.get(field) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => self.fail(format!(
                "field `{field}` is {}; a text is expected",
                excerpt(other)
            )),
        }
    }

    fn token_id(&mut self, field: &'static str, default: u32, vocab: usize) -> Result<u32> {
        match self.get(field) {
            None => {
                self.derived.push(field);
                Ok(default)
            }
            Some(value) => self.id(field, value, vocab),
        }
    }

    /// One id, or a list of them.
    fn token_ids(&mut self, field: &'static str, default: u32, vocab: usize) -> Result<Vec<u32>> {
        match self.get(field) {
            Some(Value::Array(list)) if !list.is_empty() => {
                list.iter().map(|id| self.id(field, id, vocab)).collect()
            }
            _ => Ok(vec![self.token_id(field, default, vocab)?]),
        }
    }

    fn id(&self, field: &str, value: &Value, vocab: usize) -> Result<u32> {
        match value.as_u64().and_then(|id| u32::try_from(id).ok()) {
            Some(id) if (id as usize) < vocab => Ok(id),
            _ => self.fail(format!(
                "field `{field}` is {}, which is no id of a vocabulary of {vocab}",
                excerpt(value)
            )),
        }
    }

    /// A multiplier for each layer, from a number, a pair [low, high] or a list.
    fn multipliers(
        &mut self,
        field: &'static str,
        default: f64,
        layers: usize,
    ) -> Result<Vec<f64>> {
        let Some(value) = self.get(field) else {
            self.derived.push(field);
            return Ok(vec![default; layers]);
        };
        let numbers: Option<Vec<f64>> = match value {
            Value::Number(n) => n.as_f64().map(|n| vec![n; layers]),
            Value::Array(list) => list.iter().map(Value::as_f64).collect(),
            _ => None,
        };
        let Some(numbers) = numbers else {
            return self.fail(format!(
                "field `{field}` is {}; a number, a pair [low, high] or a list is expected",
                excerpt(value)
            ));
        };
        if let Some(bad) = numbers.iter().find(|m| !(0.0..=1e3).contains(*m)) {
            return self.fail(format!(
                "field `{field}` holds {bad}; 0 to 1000 is expected"
            ));
        }
        match (value.is_array(), numbers.len()) {
            (true, 2) => {
                self.derived.push(field);
                Ok(rounded_linspace(numbers[0], numbers[1], layers))
            }
            (_, n) if n == layers => Ok(numbers),
            (_, n) => self.fail(format!(
                "field `{field}` has {n} entries for {layers} layers"
            )),
        }
    }

    /// One whole number a layer, if the field is there.
    fn per_layer(
        &self,
        field: &'static str,
        layers: usize,
        most: u64,
    ) -> Result<Option<Vec<usize>>> {
        match self.get(field) {
            None => Ok(None),
            Some(Value::Array(list)) if list.len() == layers => list
                .iter()
                .map(|value| self.count(field, value, most))
                .collect::<Result<_>>()
                .map(Some),
            Some(Value::Array(list)) => self.fail(format!(
                "field `{field}` has {} entries for {layers} layers",
                list.len()
            )),
            Some(other) => self.fail(format!(
                "field `{field}` is {}; a list with one number a layer is expected",
                excerpt(other)
            )),
        }
    }

    fn refuse_other_models(&self) -> Result<()> {
        let is_openelm = |name: &str| name.to_lowercase().starts_with("openelm");
        if let Some(Value::String(kind)) = self.get("model_type") {
            if is_openelm(kind) {
                return Ok(());
            }
            return self.fail(format!(
                "field `model_type` is `{kind}`; this program runs `openelm` models only"
            ));
        }
        let named = match self.get("architectures") {
            Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).any(is_openelm),
            _ => false,
        };
        if named {
            return Ok(());
        }
        self.fail("field `model_type` is missing; `openelm` is expected")
    }

    fn activation(&mut self) -> Result<Activation> {
        match self.text("activation_fn_name")? {
            None => {
                self.derived.push("activation_fn_name");
                Ok(Activation::Silu)
            }
            Some("swish" | "silu") => Ok(Activation::Silu),
            Some("relu") => Ok(Activation::Relu),
            Some("gelu_new" | "gelu_pytorch_tanh") => Ok(Activation::GeluTanh),
            Some("gelu") => Ok(Activation::Gelu),
            Some(other) => self.fail(format!(
                "field `activation_fn_name` is `{other}`; swish, silu, relu, gelu, gelu_new and gelu_pytorch_tanh are known"
            )),
        }
    }

    fn config(mut self) -> Result<Config> {
        self.refuse_other_models()?;
        let norm = self.text("normalization_layer_name")?;
        if let Some(other) = norm.filter(|name| *name != "rms_norm") {
            return self.fail(format!(
                "field `normalization_layer_name` is `{other}`; only `rms_norm` is known"
            ));
        }
        let layers = self.required("num_transformer_layers", 1024)?;
        let model_dim = self.required("model_dim", 1 << 16)?;
        let vocab_size = self.required("vocab_size", 1 << 20)?;
        let head_dim = self.or_default("head_dim", 128, MAX_HEAD_DIM as u64)?;
        if head_dim % 2 != 0 {
            return self.fail(format!(
                "field `head_dim` is {head_dim}; rotary embeddings need an even number"
            ));
        }
        let groups = self.or_default("num_gqa_groups", 1, 1024)?;
        let divisor = self.or_default("ffn_dim_divisor", 256, 1 << 16)?;
        let ffn = self.multipliers("ffn_multipliers", 4.0, layers)?;
        let heads = self.heads(layers, model_dim, head_dim, groups)?;
        let rope_freq_constant = match self.get("rope_freq_constant").map(Value::as_f64) {
            None => {
                self.derived.push("rope_freq_constant");
                10000.0
            }
            Some(Some(theta)) if (theta as f32).is_normal() && theta > 0.0 => theta as f32,
            Some(_) => {
                return self
                    .fail("field `rope_freq_constant` must be a positive number that fits f32");
            }
        };
        let max_context_length = self.or_default("max_context_length", 2048, 1 << 20)?;
        let config = Config {
            vocab_size,
            model_dim,
            head_dim,
            max_context_length,
            rope_freq_constant,
            ffn_with_glu: self.flag("ffn_with_glu", true)?,
            activation: self.activation()?,
            normalize_qk_projections: self.flag("normalize_qk_projections", false)?,
            share_input_output_layers: self.flag("share_input_output_layers", false)?,
            bos_token_id: self.token_id("bos_token_id", 1, vocab_size)?,
            eos_token_ids: self.token_ids("eos_token_id", 2, vocab_size)?,
            layers: heads
                .into_iter()
                .zip(ffn)
                .map(|((q_heads, kv_heads), m)| LayerConfig {
                    q_heads,
                    kv_heads,
                    ffn_dim: make_divisible(m * model_dim as f64, divisor),
                })
                .collect(),
            derived: self.derived,
        };
        Ok(config)
    }

    /// Query and kv heads of each layer, given or derived.
    fn heads(
        &mut self,
        layers: usize,
        model_dim: usize,
        head_dim: usize,
        groups: usize,
    ) -> Result<Vec<(usize, usize)>> {
        let q_heads = match self.per_layer("num_query_heads", layers, 4096)? {
            Some(given) => given,
            None => {
                let multipliers = self.multipliers("qkv_multipliers", 1.0, layers)?;
                self.derived.push("num_query_heads");
                multipliers
                    .iter()
                    .map(|m| make_divisible(model_dim as f64 * m, head_dim * groups) / head_dim)
                    .collect()
            }
        };
        let kv_heads = match self.per_layer("num_kv_heads", layers, 4096)? {
            Some(given) => given,
            None => {
                self.derived.push("num_kv_heads");
                q_heads.iter().map(|q| (q / groups).max(1)).collect()
            }
        };
        for (index, (q, kv)) in q_heads.iter().zip(&kv_heads).enumerate() {
            if q % kv != 0 {
                return self.fail(format!(
                    "layer {index}: {q} query heads do not divide among {kv} kv heads"
                ));
            }
        }
        Ok(q_heads.into_iter().zip(kv_heads).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_round_up_and_nothing_falls_below_nine_tenths() {
        assert_eq!(make_divisible(640.0, 256), 768);
        assert_eq!(make_divisible(1.0, 256), 256);
        // 371 rounds to 256, which is below 0.9 * 371.
        assert_eq!(make_divisible(371.0, 256), 512);
    }

    #[test]
    fn multipliers_are_rounded_as_numpys_numbers() {
        let all = rounded_linspace(0.5, 1.0, 21);
        assert_eq!((all[1], all[17], all[20]), (0.52, 0.92, 1.0));
        assert_eq!(rounded_linspace(0.5, 4.0, 3), [0.5, 2.25, 4.0]);
    }

    #[test]
    fn absurd_values_name_their_field() {
        for (field, json) in [
            (
                "num_transformer_layers",
                r#"{"model_type":"openelm","num_transformer_layers":0}"#,
            ),
            (
                "vocab_size",
                r#"{"model_type":"openelm","num_transformer_layers":2,"model_dim":64,"vocab_size":2147483648}"#,
            ),
            (
                "num_query_heads",
                r#"{"model_type":"openelm","num_transformer_layers":1,"model_dim":64,"vocab_size":64,"head_dim":16,"num_query_heads":[1000000000]}"#,
            ),
            (
                "head_dim",
                r#"{"model_type":"openelm","num_transformer_layers":1,"model_dim":64,"vocab_size":64,"head_dim":15}"#,
            ),
            ("llama", r#"{"model_type":"llama"}"#),
        ] {
            let error = Config::parse(json.as_bytes(), Path::new("config.json")).unwrap_err();
            assert!(error.to_string().contains(field), "{error}");
        }
    }
}

//! Writes GGUF files as llama.cpp's converter does, and as nobody should.

use half::{bf16, f16};
use openelm::checkpoint::RowReader;
use openelm::{Checkpoint, Dtype};
use serde_json::Value;

/// Formats of weights, by ggml's numbers.
pub const F32: u32 = 0;
pub const F16: u32 = 1;
pub const Q4_0: u32 = 2;
pub const Q8_0: u32 = 8;
pub const BF16: u32 = 30;

/// A tensor as it is written.
pub struct Tensor {
    pub name: String,
    /// Columns first.
    pub sizes: Vec<u64>,
    pub format: u32,
    pub bytes: Vec<u8>,
}

/// A file to be written, every part of which can be changed before.
pub struct Writer {
    pub magic: Vec<u8>,
    pub version: u32,
    pub alignment: u64,
    /// Keys, and their values with the types in front.
    pub metadata: Vec<(String, Vec<u8>)>,
    pub tensors: Vec<Tensor>,
}

fn string(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u64).to_le_bytes(), bytes].concat()
}

/// A value of a type.
pub fn value(kind: u32, bytes: &[u8]) -> Vec<u8> {
    [&kind.to_le_bytes(), bytes].concat()
}

pub fn text(text: &str) -> Vec<u8> {
    value(8, &string(text.as_bytes()))
}

pub fn u32_value(number: u32) -> Vec<u8> {
    value(4, &number.to_le_bytes())
}

pub fn f32_value(number: f32) -> Vec<u8> {
    value(6, &number.to_le_bytes())
}

pub fn flag(flag: bool) -> Vec<u8> {
    value(7, &[u8::from(flag)])
}

/// A list that says how many values it has.
pub fn list(kind: u32, count: u64, items: &[u8]) -> Vec<u8> {
    let header = [&kind.to_le_bytes()[..], &count.to_le_bytes()].concat();
    value(9, &[&header, items].concat())
}

pub fn i32s(numbers: &[i32]) -> Vec<u8> {
    list(5, numbers.len() as u64, bytemuck::cast_slice(numbers))
}

pub fn f32s(numbers: &[f32]) -> Vec<u8> {
    list(6, numbers.len() as u64, bytemuck::cast_slice(numbers))
}

pub fn texts<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<u8> {
    let strings: Vec<Vec<u8>> = texts
        .into_iter()
        .map(|text| string(text.as_bytes()))
        .collect();
    list(8, strings.len() as u64, &strings.concat())
}

/// Numbers of a row in one of the formats above.
pub fn encode(values: &[f32], format: u32) -> Vec<u8> {
    let blocks = values.chunks(32);
    match format {
        F32 => values.iter().flat_map(|x| x.to_le_bytes()).collect(),
        F16 => values
            .iter()
            .flat_map(|x| f16::from_f32(*x).to_le_bytes())
            .collect(),
        BF16 => values
            .iter()
            .flat_map(|x| bf16::from_f32(*x).to_le_bytes())
            .collect(),
        Q8_0 => blocks
            .flat_map(|block| {
                let (scale, ints) = integers(block, 127.0);
                let bytes = ints.iter().map(|n| *n as u8);
                [scale.to_le_bytes().to_vec(), bytes.collect()].concat()
            })
            .collect(),
        Q4_0 => blocks
            .flat_map(|block| {
                let (scale, ints) = integers(block, 7.0);
                let n = |i: usize| (ints[i] + 8) as u8;
                let bytes = (0..16).map(|i| n(i) | n(i + 16) << 4);
                [scale.to_le_bytes().to_vec(), bytes.collect()].concat()
            })
            .collect(),
        other => panic!("no writer for {other}"),
    }
}

/// What a reader should make of it.
pub fn decoded(values: &[f32], format: u32) -> Vec<f32> {
    let most = match format {
        F32 => return values.to_vec(),
        F16 => return values.iter().map(|x| f16::from_f32(*x).to_f32()).collect(),
        BF16 => return values.iter().map(|x| bf16::from_f32(*x).to_f32()).collect(),
        Q8_0 => 127.0,
        _ => 7.0,
    };
    let blocks = values.chunks(32);
    blocks
        .flat_map(|block| {
            let (scale, ints) = integers(block, most);
            ints.into_iter().map(move |n| f32::from(n) * scale.to_f32())
        })
        .collect()
}

fn integers(block: &[f32], most: f32) -> (f16, Vec<i8>) {
    let largest = block.iter().fold(0.0f32, |largest, x| largest.max(x.abs()));
    let scale = f16::from_f32(largest / most);
    let per = if largest > 0.0 { most / largest } else { 0.0 };
    (
        scale,
        block.iter().map(|x| (x * per).round() as i8).collect(),
    )
}

/// Rows of a tensor as numbers.
pub fn numbers(checkpoint: &Checkpoint, spec: &openelm::checkpoint::TensorSpec) -> Vec<Vec<f32>> {
    let tensor = checkpoint.tensor(spec).unwrap();
    let mut reader = RowReader::default();
    (0..tensor.rows)
        .map(|row| reader.read_f32(&tensor, row).to_vec())
        .collect()
}

/// Names in the file of a tensor.
fn names(ours: &str) -> Vec<String> {
    let name = ours
        .replace("transformer.layers.", "blk.")
        .replace("transformer.token_embeddings", "token_embd")
        .replace("transformer.norm", "output_norm")
        .replace("attn.qkv_proj", "attn_qkv")
        .replace("attn.out_proj", "attn_output")
        .replace("attn.q_norm", "attn_q_norm")
        .replace("attn.k_norm", "attn_k_norm")
        .replace("ffn.proj_2", "ffn_down");
    match name.contains("ffn.proj_1") {
        true => vec![
            name.replace("ffn.proj_1", "ffn_gate"),
            name.replace("ffn.proj_1", "ffn_up"),
        ],
        false => vec![name],
    }
}

impl Writer {
    /// A model with its matrices in a format, and norms in f32.
    pub fn of(checkpoint: &Checkpoint, format: u32) -> Self {
        let config = &checkpoint.config;
        let per_layer = |of: &dyn Fn(&openelm::checkpoint::LayerConfig) -> usize| {
            let widths: Vec<i32> = config.layers.iter().map(|l| of(l) as i32).collect();
            i32s(&widths)
        };
        let number = |n: usize| u32_value(n as u32);
        let metadata = [
            ("general.architecture", text("openelm")),
            ("general.type", text("model")),
            ("general.name", text("a model of the tests")),
            ("openelm.block_count", number(config.layers.len())),
            ("openelm.context_length", number(config.max_context_length)),
            ("openelm.embedding_length", number(config.model_dim)),
            ("openelm.feed_forward_length", per_layer(&|l| l.ffn_dim)),
            ("openelm.attention.head_count", per_layer(&|l| l.q_heads)),
            (
                "openelm.attention.head_count_kv",
                per_layer(&|l| l.kv_heads),
            ),
            (
                "openelm.rope.freq_base",
                f32_value(config.rope_freq_constant),
            ),
            ("openelm.attention.layer_norm_rms_epsilon", f32_value(1e-6)),
            ("openelm.rope.dimension_count", number(config.head_dim)),
            ("openelm.attention.key_length", number(config.head_dim)),
            ("openelm.attention.value_length", number(config.head_dim)),
        ];
        let mut tensors = Vec::new();
        for spec in config.tensors() {
            let rows = numbers(checkpoint, &spec);
            let names = names(&spec.name);
            let format = if spec.shape.len() == 1 { F32 } else { format };
            for (name, rows) in names.iter().zip(rows.chunks(rows.len() / names.len())) {
                let mut sizes = vec![rows[0].len() as u64];
                if spec.shape.len() == 2 {
                    sizes.push(rows.len() as u64);
                }
                tensors.push(Tensor {
                    name: name.clone(),
                    sizes,
                    format,
                    bytes: rows.iter().flat_map(|row| encode(row, format)).collect(),
                });
            }
        }
        Self {
            magic: b"GGUF".to_vec(),
            version: 3,
            alignment: 32,
            metadata: metadata
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect(),
            tensors,
        }
    }

    /// Sets a key, in place of what it was.
    pub fn set(&mut self, key: &str, value: Vec<u8>) {
        self.remove(key);
        self.metadata.push((key.to_owned(), value));
    }

    pub fn remove(&mut self, key: &str) {
        self.metadata.retain(|(other, _)| other != key);
    }

    pub fn tensor(&mut self, name: &str) -> &mut Tensor {
        let mut tensors = self.tensors.iter_mut();
        tensors.find(|tensor| tensor.name == name).unwrap()
    }

    /// The vocabulary of a `tokenizer.json`, its tokens as they are numbered: special ones first, then those of bytes, then pieces of which
    /// the first is the best. With its list of merges, as some files have it, or without.
    pub fn set_vocabulary(&mut self, tokenizer: &Value, with_merges: bool) {
        let model = &tokenizer["model"];
        let vocab = model["vocab"].as_object().unwrap();
        let mut tokens = vec![""; vocab.len()];
        for (token, id) in vocab {
            tokens[id.as_u64().unwrap() as usize] = token;
        }
        let kind = |token: &&str| match *token {
            "<unk>" => 2,
            "<s>" | "</s>" => 3,
            byte if byte.starts_with("<0x") => 6,
            _ => 1,
        };
        let kinds: Vec<i32> = tokens.iter().map(kind).collect();
        let scores: Vec<f32> = (0..tokens.len()).map(|id| -(id as f32)).collect();
        self.set("tokenizer.ggml.model", text("llama"));
        self.set("tokenizer.ggml.tokens", texts(tokens));
        self.set("tokenizer.ggml.scores", f32s(&scores));
        self.set("tokenizer.ggml.token_type", i32s(&kinds));
        self.set("tokenizer.ggml.bos_token_id", u32_value(1));
        self.set("tokenizer.ggml.eos_token_id", u32_value(2));
        self.set("tokenizer.ggml.unknown_token_id", u32_value(0));
        self.set("tokenizer.ggml.add_bos_token", flag(true));
        if with_merges {
            let merges = model["merges"].as_array().unwrap();
            let merges = merges.iter().map(|merge| merge.as_str().unwrap());
            self.set("tokenizer.ggml.merges", texts(merges));
        }
    }

    /// Everything before the tensors.
    pub fn header(&self) -> Vec<u8> {
        let mut file = self.magic.clone();
        file.extend(self.version.to_le_bytes());
        file.extend((self.tensors.len() as u64).to_le_bytes());
        file.extend((self.metadata.len() as u64).to_le_bytes());
        for (key, value) in &self.metadata {
            file.extend(string(key.as_bytes()));
            file.extend(value);
        }
        let mut offset = 0u64;
        for tensor in &self.tensors {
            file.extend(string(tensor.name.as_bytes()));
            file.extend((tensor.sizes.len() as u32).to_le_bytes());
            file.extend(tensor.sizes.iter().flat_map(|size| size.to_le_bytes()));
            file.extend(tensor.format.to_le_bytes());
            file.extend(offset.to_le_bytes());
            offset = (offset + tensor.bytes.len() as u64).next_multiple_of(self.alignment);
        }
        file
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut file = self.header();
        let pad = |file: &mut Vec<u8>| {
            let end = (file.len() as u64).next_multiple_of(self.alignment);
            file.resize(end as usize, 0);
        };
        pad(&mut file);
        for tensor in &self.tensors {
            file.extend(&tensor.bytes);
            pad(&mut file);
        }
        file
    }
}

/// The dtype of ours that holds a format's numbers.
pub fn dtype(format: u32) -> Dtype {
    match format {
        F32 => Dtype::F32,
        F16 => Dtype::F16,
        BF16 => Dtype::Bf16,
        _ => Dtype::Q8,
    }
}

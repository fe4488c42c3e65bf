//! Checkpoints that MLX and others have quantised.

use std::path::Path;

use openelm::checkpoint::RowReader;
use openelm::{Checkpoint, Dtype, Error, ModelForm};
use serde_json::json;

use super::common::{self, encode, message, noise, open, safetensors, synthetic_tensors};

/// Rows of whole groups, and the first layer's `proj_2` of a narrower one.
const CONFIG: &str = r#"{"model_type":"openelm","num_transformer_layers":2,"model_dim":64,"vocab_size":32,"head_dim":16,
    "num_gqa_groups":2,"num_query_heads":[2,4],"ffn_dim_divisor":32,"ffn_multipliers":[0.5,2.0],"normalize_qk_projections":true,
    "share_input_output_layers":true,"max_context_length":64}"#;

/// A tensor's format, shape and bytes.
type Stored = (String, Vec<usize>, Vec<u8>);

/// A matrix as its tensors, and the numbers that these stand for.
struct Packed {
    tensors: [(&'static str, Stored); 3],
    numbers: Vec<f32>,
}

/// Integers that look random, packed as MLX packs them: one after the other from the lowest bit of 32 on.
fn packed(seed: u64, shape: &[usize], bits: usize, group: usize, dtype: Dtype) -> Packed {
    let (rows, columns) = (shape[0], shape[1]);
    let most = ((1u32 << bits) - 1) as f32;
    let integers: Vec<u32> = noise(seed, rows * columns)
        .iter()
        .map(|x| ((x + 1.0) * 0.5 * most).round() as u32)
        .collect();
    let mut words = Vec::new();
    for row in integers.chunks(columns) {
        let mut stream = vec![0u8; columns * bits / 8];
        for (i, integer) in row.iter().enumerate() {
            for bit in 0..bits {
                let at = i * bits + bit;
                stream[at / 8] |= ((integer >> bit & 1) as u8) << (at % 8);
            }
        }
        words.extend(stream);
    }
    let groups = rows * columns / group;
    // Multiples of 2^-8 are the same in all formats.
    let rounded = |seed| -> Vec<f32> {
        let some = noise(seed, groups);
        some.iter().map(|x| (x * 64.0).round() / 256.0).collect()
    };
    let (scales, biases) = (rounded(seed + 1000), rounded(seed + 2000));
    let numbers = integers
        .iter()
        .enumerate()
        .map(|(i, integer)| scales[i / group] * *integer as f32 + biases[i / group])
        .collect();
    let spelled = dtype.name().to_uppercase();
    let beside = |values: &[f32]| {
        let shape = vec![rows, columns / group];
        (spelled.clone(), shape, encode(values, dtype))
    };
    let word_shape = vec![rows, columns * bits / 32];
    Packed {
        tensors: [
            ("weight", ("U32".into(), word_shape, words)),
            ("scales", beside(&scales)),
            ("biases", beside(&biases)),
        ],
        numbers,
    }
}

fn write(folder: &Path, tensors: &Tensors) {
    std::fs::write(folder.join("config.json"), CONFIG).unwrap();
    std::fs::write(folder.join("model.safetensors"), safetensors(tensors)).unwrap();
}

type Tensors = std::collections::BTreeMap<String, (String, Vec<usize>, Vec<u8>)>;

/// A folder whose matrices are packed, as few or many bits as `bits` says of each, and what its tensors should be.
fn model(
    bits: impl Fn(usize) -> (usize, usize),
    dtype: Dtype,
) -> (tempfile::TempDir, Vec<(String, Vec<f32>)>) {
    let folder = tempfile::tempdir().unwrap();
    let mut tensors = synthetic_tensors(CONFIG, &[Dtype::F32]);
    let mut expected = Vec::new();
    let matrices: Vec<(String, Vec<usize>)> = tensors
        .iter()
        .filter(|(_, (_, shape, _))| shape.len() == 2)
        .map(|(name, (_, shape, _))| (name.clone(), shape.clone()))
        .collect();
    for (i, (name, shape)) in matrices.into_iter().enumerate() {
        let (bits, group) = bits(i);
        let packed = packed(i as u64, &shape, bits, group, dtype);
        let module = name.strip_suffix("weight").unwrap();
        for (part, tensor) in packed.tensors {
            tensors.insert(format!("{module}{part}"), tensor);
        }
        expected.push((name, packed.numbers));
    }
    write(folder.path(), &tensors);
    (folder, expected)
}

fn numbers(checkpoint: &Checkpoint, name: &str) -> Vec<f32> {
    let specs = checkpoint.config.tensors();
    let spec = specs.iter().find(|spec| spec.name == name).unwrap();
    let tensor = checkpoint.tensor(spec).unwrap();
    let mut reader = RowReader::default();
    let rows = 0..tensor.rows;
    rows.flat_map(|row| reader.read_f32(&tensor, row).to_vec())
        .collect()
}

#[test]
fn packed_matrices_are_the_numbers_that_they_stand_for() {
    const KINDS: [usize; 6] = [2, 3, 4, 5, 6, 8];
    for dtype in [Dtype::F16, Dtype::Bf16, Dtype::F32] {
        for (bits, group) in KINDS.map(|bits| (bits, 32)) {
            let (folder, expected) = model(|_| (bits, group), dtype);
            let checkpoint = open(folder.path()).unwrap();
            for (name, expected) in &expected {
                assert!(numbers(&checkpoint, name) == *expected, "{bits} {name}");
            }
            let [warning] = &checkpoint.warnings[..] else {
                panic!("{:?}", checkpoint.warnings);
            };
            assert!(warning.contains("quantised by MLX"), "{warning}");
        }
    }
    // Each matrix in its own way.
    let (folder, expected) = model(|i| (KINDS[i % 6], 32), Dtype::F16);
    let checkpoint = open(folder.path()).unwrap();
    for (name, expected) in &expected {
        assert!(numbers(&checkpoint, name) == *expected, "{name}");
    }
}

#[test]
fn a_packed_model_computes_what_its_numbers_do() {
    let (folder, expected) = model(|_| (4, 32), Dtype::F16);
    let plain = tempfile::tempdir().unwrap();
    let mut tensors = synthetic_tensors(CONFIG, &[Dtype::F32]);
    for (name, numbers) in expected {
        let (_, shape, _) = tensors[&name].clone();
        let bytes = encode(&numbers, Dtype::F32);
        tensors.insert(name, ("F32".into(), shape, bytes));
    }
    write(plain.path(), &tensors);
    let score = |folder: &Path| {
        let model = common::load(&folder.to_string_lossy(), None, true);
        let mut session = model.session().unwrap();
        session.score(&[1, 17, 3, 9, 30], 0).unwrap().logprobs
    };
    assert_eq!(score(folder.path()), score(plain.path()));
}

#[test]
fn what_is_packed_otherwise_is_named() {
    let embedding = "transformer.token_embeddings";
    let form = |change: &dyn Fn(&mut Tensors)| {
        let folder = tempfile::tempdir().unwrap();
        let mut tensors = synthetic_tensors(CONFIG, &[Dtype::F16]);
        change(&mut tensors);
        write(folder.path(), &tensors);
        match open(folder.path()) {
            Err(Error::OtherForm {
                form: ModelForm::Quantized { program },
                ..
            }) => program,
            other => message(other),
        }
    };
    let bytes = |dtype: &str, shape: &[usize], size: usize| {
        let count: usize = shape.iter().product();
        (dtype.to_owned(), shape.to_vec(), vec![0; count * size])
    };
    let replaced = |weight: Option<(&str, usize)>, beside: &'static str| {
        let weight = weight.map(|(dtype, size)| bytes(dtype, &[32, 8], size));
        form(&move |tensors: &mut Tensors| {
            tensors.remove(&format!("{embedding}.weight"));
            if let Some(weight) = weight.clone() {
                tensors.insert(format!("{embedding}.weight"), weight);
            }
            tensors.insert(format!("{embedding}.{beside}"), bytes("F16", &[32, 1], 2));
        })
    };
    // MLX's modes without biases.
    assert_eq!(replaced(Some(("U32", 4)), "scales"), "MLX");
    assert_eq!(replaced(None, "qweight"), "GPTQ or AWQ");
    assert_eq!(replaced(Some(("U8", 1)), "weight.absmax"), "bitsandbytes");
    assert_eq!(replaced(Some(("I8", 1)), "SCB"), "bitsandbytes");
    assert_eq!(replaced(None, "weight_packed"), "LLM Compressor");
    let fp8 = replaced(Some(("F8_E4M3", 1)), "other");
    assert!(
        fp8.contains("F8_E4M3") && fp8.contains("made from"),
        "{fp8}"
    );
}

#[test]
fn packed_matrices_that_do_not_fit_are_refused() {
    let (folder, _) = model(|_| (4, 32), Dtype::F16);
    let file = std::fs::read(folder.path().join("model.safetensors")).unwrap();
    let length = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    let header: serde_json::Value = serde_json::from_slice(&file[8..8 + length]).unwrap();
    for (part, change) in [
        ("weight", json!([32, 4])),
        ("weight", json!([16, 16])),
        ("scales", json!([64, 1])),
        ("scales", json!([128])),
        ("biases", json!([1, 64])),
    ] {
        let mut header = header.clone();
        header[format!("transformer.token_embeddings.{part}")]["shape"] = change.clone();
        let text = header.to_string();
        let spoiled = [
            &(text.len() as u64).to_le_bytes(),
            text.as_bytes(),
            &file[8 + length..],
        ]
        .concat();
        std::fs::write(folder.path().join("model.safetensors"), spoiled).unwrap();
        let text = message(open(folder.path()));
        assert!(
            text.contains("model.safetensors"),
            "{part} {change}: {text}"
        );
    }
}

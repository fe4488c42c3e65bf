//! Formats of weights: what a file holds is what is computed with.

use openelm::checkpoint::RowReader;
use openelm::checkpoint::quantize::dequantize_row;
use openelm::{Checkpoint, Dtype};
use serde_json::Value;

use super::common::{self, fixture, message};
use super::writer::{self, BF16, F16, F32, Q4_0, Q8_0, Writer};
use super::{Files, logprobs, name, small};

#[test]
fn every_format_is_read_to_the_bit() {
    let (folder, _) = small(F32);
    let original = Checkpoint::open(&name(folder.path())).unwrap();
    let files = Files::new();
    for format in [F32, F16, BF16, Q8_0, Q4_0] {
        let path = files.write("model.gguf", &Writer::of(&original, format).bytes());
        let read = Checkpoint::open(&name(&path)).unwrap();
        assert!(read.warnings.is_empty(), "{:?}", read.warnings);
        for spec in original.config.tensors() {
            let tensor = read.tensor(&spec).unwrap();
            let is_matrix = spec.shape.len() == 2;
            let format = if is_matrix { format } else { F32 };
            assert_eq!(tensor.dtype, writer::dtype(format), "{}", spec.name);
            let mut reader = RowReader::default();
            for (row, values) in writer::numbers(&original, &spec).iter().enumerate() {
                let expected = writer::decoded(values, format);
                assert_eq!(reader.read_f32(&tensor, row), expected, "{}", spec.name);
                // As it goes to the device.
                let mut bytes = vec![0xAA; tensor.dtype.row_bytes(tensor.columns)];
                reader.read(&tensor, row, tensor.dtype, &mut bytes);
                if tensor.dtype == Dtype::Q8 {
                    let mut back = vec![0.0; tensor.columns];
                    dequantize_row(&bytes, Dtype::Q8, &mut back);
                    assert_eq!(back, expected, "{}", spec.name);
                }
            }
            assert!(!reader.saw_non_finite);
        }
    }
}

/// Integers with scales lose nothing on the way to the device: the same model with its weights written out as numbers says the same.
#[test]
fn blocks_compute_what_their_numbers_do() {
    let (folder, _) = small(F32);
    let original = Checkpoint::open(&name(folder.path())).unwrap();
    let files = Files::new();
    let ids = [1, 17, 250, 3, 99, 42, 7];
    for format in [Q8_0, Q4_0] {
        let file = Writer::of(&original, format);
        let mut plain = Writer::of(&original, F32);
        for tensor in &mut plain.tensors {
            if tensor.sizes.len() == 2 {
                let le = tensor.bytes.chunks_exact(4);
                let numbers: Vec<f32> = le
                    .map(|le| f32::from_le_bytes(le.try_into().unwrap()))
                    .collect();
                tensor.bytes = writer::encode(&writer::decoded(&numbers, format), F32);
            }
        }
        let (file, plain) = (
            files.write("blocks.gguf", &file.bytes()),
            files.write("plain.gguf", &plain.bytes()),
        );
        let as_f32 = logprobs(&name(&file), &ids, Some(Dtype::F32));
        assert_eq!(as_f32, logprobs(&name(&plain), &ids, Some(Dtype::F32)));
        // The same numbers, multiplied in another order.
        for (x, y) in logprobs(&name(&file), &ids, None).iter().zip(&as_f32) {
            assert!((x - y).abs() < 1e-4, "{x} {y}");
        }
    }
}

/// Random blocks and what ggml's own Python package makes of them.
#[test]
fn ggml_reads_its_blocks_alike() {
    let path = fixture("gguf").join("blocks.json");
    let blocks: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let config = super::CONFIG.replace("\"model_dim\":32", "\"model_dim\":256");
    let folder = common::synthetic(&config, &[Dtype::F32]);
    let original = Checkpoint::open(&name(folder.path())).unwrap();
    let files = Files::new();
    for (format, block) in blocks.as_object().unwrap() {
        let row: Vec<u8> = common::ids(&block["bytes"])
            .into_iter()
            .map(|byte| byte as u8)
            .collect();
        let expected: Vec<f32> = common::numbers(&block["values"])
            .into_iter()
            .map(|x| x as f32)
            .collect();
        let mut file = Writer::of(&original, F16);
        let embedding = file.tensor("token_embd.weight");
        embedding.format = block["number"].as_u64().unwrap() as u32;
        embedding.bytes = row.repeat(300);
        let path = files.write("model.gguf", &file.bytes());
        let read = Checkpoint::open(&name(&path)).unwrap();
        let spec = original.config.outer_tensors().embedding;
        let tensor = read.tensor(&spec).unwrap();
        assert_eq!(tensor.bytes(), 300 * row.len());
        for at in [0, 299] {
            let values = RowReader::default().read_f32(&tensor, at).to_vec();
            assert_eq!(values, expected, "{format}");
        }
        // What has no like here is said to take more memory.
        let is_widened = read.warnings.iter().any(|warning| warning.contains(format));
        assert_eq!(is_widened, tensor.dtype == Dtype::F32, "{format}");
    }
}

#[test]
fn a_gate_may_be_stored_otherwise_than_what_it_is_for() {
    let (folder, _) = small(F32);
    let original = Checkpoint::open(&name(folder.path())).unwrap();
    let mut file = Writer::of(&original, Q8_0);
    let (fine, coarse) = (Writer::of(&original, F16), "blk.1.ffn_up.weight");
    let other = fine.tensors.into_iter().find(|t| t.name == coarse).unwrap();
    *file.tensor(coarse) = other;
    let files = Files::new();
    let path = files.write("model.gguf", &file.bytes());
    let read = Checkpoint::open(&name(&path)).unwrap();
    let spec = original.config.layer_tensors(1).proj_1;
    let tensor = read.tensor(&spec).unwrap();
    let rows = writer::numbers(&original, &spec);
    for (row, values) in rows.iter().enumerate() {
        let format = if row < tensor.rows / 2 { Q8_0 } else { F16 };
        let read = RowReader::default().read_f32(&tensor, row).to_vec();
        assert_eq!(read, writer::decoded(values, format));
    }
}

#[test]
fn other_formats_are_named_with_what_to_take() {
    let (_, mut file) = small(F16);
    file.tensor("blk.1.attn_qkv.weight").format = 10;
    let files = Files::new();
    let path = files.write("model.gguf", &file.bytes());
    let text = message(Checkpoint::open(&name(&path)));
    for word in ["model.gguf", "blk.1.attn_qkv.weight", "Q2_K", "Q8_0"] {
        assert!(text.contains(word), "{word}: {text}");
    }
    file.tensor("blk.1.attn_qkv.weight").format = 4_000_000_000;
    let path = files.write("model.gguf", &file.bytes());
    let text = message(Checkpoint::open(&name(&path)));
    assert!(text.contains("number 4000000000"), "{text}");
}

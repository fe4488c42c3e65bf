//! LoRA adapters as PEFT writes them, against weights merged here.

use std::collections::BTreeMap;
use std::path::Path;

use openelm::checkpoint::RowReader;
use openelm::{Checkpoint, Dtype};
use serde_json::{Value, json};

use super::checkpoints::CONFIG;
use super::common::{self, encode, message, noise, open, safetensors};

type Tensors = BTreeMap<String, (String, Vec<usize>, Vec<u8>)>;

const QKV: &str = "transformer.layers.0.attn.qkv_proj";
const PROJ_1: &str = "transformer.layers.1.ffn.proj_1";
const EMBEDDINGS: &str = "transformer.token_embeddings";

struct Adapter(tempfile::TempDir);

/// Numbers of a tensor, as they are after having been stored.
fn stored(seed: u64, count: usize, dtype: Dtype) -> (Vec<f32>, Vec<u8>) {
    let values: Vec<f32> = noise(seed, count).iter().map(|x| x * 0.1).collect();
    let bytes = encode(&values, dtype);
    let back = match dtype {
        Dtype::F16 => values
            .iter()
            .map(|x| half::f16::from_f32(*x).to_f32())
            .collect(),
        Dtype::Bf16 => values
            .iter()
            .map(|x| half::bf16::from_f32(*x).to_f32())
            .collect(),
        _ => values,
    };
    (back, bytes)
}

fn put(
    tensors: &mut Tensors,
    name: String,
    shape: [usize; 2],
    seed: u64,
    dtype: Dtype,
) -> Vec<f32> {
    let (values, bytes) = stored(seed, shape[0] * shape[1], dtype);
    tensors.insert(name, (dtype.name().to_uppercase(), shape.to_vec(), bytes));
    values
}

impl Adapter {
    fn new(config: &Value, tensors: &Tensors) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(
            folder.path().join("adapter_config.json"),
            config.to_string(),
        )
        .unwrap();
        std::fs::write(
            folder.path().join("adapter_model.safetensors"),
            safetensors(tensors),
        )
        .unwrap();
        Self(folder)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

fn config(more: &[(&str, Value)]) -> Value {
    let mut config = json!({"peft_type": "LORA", "r": 3, "lora_alpha": 6, "base_model_name_or_path": "apple/OpenELM-270M",
        "target_modules": ["qkv_proj", "proj_1"], "bias": "none", "modules_to_save": null, "use_dora": false, "use_rslora": false});
    for (key, value) in more {
        config[*key] = value.clone();
    }
    config
}

fn shape(checkpoint: &Checkpoint, module: &str) -> [usize; 2] {
    let specs = checkpoint.config.tensors();
    let spec = specs
        .iter()
        .find(|spec| spec.name == format!("{module}.weight"))
        .unwrap();
    [spec.shape[0], spec.shape[1]]
}

fn values(checkpoint: &Checkpoint, module: &str) -> Vec<f32> {
    let specs = checkpoint.config.tensors();
    let spec = specs
        .iter()
        .find(|spec| spec.name == format!("{module}.weight"))
        .unwrap();
    let tensor = checkpoint.tensor(spec).unwrap();
    let mut reader = RowReader::default();
    (0..tensor.rows)
        .flat_map(|row| reader.read_f32(&tensor, row).to_vec())
        .collect()
}

/// W + scale * B A, in f64.
fn merged(base: &[f32], a: &[f32], b: &[f32], [rows, columns]: [usize; 2], scale: f64) -> Vec<f64> {
    let rank = a.len() / columns;
    let value = |i: usize| {
        let (row, column) = (i / columns, i % columns);
        let product: f64 = (0..rank)
            .map(|k| f64::from(b[row * rank + k]) * f64::from(a[k * columns + column]))
            .sum();
        f64::from(base[i]) + scale * product
    };
    (0..rows * columns).map(value).collect()
}

fn assert_near(found: &[f32], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!(
            (f64::from(*found) - expected).abs() < 1e-5,
            "{found} {expected}"
        );
    }
}

#[test]
fn an_adapter_is_merged_as_peft_would() {
    let folder = common::synthetic(CONFIG, &[Dtype::F32]);
    let base = open(folder.path()).unwrap();
    for (dtype, more, scales) in [
        (Dtype::F32, vec![], [2.0, 2.0]),
        (
            Dtype::F16,
            vec![
                ("use_rslora", json!(true)),
                ("bias", json!("all")),
                ("rank_pattern", json!({"proj_1": 5})),
            ],
            [6.0 / 3f64.sqrt(), 6.0 / 5f64.sqrt()],
        ),
        (
            Dtype::Bf16,
            vec![
                ("alpha_pattern", json!({"layers.1.ffn.proj_1": 20})),
                ("rank_pattern", json!({"proj_1": 5})),
            ],
            [2.0, 4.0],
        ),
    ] {
        // Of the plain one both modules have the rank 3.
        let ranks = [3, if more.is_empty() { 3 } else { 5 }];
        let mut tensors = Tensors::new();
        let mut expected = Vec::new();
        for (i, module) in [QKV, PROJ_1].into_iter().enumerate() {
            let [rows, columns] = shape(&base, module);
            let name = |part: &str| format!("base_model.model.{module}.{part}.weight");
            let a = put(
                &mut tensors,
                name("lora_A"),
                [ranks[i], columns],
                40 + i as u64,
                dtype,
            );
            let b = put(
                &mut tensors,
                name("lora_B"),
                [rows, ranks[i]],
                50 + i as u64,
                dtype,
            );
            expected.push(merged(
                &values(&base, module),
                &a,
                &b,
                [rows, columns],
                scales[i],
            ));
        }
        let adapter = Adapter::new(&config(&more), &tensors);
        let mut changed = open(folder.path()).unwrap();
        changed.merge_lora(adapter.path()).unwrap();
        assert_near(&values(&changed, QKV), &expected[0]);
        assert_near(&values(&changed, PROJ_1), &expected[1]);
        assert_eq!(values(&changed, EMBEDDINGS), values(&base, EMBEDDINGS));
        assert_ne!(changed.fingerprint().unwrap(), base.fingerprint().unwrap());
    }
}

#[test]
fn adapters_add_up_and_the_embedding_has_its_own_layout() {
    let folder = common::synthetic(CONFIG, &[Dtype::F32]);
    let mut checkpoint = open(folder.path()).unwrap();
    let before = values(&checkpoint, EMBEDDINGS);
    let [rows, columns] = shape(&checkpoint, EMBEDDINGS);
    let mut tensors = Tensors::new();
    let name = |part: &str| format!("base_model.model.{EMBEDDINGS}.lora_embedding_{part}");
    let a = put(&mut tensors, name("A"), [2, rows], 60, Dtype::F32);
    let b = put(&mut tensors, name("B"), [columns, 2], 61, Dtype::F32);
    let turned = |values: &[f32], columns: usize| -> Vec<f32> {
        (0..values.len())
            .map(|i| {
                values[(i % (values.len() / columns)) * columns + i / (values.len() / columns)]
            })
            .collect()
    };
    let settings = [
        ("r", json!(2)),
        ("lora_alpha", json!(4)),
        ("target_modules", json!(["token_embeddings"])),
    ];
    let adapter = Adapter::new(&config(&settings), &tensors);
    checkpoint.merge_lora(adapter.path()).unwrap();
    checkpoint.merge_lora(adapter.path()).unwrap();
    let expected = merged(
        &before,
        &turned(&b, 2),
        &turned(&a, rows),
        [rows, columns],
        4.0,
    );
    assert_near(&values(&checkpoint, EMBEDDINGS), &expected);
    let is_told = |warning: &String| warning.contains("output matrix too");
    assert!(checkpoint.warnings.iter().any(is_told));
}

/// PEFT makes no adapter for a module that nobody names, and does nothing with its matrices.
#[test]
fn matrices_for_other_modules_are_left_out_with_a_warning() {
    let folder = common::synthetic(CONFIG, &[Dtype::F32]);
    let mut checkpoint = open(folder.path()).unwrap();
    let before = values(&checkpoint, QKV);
    let [rows, columns] = shape(&checkpoint, QKV);
    let mut tensors = Tensors::new();
    let name = |part: &str| format!("base_model.model.{QKV}.{part}.weight");
    put(&mut tensors, name("lora_A"), [3, columns], 1, Dtype::F32);
    put(&mut tensors, name("lora_B"), [rows, 3], 2, Dtype::F32);
    let adapter = Adapter::new(&config(&[("target_modules", json!(["proj_1"]))]), &tensors);
    checkpoint.merge_lora(adapter.path()).unwrap();
    assert_eq!(values(&checkpoint, QKV), before);
    let is_told =
        |warning: &String| warning.contains("target_modules") && warning.contains("qkv_proj");
    assert!(checkpoint.warnings.iter().any(is_told));
    // Another rank than the configuration has is another adapter's.
    let other = Adapter::new(&config(&[("r", json!(4))]), &tensors);
    let text = message(checkpoint.merge_lora(other.path()));
    assert!(text.contains("rank 3") && text.contains("says 4"), "{text}");
}

#[test]
fn what_cannot_be_merged_is_named() {
    let folder = common::synthetic(CONFIG, &[Dtype::F16]);
    let mut checkpoint = open(folder.path()).unwrap();
    let [rows, columns] = shape(&checkpoint, QKV);
    let sound = || {
        let mut tensors = Tensors::new();
        let name = |part: &str| format!("base_model.model.{QKV}.{part}.weight");
        put(&mut tensors, name("lora_A"), [3, columns], 1, Dtype::F16);
        put(&mut tensors, name("lora_B"), [rows, 3], 2, Dtype::F16);
        tensors
    };
    let mut refused = |config: &Value, tensors: &Tensors, words: &[&str]| {
        let adapter = Adapter::new(config, tensors);
        let text = message(checkpoint.merge_lora(adapter.path()));
        for word in words {
            assert!(text.contains(word), "`{word}` is not in: {text}");
        }
    };
    for (field, value, word) in [
        ("use_dora", json!(true), "DoRA"),
        ("modules_to_save", json!(["lm_head"]), "whole modules"),
        ("peft_type", json!("IA3"), "IA3"),
    ] {
        refused(
            &config(&[(field, value)]),
            &sound(),
            &["adapter_config.json", word],
        );
    }
    let plain = config(&[]);
    let with = |name: &str, shape: [usize; 2]| {
        let mut tensors = sound();
        put(&mut tensors, name.to_owned(), shape, 3, Dtype::F16);
        tensors
    };
    // Rows without numbers take no bytes, so there may be any number of them.
    let endless = with(
        &format!("base_model.model.{QKV}.lora_A.weight"),
        [1 << 60, 0],
    );
    refused(&plain, &endless, &["lora_A", "1152921504606846976"]);
    let module = "base_model.model.transformer.layers.9.attn.qkv_proj";
    let mut other = with(&format!("{module}.lora_A.weight"), [3, columns]);
    put(
        &mut other,
        format!("{module}.lora_B.weight"),
        [rows, 3],
        3,
        Dtype::F16,
    );
    refused(
        &plain,
        &other,
        &["layers.9", "no such tensor", "apple/OpenELM-270M"],
    );
    refused(
        &plain,
        &with("base_model.model.lm_head.modules_to_save.weight", [3, 3]),
        &["modules_to_save", "more than can be merged"],
    );
    // No layer of OpenELM has a bias, so `bias: all` trains none; one that is there belongs to another model.
    for bias in ["bias", "base_layer.bias", "lora_B.bias"] {
        let name = format!("base_model.model.{QKV}.{bias}");
        let learned = with(&name, [1, 3]);
        refused(
            &config(&[("bias", json!("all"))]),
            &learned,
            &[&name, "more than can be merged"],
        );
    }
    refused(
        &plain,
        &with(
            &format!("base_model.model.{QKV}.lora_magnitude_vector"),
            [3, 3],
        ),
        &["magnitude"],
    );
    refused(
        &plain,
        &with(
            &format!("base_model.model.{PROJ_1}.lora_A.weight"),
            [3, columns],
        ),
        &[PROJ_1, "missing"],
    );
    refused(
        &plain,
        &with(
            &format!("base_model.model.{QKV}.lora_B.weight"),
            [rows + 1, 3],
        ),
        &[QKV, "A and B make"],
    );
    refused(&plain, &Tensors::new(), &["no tensor"]);
    let empty = tempfile::tempdir().unwrap();
    assert!(message(checkpoint.merge_lora(empty.path())).contains("adapter_config.json"));
    std::fs::write(empty.path().join("adapter_config.json"), plain.to_string()).unwrap();
    std::fs::write(empty.path().join("adapter_model.bin"), b"PK").unwrap();
    assert!(message(checkpoint.merge_lora(empty.path())).contains("PyTorch"));
    // As a model it is named for what it is.
    let text = message(open(empty.path()));
    assert!(
        text.contains("LoRA adapter") && text.contains("apple/OpenELM-270M"),
        "{text}"
    );
}

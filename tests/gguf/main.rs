//! GGUF files are models as folders are: the same numbers, ids, settings and templates; and nothing that one says does harm.

#[path = "../common/mod.rs"]
mod common;
mod formats;
mod hostile;
mod places;
mod text;
mod writer;

use std::path::{Path, PathBuf};

use common::{fixture, message};
use openelm::{Checkpoint, Dtype, Model, ModelFiles};
use serde_json::Value;
use writer::{F16, Writer};

/// A small model whose matrices can have any format of blocks of 32.
const CONFIG: &str = r#"{"model_type":"openelm","num_transformer_layers":2,"model_dim":32,"vocab_size":300,"head_dim":8,
    "num_gqa_groups":2,"num_query_heads":[4,8],"num_kv_heads":[2,4],"ffn_dim_divisor":32,"ffn_multipliers":[1.0,3.0],
    "normalize_qk_projections":true,"share_input_output_layers":true,"max_context_length":64}"#;

/// A folder to write files into.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

fn name(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// The small model as a folder, and as a file of its own making.
fn small(format: u32) -> (tempfile::TempDir, Writer) {
    let folder = common::synthetic(CONFIG, &[Dtype::F32]);
    let writer = Writer::of(&Checkpoint::open(&name(folder.path())).unwrap(), format);
    (folder, writer)
}

fn converted() -> PathBuf {
    fixture("gguf").join("converted-f16.gguf")
}

fn golden() -> Value {
    let path = fixture("gguf").join("converted-golden.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Log-probabilities of ids, with everything exact that can be.
fn logprobs(model: &str, ids: &[u32], dtype: Option<Dtype>) -> Vec<f32> {
    let mut options = common::options(None, true);
    options.dtype = dtype;
    let model = Model::load(model, &options).unwrap();
    let score = model.session().unwrap().score(ids, 0).unwrap();
    score.logprobs.into_iter().flatten().collect()
}

#[test]
fn a_file_of_the_converter_computes_what_llama_cpp_does() {
    let golden = golden();
    let ids = common::ids(&golden["ids"]);
    let theirs = common::numbers(&golden["logprobs"]);
    let ours = logprobs(&name(&converted()), &ids, None);
    assert_eq!(ours.len(), theirs.len());
    for (ours, theirs) in ours.iter().zip(theirs) {
        // It keeps keys and values in f16.
        assert!((f64::from(*ours) - theirs).abs() < 0.01, "{ours} {theirs}");
    }
}

#[test]
fn a_file_of_the_converter_says_what_the_folder_said() {
    let files = ModelFiles::open(&name(&converted())).unwrap();
    let config = files.config();
    let layers = config.layers.iter();
    let widths: Vec<_> = layers
        .map(|layer| (layer.q_heads, layer.kv_heads, layer.ffn_dim))
        .collect();
    assert_eq!(widths, [(4, 2, 32), (4, 2, 64), (8, 4, 96)]);
    let sizes = (config.model_dim, config.head_dim, config.vocab_size);
    assert_eq!(sizes, (32, 8, 402));
    assert_eq!(config.max_context_length, 128);
    assert_eq!(config.eos_token_ids, [2]);
    assert_eq!(config.derived, [""; 0]);
    let generation = &files.generation_config();
    assert!(generation.do_sample);
    assert_eq!(files.sampling_defaults().temperature, 0.7);
    assert_eq!(files.sampling_defaults().top_p, 0.9);
    let template = files.chat_template().unwrap();
    assert!(template.is_some());
}

#[test]
fn a_file_has_the_logits_of_its_folder() {
    let demo = Checkpoint::open("demo").unwrap();
    let files = Files::new();
    let path = files.write("demo.gguf", &Writer::of(&demo, F16).bytes());
    let ids = [1, 1946, 761, 261, 507, 435, 308, 261, 478];
    assert_eq!(
        logprobs(&name(&path), &ids, None),
        logprobs("demo", &ids, None)
    );
}

#[test]
fn a_file_is_found_in_its_folder() {
    let (_, writer) = small(F16);
    let files = Files::new();
    let folder = name(files.0.path());
    files.write("notes.txt", b"");
    files.write("model-f16.GGUF", &writer.bytes());
    assert!(Checkpoint::open(&folder).is_ok());
    // A name without the usual ending, as in a cache.
    let plain = files.write("blob", &writer.bytes());
    assert!(Checkpoint::open(&name(&plain)).is_ok());
    files.write("model-q8.gguf", &writer.bytes());
    let text = message(Checkpoint::open(&folder));
    assert!(text.contains("model-f16.GGUF, model-q8.gguf"), "{text}");
    // What people download beside a model is no reason to leave the model.
    files.write("config.json", CONFIG.as_bytes());
    let tensors = common::safetensors(&common::synthetic_tensors(CONFIG, &[Dtype::F32]));
    files.write("model.safetensors", &tensors);
    let model = Checkpoint::open(&folder).unwrap();
    assert_eq!(model.own_folder(), Some(files.0.path()));
}

#[test]
fn quantising_a_file_makes_a_folder_with_all_that_it_said() {
    let checkpoint = Checkpoint::open(&name(&converted())).unwrap();
    let files = Files::new();
    let out = files.0.path().join("q8");
    checkpoint
        .write_quantized(&out, Dtype::Q8, |_, _| {})
        .unwrap();
    let written = ModelFiles::open(&name(&out)).unwrap();
    let mut config = checkpoint.config.clone();
    config.derived = written.config().derived.clone();
    assert_eq!(*written.config(), config);
    let original = ModelFiles::open(&name(&converted())).unwrap();
    let text = "the king and the hen";
    assert_eq!(
        written.encode(text).unwrap(),
        original.encode(text).unwrap()
    );
    assert_eq!(written.sampling_defaults(), original.sampling_defaults());
    assert!(written.chat_template().unwrap().is_some());
}

//! Where GGUF files lie, and what is put on top of them.

use std::path::Path;

use openelm::{Checkpoint, Dtype};

use super::common::{self, all_numbers, encode, message, noise, safetensors};
use super::writer::{F16, F32, Q8_0, Writer};
use super::{Files, name, small};

#[test]
fn hidden_files_are_passed_over() {
    let (_, writer) = small(F16);
    let files = Files::new();
    let folder = name(files.0.path());
    // macOS leaves such beside what it copies.
    files.write("._model.gguf", b"\0\x05\x16\x07");
    assert!(message(Checkpoint::open(&folder)).contains("config.json"));
    files.write("model.gguf", &writer.bytes());
    let checkpoint = Checkpoint::open(&folder).unwrap();
    assert!(checkpoint.folder.ends_with("model.gguf"));
}

#[test]
fn a_file_of_another_program_is_named() {
    let files = Files::new();
    files.write("model.onnx", b"");
    let text = message(Checkpoint::open(&name(files.0.path())));
    assert!(
        text.contains("there is model.onnx, a file of ONNX; name that file itself if"),
        "{text}"
    );
}

const QKV: &str = "transformer.layers.0.attn.qkv_proj";
const PROJ_1: &str = "transformer.layers.1.ffn.proj_1";

/// An adapter of rank 2 for two matrices of the small model, one of which a file has in two parts.
fn adapter(base: &Checkpoint) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut tensors = std::collections::BTreeMap::new();
    for (seed, module) in [(1, QKV), (3, PROJ_1)] {
        let specs = base.config.tensors();
        let spec = specs
            .iter()
            .find(|spec| spec.name == format!("{module}.weight"))
            .unwrap();
        for (seed, part, shape) in [
            (seed, "lora_A", vec![2, spec.shape[1]]),
            (seed + 1, "lora_B", vec![spec.shape[0], 2]),
        ] {
            let values = noise(seed, shape.iter().product());
            tensors.insert(
                format!("base_model.model.{module}.{part}.weight"),
                ("F32".to_owned(), shape, encode(&values, Dtype::F32)),
            );
        }
    }
    let config = r#"{"peft_type":"LORA","r":2,"lora_alpha":4,"target_modules":["qkv_proj","proj_1"],"bias":"none"}"#;
    std::fs::write(folder.path().join("adapter_config.json"), config).unwrap();
    std::fs::write(
        folder.path().join("adapter_model.safetensors"),
        safetensors(&tensors),
    )
    .unwrap();
    folder
}

fn merged(path: &Path, adapter: &Path) -> Checkpoint {
    let mut checkpoint = Checkpoint::open(&name(path)).unwrap();
    checkpoint.merge_lora(adapter).unwrap();
    checkpoint
}

#[test]
fn an_adapter_is_merged_into_a_file_as_into_its_folder() {
    let (folder, writer) = small(F32);
    let files = Files::new();
    let file = files.write("model.gguf", &writer.bytes());
    let plain = Checkpoint::open(&name(&file)).unwrap();
    let adapter = adapter(&plain);
    let ours = all_numbers(&merged(folder.path(), adapter.path()));
    let theirs = all_numbers(&merged(&file, adapter.path()));
    assert!(ours == theirs);
    assert!(theirs != all_numbers(&plain));
    // Blocks become numbers first.
    let blocks = Writer::of(&Checkpoint::open(&name(folder.path())).unwrap(), Q8_0).bytes();
    let file = files.write("q8.gguf", &blocks);
    let base = all_numbers(&Checkpoint::open(&name(&file)).unwrap());
    let changed = all_numbers(&merged(&file, adapter.path()));
    let plain = all_numbers(&plain);
    for (i, (changed, base)) in changed.iter().zip(&base).enumerate() {
        let delta = theirs[i] - plain[i];
        assert!(
            (changed - base - delta).abs() <= 1e-5,
            "{i}: {changed} {base} {delta}"
        );
    }
    // It computes with that, and what is written of it is the merged model.
    let ids = [1, 17, 250, 3];
    let loaded = |checkpoint: &Path| {
        let mut files = openelm::ModelFiles::open(&name(checkpoint)).unwrap();
        files.merge_lora(adapter.path()).unwrap();
        let model = files.load(&common::options(None, true), |_| {}).unwrap();
        model.session().unwrap().score(&ids, 0).unwrap().logprobs
    };
    let file = files.write("model.gguf", &writer.bytes());
    assert_eq!(loaded(&file), loaded(folder.path()));
}

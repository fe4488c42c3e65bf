//! What a model has no use for is refused when it is used, wherever that is: tokens beyond the vocabulary, numbers that are none.

use std::path::Path;

use openelm::text::{ChatTemplate, Role, Template, Tokenizer, Turn};
use openelm::{Dtype, Error};
use serde_json::{Value, json};

use super::checkpoints::CONFIG;
use super::common::{self, safetensors, synthetic_tensors};
use super::tokenizers::demo_file;

/// The demo's tokenizer, with a token that the model has no id for.
fn padded() -> Tokenizer {
    let mut tokenizer: Value = serde_json::from_slice(&demo_file("tokenizer.json")).unwrap();
    let pad = json!({"id": 4096, "content": "<pad>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
        "special": true});
    tokenizer["added_tokens"].as_array_mut().unwrap().push(pad);
    let bytes = tokenizer.to_string().into_bytes();
    Tokenizer::from_bytes(&bytes, Path::new("tokenizer.json"), 1, 4096).unwrap()
}

#[test]
fn a_token_beyond_the_vocabulary_is_refused_wherever_text_is_encoded() {
    let tokenizer = padded();
    assert!(tokenizer.encode_alone("a pad").is_ok());
    // A template that writes it itself.
    let template = Template {
        assistant: "<pad>{text}".into(),
        ..Template::plain()
    };
    let turns = [Turn::new(Role::User, "Hello")];
    let prompt = ChatTemplate::from(template)
        .prompt(&turns, &tokenizer)
        .unwrap();
    for refused in [
        tokenizer.encode("a <pad>"),
        tokenizer.encode_alone("a <pad>"),
        tokenizer.encode_chat(&prompt),
    ] {
        let error = refused.unwrap_err();
        assert!(
            matches!(&error, Error::TokenBeyondVocabulary { token, id: 4096, vocab_size: 4096 } if token == "<pad>"),
            "{error}"
        );
        // Whoever asks a server for it is told that, not that the server is at fault.
        #[cfg(feature = "server")]
        assert_eq!(openelm::server::ApiError::from(&error).status, 400);
    }
    // What somebody says is text, whatever it spells.
    let turns = [Turn::new(Role::User, "a <pad>")];
    let prompt = ChatTemplate::from(Template::plain())
        .prompt(&turns, &tokenizer)
        .unwrap();
    assert!(tokenizer.encode_chat(&prompt).is_ok());
}

/// A model with one number of a matrix spoiled.
fn spoiled(dtype: Dtype, bits: &[u8]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut tensors = synthetic_tensors(CONFIG, &[dtype]);
    let name = "transformer.layers.1.ffn.proj_2.weight";
    tensors.get_mut(name).unwrap().2[..bits.len()].copy_from_slice(bits);
    std::fs::write(folder.path().join("config.json"), CONFIG).unwrap();
    std::fs::write(
        folder.path().join("model.safetensors"),
        safetensors(&tensors),
    )
    .unwrap();
    folder
}

#[test]
fn a_weight_that_is_no_number_is_found_when_it_is_read() {
    weights_that_are_no_numbers(openelm::ComputePath::Gpu);
}

#[test]
fn a_weight_that_is_no_number_is_found_when_it_is_read_from_textures_too() {
    weights_that_are_no_numbers(openelm::ComputePath::Software);
}

fn weights_that_are_no_numbers(compute_path: openelm::ComputePath) {
    for (dtype, bits) in [
        (Dtype::F16, &[0x00, 0x7e][..]),
        (Dtype::F16, &[0x00, 0xfc]),
        (Dtype::Bf16, &[0xc0, 0x7f]),
        (Dtype::F32, &[0, 0, 0xc0, 0x7f]),
    ] {
        let folder = spoiled(dtype, bits);
        let path = folder.path().to_string_lossy();
        for loaded_as in [None, Some(Dtype::Bf16), Some(Dtype::Q8)] {
            let mut options = common::options(Some(compute_path), false);
            options.dtype = loaded_as;
            let model = openelm::Model::load(&path, &options).unwrap();
            let found = model
                .warnings()
                .iter()
                .any(|warning| warning.contains("proj_2") && warning.contains("NaN or infinite"));
            assert!(found, "{dtype} as {loaded_as:?}: {:?}", model.warnings());
        }
    }
}

/// As a quantised number NaN is 0: the model would work, and nobody could see that it is another one.
#[test]
fn a_weight_that_is_no_number_is_not_quantised_away() {
    let folder = spoiled(Dtype::F16, &[0x00, 0x7e]);
    let checkpoint = common::open(folder.path()).unwrap();
    for dtype in [Dtype::Q8, Dtype::Q4] {
        let parent = tempfile::tempdir().unwrap();
        let written = checkpoint.write_quantized(&parent.path().join("out"), dtype, |_, _| {});
        let error = written.unwrap_err();
        assert!(
            matches!(&error, Error::Tensor { name, what, .. } if name.contains("1.ffn.proj_2") && what.contains("NaN or infinite")),
            "{error}"
        );
        assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 0);
    }
}

/// f16, in which scales are, ends at 6e-8: below, weights would be other ones without a word.
#[test]
fn a_matrix_that_is_too_small_for_quantising_is_told() {
    let name = "transformer.layers.1.attn.out_proj.weight";
    let mut tensors = synthetic_tensors(CONFIG, &[Dtype::F32]);
    for number in tensors.get_mut(name).unwrap().2.as_chunks_mut::<4>().0 {
        *number = (f32::from_le_bytes(*number) * 1e-8).to_le_bytes();
    }
    let faint = common::synthetic(CONFIG, &[Dtype::F32]);
    std::fs::write(
        faint.path().join("model.safetensors"),
        safetensors(&tensors),
    )
    .unwrap();
    let usual = common::synthetic(CONFIG, &[Dtype::F32]);
    for dtype in [Dtype::Q8, Dtype::Q4] {
        let told = |folder: &Path| -> [Vec<String>; 2] {
            let mut options = common::options(None, false);
            options.dtype = Some(dtype);
            let model = openelm::Model::load(&folder.to_string_lossy(), &options).unwrap();
            let out = tempfile::tempdir().unwrap();
            let written = common::open(folder)
                .unwrap()
                .write_quantized(&out.path().join("out"), dtype, |_, _| {})
                .unwrap();
            [model.warnings().to_vec(), written]
        };
        let words = format!("too small for {dtype}");
        for warnings in told(faint.path()) {
            let is_told = |warning: &&String| warning.contains(name) && warning.contains(&words);
            assert_eq!(warnings.iter().filter(is_told).count(), 1, "{warnings:?}");
        }
        for warnings in told(usual.path()) {
            assert!(
                !warnings.iter().any(|warning| warning.contains(&words)),
                "{warnings:?}"
            );
        }
    }
}

//! tokenizer.json as trainers and other programs save it.

use std::path::Path;

use openelm::text::Tokenizer;
use openelm::{Error, GenerateOptions, Model};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::common;

const PROMPT: &str = "Once upon a time";
const IDS: [u32; 5] = [1, 1946, 761, 261, 507];

pub fn demo_file(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/demo");
    std::fs::read(folder.join(name)).unwrap()
}

fn changed(change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut tokenizer = serde_json::from_slice(&demo_file("tokenizer.json")).unwrap();
    change(&mut tokenizer);
    tokenizer.to_string().into_bytes()
}

fn tokenizer(bytes: &[u8], vocab: usize) -> openelm::Result<Tokenizer> {
    Tokenizer::from_bytes(bytes, Path::new("tokenizer.json"), 1, vocab)
}

fn added(id: u32, content: &str) -> Value {
    json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true})
}

fn add(tokenizer: &mut Value, token: Value) {
    tokenizer["added_tokens"]
        .as_array_mut()
        .unwrap()
        .push(token);
}

#[test]
fn what_was_meant_for_training_is_left_alone() {
    let truncation = |length: u32, stride: u32| {
        changed(|tokenizer| {
            tokenizer["truncation"] = json!({"direction": "Right", "max_length": length, "strategy": "LongestFirst", "stride": stride});
        })
    };
    let padding = changed(|tokenizer| {
        tokenizer["padding"] = json!({"strategy": {"Fixed": 32}, "direction": "Right", "pad_to_multiple_of": null,
            "pad_id": 2, "pad_type_id": 0, "pad_token": "</s>"});
    });
    let with_mark = [&b"\xef\xbb\xbf"[..], &demo_file("tokenizer.json")].concat();
    for bytes in [
        truncation(4, 0),
        truncation(2, 2),
        truncation(0, 9),
        padding,
        with_mark,
    ] {
        assert_eq!(
            tokenizer(&bytes, 4096).unwrap().encode(PROMPT).unwrap(),
            IDS
        );
    }
}

#[test]
fn tokens_beyond_the_model_are_fine_until_one_is_used() {
    let padded = changed(|tokenizer| add(tokenizer, added(4096, "<pad>")));
    let tokenizer = tokenizer(&padded, 4096).unwrap();
    assert_eq!(tokenizer.encode(PROMPT).unwrap(), IDS);
    let error = tokenizer.encode("a <pad> b").unwrap_err();
    assert!(error.is_of_prompt());
    let text = error.to_string();
    assert!(
        text.contains("<pad>") && text.contains("4096") && text.contains("4095"),
        "{text}"
    );
    // One that the model of the tokenizer has itself is another matter.
    let text = common::message(self::tokenizer(&demo_file("tokenizer.json"), 4000).map(drop));
    assert!(text.contains("another model"), "{text}");
}

#[test]
fn a_special_token_can_be_a_stop_string() {
    let folder = tempfile::tempdir().unwrap();
    let dot = tokenizer(&demo_file("tokenizer.json"), 4096)
        .unwrap()
        .encode("a.")
        .unwrap()[2];
    for name in ["config.json", "model.safetensors"] {
        std::fs::write(folder.path().join(name), demo_file(name)).unwrap();
    }
    let special = changed(|tokenizer| add(tokenizer, added(dot, ".")));
    std::fs::write(folder.path().join("tokenizer.json"), special).unwrap();
    let model = common::load(&folder.path().to_string_lossy(), None, false);
    let mut options = GenerateOptions::default();
    options.max_tokens = Some(40);
    options.stop = vec![".".into()];
    let mut session = model.session().unwrap();
    let mut generation = session.generate(&IDS, &options).unwrap();
    let text: String = generation
        .by_ref()
        .map(|token| token.unwrap().text)
        .collect();
    assert_eq!(generation.finish(), Some(openelm::Finish::Stop));
    assert!(text.ends_with("beautiful daughter"), "{text}");
}

/// 32,000 words, with Llama 2's ids for some.
fn of_llamas_size(known: &[(&str, u32)]) -> Vec<u8> {
    let mut words: Vec<String> = (0..32000).map(|id| format!("w{id}")).collect();
    for (word, id) in known {
        words[*id as usize] = (*word).to_owned();
    }
    let vocab: serde_json::Map<String, Value> = (0..)
        .zip(words)
        .map(|(id, word)| (word, json!(id)))
        .collect();
    json!({"version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null, "pre_tokenizer": null,
        "post_processor": null, "decoder": null, "model": {"type": "WordLevel", "vocab": vocab, "unk_token": "w0"}})
    .to_string()
    .into_bytes()
}

#[test]
fn a_tokenizer_of_another_family_is_noticed() {
    let llama = [
        ("<s>", 1),
        ("</s>", 2),
        ("<0x0A>", 13),
        ("▁the", 278),
        ("▁upon", 2501),
        ("▁Once", 9038),
        ("▁", 29871),
        (".", 29889),
    ];
    assert_eq!(
        tokenizer(&of_llamas_size(&llama), 32000).unwrap().warning(),
        None
    );
    let mut other = llama;
    other[3].1 = 272;
    let warning = tokenizer(&of_llamas_size(&other), 32000)
        .unwrap()
        .warning()
        .unwrap();
    assert!(
        warning.contains("▁the") && warning.contains("278") && warning.contains("272"),
        "{warning}"
    );
    assert_eq!(
        tokenizer(&demo_file("tokenizer.json"), 4096)
            .unwrap()
            .warning(),
        None
    );
}

#[test]
fn a_text_beyond_any_context_is_not_encoded() {
    let files = openelm::ModelFiles::open("demo").unwrap();
    files.check_text(PROMPT, None).unwrap();
    let error = files
        .check_text(&"once upon a time ".repeat(4 << 20), None)
        .unwrap_err();
    assert!(
        matches!(error, Error::TextTooLong { bytes, context_size: 512 } if bytes == 17 * (4 << 20))
    );
    // What fits is never refused.
    let most = "a ".repeat(500);
    files.check_text(&most, None).unwrap();
}

#[test]
fn sentencepiece_is_named() {
    let folder = common::synthetic(super::checkpoints::CONFIG, &[openelm::Dtype::F16]);
    std::fs::write(folder.path().join("tokenizer.model"), b"x").unwrap();
    let model = Model::load(
        &folder.path().to_string_lossy(),
        &common::options(None, false),
    )
    .unwrap();
    let text = common::message(model.encode("a"));
    assert!(
        text.contains("tokenizer.model") && text.contains("tokenizer.json"),
        "{text}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 60,
        rng_seed: common::seed(14),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Values of a tokenizer replaced by others: it is refused, or encodes, decodes or says that it cannot; no panic gets out.
    #[test]
    fn spoiled_tokenizers_are_errors(at in any::<prop::sample::Index>(), what in 0..9usize, text in "\\PC{0,12}") {
        let mut tokenizer: Value = serde_json::from_slice(&demo_file("tokenizer.json")).unwrap();
        // All but the vocabulary, which would take most of the tries.
        let mut places = Vec::new();
        for name in ["truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer", "post_processor", "decoder"] {
            pointers(&tokenizer[name], format!("/{name}"), &mut places);
        }
        for name in ["type", "unk_token", "byte_fallback", "fuse_unk", "dropout", "continuing_subword_prefix"] {
            places.push(format!("/model/{name}"));
        }
        let values = [
            json!(null), json!(-1), json!(0), json!(1u64 << 40), json!(""), json!("x"), json!([]), json!({}), json!({"type": "ByteLevel"}),
        ];
        if let Some(place) = tokenizer.pointer_mut(&places[at.index(places.len())]) {
            *place = values[what].clone();
        }
        if let Ok(tokenizer) = self::tokenizer(tokenizer.to_string().as_bytes(), 4096)
            && let Ok(ids) = tokenizer.encode(&text)
        {
            let _ = tokenizer.decode(&ids);
            let _ = tokenizer.decode_all(&ids);
        }
    }
}

/// Paths of all values in a value.
fn pointers(value: &Value, at: String, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => map
            .iter()
            .for_each(|(key, value)| pointers(value, format!("{at}/{key}"), found)),
        Value::Array(list) => (0..)
            .zip(list)
            .for_each(|(i, value): (usize, _)| pointers(value, format!("{at}/{i}"), found)),
        _ => {}
    }
    found.push(at);
}

//! Vocabularies: a file's ids are those of the tokenizer that it was made of.

use openelm::{Checkpoint, ModelFiles};
use proptest::prelude::*;
use serde_json::Value;

use super::common::{self, message};
use super::writer::{F16, Writer, f32s, i32s, list, text, texts, u32_value};
use super::{Files, converted, golden, name, small};

/// The demo model's tokenizer.
fn demo() -> Value {
    serde_json::from_slice(&Checkpoint::open("demo").unwrap().tokenizer.unwrap()).unwrap()
}

/// The demo model as a file.
fn demo_file(files: &Files, change: impl FnOnce(&mut Writer)) -> openelm::Result<ModelFiles> {
    let mut writer = Writer::of(&Checkpoint::open("demo").unwrap(), F16);
    writer.set_vocabulary(&demo(), false);
    change(&mut writer);
    ModelFiles::open(&name(&files.write("demo.gguf", &writer.bytes())))
}

#[test]
fn a_file_of_the_converter_has_the_ids_of_sentencepiece() {
    let files = ModelFiles::open(&name(&converted())).unwrap();
    for pair in golden()["texts"].as_array().unwrap() {
        let text = pair[0].as_str().unwrap();
        assert_eq!(
            files.encode(text).unwrap(),
            common::ids(&pair[1]),
            "{text:?}"
        );
    }
}

/// Any text: of words, of letters that make many pieces, of anything.
fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ a-z.,'\n]{0,60}",
        "[ ehtn]{0,60}",
        "\\PC{0,40}",
        "(</?s>|<unk>|<0x0A>|▁|the|  |é|漢|😀){0,12}",
        any::<String>(),
    ]
}

#[test]
fn ids_are_those_of_the_folder() {
    let files = Files::new();
    let ours = ModelFiles::open("demo").unwrap();
    let derived = demo_file(&files, |_| {}).unwrap();
    let listed = demo_file(&files, |writer| writer.set_vocabulary(&demo(), true)).unwrap();
    let config = ProptestConfig {
        cases: 1500,
        rng_seed: common::seed(41),
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    proptest!(config, |(text in any_text())| {
        let ids = ours.encode(&text).unwrap();
        prop_assert_eq!(&derived.encode(&text).unwrap(), &ids);
        prop_assert_eq!(&listed.encode(&text).unwrap(), &ids);
        let spelled = ours.require_tokenizer().unwrap().decode(&ids).unwrap();
        prop_assert_eq!(derived.require_tokenizer().unwrap().decode(&ids).unwrap(), spelled);
    });
}

#[test]
fn a_vocabulary_says_what_is_special() {
    let files = Files::new();
    let model = demo_file(&files, |writer| {
        writer.set(
            "tokenizer.ggml.add_space_prefix",
            super::writer::flag(false),
        );
        writer.set("tokenizer.ggml.eot_token_id", u32_value(300));
        writer.set(
            "tokenizer.chat_template",
            text("{{ bos_token }}{{ pad_token }}"),
        );
        writer.set("tokenizer.ggml.padding_token_id", u32_value(2));
    })
    .unwrap();
    assert_eq!(model.config().eos_token_ids, [2, 300]);
    // No space of its own in front, here or in what comes out.
    let ids = model.encode("he").unwrap();
    let tokenizer = model.require_tokenizer().unwrap();
    assert_eq!(tokenizer.token(ids[1]).as_deref(), Some("he"));
    assert_eq!(tokenizer.decode(&ids).unwrap(), "he");
    let specials = tokenizer.specials();
    assert!(specials.contains(&"</s>".to_owned()), "{specials:?}");
    assert!(model.chat_template().unwrap().is_some());
}

#[test]
fn without_a_vocabulary_that_can_be_read_there_are_ids() {
    let files = Files::new();
    for kind in ["gpt2", "none"] {
        let model = demo_file(&files, |writer| {
            writer.set("tokenizer.ggml.model", text(kind))
        });
        assert!(message(model.unwrap().require_tokenizer()).contains("no tokenizer"));
    }
    let (_, writer) = small(F16);
    let model = ModelFiles::open(&name(&files.write("small.gguf", &writer.bytes()))).unwrap();
    assert!(model.require_tokenizer().is_err());
}

#[test]
fn a_broken_vocabulary_says_what_is_broken() {
    let files = Files::new();
    let few = || texts(["<unk>", "<s>", "</s>", "a", "b"]);
    type Change = (&'static str, Vec<u8>, &'static str);
    let changes: [Change; 10] = [
        ("tokenizer.ggml.tokens", text("x"), "is not a list"),
        (
            "tokenizer.ggml.tokens",
            i32s(&[1, 2]),
            "token 0 is not a text",
        ),
        (
            "tokenizer.ggml.tokens",
            texts(["a", "b", "a"]),
            "tokens 0 and 2 are both `a`",
        ),
        (
            "tokenizer.ggml.tokens",
            list(8, 0, &[]),
            "there are 0 tokens",
        ),
        (
            "tokenizer.ggml.tokens",
            few(),
            "tokenizer.ggml.token_type` has 4096 entries, and 5",
        ),
        (
            "tokenizer.ggml.scores",
            f32s(&[0.0]),
            "tokenizer.ggml.scores",
        ),
        (
            "tokenizer.ggml.scores",
            i32s(&[0; 4096]),
            "tokenizer.ggml.scores",
        ),
        (
            "tokenizer.ggml.merges",
            texts(["a b c"]),
            "entry 0 of `tokenizer.ggml.merges`",
        ),
        (
            "tokenizer.ggml.unknown_token_id",
            u32_value(4096),
            "is 4096, and there are 4096 tokens",
        ),
        (
            "tokenizer.chat_template",
            u32_value(1),
            "`tokenizer.chat_template` is not a text",
        ),
    ];
    for (key, value, expected) in changes {
        let text = message(demo_file(&files, |writer| writer.set(key, value)));
        assert!(text.contains(expected), "{key}: {text}");
        assert!(text.contains("demo.gguf"), "{text}");
    }
    for key in ["tokenizer.ggml.tokens", "tokenizer.ggml.scores"] {
        let text = message(demo_file(&files, |writer| writer.remove(key)));
        assert!(text.contains(&format!("`{key}` is missing")), "{text}");
    }
}

/// Tokens that are made of one another in millions of ways would take gigabytes.
#[test]
fn a_vocabulary_that_multiplies_is_refused() {
    let files = Files::new();
    let (_, mut writer) = small(F16);
    // All words of up to 18 letters, of two: 2^19 tokens.
    let mut words = vec!["<unk>".to_owned(), "<s>".into(), "</s>".into()];
    for length in 1..=18 {
        words.extend((0..1 << length).map(|n: u32| format!("{n:0length$b}")));
    }
    writer.set("tokenizer.ggml.model", text("llama"));
    writer.set(
        "tokenizer.ggml.tokens",
        texts(words.iter().map(String::as_str)),
    );
    writer.set("tokenizer.ggml.scores", f32s(&vec![0.0; words.len()]));
    let path = files.write("model.gguf", &writer.bytes());
    let text = message(ModelFiles::open(&name(&path)));
    assert!(text.contains("in more ways"), "{text}");
}

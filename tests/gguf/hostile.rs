//! What a file may say and should not: each is an error that names the file, never a panic, a hang or memory without end.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use openelm::{Checkpoint, ModelFiles};
use proptest::prelude::*;

use super::common::{self, message};
use super::writer::{F16, Q8_0, Writer, f32_value, i32s, list, text, u32_value, value};
use super::{Files, name, small};

/// A vocabulary of 300 tokens for the small model.
fn vocabulary() -> serde_json::Value {
    let mut tokens = vec!["<unk>".to_owned(), "<s>".into(), "</s>".into()];
    tokens.extend((0..256).map(|byte| format!("<0x{byte:02X}>")));
    tokens.extend(["he", "▁t", "▁the", "th"].map(str::to_owned));
    tokens.extend("▁abcdefghijklmnopqrstuvwxyz".chars().map(String::from));
    let vocab: serde_json::Map<_, _> = (0..)
        .zip(tokens)
        .map(|(id, token): (u32, _)| (token, id.into()))
        .collect();
    serde_json::json!({"model": {"vocab": vocab, "merges": ["h e", "▁ t", "▁t he", "t h"]}})
}

fn sound(format: u32) -> Writer {
    let (_, mut writer) = small(format);
    writer.set_vocabulary(&vocabulary(), false);
    writer.set("tokenizer.chat_template", text("{{ messages }}"));
    writer
}

/// Opens bytes as a file, tokenizer and template included; it must not take long.
fn open(files: &Files, bytes: &[u8]) -> openelm::Result<ModelFiles> {
    let path = files.write("model.gguf", bytes);
    let begin = Instant::now();
    let model = ModelFiles::open(&name(&path));
    assert!(begin.elapsed() < Duration::from_secs(20));
    if let Ok(model) = &model {
        // What was let in must be there.
        let checkpoint = Checkpoint::open(&name(&path)).unwrap();
        for spec in checkpoint.config.tensors() {
            checkpoint.tensor(&spec).unwrap();
        }
        if model.require_tokenizer().is_ok() {
            let _ = model.encode("the cat é");
        }
    }
    model
}

/// The message that opening a spoiled file ends with; it names the file.
fn refused(change: impl FnOnce(&mut Writer)) -> String {
    let mut writer = sound(F16);
    change(&mut writer);
    let text = message(open(&Files::new(), &writer.bytes()));
    assert!(text.contains("model.gguf"), "{text}");
    text
}

#[test]
fn the_file_to_be_spoiled_is_sound() {
    for format in [F16, Q8_0] {
        let model = open(&Files::new(), &sound(format).bytes()).unwrap();
        assert!(model.require_tokenizer().is_ok());
    }
}

/// Tensors that overlap, or leave gaps, would be read as other numbers than was meant.
#[test]
fn tensors_lie_one_behind_the_other() {
    let sound = sound(F16).bytes();
    let name = b"blk.1.attn_norm.weight";
    let at = sound.windows(name.len()).position(|part| part == name);
    // Behind the name: one dimension, its size, the format.
    let at = at.unwrap() + name.len() + 4 + 8 + 4;
    let offset = u64::from_le_bytes(sound[at..at + 8].try_into().unwrap());
    for other in [0, offset - 32, offset + 32] {
        let mut bytes = sound.clone();
        bytes[at..at + 8].copy_from_slice(&other.to_le_bytes());
        let text = message(open(&Files::new(), &bytes));
        let says = format!("begins at {other} of the data, and the one before it ends at {offset}");
        assert!(
            text.contains("blk.1.attn_norm.weight") && text.contains(&says),
            "{text}"
        );
    }
}

type Spoil = Box<dyn FnOnce(&mut Writer)>;

#[test]
fn what_is_wrong_is_named() {
    let layers = "openelm.block_count";
    let heads = "openelm.attention.head_count";
    let widths = "openelm.feed_forward_length";
    let cases: Vec<(&str, Spoil)> = vec![
        (
            "begin with `GGUF`",
            Box::new(|w| w.magic = b"GGML".to_vec()),
        ),
        ("version 1", Box::new(|w| w.version = 1)),
        ("version 77", Box::new(|w| w.version = 77)),
        ("big-endian", Box::new(|w| w.version = 3u32.swap_bytes())),
        (
            "`general.architecture` is missing",
            Box::new(|w| w.remove("general.architecture")),
        ),
        (
            "architecture `llama`",
            Box::new(|w| w.set("general.architecture", text("llama"))),
        ),
        (
            "type `adapter`",
            Box::new(|w| w.set("general.type", text("adapter"))),
        ),
        (
            "one of 3 parts",
            Box::new(|w| w.set("split.count", value(2, &3u16.to_le_bytes()))),
        ),
        (
            "is there twice",
            Box::new(|w| w.metadata.push(("general.name".into(), text("x")))),
        ),
        (
            "`general.alignment`",
            Box::new(|w| w.set("general.alignment", u32_value(0))),
        ),
        (
            "`general.alignment`",
            Box::new(|w| w.set("general.alignment", u32_value(24))),
        ),
        (
            "`general.alignment`",
            Box::new(|w| w.set("general.alignment", text("32"))),
        ),
        (
            "list of lists",
            Box::new(|w| w.set("x", list(9, 1, &list(4, 0, &[])))),
        ),
        (
            "`x`: has a type of the number 99",
            Box::new(|w| w.set("x", value(99, &[0; 64]))),
        ),
        (
            "`openelm.block_count` is missing",
            Box::new(move |w| w.remove(layers)),
        ),
        (layers, Box::new(move |w| w.set(layers, u32_value(0)))),
        (
            layers,
            Box::new(move |w| w.set(layers, u32_value(u32::MAX))),
        ),
        (layers, Box::new(move |w| w.set(layers, f32_value(2.0)))),
        (
            "has 3 entries, and 2 are expected",
            Box::new(move |w| w.set(heads, i32s(&[4, 4, 4]))),
        ),
        (heads, Box::new(move |w| w.set(heads, i32s(&[-4, 8])))),
        (
            "num_query_heads",
            Box::new(move |w| w.set(heads, i32s(&[0, 8]))),
        ),
        (
            "do not divide",
            Box::new(move |w| w.set(heads, i32s(&[3, 8]))),
        ),
        (
            "blk.0.attn_qkv.weight",
            Box::new(move |w| w.set(heads, i32s(&[8, 8]))),
        ),
        (widths, Box::new(move |w| w.set(widths, i32s(&[0, 96])))),
        (
            "blk.0.ffn_gate.weight",
            Box::new(move |w| w.set(widths, i32s(&[64, 96]))),
        ),
        (
            "rms_epsilon",
            Box::new(|w| w.set("openelm.attention.layer_norm_rms_epsilon", f32_value(1e-5))),
        ),
        (
            "rope.scaling",
            Box::new(|w| w.set("openelm.rope.scaling.type", text("yarn"))),
        ),
        (
            "dimension_count` is 4",
            Box::new(|w| w.set("openelm.rope.dimension_count", u32_value(4))),
        ),
        (
            "openelm.rope.freq_base",
            Box::new(|w| w.set("openelm.rope.freq_base", f32_value(f32::NAN))),
        ),
        (
            "max_context_length",
            Box::new(|w| w.set("openelm.context_length", u32_value(0))),
        ),
        (
            "bos_token_id",
            Box::new(|w| w.set("tokenizer.ggml.bos_token_id", u32_value(300))),
        ),
        (
            "`blk.1.ffn_up.weight`: is missing",
            Box::new(|w| w.tensors.retain(|t| t.name != "blk.1.ffn_up.weight")),
        ),
        (
            "`blk.0.attn_norm.weight`: is there twice",
            Box::new(|w| w.tensor("blk.1.attn_norm.weight").name = "blk.0.attn_norm.weight".into()),
        ),
        (
            "`rope_freqs.weight`: is not part",
            Box::new(|w| {
                let mut extra = small(F16).1.tensors.remove(0);
                extra.name = "rope_freqs.weight".into();
                w.tensors.push(extra);
            }),
        ),
        ("has 0 dimensions", Box::new(|w| w.tensors[0].sizes.clear())),
        (
            "has 5 dimensions",
            Box::new(|w| w.tensors[0].sizes = vec![1; 5]),
        ),
        (
            "no whole blocks of Q8_0",
            Box::new(|w| {
                let tensor = w.tensor("token_embd.weight");
                (tensor.format, tensor.sizes) = (8, vec![33, 300]);
            }),
        ),
        (
            "more than any file holds",
            Box::new(|w| w.tensors[0].sizes = vec![1 << 62, 1 << 62]),
        ),
        (
            "beyond the end of the file",
            Box::new(|w| w.tensors[0].sizes = vec![1 << 50, 1]),
        ),
    ];
    for (expected, change) in cases {
        let text = refused(change);
        assert!(text.contains(expected), "`{expected}` is not in: {text}");
    }
}

/// Bytes of a file with one number in the header changed.
fn patched(at: usize, number: u64) -> Vec<u8> {
    let mut bytes = sound(F16).bytes();
    bytes[at..at + 8].copy_from_slice(&number.to_le_bytes());
    bytes
}

#[test]
fn counts_and_lengths_cost_no_memory() {
    let files = Files::new();
    // Number of tensors, number of keys, length of the first key.
    for at in [8, 16, 24] {
        for number in [u64::MAX, 1 << 60, 1 << 40, 1 << 32, 1 << 20] {
            let text = message(open(&files, &patched(at, number)));
            assert!(text.contains(&number.to_string()), "{at}: {text}");
        }
    }
    // Lists of every kind that claim more than there is.
    for kind in 0..14 {
        for count in [u64::MAX, u64::MAX / 8 + 1, 1 << 60, 1 << 31] {
            let mut writer = sound(F16);
            writer.set("x", list(kind, count, &[]));
            assert!(open(&files, &writer.bytes()).is_err());
        }
    }
    // A text of 2^60 bytes.
    let mut writer = sound(F16);
    writer.set("x", value(8, &(1u64 << 60).to_le_bytes()));
    let text = message(open(&files, &writer.bytes()));
    assert!(text.contains(&(1u64 << 60).to_string()), "{text}");
}

#[test]
fn a_file_cut_off_anywhere_says_so() {
    let files = Files::new();
    let bytes = sound(Q8_0).bytes();
    let header = sound(Q8_0).header().len();
    let places = (0..header)
        .step_by(7)
        .chain((header..bytes.len() - 32).step_by(997));
    for end in places {
        let text = message(open(&files, &bytes[..end]));
        assert!(text.contains("model.gguf"), "{end}: {text}");
    }
}

#[test]
fn names_do_not_reach_a_terminal_as_they_are() {
    let text = refused(|writer| {
        let mut extra = small(F16).1.tensors.remove(0);
        extra.name = format!("\u{1b}[31mred\u{7}{}", "x".repeat(1000));
        writer.tensors.push(extra);
    });
    assert!(text.contains("[31mred") && text.len() < 400, "{text}");
    assert!(!text.contains('\u{1b}'), "{text}");
    let text = refused(|writer| writer.set("general.architecture", text_of_escapes()));
    assert!(!text.contains('\u{1b}'), "{text}");
}

fn text_of_escapes() -> Vec<u8> {
    text("\u{1b}]0;title\u{7}")
}

static SOUND: LazyLock<[(Vec<u8>, usize); 2]> = LazyLock::new(|| {
    [F16, Q8_0].map(|format| {
        let writer = sound(format);
        (writer.bytes(), writer.header().len())
    })
});

/// A change of some bytes of the header: to numbers that tend to break readers, to anything, or a piece moved.
#[derive(Debug, Clone)]
enum Change {
    Set(u64),
    Byte(u8),
    Move(usize, usize),
    Remove(usize),
}

fn change() -> impl Strategy<Value = Change> {
    let numbers = prop_oneof![
        Just(0),
        Just(u64::MAX),
        Just(1 << 63),
        Just(1 << 31),
        Just(u64::from(u32::MAX)),
        0..64u64,
        any::<u64>(),
    ];
    prop_oneof![
        numbers.prop_map(Change::Set),
        any::<u8>().prop_map(Change::Byte),
        (any::<usize>(), 1..64usize).prop_map(|(from, length)| Change::Move(from, length)),
        (1..64usize).prop_map(Change::Remove),
    ]
}

#[test]
fn spoiled_files_do_no_harm() {
    let files = Files::new();
    let config = ProptestConfig {
        cases: 2000,
        rng_seed: common::seed(42),
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let changes = proptest::collection::vec((any::<usize>(), change()), 1..4);
    proptest!(config, |(which in 0..2usize, changes in changes)| {
        let (mut bytes, header) = SOUND[which].clone();
        for (at, change) in changes {
            let at = at % header.min(bytes.len());
            match change {
                Change::Set(number) => {
                    for (place, byte) in bytes[at..].iter_mut().zip(number.to_le_bytes()) {
                        *place = byte;
                    }
                }
                Change::Byte(byte) => bytes[at] = byte,
                Change::Move(from, length) => {
                    let from = from % (header - 64);
                    let length = length.min(bytes.len() - at.max(from));
                    bytes.copy_within(from..from + length, at);
                }
                Change::Remove(length) => {
                    let end = (at + length).min(bytes.len());
                    bytes.drain(at..end);
                }
            }
        }
        if let Err(error) = open(&files, &bytes) {
            prop_assert!(error.to_string().contains("model.gguf"), "{}", error);
        }
    });
}

//! `tokenizer.model`: SentencePiece's own form of a tokenizer has the ids of `tokenizer.json`.

use std::path::Path;

use openelm::{Checkpoint, Error, ModelFiles};
use proptest::prelude::*;
use serde_json::Value;

use super::common::{self, message};

/// A message of Protocol Buffers.
#[derive(Default, Clone)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn number(mut self, field: u64, value: u64) -> Self {
        self.varint(field << 3);
        self.varint(value);
        self
    }

    fn bytes(mut self, field: u64, bytes: &[u8]) -> Self {
        self.varint(field << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend(bytes);
        self
    }

    fn float(mut self, field: u64, value: f32) -> Self {
        self.varint(field << 3 | 5);
        self.0.extend(value.to_le_bytes());
        self
    }
}

fn demo() -> Value {
    serde_json::from_slice(&Checkpoint::open("demo").unwrap().tokenizer.unwrap()).unwrap()
}

/// The demo model's vocabulary as SentencePiece would keep it: what is merged first has the highest score.
fn pieces() -> Message {
    let demo = demo();
    let vocab = demo["model"]["vocab"].as_object().unwrap();
    let mut texts: Vec<(&String, u64)> = vocab
        .iter()
        .map(|(text, id)| (text, id.as_u64().unwrap()))
        .collect();
    texts.sort_by_key(|(_, id)| *id);
    let merges = demo["model"]["merges"].as_array().unwrap();
    let merged = |merge: &Value| match merge {
        Value::String(pair) => pair.replacen(' ', "", 1),
        pair => format!("{}{}", pair[0].as_str().unwrap(), pair[1].as_str().unwrap()),
    };
    let mut ranks = std::collections::HashMap::new();
    for (rank, merge) in merges.iter().enumerate() {
        ranks.entry(merged(merge)).or_insert(rank);
    }
    texts
        .into_iter()
        .fold(Message::default(), |model, (text, id)| {
            let kind = match id {
                0 => 2,
                1 | 2 => 3,
                _ if text.len() == 6 && text.starts_with("<0x") => 6,
                _ => 1,
            };
            let score = ranks.get(text).map_or(-1e9, |rank| -(*rank as f32));
            let piece = Message::default().bytes(1, text.as_bytes()).float(2, score);
            // What is usual is left out.
            let piece = match kind {
                1 => piece,
                kind => piece.number(3, kind),
            };
            model.bytes(1, &piece.0)
        })
}

fn trainer() -> Message {
    // A field that nobody reads, and ids that are not what is usual in SentencePiece but are here.
    Message::default()
        .number(3, 2)
        .bytes(1, b"corpus.txt")
        .float(10, 0.9995)
        .number(40, 0)
        .number(41, 1)
        .number(42, 2)
}

fn normalizer() -> Message {
    Message::default()
        .bytes(1, b"identity")
        .number(3, 1)
        .number(4, 0)
}

fn model() -> Message {
    pieces().bytes(2, &trainer().0).bytes(3, &normalizer().0)
}

/// A folder with the demo model and this tokenizer.
fn folder(tokenizer: &[u8]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let config = include_bytes!("../../assets/demo/config.json");
    let tensors = include_bytes!("../../assets/demo/model.safetensors");
    std::fs::write(folder.path().join("config.json"), config).unwrap();
    std::fs::write(folder.path().join("model.safetensors"), tensors).unwrap();
    std::fs::write(folder.path().join("tokenizer.model"), tokenizer).unwrap();
    folder
}

fn open(folder: &Path) -> ModelFiles {
    ModelFiles::open(&folder.to_string_lossy()).unwrap()
}

#[test]
fn ids_are_those_of_tokenizer_json() {
    let folder = folder(&model().0);
    let read = open(folder.path());
    let demo = ModelFiles::open("demo").unwrap();
    // By its own name too.
    let mut named = ModelFiles::open("demo").unwrap();
    named
        .set_tokenizer(&folder.path().join("tokenizer.model"))
        .unwrap();
    let config = ProptestConfig {
        cases: 800,
        rng_seed: common::seed(43),
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let texts = prop_oneof![
        "[ a-z.,'\n]{0,60}",
        "\\PC{0,40}",
        "(</?s>|<unk>|<0x0A>|▁|the|  |é|漢|😀){0,12}"
    ];
    proptest!(config, |(text in texts)| {
        let expected = demo.encode(&text).unwrap();
        prop_assert_eq!(read.encode(&text).unwrap(), expected.clone(), "{:?}", text);
        prop_assert_eq!(named.encode(&text).unwrap(), expected);
    });
}

#[test]
fn tokenizer_json_comes_first() {
    let folder = folder(b"nonsense");
    let json = Checkpoint::open("demo").unwrap().tokenizer.unwrap();
    std::fs::write(folder.path().join("tokenizer.json"), json).unwrap();
    assert!(open(folder.path()).require_tokenizer().is_ok());
}

/// A model works without a tokenizer; why there is none is said, twice.
#[test]
fn what_cannot_be_read_is_named() {
    let unigram = Message::default().number(3, 1);
    let rewrites = Message::default().bytes(2, b"table").number(4, 0);
    let bos = trainer().number(41, 1 << 20);
    let whole = model().0;
    for (bytes, expected) in [
        (
            pieces().bytes(2, &unigram.0).bytes(3, &normalizer().0).0,
            "BPE",
        ),
        (pieces().bytes(3, &normalizer().0).0, "BPE"),
        (
            pieces().bytes(2, &trainer().0).bytes(3, &rewrites.0).0,
            "rewrites",
        ),
        (
            pieces().bytes(2, &bos.0).bytes(3, &normalizer().0).0,
            "1048576",
        ),
        (whole[..whole.len() - 3].to_vec(), "not all of it"),
        (b"<html>".to_vec(), "not a model of SentencePiece"),
        (Vec::new(), "0 pieces"),
    ] {
        let folder = folder(&bytes);
        let checkpoint = common::open(folder.path()).unwrap();
        let warnings = checkpoint.warnings.join("\n");
        assert!(
            warnings.contains("tokenizer.model") && warnings.contains(expected),
            "{warnings}"
        );
        let files = open(folder.path());
        let text = message(files.require_tokenizer().map(|_| ()));
        assert!(text.contains("tokenizer.model"), "{text}");
        // Asked for by name it is an error.
        let mut demo = ModelFiles::open("demo").unwrap();
        let refused = demo.set_tokenizer(&folder.path().join("tokenizer.model"));
        assert!(matches!(refused, Err(Error::Tokenizer { .. })));
    }
}

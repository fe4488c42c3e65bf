//! Folders of models: names of files and tensors, formats, headers, and what is no model at all.

use std::collections::BTreeMap;
use std::path::Path;

use openelm::{Checkpoint, Dtype, Error, GenerateOptions, Gpu, Model, ModelForm};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::common::{self, all_numbers, message, open, safetensors, synthetic_tensors};

type Tensors = BTreeMap<String, (String, Vec<usize>, Vec<u8>)>;

pub const CONFIG: &str = r#"{"model_type":"openelm","num_transformer_layers":2,"model_dim":16,"vocab_size":32,"head_dim":4,
    "num_gqa_groups":2,"num_query_heads":[2,4],"ffn_dim_divisor":8,"ffn_multipliers":[0.5,2.0],"normalize_qk_projections":true,
    "share_input_output_layers":true,"max_context_length":64}"#;

const EMBEDDINGS: &str = "transformer.token_embeddings.weight";
const FIRST: &str = "model-00001-of-00002.safetensors";
const NORM: &str = "transformer.norm.weight";

struct Folder(tempfile::TempDir);

impl Folder {
    /// With a configuration and nothing else.
    fn bare() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.write("config.json", CONFIG.as_bytes());
        folder
    }

    fn with(change: impl FnOnce(&mut Tensors)) -> Self {
        let folder = Self::bare();
        folder.write("model.safetensors", &file(change));
        folder
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.0.path().join(name), bytes).unwrap();
    }

    fn open(&self) -> openelm::Result<Checkpoint> {
        open(self.0.path())
    }

    /// It opens as the sound model does. Returns the warnings.
    fn is_sound(&self) -> Vec<String> {
        let checkpoint = self.open().unwrap();
        assert!(all_numbers(&checkpoint) == all_numbers(&Self::with(|_| {}).open().unwrap()));
        checkpoint.warnings
    }

    /// As [`Self::is_sound`], with one line about it that has all these words.
    fn is_sound_but(&self, words: &[&str]) {
        let warnings = self.is_sound();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        has(&warnings[0], words);
    }

    fn refused(&self, words: &[&str]) {
        has(&message(self.open()), words);
    }
}

fn has(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "`{word}` is not in: {text}");
    }
}

fn file(change: impl FnOnce(&mut Tensors)) -> Vec<u8> {
    let mut tensors = synthetic_tensors(CONFIG, &[Dtype::F16]);
    change(&mut tensors);
    safetensors(&tensors)
}

fn renamed(tensors: &mut Tensors, rename: impl Fn(&str) -> String) {
    let old = std::mem::take(tensors);
    tensors.extend(
        old.into_iter()
            .map(|(name, tensor)| (rename(&name), tensor)),
    );
}

#[test]
fn what_trainers_leave_is_ignored_with_a_line() {
    let empty = |shape: Vec<usize>| ("F32".to_owned(), shape, Vec::new());
    let extra = |names: &'static [(&'static str, usize)]| {
        Folder::with(move |tensors| {
            for (name, count) in names {
                let bytes = vec![0; 4 * count];
                tensors.insert((*name).into(), ("F32".into(), vec![*count], bytes));
            }
        })
    };
    extra(&[
        ("transformer.layers.0.attn.pos_embedding.inv_freq", 8),
        ("transformer.layers.1.attn.pos_embedding._cos_cached", 8),
        ("step", 1),
        ("transformer.layers.1.attn.pos_embedding.inv_freq", 8),
    ])
    .is_sound_but(&["inv_freq", "1 more", "ignored"]);
    Folder::with(|tensors| {
        tensors.insert("scalar".into(), ("F32".into(), Vec::new(), vec![0; 4]));
        tensors.insert("nothing".into(), empty(vec![0, 16]));
    })
    .is_sound_but(&["`nothing`", "`scalar`"]);
    Folder::with(|tensors| {
        let head = tensors[EMBEDDINGS].clone();
        tensors.insert("lm_head.weight".into(), head);
    })
    .is_sound_but(&["lm_head.weight", "does not need"]);
    Folder::with(|tensors| {
        let (dtype, shape, bytes) = tensors[EMBEDDINGS].clone();
        tensors.insert(
            "lm_head.weight".into(),
            (dtype, shape, vec![0; bytes.len()]),
        );
    })
    .is_sound_but(&["lm_head.weight", "differs"]);
    // What could matter is not ignored.
    extra(&[("transformer.layers.0.attn.qkv_proj.bias", 16)])
        .refused(&["qkv_proj.bias", "not part of the model"]);
    extra(&[("transformer.layers.0.attn.qkv_proj.lora_A.weight", 16)])
        .refused(&["lora_A", "not merged"]);
}

#[test]
fn what_wraps_a_model_is_taken_off_its_names() {
    for before in ["module.", "model.", "_orig_mod.", "module._orig_mod."] {
        Folder::with(|tensors| renamed(tensors, |name| format!("{before}{name}")))
            .is_sound_but(&[before.split('.').next().unwrap(), "left out"]);
    }
    Folder::with(|tensors| renamed(tensors, |name| name.replacen("transformer.", "", 1)))
        .is_sound_but(&["transformer."]);
    Folder::with(|tensors| {
        let again = tensors[NORM].clone();
        tensors.insert("module.transformer.norm.weight".into(), again);
    })
    .refused(&["norm.weight", "twice"]);
}

#[test]
fn files_under_other_names_are_found_if_one_thing_fits() {
    for name in [
        "weights.safetensors",
        "model.fp16.safetensors",
        "OpenELM.safetensors",
    ] {
        let folder = Folder::bare();
        folder.write(name, &file(|_| {}));
        folder.write("._model.safetensors", b"what macOS leaves");
        folder.is_sound_but(&[name, "is taken"]);
        // Another model's does not fit, a second one of this does.
        folder.write(
            "other.safetensors",
            &file(|tensors| drop(tensors.remove(NORM))),
        );
        folder.is_sound_but(&[name, "is taken"]);
        folder.write("another.safetensors", &file(|_| {}));
        folder.refused(&[name, "another.safetensors", "several of them fit"]);
    }
    let folder = Folder::bare();
    folder.refused(&["neither model.safetensors"]);
    folder.write(
        "only.safetensors",
        &file(|tensors| drop(tensors.remove(NORM))),
    );
    folder.refused(&["only.safetensors", NORM, "missing"]);
    folder.write("second.safetensors", b"x");
    folder.refused(&[
        "only.safetensors",
        "second.safetensors",
        "none of them fits",
    ]);
    // What has the right name counts first, but not if it is of another model.
    folder.write("weights.safetensors", &file(|_| {}));
    folder.write("model.safetensors", &file(|_| {}));
    assert!(folder.is_sound().is_empty());
    folder.write(
        "model.safetensors",
        &file(|tensors| drop(tensors.remove(NORM))),
    );
    folder.is_sound_but(&["weights.safetensors", "is not of this model"]);
}

/// Writes the model as two shards; returns what an index says.
fn shards(folder: &Folder) -> serde_json::Map<String, Value> {
    let tensors = synthetic_tensors(CONFIG, &[Dtype::F16]);
    let mut map = serde_json::Map::new();
    for number in [1, 2] {
        let name = format!("model-0000{number}-of-00002.safetensors");
        let part: Tensors = tensors
            .iter()
            .enumerate()
            .filter(|(i, _)| i % 2 == number - 1)
            .map(|(_, (name, tensor))| (name.clone(), tensor.clone()))
            .collect();
        map.extend(part.keys().map(|tensor| (tensor.clone(), json!(name))));
        folder.write(&name, &safetensors(&part));
    }
    map
}

#[test]
fn shards_with_and_without_an_index() {
    let folder = Folder::bare();
    let mut map = shards(&folder);
    folder.is_sound_but(&["model-*-of-00002.safetensors"]);
    let index = |map: &serde_json::Map<String, Value>, mark: &str| {
        folder.write(
            "model.safetensors.index.json",
            format!("{mark}{}", json!({"weight_map": map})).as_bytes(),
        );
    };
    index(&map, "");
    assert!(folder.is_sound().is_empty());
    index(&map, "\u{feff}");
    assert!(folder.is_sound().is_empty());
    // Left over from another download.
    folder.write("model-00001-of-00001.safetensors", b"stale");
    folder.is_sound_but(&["model-00001-of-00001.safetensors", "ignored"]);
    std::fs::remove_file(folder.0.path().join("model-00001-of-00001.safetensors")).unwrap();
    // A tensor that no model needs, in no file or in one that is not there.
    map.insert(
        "transformer.ghost".into(),
        json!("model-00001-of-00002.safetensors"),
    );
    map.insert("inv_freq".into(), json!("model-00003-of-00003.safetensors"));
    index(&map, "");
    folder.is_sound_but(&["transformer.ghost", "no shard has"]);
    std::fs::remove_file(folder.0.path().join("model.safetensors.index.json")).unwrap();
    std::fs::remove_file(folder.0.path().join("model-00002-of-00002.safetensors")).unwrap();
    folder.refused(&["model-00002-of-00002.safetensors", "missing"]);
}

#[test]
fn doubles_are_read() {
    let folder = Folder::with(|tensors| {
        for name in [NORM, EMBEDDINGS] {
            let (dtype, _, bytes) = tensors.get_mut(name).unwrap();
            let halves = bytes
                .as_chunks()
                .0
                .iter()
                .map(|le| half::f16::from_le_bytes(*le));
            *bytes = halves.flat_map(|x| x.to_f64().to_le_bytes()).collect();
            *dtype = "F64".into();
        }
    });
    assert!(folder.is_sound().is_empty());
}

/// A file with this text for a header, and `data` behind it.
fn with_header(header: &str, data: &[u8]) -> Vec<u8> {
    let length = (header.len() as u64).to_le_bytes();
    [&length[..], header.as_bytes(), data].concat()
}

/// The header of a sound file, and what lies behind it.
fn parts() -> (String, Vec<u8>) {
    let whole = file(|_| {});
    let length = u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
    let header = String::from_utf8(whole[8..8 + length].to_vec()).unwrap();
    (header, whole[8 + length..].to_vec())
}

#[test]
fn odd_headers_are_named() {
    let (header, data) = parts();
    let folder = Folder::bare();
    let write =
        |header: &str, data: &[u8]| folder.write("model.safetensors", &with_header(header, data));
    let open = |more: &str| format!("{}{}", &header[..header.len() - 1], more);
    for sound in [
        r#","__metadata__":null}"#,
        r#","__metadata__":{}}"#,
        r#","__metadata__":{"format":"pt"}}  "#,
    ] {
        write(&open(sound), &data);
        assert!(folder.is_sound().is_empty(), "{sound}");
    }
    write(&open(r#","__metadata__":{"format":"pt","step":5}}"#), &data);
    folder.refused(&["__metadata__", "`step`", "5"]);
    write(&open(r#","__metadata__":[]}"#), &data);
    folder.refused(&["__metadata__", "no object"]);
    let entry: Value = serde_json::from_str::<Value>(&header).unwrap()[NORM].clone();
    write(&open(&format!(r#","{NORM}":{entry}}}"#)), &data);
    folder.refused(&[NORM, "twice"]);
    let end = data.len();
    let moved = format!(
        r#","{NORM}":{{"dtype":"F16","shape":[16],"data_offsets":[{end},{}]}}}}"#,
        end + 32
    );
    write(&open(&moved), &[&data[..], &[0; 32]].concat());
    folder.refused(&[NORM, "twice"]);
    write(&header, &[&data[..], &[0; 16]].concat());
    folder.refused(&["16 bytes lie behind"]);
    write(&header, &data[..data.len() - 3]);
    folder.refused(&["3 bytes are missing", "download it again"]);
    for (from, to, words) in [
        (
            r#""dtype":"F16""#,
            r#""dtype":"F8_E9""#,
            ["F8_E9", "no type of safetensors"],
        ),
        (
            r#""dtype":"F16""#,
            r#""dtype":7"#,
            ["makes no sense", "transformer."],
        ),
        (
            r#""shape":["#,
            r#""shape":[-1,"#,
            ["makes no sense", "transformer."],
        ),
    ] {
        write(&header.replacen(from, to, 1), &data);
        folder.refused(&words);
    }
    write(r#"{"__metadata__":{}}"#, b"");
    folder.refused(&["no tensor at all"]);
    Folder::with(|tensors| {
        tensors.insert(NORM.into(), ("F8_E4M3".into(), vec![16], vec![0; 16]));
    })
    .refused(&[NORM, "F8_E4M3"]);
    for (bytes, word) in [
        (&b"<!DOCTYPE html>"[..], "web page"),
        (b"GGUF\x03\0\0\0\0\0\0\0", "GGUF"),
        (b"\x80\x02}q\0.......", "PyTorch"),
    ] {
        folder.write("model.safetensors", bytes);
        folder.refused(&["not a safetensors file", word]);
    }
}

#[test]
fn what_is_no_model_is_named_for_what_it_is() {
    let form = |folder: &Path| match open(folder).map(drop) {
        Err(Error::OtherForm { form, .. }) => form,
        other => panic!("{other:?}"),
    };
    let folder = Folder::bare();
    folder.write("training_args.bin", b"x");
    folder.refused(&["neither model.safetensors"]);
    folder.write("pytorch_model.bin", b"PK\x03\x04");
    folder.refused(&["pytorch_model.bin", "PyTorch", "safetensors"]);
    let empty = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(empty.path().join(name), bytes).unwrap();
    assert!(message(open(empty.path())).contains("is this the folder of a model?"));
    write("model.onnx", b"");
    assert!(matches!(form(empty.path()), ModelForm::Other { program, .. } if program == "ONNX"));
    write(
        "adapter_config.json",
        b"\xef\xbb\xbf{\"base_model_name_or_path\": \"apple/OpenELM-1_1B\"}",
    );
    assert!(
        matches!(form(empty.path()), ModelForm::LoraAdapter { base: Some(base) } if base == "apple/OpenELM-1_1B")
    );
    // Cache folders, as HF_HUB_CACHE and HF_HOME name them.
    let cache = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(cache.path().join("hub/models--apple--OpenELM-3B/snapshots")).unwrap();
    for folder in [cache.path().to_owned(), cache.path().join("hub")] {
        assert!(
            matches!(form(&folder), ModelForm::HubCache { models } if models == ["apple/OpenELM-3B"])
        );
    }
}

#[test]
fn text_files_as_other_systems_write_them() {
    let folder = Folder::with(|_| {});
    let mark = |text: &str| [&b"\xef\xbb\xbf"[..], text.as_bytes()].concat();
    folder.write("config.json", &mark(&CONFIG.replace('\n', "\r\n")));
    folder.write(
        "generation_config.json",
        &mark(r#"{"eos_token_id": [2, 5]}"#),
    );
    assert!(folder.is_sound().is_empty());
    let utf16: Vec<u8> = CONFIG.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for bytes in [[&b"\xff\xfe"[..], &utf16].concat(), utf16] {
        folder.write("config.json", &bytes);
        folder.refused(&["config.json", "UTF-16", "save it as UTF-8"]);
    }
}

#[test]
fn settings_are_no_reason_to_refuse_a_model() {
    let folder = Folder::with(|_| {});
    for text in [
        "",
        " ",
        "[]",
        "null",
        "7",
        "{",
        "{\"top_k\": -1}",
        "{\"top_k\": 50.0}",
        "{\"top_k\": \"50\", \"temperature\": \"hot\"}",
        "{\"eos_token_id\": [2, 99, -1, \"x\"]}",
        "{\"temperature\": null, \"top_p\": 7}",
        "{\"bad_words_ids\": 3}",
        "\u{0}",
    ] {
        folder.write("generation_config.json", text.as_bytes());
        assert!(
            openelm::ModelFiles::open(&folder.0.path().to_string_lossy()).is_ok(),
            "{text}"
        );
    }
}

/// Values times 2^17, and what they are multiplied with times 2^-17: the same model in f32, and nothing in f16.
#[test]
fn weights_beyond_f16_become_bf16_and_that_is_said() {
    let wide = |tensors: &mut Tensors, factor: f32| {
        for (name, (dtype, _, bytes)) in tensors.iter_mut() {
            let halves = bytes
                .as_chunks()
                .0
                .iter()
                .map(|le| half::f16::from_le_bytes(*le).to_f32());
            let by = if name.ends_with("out_proj.weight") {
                factor
            } else {
                1.0
            };
            *bytes = halves.flat_map(|x| (x * by).to_le_bytes()).collect();
            *dtype = "F32".into();
        }
    };
    let load = |factor: f32, dtype| {
        let folder = Folder::with(|tensors| wide(tensors, factor));
        let mut options = common::options(None, false);
        options.dtype = dtype;
        Model::load(&folder.0.path().to_string_lossy(), &options).unwrap()
    };
    assert!(load(1.0, None).warnings().is_empty());
    for factor in [131_072.0, 1.0 / 131_072.0] {
        let model = load(factor, None);
        let warnings = model.warnings();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        has(&warnings[0], &["out_proj", "1 more", "bf16"]);
        assert!(load(factor, Some(Dtype::F32)).warnings().is_empty());
    }
}

#[test]
fn logits_that_are_no_numbers_end_the_text() {
    let folder = Folder::with(|tensors| {
        tensors.get_mut(NORM).unwrap().2[..2].copy_from_slice(&[0x00, 0x7e]);
    });
    let model = Model::load(
        &folder.0.path().to_string_lossy(),
        &common::options(None, false),
    )
    .unwrap();
    assert!(model.warnings()[0].contains("NaN"));
    let mut session = model.session().unwrap();
    let mut generation = session
        .generate(&[1, 2, 3], &GenerateOptions::default())
        .unwrap();
    assert!(matches!(
        generation.next(),
        Some(Err(Error::NotANumber { .. }))
    ));
}

/// Somebody downloads into a file, or clears it, while it is being read.
#[test]
fn a_file_that_shrinks_is_an_error() {
    let folder = Folder::with(|_| {});
    let checkpoint = folder.open().unwrap();
    folder.write("model.safetensors", b"");
    let gpu = Gpu::open(None).unwrap();
    let text = message(Model::from_parts(
        checkpoint,
        gpu,
        &common::options(None, false),
    ));
    has(&text, &["model.safetensors", "became shorter"]);
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 200,
        rng_seed: common::seed(15),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Bytes of an index or a header changed, dropped or doubled: an error, or a model whose tensors can all be read.
    #[test]
    fn spoiled_indexes_and_headers_never_panic(
        at in any::<prop::sample::Index>(), byte: u8, what in 0..3usize, in_index: bool, cut in any::<prop::sample::Index>(),
    ) {
        thread_local!(static FOLDER: (Folder, Vec<u8>, Vec<u8>) = {
            let folder = Folder::bare();
            let index = json!({"weight_map": shards(&folder)}).to_string().into_bytes();
            let first = std::fs::read(folder.0.path().join(FIRST)).unwrap();
            (folder, index, first)
        });
        FOLDER.with(|(folder, index, first)| {
            let (mut index, mut first) = (index.clone(), first.clone());
            let header = 8 + u64::from_le_bytes(first[..8].try_into().unwrap()) as usize;
            let (spoiled, length) = match in_index {
                true => { let length = index.len(); (&mut index, length) }
                false => (&mut first, header),
            };
            let at = at.index(length);
            match what {
                0 => spoiled[at] = byte,
                1 => drop(spoiled.remove(at)),
                _ => {
                    let part = spoiled[at..(at + 1 + cut.index(40)).min(length)].to_vec();
                    spoiled.splice(at..at, part);
                }
            }
            folder.write("model.safetensors.index.json", &index);
            folder.write(FIRST, &first);
            if let Ok(checkpoint) = folder.open() {
                all_numbers(&checkpoint);
            }
        });
    }
}

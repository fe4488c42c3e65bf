//! Files of models, and what belongs to them: each spoiled in turn, in a folder that is sound otherwise.

use std::path::{Path, PathBuf};

use openelm::checkpoint::{ChatFiles, RowReader, read_tokenizer};
use openelm::{Checkpoint, Config, Dtype, LoadOptions, Model, ModelFiles, SavedSession};
use twox_hash::XxHash3_128;

use super::common::{fixture, safetensors, synthetic_tensors};
use super::harness::{Rng, change_bytes, change_safetensors, change_text, fuzz};

const CONFIG: &str = r#"{"model_type":"openelm","num_transformer_layers":2,"model_dim":32,"vocab_size":300,"head_dim":8,"num_gqa_groups":2,
    "num_query_heads":[2,4],"ffn_dim_divisor":8,"ffn_multipliers":[0.5,2.0],"normalize_qk_projections":true,"share_input_output_layers":true,
    "max_context_length":64,"eos_token_id":[2,5],"rope_freq_constant":10000,"activation_fn_name":"swish","torch_dtype":"float16"}"#;

const APPLE: &str = r#"{"activation_fn_name":"swish","architectures":["OpenELMForCausalLM"],"auto_map":{"AutoConfig":"configuration_openelm.OpenELMConfig"},
    "bos_token_id":1,"eos_token_id":2,"ffn_dim_divisor":256,"ffn_multipliers":[0.5,4.0],"ffn_with_glu":true,"head_dim":64,"initializer_range":0.02,
    "max_context_length":2048,"model_dim":1280,"model_type":"openelm","normalization_layer_name":"rms_norm","normalize_qk_projections":true,
    "num_gqa_groups":4,"num_transformer_layers":16,"qkv_multipliers":[0.5,1.0],"rope_freq_constant":10000,"rope_max_length":4096,
    "share_input_output_layers":true,"torch_dtype":"bfloat16","transformers_version":"4.39.3","use_cache":true,"vocab_size":32000}"#;

pub const TOKENIZER: &str = r#"{"version":"1.0","truncation":{"direction":"Right","max_length":4,"strategy":"LongestFirst","stride":0},
    "padding":{"strategy":{"Fixed":8},"direction":"Right","pad_to_multiple_of":null,"pad_id":2,"pad_type_id":0,"pad_token":"</s>"},
    "added_tokens":[{"id":0,"content":"<unk>","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true},
    {"id":1,"content":"<s>","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true}],
    "normalizer":{"type":"Sequence","normalizers":[{"type":"Prepend","prepend":"▁"},{"type":"Replace","pattern":{"String":" "},"content":"▁"}]},
    "pre_tokenizer":{"type":"Split","pattern":{"Regex":"\\s+|[a-z]+"},"behavior":"Isolated","invert":false},
    "post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"<s>","type_id":0}},{"Sequence":{"id":"A","type_id":0}}],
    "pair":[{"Sequence":{"id":"A","type_id":0}},{"Sequence":{"id":"B","type_id":1}}],"special_tokens":{"<s>":{"id":"<s>","ids":[1],"tokens":["<s>"]}}},
    "decoder":{"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"▁"},"content":" "},{"type":"ByteFallback"},{"type":"Fuse"},
    {"type":"Strip","content":" ","start":1,"stop":0}]},
    "model":{"type":"BPE","dropout":null,"unk_token":"<unk>","continuing_subword_prefix":null,"end_of_word_suffix":null,"fuse_unk":true,
    "byte_fallback":true,"ignore_merges":false,"vocab":{"<unk>":0,"<s>":1,"</s>":2,"<0x0A>":3,"<0xC3>":4,"<0xA9>":5,"▁":6,"t":7,"h":8,"e":9,"▁t":10,
    "he":11,"▁the":12,"c":13,"a":14},"merges":[["▁","t"],["h","e"],["▁t","he"]]}}"#;

/// Where files are written: in memory if the system says where.
pub struct Place(tempfile::TempDir);

impl Place {
    pub fn new() -> Self {
        let memory = Path::new("/dev/shm");
        Self(match memory.is_dir() {
            true => tempfile::tempdir_in(memory).unwrap(),
            false => tempfile::tempdir().unwrap(),
        })
    }

    /// With a sound model.
    fn model() -> Self {
        let place = Self::new();
        place.write("config.json", CONFIG.as_bytes());
        place.write("tokenizer.json", TOKENIZER.as_bytes());
        place.write("model.safetensors", &weights());
        place
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn open(&self) -> openelm::Result<()> {
        open(self.path())
    }
}

/// Opens a model, and reads of each tensor the first and the last row: what was let in must be there.
fn open(path: &Path) -> openelm::Result<()> {
    let path = path.to_string_lossy();
    let checkpoint = Checkpoint::open(&path)?;
    let mut reader = RowReader::default();
    for spec in checkpoint.config.tensors() {
        let tensor = checkpoint.tensor(&spec)?;
        for row in [0, tensor.rows.saturating_sub(1)] {
            reader.read_f32(&tensor, row);
        }
    }
    Ok(())
}

fn weights() -> Vec<u8> {
    safetensors(&synthetic_tensors(CONFIG, &[Dtype::F16, Dtype::F32]))
}

fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

#[test]
fn config_json() {
    fuzz(
        "config.json",
        &texts(&[CONFIG, APPLE]),
        change_text,
        |json| {
            let config = Config::parse(json, Path::new("config.json"))?;
            // What a model of this size would have, without any weights.
            if config.layers.len() <= 64 {
                assert!(config.parameters() > 0);
            }
            openelm::Result::Ok(())
        },
    );
}

#[test]
fn model_safetensors() {
    let place = Place::model();
    fuzz(
        "model.safetensors",
        &[weights()],
        change_safetensors,
        |file| {
            place.write("model.safetensors", file);
            place.open()
        },
    );
}

#[test]
fn index_json() {
    let sharded = fixture("openelm-bf16-sharded");
    let place = Place::new();
    for entry in std::fs::read_dir(&sharded).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, place.path().join(path.file_name().unwrap())).unwrap();
    }
    const INDEX: &str = "model.safetensors.index.json";
    let good = std::fs::read(sharded.join(INDEX)).unwrap();
    fuzz(INDEX, &[good], change_text, |json| {
        place.write(INDEX, json);
        let _ = openelm::hub::missing_file(place.path());
        place.open()
    });
}

#[test]
fn gguf() {
    let place = Place::new();
    let file = std::fs::read(fixture("gguf/converted-f16.gguf")).unwrap();
    // Vocabulary and names of tensors lie before the numbers.
    fn change(input: &mut Vec<u8>, _: &[Vec<u8>], rng: &mut Rng) {
        const HEADER: usize = 12 << 10;
        let mut header = input[..HEADER.min(input.len())].to_vec();
        let end = header.len();
        change_bytes(&mut header, rng);
        input.splice(..end, header);
    }
    fuzz("gguf", &[file], change, |file| {
        open(&place.write("model.gguf", file))
    });
}

#[test]
fn tokenizer_json() {
    let path = Path::new("tokenizer.json");
    fuzz(
        "tokenizer.json",
        &texts(&[TOKENIZER]),
        change_text,
        |json| {
            let tokenizer = openelm::text::Tokenizer::from_bytes(json, path, 1, 300)?;
            let ids = tokenizer.encode("the cat \u{e9}</s>\n")?;
            let _ = tokenizer.decode(&ids);
            openelm::Result::Ok(())
        },
    );
}

#[test]
fn tokenizer_model() {
    let piece = |text: &str, kind: u8| {
        let mut piece = vec![0x0a, text.len() as u8];
        piece.extend(text.as_bytes());
        piece.extend([0x15, 0, 0, 0x80, 0xbf, 0x18, kind]);
        [&[0x0a, piece.len() as u8][..], &piece].concat()
    };
    let mut model = Vec::new();
    for (text, kind) in [
        ("<unk>", 2),
        ("<s>", 3),
        ("</s>", 3),
        ("<0x0A>", 6),
        ("▁", 1),
        ("t", 1),
        ("h", 1),
        ("▁t", 1),
        ("▁th", 1),
    ] {
        model.extend(piece(text, kind));
    }
    // BPE, and texts that stay as they are.
    model.extend([0x12, 2, 0x18, 2, 0x1a, 4, 0x18, 1, 0x20, 0]);
    let place = Place::new();
    fuzz(
        "tokenizer.model",
        &[model],
        |input, _, rng| change_bytes(input, rng),
        |file| {
            let (path, json) = read_tokenizer(&place.write("tokenizer.model", file))?;
            // What is made of it is a tokenizer.
            let tokenizer = openelm::text::Tokenizer::from_bytes(&json, &path, 1, 1 << 20)?;
            let _ = tokenizer.encode("the\n");
            openelm::Result::Ok(())
        },
    );
}

#[test]
fn tokenizer_config() {
    let place = Place::new();
    let good = [
        r#"{"bos_token":"<s>","eos_token":{"content":"</s>","special":true},"chat_template":"{% for m in messages %}{{ m.content }}{% endfor %}"}"#,
        r#"{"chat_template":[{"name":"default","template":"a"},{"name":"tools","template":"b"}],"added_tokens_decoder":{"0":{"content":"<unk>"}}}"#,
    ];
    fuzz(
        "tokenizer_config.json",
        &texts(&good),
        change_text,
        |json| {
            place.write("tokenizer_config.json", json);
            ChatFiles::read(place.path())
        },
    );
}

#[test]
fn adapter() {
    let base = Place::model();
    let adapter = Place::new();
    const NAME: &str = "base_model.model.transformer.layers.1.attn.out_proj";
    let matrix = |shape: [usize; 2]| {
        (
            "F32".to_owned(),
            shape.to_vec(),
            vec![0; shape[0] * shape[1] * 4],
        )
    };
    let tensors = safetensors(
        &[
            (format!("{NAME}.lora_A.weight"), matrix([2, 32])),
            (format!("{NAME}.lora_B.weight"), matrix([32, 2])),
        ]
        .into(),
    );
    let config = r#"{"peft_type":"LORA","r":2,"lora_alpha":4,"use_rslora":false,"bias":"none","alpha_pattern":{"out_proj":8},"target_modules":["out_proj"],
        "modules_to_save":null,"fan_in_fan_out":false,"base_model_name_or_path":"apple/OpenELM-270M"}"#;
    let merge = || {
        let mut checkpoint = Checkpoint::open(&base.path().to_string_lossy())?;
        checkpoint.merge_lora(adapter.path())
    };
    adapter.write("adapter_model.safetensors", &tensors);
    fuzz(
        "adapter_config.json",
        &texts(&[config]),
        change_text,
        |json| {
            adapter.write("adapter_config.json", json);
            merge()
        },
    );
    adapter.write("adapter_config.json", config.as_bytes());
    fuzz(
        "adapter_model.safetensors",
        &[tensors],
        change_safetensors,
        |file| {
            adapter.write("adapter_model.safetensors", file);
            merge()
        },
    );
}

#[test]
fn prompt_cache() {
    let place = Place::new();
    let path = place.path().join("prompt.kv");
    let mut options = LoadOptions::default();
    options.can_save = true;
    options.tune = openelm::Tune::Off;
    let files = ModelFiles::open("demo").unwrap();
    let model: Model = files.load(&options, |_| {}).unwrap();
    let mut session = model.session().unwrap();
    session.score(&[1, 5, 9], 0).unwrap();
    session.save(&path).unwrap();
    let good = std::fs::read(&path).unwrap();
    /// The header, mostly with the checksum that whoever wrote it would have given it.
    fn change(input: &mut Vec<u8>, others: &[Vec<u8>], rng: &mut Rng) {
        let mut front = input[..input.len().min(600)].to_vec();
        let end = front.len();
        match rng.below(2) {
            0 => change_text(&mut front, others, rng),
            _ => change_bytes(&mut front, rng),
        }
        input.splice(..end, front);
        if rng.below(4) > 0 && input.len() > 16 {
            let end = input.len() - 16;
            let sum = XxHash3_128::oneshot(&input[..end]);
            input[end..].copy_from_slice(&sum.to_le_bytes());
        }
    }
    fuzz("prompt cache", &[good], change, |file| {
        place.write("prompt.kv", file);
        SavedSession::open(&path).map(|saved| saved.matching(&[1, 5]))
    });
}

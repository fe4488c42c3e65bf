//! Files to typed, checked data: configuration, tensors, generation defaults. No GPU here.

pub mod config;
mod demo;
mod files;
pub mod quantize;
pub mod shapes;
mod tensor;
mod write;

use std::path::{Path, PathBuf};

pub use config::{Activation, Config, LayerConfig};
pub use tensor::{RowReader, Tensor};

use crate::error::{Error, Result};
use files::TensorFiles;

/// Sampling settings that a checkpoint brings along in `generation_config.json`; absent fields are `None`.
#[derive(Debug, Clone, Default, PartialEq, serde::Deserialize)]
#[serde(default)]
pub struct GenerationDefaults {
    pub do_sample: Option<bool>,
    pub temperature: Option<f32>,
    pub top_k: Option<u32>,
    pub top_p: Option<f32>,
    pub repetition_penalty: Option<f32>,
    pub max_new_tokens: Option<usize>,
}

enum Tensors {
    Files(TensorFiles),
    /// Made on the fly from this seed.
    Random(u64),
}

/// A model as its files describe it, every shape checked against the configuration.
pub struct Checkpoint {
    /// What the person called it: a folder, `demo` or `shape:NAME`.
    pub name: String,
    pub config: Config,
    pub generation: GenerationDefaults,
    /// The text of `tokenizer.json`, if there is one.
    pub tokenizer: Option<Vec<u8>>,
    /// Things that are odd but not wrong.
    pub warnings: Vec<String>,
    tensors: Tensors,
    /// `config.json` and `generation_config.json` as they were.
    config_json: Vec<u8>,
    generation_json: Option<Vec<u8>>,
}

/// One tensor of the configuration: its name and shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorSpec {
    pub name: String,
    pub shape: Vec<usize>,
}

impl Checkpoint {
    /// Opens `model`: a folder, `demo` (embedded), or `shape:270M|450M|1_1B|3B` (random weights of that shape).
    ///
    /// # Errors
    /// Names the file and the field or tensor that is wrong.
    pub fn open(model: &str) -> Result<Self> {
        if model == "demo" {
            return demo::open();
        }
        if let Some(shape) = model.strip_prefix("shape:") {
            return Ok(Self {
                name: model.to_owned(),
                config: shapes::config(shape)?,
                config_json: shapes::config_json(shape)?.into_bytes(),
                generation_json: None,
                generation: GenerationDefaults::default(),
                tokenizer: None,
                warnings: Vec::new(),
                tensors: Tensors::Random(0),
            });
        }
        let folder = Path::new(model);
        if !folder.is_dir() {
            return Err(Error::ModelNotFound(not_found(model, folder)));
        }
        let config = read_bounded(&folder.join("config.json"), 1 << 20)?;
        let generation = match folder.join("generation_config.json") {
            path if path.exists() => Some(read_bounded(&path, 1 << 20)?),
            _ => None,
        };
        let tokenizer = match folder.join("tokenizer.json") {
            path if path.exists() => Some(read_bounded(&path, 256 << 20)?),
            _ => None,
        };
        Self::assemble(
            model,
            folder,
            &config,
            generation.as_deref(),
            tokenizer,
            TensorFiles::open_folder(folder)?,
        )
    }

    fn assemble(
        name: &str,
        folder: &Path,
        config_json: &[u8],
        generation_json: Option<&[u8]>,
        tokenizer: Option<Vec<u8>>,
        files: TensorFiles,
    ) -> Result<Self> {
        let config = Config::parse(config_json, &folder.join("config.json"))?;
        let generation = match generation_json {
            None => GenerationDefaults::default(),
            Some(bytes) => serde_json::from_slice(bytes).map_err(|error| {
                Error::config(&folder.join("generation_config.json"), error.to_string())
            })?,
        };
        let warnings = files.check(&config)?;
        Ok(Self {
            name: name.to_owned(),
            config,
            generation,
            tokenizer,
            warnings,
            tensors: Tensors::Files(files),
            config_json: config_json.to_vec(),
            generation_json: generation_json.map(<[u8]>::to_vec),
        })
    }

    /// The small files of the model's folder, by name.
    fn side_files(&self) -> impl Iterator<Item = (&'static str, &[u8])> {
        let files = [
            ("config.json", Some(&self.config_json)),
            ("generation_config.json", self.generation_json.as_ref()),
            ("tokenizer.json", self.tokenizer.as_ref()),
        ];
        files
            .into_iter()
            .filter_map(|(name, bytes)| Some((name, bytes?.as_slice())))
    }

    /// A tensor of the configuration, by name.
    ///
    /// # Errors
    /// [`Error::Tensor`] if the files do not hold it.
    pub fn tensor(&self, spec: &TensorSpec) -> Result<Tensor<'_>> {
        match &self.tensors {
            Tensors::Files(files) => files.tensor(spec),
            Tensors::Random(seed) => Ok(Tensor::random(spec, *seed)),
        }
    }
}

fn not_found(model: &str, folder: &Path) -> String {
    if folder.is_file() {
        return format!(
            "`{model}` is a file; give the folder that holds config.json and the .safetensors files"
        );
    }
    let hint = if model.split('/').count() == 2 && !model.starts_with(['.', '/', '~']) {
        format!(
            " If it is a Hugging Face id, fetch it first: `hf download {model} --local-dir {0}`, then `-m {0}`.",
            model.rsplit('/').next().unwrap_or(model)
        )
    } else {
        String::new()
    };
    format!(
        "no folder `{model}`. A model is a folder with config.json and safetensors, `demo`, or `shape:270M|450M|1_1B|3B`.{hint}"
    )
}

/// Reads a small file whole, refusing one of more than `limit` bytes.
fn read_bounded(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let size = std::fs::metadata(path)
        .map_err(|error| Error::io(path, error))?
        .len();
    if size > limit {
        return Err(Error::config(
            path,
            format!("{size} bytes is too large to be what its name says (limit {limit})"),
        ));
    }
    std::fs::read(path).map_err(|error| Error::io(path, error))
}

/// Reads a tokenizer file that lies elsewhere.
///
/// # Errors
/// [`Error::Io`] if it cannot be read, [`Error::Config`] if it is far too large.
pub fn read_tokenizer(path: &Path) -> Result<Vec<u8>> {
    let file = if path.is_dir() {
        path.join("tokenizer.json")
    } else {
        PathBuf::from(path)
    };
    read_bounded(&file, 256 << 20)
}

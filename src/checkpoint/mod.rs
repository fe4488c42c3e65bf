//! Files to typed, checked data: configuration, tensors, generation defaults. No GPU here.

pub mod config;
mod demo;
mod files;
pub mod quantize;
pub mod shapes;
mod tensor;
mod write;

use std::fs::File;
use std::io::Read;
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

impl GenerationDefaults {
    fn parse(json: &[u8], path: &Path) -> Result<Self> {
        let defaults: Self =
            serde_json::from_slice(json).map_err(|error| Error::config(path, error.to_string()))?;
        let ranges = [
            ("temperature", defaults.temperature, 0.0, 100.0),
            ("top_p", defaults.top_p, 0.0, 1.0),
            (
                "repetition_penalty",
                defaults.repetition_penalty,
                0.01,
                100.0,
            ),
        ];
        for (field, value, low, high) in ranges {
            if value.is_some_and(|value| !(low..=high).contains(&value)) {
                return Err(Error::config(
                    path,
                    format!("`{field}` must be between {low} and {high}"),
                ));
            }
        }
        Ok(defaults)
    }
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
    /// Where its files are.
    pub folder: PathBuf,
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
                folder: PathBuf::from(model),
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
            return Err(Error::ModelNotFound {
                model: model.to_owned(),
                is_file: folder.is_file(),
            });
        }
        let config_path = folder.join("config.json");
        if !config_path.exists() {
            return Err(Error::config(
                &config_path,
                "is not there; is this the folder of a model?",
            ));
        }
        let config = read_bounded(&config_path, 1 << 20)?;
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
            Some(bytes) => {
                GenerationDefaults::parse(bytes, &folder.join("generation_config.json"))?
            }
        };
        let warnings = files.check(&config)?;
        Ok(Self {
            name: name.to_owned(),
            folder: folder.to_owned(),
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

/// Whether a model's name looks like an id on the Hugging Face hub, as `apple/OpenELM-270M` does.
pub fn is_hub_id(model: &str) -> bool {
    model.split_once('/').is_some_and(|(owner, name)| {
        let is_name = |part: &str| !part.is_empty() && !part.contains('/');
        is_name(owner) && is_name(name) && !owner.starts_with(['.', '~'])
    })
}

/// Opens a file, refusing what is none: a pipe or a device would hang, or never end.
fn open_file(path: &Path) -> Result<File> {
    let read = |error| Error::read(path, error);
    if !std::fs::metadata(path).map_err(read)?.is_file() {
        return Err(Error::checkpoint(path, "is not a file"));
    }
    File::open(path).map_err(read)
}

/// Reads a small file whole, refusing one of more than `limit` bytes.
fn read_bounded(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_file(path)?
        .take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Error::read(path, error))?;
    if bytes.len() as u64 > limit {
        return Err(Error::config(
            path,
            format!("is larger than {limit} bytes, too large to be what its name says"),
        ));
    }
    refuse_pointer(path, &bytes)?;
    Ok(bytes)
}

/// A clone without Git LFS leaves small texts where files should be.
fn refuse_pointer(path: &Path, bytes: &[u8]) -> Result<()> {
    if bytes.starts_with(b"version https://git-lfs") {
        return Err(Error::checkpoint(
            path,
            "is only a Git LFS pointer to the file; run `git lfs pull` in its folder",
        ));
    }
    Ok(())
}

/// Reads a tokenizer file that lies elsewhere; returns its path too.
///
/// # Errors
/// [`Error::Read`] if it cannot be read, [`Error::Config`] if it is far too large.
pub fn read_tokenizer(path: &Path) -> Result<(PathBuf, Vec<u8>)> {
    let file = if path.is_dir() {
        path.join("tokenizer.json")
    } else {
        PathBuf::from(path)
    };
    let bytes = read_bounded(&file, 256 << 20)?;
    Ok((file, bytes))
}

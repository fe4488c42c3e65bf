//! A model's folder, opened and checked.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::chat::ChatFiles;
use super::config::Config;
use super::demo;
use super::files::TensorFiles;
use super::generation::{self, GenerationDefaults};
use super::gguf::{self, Gguf};
use super::read::read_bounded;
use super::shapes;
use super::spec::TensorSpec;
use super::tensor::Tensor;
use crate::error::{Error, Result};
use crate::hub::Snapshot;

enum Tensors {
    Files(TensorFiles),
    Gguf(Box<Gguf>),
    /// Made on the fly from this seed.
    Random(u64),
}

/// A model as its files describe it, every shape checked against the configuration.
pub struct Checkpoint {
    /// What the person called it: a folder, `demo` or `shape:NAME`; for a snapshot in a cache of the hub its repository's name.
    pub name: String,
    pub config: Config,
    pub generation: GenerationDefaults,
    /// The text of `tokenizer.json`, if there is one.
    pub tokenizer: Option<Vec<u8>>,
    /// Where its files are; the file itself, where it is only one.
    pub folder: PathBuf,
    /// Things that are odd but not wrong.
    pub warnings: Vec<String>,
    tensors: Tensors,
    /// `config.json` and `generation_config.json` as they were.
    config_json: Vec<u8>,
    generation_json: Option<Vec<u8>>,
}

impl Checkpoint {
    /// Opens `model`: a folder, a GGUF file, `demo` (embedded), or `shape:270M|450M|1_1B|3B` (random weights of that shape). A repository's folder in
    /// a cache of the hub stands for its usual snapshot.
    ///
    /// # Errors
    /// Names the file and the field or tensor that is wrong.
    pub fn open(model: &str) -> Result<Self> {
        if model == "demo" {
            return Self::assemble(
                model,
                Path::new(model),
                demo::CONFIG,
                Some(demo::GENERATION),
                Some(demo::TOKENIZER.to_vec()),
                TensorFiles::embedded(demo::TENSORS)?,
            );
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
        let snapshot = Snapshot::at(folder);
        let folder = snapshot.as_ref().map_or(folder, |found| &found.folder);
        let name = snapshot.as_ref().map_or(model, |found| &found.name);
        if let Some(file) = gguf::find(folder)? {
            return Self::of_gguf(name, file);
        }
        if !folder.is_dir() {
            return Err(Error::ModelNotFound {
                model: model.to_owned(),
                is_file: folder.is_file(),
            });
        }
        let config = config_json(folder)?;
        let (generation, warning) = generation::read(&folder.join("generation_config.json"));
        let tokenizer = match folder.join("tokenizer.json") {
            path if path.exists() => Some(read_bounded(&path, 256 << 20)?),
            _ => None,
        };
        let mut checkpoint = Self::assemble(
            name,
            folder,
            &config,
            generation.as_deref(),
            tokenizer,
            TensorFiles::open_folder(folder)?,
        )?;
        checkpoint.warnings.extend(warning);
        Ok(checkpoint)
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
        let (generation, warning) = match generation_json {
            None => (GenerationDefaults::default(), None),
            Some(bytes) => GenerationDefaults::parse(bytes, &folder.join("generation_config.json")),
        };
        let mut warnings = files.check(&config)?;
        warnings.extend(warning);
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

    fn of_gguf(name: &str, file: PathBuf) -> Result<Self> {
        let mut gguf = Gguf::open(&file)?;
        let generation = gguf.generation.clone();
        let generation_json = (!generation.entries.is_empty()).then(|| {
            Value::from(generation.entries.clone())
                .to_string()
                .into_bytes()
        });
        Ok(Self {
            name: name.to_owned(),
            config: gguf.config.clone(),
            generation,
            tokenizer: gguf.tokenizer.take(),
            folder: file,
            warnings: std::mem::take(&mut gguf.warnings),
            config_json: gguf.config_json.clone(),
            generation_json,
            tensors: Tensors::Gguf(Box::new(gguf)),
        })
    }

    /// What the model says about chats.
    ///
    /// # Errors
    /// Those of [`ChatFiles::read`].
    pub fn chat_files(&self) -> Result<ChatFiles> {
        match &self.tensors {
            Tensors::Gguf(gguf) => Ok(gguf.chat.clone()),
            _ => match self.own_folder() {
                Some(folder) => ChatFiles::read(folder),
                None => Ok(ChatFiles::default()),
            },
        }
    }

    /// Where the tokenizer is, or would be.
    pub fn tokenizer_path(&self) -> PathBuf {
        match &self.tensors {
            Tensors::Gguf(_) => self.folder.clone(),
            _ => self.folder.join("tokenizer.json"),
        }
    }

    /// The model's folder; `None` for one that is part of the program, made by it, or a single file.
    pub fn own_folder(&self) -> Option<&Path> {
        let is_folder = self.name != "demo" && matches!(self.tensors, Tensors::Files(_));
        is_folder.then_some(self.folder.as_path())
    }

    /// The small files of the model's folder, by name.
    pub(super) fn side_files(&self) -> impl Iterator<Item = (&'static str, &[u8])> {
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
            Tensors::Gguf(gguf) => match gguf.rows(spec) {
                Some(rows) => Ok(Tensor::foreign(&spec.shape, rows)),
                None => Err(Error::tensor(&self.folder, &spec.name, "is missing")),
            },
            Tensors::Random(seed) => Ok(Tensor::random(spec, *seed)),
        }
    }
}

fn config_json(folder: &Path) -> Result<Vec<u8>> {
    let path = folder.join("config.json");
    if !path.exists() {
        let what = "is not there; is this the folder of a model?";
        return Err(Error::config(&path, what));
    }
    read_bounded(&path, 1 << 20)
}

/// Checks that the configuration in a folder is of a model that can be run, before there are any weights.
///
/// # Errors
/// [`Error::Read`]; [`Error::Config`] names the field that is wrong.
pub fn check_config(folder: &Path) -> Result<()> {
    let json = config_json(folder)?;
    Config::parse(&json, &folder.join("config.json")).map(|_| ())
}

//! A model's folder, opened and checked.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::chat::ChatFiles;
use super::config::{self, Config};
use super::demo;
use super::files::TensorFiles;
use super::foreign;
use super::generation::{self, GenerationDefaults};
use super::gguf::{self, Gguf};
use super::lora;
use super::read::read_bounded;
use super::shapes;
use super::spec::TensorSpec;
use super::tensor::{Delta, Tensor};
use super::tokenizer_file::{is_there, read_tokenizer, tokenizer_in};
use crate::dtype::Dtype;
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
    /// The text of `tokenizer.json`, or what `tokenizer.model` is as one, if there is either.
    pub tokenizer: Option<Vec<u8>>,
    /// Where its files are; the file itself, where it is only one.
    pub folder: PathBuf,
    /// Things that are odd but not wrong.
    pub warnings: Vec<String>,
    tensors: Tensors,
    /// What adapters add to tensors, by name.
    deltas: BTreeMap<String, Vec<Delta>>,
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
                deltas: BTreeMap::new(),
            });
        }
        let folder = Path::new(model);
        let snapshot = Snapshot::at(folder);
        let folder = snapshot.as_ref().map_or(folder, |found| &found.folder);
        let name = snapshot.as_ref().map_or(model, |found| &found.name);
        if let Some(file) = gguf::find(folder)? {
            let cached = file.parent().and_then(Snapshot::at);
            let name = match (&snapshot, cached, file.file_name()) {
                (None, Some(cached), Some(file)) => {
                    &format!("{}:{}", cached.name, file.to_string_lossy())
                }
                _ => name,
            };
            return Self::of_gguf(name, file);
        }
        if !folder.is_dir() {
            return Err(Error::ModelNotFound {
                model: model.to_owned(),
                is_file: folder.is_file(),
            });
        }
        let json = config_json(folder)?;
        let config = Config::parse(&json, &folder.join("config.json"))?;
        let (generation, warning) = generation::read(&folder.join("generation_config.json"));
        let (tokenizer, other) = tokenizer(folder)?;
        let files = TensorFiles::open_folder(folder, &config)?;
        let mut checkpoint =
            Self::assemble(name, folder, &json, generation.as_deref(), tokenizer, files)?;
        checkpoint.warnings.extend(warning);
        checkpoint.warnings.extend(other);
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
        let (generation, warning) = GenerationDefaults::of(config_json, generation_json, folder);
        let mut warnings = files.check(&config)?;
        warnings.extend(config::notice(config_json));
        warnings.extend(warning);
        Ok(Self {
            name: name.to_owned(),
            folder: folder.to_owned(),
            config,
            generation,
            tokenizer,
            warnings,
            tensors: Tensors::Files(files),
            deltas: BTreeMap::new(),
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
            deltas: Default::default(),
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
            _ => tokenizer_in(&self.folder),
        }
    }

    /// Merges a LoRA adapter, in a folder as PEFT writes it, into the tensors as they are read. Several add up. An embedding that is the output
    /// matrix too is changed as both, as PEFT's own merge does; matrices for modules that `target_modules` does not name are left out. [`Self::warnings`] says so.
    ///
    /// # Errors
    /// [`Error::Adapter`] for what cannot be merged, or not into this model; [`Error::Read`], [`Error::Checkpoint`].
    pub fn merge_lora(&mut self, folder: &Path) -> Result<()> {
        let shared = self.config.outer_tensors().embedding.name;
        let adapter = lora::read(folder, &self.config)?;
        if let Some(first) = adapter.unused.first() {
            self.warnings.push(format!(
                "{}: the adapter's matrices for {} tensors, such as {first}, are left out, as PEFT does: `target_modules` does not name them",
                folder.display(),
                adapter.unused.len()
            ));
        }
        for (name, delta) in adapter.deltas {
            if name == shared && self.config.share_input_output_layers {
                self.warnings.push(format!(
                    "{}: the adapter changes {name}, which in this model is the output matrix too: merged it changes both, in training only the \
                     first",
                    folder.display()
                ));
            }
            self.deltas.entry(name).or_default().push(delta);
        }
        Ok(())
    }

    /// Checks that the files are as long as they were when they were opened: reading beyond the end of a mapped file would end the program.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] if one has become shorter.
    pub(crate) fn check_lengths(&self) -> Result<()> {
        match &self.tensors {
            Tensors::Files(files) => files.check_lengths(),
            Tensors::Gguf(gguf) => gguf.check_length(),
            Tensors::Random(_) => Ok(()),
        }
    }

    /// Whether any matrix is quantised in the files already, and how.
    pub fn quantized_as(&self) -> Option<Dtype> {
        let specs = self.config.tensors().into_iter();
        let dtypes = specs.filter_map(|spec| Some(self.tensor(&spec).ok()?.dtype));
        let mut quantized = dtypes.filter(|dtype| dtype.is_quantized());
        quantized.next()
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
        let tensor = match &self.tensors {
            Tensors::Files(files) => files.tensor(spec)?,
            Tensors::Gguf(gguf) => match gguf.rows(spec) {
                Some(rows) => Tensor::foreign(&spec.shape, rows),
                None => return Err(Error::tensor(&self.folder, &spec.name, "is missing")),
            },
            Tensors::Random(seed) => Tensor::random(spec, *seed),
        };
        let deltas = self.deltas.get(&spec.name);
        Ok(tensor.with_deltas(deltas.map_or(&[], Vec::as_slice)))
    }
}

/// The text of `tokenizer.json`, if a folder has that or what it can be made of; and what is to be said about a file that it cannot be made of,
/// since a model works without.
fn tokenizer(folder: &Path) -> Result<(Option<Vec<u8>>, Option<String>)> {
    let path = tokenizer_in(folder);
    if !is_there(&path) {
        return Ok((None, None));
    }
    match read_tokenizer(&path) {
        Ok((_, json)) => Ok((Some(json), None)),
        Err(error @ Error::Tokenizer { .. }) => Ok((None, Some(error.to_string()))),
        Err(error) => Err(error),
    }
}

fn config_json(folder: &Path) -> Result<Vec<u8>> {
    let path = folder.join("config.json");
    if !path.exists() {
        foreign::refuse(folder)?;
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

//! GGUF files, as llama.cpp's converter writes them of OpenELM: one file with configuration, vocabulary and tensors.

mod config;
mod encoding;
mod generation;
mod header;
mod reader;
mod rows;
mod tensors;
mod vocabulary;

use std::path::{Path, PathBuf};

pub use rows::Rows;

use self::header::Header;
use self::tensors::Tensors;
use self::vocabulary::Vocabulary;
use super::chat::ChatFiles;
use super::config::Config;
use super::generation::GenerationDefaults;
use super::mapped::Bytes;
use super::read::refuse_pointer;
use super::spec::TensorSpec;
use crate::error::{Error, Result};

/// A model in a GGUF file, checked. What a folder has in files of their own is here as their texts.
pub struct Gguf {
    pub config: Config,
    pub config_json: Vec<u8>,
    /// The text of `tokenizer.json`, if the file has a vocabulary that can be read.
    pub tokenizer: Option<Vec<u8>>,
    pub chat: ChatFiles,
    pub generation: GenerationDefaults,
    /// Things that are odd but not wrong.
    pub warnings: Vec<String>,
    path: PathBuf,
    bytes: Bytes,
    tensors: Tensors,
}

impl Gguf {
    /// Opens a file and checks all that it says.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] for a file that is no GGUF, or not all of it; [`Error::Config`] for one of another model; [`Error::Tensor`];
    /// [`Error::Tokenizer`] for a broken vocabulary.
    pub fn open(path: &Path) -> Result<Self> {
        let bytes = Bytes::map(path)?;
        refuse_pointer(path, bytes.as_slice())?;
        Self::parse(path, bytes)
    }

    fn parse(path: &Path, bytes: Bytes) -> Result<Self> {
        let of_config = |what: String| Error::config(path, what);
        let of_tokenizer = |what: String| Error::tokenizer(path, what);
        let header =
            Header::parse(bytes.as_slice()).map_err(|what| Error::checkpoint(path, what))?;
        let (config_json, widths) = config::config_json(&header).map_err(of_config)?;
        let config = Config::parse(&config_json, path)?;
        if !config
            .layers
            .iter()
            .map(|layer| layer.ffn_dim as u64)
            .eq(widths)
        {
            let what = "`openelm.feed_forward_length` has widths that no configuration of OpenELM leads to";
            return Err(of_config(what.into()));
        }
        let tensors = Tensors::find(&header, &config, path)?;
        let vocabulary = Vocabulary::read(&header).map_err(of_tokenizer)?;
        let template = header
            .text("tokenizer.chat_template")
            .map_err(of_tokenizer)?;
        let mut warnings = vocabulary.warnings;
        let widened: Vec<String> = tensors.widened().into_iter().collect();
        if !widened.is_empty() {
            warnings.push(format!(
                "weights in {} become numbers of the usual formats here, which takes more memory than the file",
                widened.join(" and ")
            ));
        }
        Ok(Self {
            config,
            config_json,
            tokenizer: vocabulary.json,
            chat: ChatFiles {
                template: template.map(|text| (path.to_owned(), text.to_owned())),
                tokens: vocabulary.specials,
            },
            generation: GenerationDefaults {
                entries: generation::entries(&header),
                ..GenerationDefaults::default()
            },
            warnings,
            tensors,
            path: path.to_owned(),
            bytes,
        })
    }

    /// Checks that the file is still as long as it was.
    ///
    /// # Errors
    /// [`Error::Read`]; [`Error::Checkpoint`] if it has become shorter.
    pub fn check_length(&self) -> Result<()> {
        self.bytes.check_length(&self.path)
    }

    /// The rows of a tensor of the configuration.
    pub fn rows(&self, spec: &TensorSpec) -> Option<Rows<'_>> {
        self.tensors.rows(spec, self.bytes.as_slice())
    }
}

/// The GGUF file that `model` is: the file itself, or the only one in a folder without safetensors. `None`: it is no such thing.
///
/// # Errors
/// [`Error::Read`]; [`Error::Checkpoint`] for a folder with several.
pub fn find(model: &Path) -> Result<Option<PathBuf>> {
    let has_extension = |path: &Path, extension: &str| {
        path.extension()
            .is_some_and(|own| own.eq_ignore_ascii_case(extension))
    };
    if !model.is_dir() {
        let is_gguf = model.is_file() && (has_extension(model, "gguf") || begins_as_one(model));
        return Ok(is_gguf.then(|| model.to_owned()));
    }
    let entries = std::fs::read_dir(model).map_err(|error| Error::read(model, error))?;
    // What begins with a dot is hidden: macOS leaves such files beside those that it copies.
    let is_shown = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default();
        !name.to_string_lossy().starts_with('.')
    };
    let paths = entries.flatten().map(|entry| entry.path());
    let paths: Vec<PathBuf> = paths.filter(is_shown).collect();
    let mut found = paths.iter().filter(|path| has_extension(path, "gguf"));
    let is_safetensors = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        has_extension(path, "safetensors") || name.ends_with(".safetensors.index.json")
    };
    let Some(first) = found.next() else {
        return Ok(None);
    };
    if paths.iter().any(is_safetensors) {
        return Ok(None);
    }
    let mut names: Vec<_> = [first].into_iter().chain(found).collect();
    names.sort();
    match names[..] {
        [only] => Ok(Some(only.clone())),
        _ => {
            let names: Vec<_> = names
                .iter()
                .filter_map(|path| path.file_name())
                .map(|name| name.to_string_lossy())
                .collect();
            Err(Error::checkpoint(
                model,
                format!(
                    "there are several GGUF files in this folder, and each is a model: name one of {}",
                    names.join(", ")
                ),
            ))
        }
    }
}

/// Whether a file begins as a GGUF file does, whatever its name is: those of a cache have none.
fn begins_as_one(path: &Path) -> bool {
    use std::io::Read;
    let mut begin = [0; 4];
    let read = std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut begin));
    read.is_ok() && Header::is_of(&begin)
}

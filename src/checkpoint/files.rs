//! The tensors of a model, in one file or several, by the names that Apple's code has for them.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use safetensors::tensor::{Metadata, TensorInfo};

use super::find::{self, Candidate};
use super::foreign;
use super::mapped::Bytes;
use super::mlx::{self, Packed};
use super::names::Renaming;
use super::quantize::can_quantize;
use super::tensor::{RowReader, Stored};
use super::tensor_file::TensorFile;
use super::{Config, Tensor, TensorSpec};
use crate::dtype::Dtype;
use crate::error::{Error, ModelForm, Result};

/// The ends of names of buffers that trainers keep and this program computes itself.
const BUFFERS: [&str; 7] = [
    "inv_freq",
    "cos_cached",
    "sin_cached",
    "_cos_cached",
    "_sin_cached",
    "masked_bias",
    "causal_mask",
];

const HEAD: &str = "lm_head.weight";

/// What a tensor is that PEFT has put in place of one of the model's, or beside it.
const UNMERGED: &str = "belongs to a LoRA adapter that was not merged: take the adapter's folder and its base model, or merge them with PEFT";

/// Extra tensors that a message names; how many more there are is a number.
const NAMED: usize = 3;

/// All tensors of a checkpoint, by name.
pub struct TensorFiles {
    files: Vec<TensorFile>,
    tensors: HashMap<String, (usize, TensorInfo)>,
    /// What is odd about where they were found, and under which names.
    notices: Vec<String>,
}

impl TensorFiles {
    /// A checkpoint that is part of the program.
    pub fn embedded(bytes: &'static [u8]) -> Result<Self> {
        let parsed = TensorFile::parse(Path::new("demo"), Bytes::Embedded(bytes))?;
        Self::collect(vec![parsed])
    }

    /// `model.safetensors`, the shards that `model.safetensors.index.json` names, or what else fits the configuration, if that is one thing.
    ///
    /// # Errors
    /// [`Error::Checkpoint`], [`Error::Tensor`] or [`Error::Read`] where what is there cannot be used; [`Error::OtherForm`] where there is
    /// something else.
    pub fn open_folder(folder: &Path, config: &Config) -> Result<Self> {
        let Some(usual) = find::usual(folder)? else {
            return Self::open_other(folder, config);
        };
        let mut files = Self::open(&usual)?;
        for name in find::stale_shards(folder, &usual)? {
            files.notices.push(format!(
                "{name} lies in the folder but not in the index: it is ignored"
            ));
        }
        if files.check(config).is_ok() {
            return Ok(files);
        }
        // A file of another model may lie where this one's should.
        let mut fits = fitting(folder, config)?;
        match (fits.pop(), fits.is_empty()) {
            (Some((candidate, mut other)), true) => {
                other.notices.push(format!(
                    "{} is not of this model, {} is: it is taken",
                    usual.name, candidate.name
                ));
                Ok(other)
            }
            _ => Ok(files),
        }
    }

    /// Opens what fits, where nothing has the usual name.
    fn open_other(folder: &Path, config: &Config) -> Result<Self> {
        let mut fits = fitting(folder, config)?;
        if let (Some((candidate, mut files)), true) = (fits.pop(), fits.is_empty()) {
            files.notices.push(format!(
                "there is no {}; {} is taken",
                find::SINGLE,
                candidate.name
            ));
            return Ok(files);
        }
        let others = find::others(folder)?;
        match &others[..] {
            [] => {
                foreign::refuse(folder)?;
                Err(Error::checkpoint(
                    folder,
                    "neither model.safetensors nor model.safetensors.index.json is here; download the model's .safetensors files into this folder",
                ))
            }
            // What is wrong with it is said where it is checked.
            [only] => Self::open(only),
            _ => {
                let names: Vec<&str> = others.iter().map(|other| other.name.as_str()).collect();
                let which = match fits.len() {
                    0 => "none of them fits config.json",
                    _ => "several of them fit",
                };
                Err(Error::checkpoint(
                    folder,
                    format!(
                        "there is no {}, and of {} {which}; give one of them that name",
                        find::SINGLE,
                        names.join(", ")
                    ),
                ))
            }
        }
    }

    fn open(candidate: &Candidate) -> Result<Self> {
        if let Some(name) = candidate
            .missing
            .iter()
            .find(|name| is_needed(candidate, name))
        {
            let place = candidate.index.as_ref().map(|index| index.path.as_path());
            let place = place.or(candidate.files.first().map(|file| file.as_path()));
            return Err(Error::checkpoint(
                place.unwrap_or(Path::new(&candidate.name)),
                format!("shard {name} is missing from the folder; download it too"),
            ));
        }
        let files = candidate.files.iter();
        let parsed = files
            .map(|path| TensorFile::map(path))
            .collect::<Result<Vec<_>>>()?;
        if let Some(index) = &candidate.index {
            for (file, metadata) in &parsed {
                let name = file.path.file_name().unwrap_or_default().to_string_lossy();
                let tensors = metadata.tensors();
                let elsewhere = |tensor: &&String| {
                    let said = index.weight_map.get(*tensor);
                    said.is_none_or(|said| *said != *name)
                        && !is_superfluous(tensor, tensors[*tensor])
                };
                if let Some(tensor) = tensors.keys().find(elsewhere) {
                    return Err(Error::tensor(
                        &file.path,
                        tensor,
                        "is in this shard, but the index does not say so; index and shards belong to different downloads",
                    ));
                }
            }
        }
        let mut all = Self::collect(parsed)?;
        if let Some(index) = &candidate.index {
            let renaming = Renaming::of(index.weight_map.keys().map(String::as_str));
            let is_absent = |name: &&String| !all.tensors.contains_key(&renaming.apply(name));
            let absent: Vec<&str> = index
                .weight_map
                .keys()
                .filter(is_absent)
                .map(String::as_str)
                .collect();
            if !absent.is_empty() {
                all.notices.push(format!(
                    "the index names {}, which no shard has",
                    listed(&absent)
                ));
            }
        }
        Ok(all)
    }

    fn collect(parsed: Vec<(TensorFile, Metadata)>) -> Result<Self> {
        let mut found: Vec<(String, usize, TensorInfo)> = Vec::new();
        let mut files = Vec::new();
        for (at, (file, metadata)) in parsed.into_iter().enumerate() {
            let infos = metadata.tensors().into_iter();
            found.extend(infos.map(|(name, info)| (name, at, info.clone())));
            files.push(file);
        }
        let renaming = Renaming::of(found.iter().map(|(name, ..)| name.as_str()));
        let mut tensors = HashMap::new();
        for (name, at, info) in found {
            let renamed = renaming.apply(&name);
            if tensors.insert(renamed, (at, info)).is_some() {
                return Err(Error::tensor(
                    &files[at].path,
                    &name,
                    "is there twice; only one of its files belongs to this model",
                ));
            }
        }
        Ok(Self {
            files,
            tensors,
            notices: renaming.notice().into_iter().collect(),
        })
    }

    /// The file that a complaint about `name` should point to.
    fn path_of(&self, name: &str) -> &Path {
        let at = self.tensors.get(name).map_or(0, |(at, _)| *at);
        self.files
            .get(at)
            .map_or(Path::new(""), |file| file.path.as_path())
    }

    /// Checks that the tensors of `config` are here, in the right shapes and in formats that can be read, and nothing else that could matter.
    /// Returns warnings.
    pub fn check(&self, config: &Config) -> Result<Vec<String>> {
        let specs = config.tensors();
        for spec in &specs {
            self.check_tensor(spec)?;
        }
        let mut known: HashSet<String> = HashSet::new();
        let mut packed = 0;
        for spec in specs {
            if self.packed(&spec).is_some() {
                packed += 1;
                known.extend(mlx::beside(&spec.name).into_iter().flatten());
            }
            known.insert(spec.name);
        }
        let mut extra: Vec<&str> = self
            .tensors
            .keys()
            .map(String::as_str)
            .filter(|name| !known.contains(*name))
            .collect();
        extra.sort_unstable();
        let mut warnings = self.notices.clone();
        if packed > 0 {
            warnings.push(format!(
                "{packed} matrices quantised by MLX become numbers of the usual formats here, which takes more memory than the files"
            ));
        }
        let mut ignored = Vec::new();
        for name in extra {
            let info = &self.tensors[name].1;
            if name == HEAD {
                match self.is_embedding(config, info) {
                    true => ignored.push(name),
                    false => warnings.push(format!(
                        "{HEAD} is ignored, though it differs from the embedding: config.json says that the embedding is the output head \
                         (share_input_output_layers)"
                    )),
                }
            } else if is_superfluous(name, info) {
                ignored.push(name);
            } else {
                let what = match name.contains(".lora_") || name.contains(".base_layer.") {
                    true => UNMERGED,
                    false => "is not part of the model that config.json describes",
                };
                return Err(Error::tensor(self.path_of(name), name, what));
            }
        }
        if !ignored.is_empty() {
            warnings.push(format!(
                "the model does not need {}: ignored",
                listed(&ignored)
            ));
        }
        Ok(warnings)
    }

    fn check_tensor(&self, spec: &TensorSpec) -> Result<()> {
        if self.packed(spec).is_some() {
            return Ok(());
        }
        let name = &spec.name;
        let fail = |what: String| Err(Error::tensor(self.path_of(name), name, what));
        let found = self.tensors.get(name).map(|(_, info)| info);
        if found.is_some_and(|info| stored_as(info, spec).is_some()) {
            return Ok(());
        }
        // FP8 says by itself what it is.
        let is_fp8 = found.is_some_and(|info| format!("{:?}", info.dtype).starts_with("F8"));
        if !is_fp8
            && let Some(program) = foreign::quantizer(name, |name| self.tensors.contains_key(name))
        {
            return Err(Error::OtherForm {
                path: self.path_of(name).to_owned(),
                form: ModelForm::Quantized {
                    program: program.into(),
                },
            });
        }
        let Some(info) = found else {
            let module = name.trim_end_matches("weight");
            let wrapped = format!("{module}base_layer.weight");
            return fail(match self.tensors.is_empty() {
                true => "is missing, as there is no tensor at all in the file".into(),
                false if self.tensors.contains_key(&wrapped) => UNMERGED.into(),
                false => "is missing; config.json asks for it".into(),
            });
        };
        let expected = match kind(info) {
            None => {
                return fail(format!(
                    "is stored as {:?}; F64, F32, F16 and BF16 can be read, and U8 rows that openelm quantised: take the model that this one was \
                     made from",
                    info.dtype
                ));
            }
            Some(Kind::Numbers(_)) => format!("{:?}", spec.shape),
            Some(Kind::Bytes) => "rows of q8 or q4 for such a matrix".into(),
        };
        fail(format!(
            "has shape {:?}, but config.json makes it {expected}",
            info.shape
        ))
    }

    /// A matrix that MLX quantised, if this is one.
    fn packed(&self, spec: &TensorSpec) -> Option<Packed<'_>> {
        let found = |name: &str| {
            let (at, info) = self.tensors.get(name)?;
            Some((info, self.files.get(*at)?.data(info)?))
        };
        let [scales, biases] = mlx::beside(&spec.name)?;
        Packed::of(
            &spec.shape,
            found(&spec.name)?,
            found(&scales)?,
            found(&biases)?,
        )
    }

    /// Whether a head is the embedding once more.
    fn is_embedding(&self, config: &Config, head: &TensorInfo) -> bool {
        let embedding = config.outer_tensors().embedding;
        let as_head = TensorSpec {
            name: HEAD.to_owned(),
            shape: head.shape.clone(),
        };
        if as_head.shape != embedding.shape || stored_as(head, &as_head).is_none() {
            return false;
        }
        let (Ok(head), Ok(embedding)) = (self.tensor(&as_head), self.tensor(&embedding)) else {
            return false;
        };
        let mut readers = [RowReader::default(), RowReader::default()];
        let [ours, theirs] = &mut readers;
        (0..head.rows).all(|row| ours.read_f32(&head, row) == theirs.read_f32(&embedding, row))
    }

    /// A tensor, as bytes of its file.
    pub fn tensor(&self, spec: &TensorSpec) -> Result<Tensor<'_>> {
        let name = &spec.name;
        if let Some(packed) = self.packed(spec) {
            return Ok(Tensor::packed(&spec.shape, packed));
        }
        let found = self.tensors.get(name).and_then(|(at, info)| {
            let bytes = self.files.get(*at)?.data(info)?;
            Some(Tensor::stored(&spec.shape, stored_as(info, spec)?, bytes))
        });
        found.ok_or_else(|| Error::tensor(self.path_of(name), name, "is missing or unreadable"))
    }

    /// As [`Bytes::check_length`], of all files.
    pub fn check_lengths(&self) -> Result<()> {
        self.files.iter().try_for_each(TensorFile::check_length)
    }
}

/// Those candidates that have what a configuration asks for.
fn fitting(folder: &Path, config: &Config) -> Result<Vec<(Candidate, TensorFiles)>> {
    let others = find::others(folder)?.into_iter();
    let opened = others.filter_map(|candidate| {
        let files = TensorFiles::open(&candidate).ok()?;
        files.check(config).is_ok().then_some((candidate, files))
    });
    Ok(opened.collect())
}

/// Whether a shard that is missing has anything that a model could need.
fn is_needed(candidate: &Candidate, shard: &str) -> bool {
    let Some(index) = &candidate.index else {
        return true;
    };
    let inside = index.weight_map.iter().filter(|(_, file)| *file == shard);
    let mut names = inside.map(|(name, _)| name.as_str());
    names.any(|name| !is_buffer(name) && name != HEAD)
}

fn is_buffer(name: &str) -> bool {
    let last = name.rsplit('.').next();
    last.is_some_and(|last| BUFFERS.contains(&last))
}

/// Whether a tensor that no configuration asks for changes nothing: buffers, and the counters and empty things of trainers.
fn is_superfluous(name: &str, info: &TensorInfo) -> bool {
    is_buffer(name) || info.shape.iter().product::<usize>() <= 1
}

/// Some names, and how many more there are.
fn listed(names: &[&str]) -> String {
    let shown = names.iter().take(NAMED).map(|name| format!("`{name}`"));
    let mut text = shown.collect::<Vec<_>>().join(", ");
    if names.len() > NAMED {
        text += &format!(" and {} more", names.len() - NAMED);
    }
    text
}

/// What a file's own type says about a tensor.
enum Kind {
    Numbers(Stored),
    /// Rows of bytes: quantised.
    Bytes,
}

fn kind(info: &TensorInfo) -> Option<Kind> {
    match info.dtype {
        safetensors::Dtype::U8 => Some(Kind::Bytes),
        dtype => Stored::of(dtype).map(Kind::Numbers),
    }
}

/// The format of a tensor whose shape is as it should be.
fn stored_as(info: &TensorInfo, spec: &TensorSpec) -> Option<Stored> {
    match (kind(info)?, &spec.shape[..]) {
        (Kind::Numbers(stored), shape) => (info.shape == shape).then_some(stored),
        (Kind::Bytes, [rows, columns]) if can_quantize(*columns) => [Dtype::Q8, Dtype::Q4]
            .into_iter()
            .find(|dtype| info.shape == [*rows, dtype.row_bytes(*columns)])
            .map(Stored::As),
        _ => None,
    }
}

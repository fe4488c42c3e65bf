//! Folders that hold something, but no model that can be read as it is: what it is, so that a person can be told what to take.

use std::path::Path;

use super::mlx;
use super::read::read_bounded;
use crate::error::{Error, ModelForm, Result};
use crate::hub::Cache;

/// What a folder holds in place of safetensors, if that can be told.
pub fn form(folder: &Path) -> Option<ModelForm> {
    let names = names(folder);
    let has = |name: &str| names.iter().any(|other| other == name);
    if has("adapter_config.json") {
        return Some(ModelForm::LoraAdapter {
            base: base_of(folder),
        });
    }
    let is_pytorch = |name: &&String| {
        let ends = [".bin", ".pt", ".pth", ".ckpt"];
        // What trainers leave beside a model is no model.
        let is_else =
            ["training_args.bin", "optimizer.pt", "scheduler.pt"].contains(&name.as_str());
        ends.iter().any(|end| name.ends_with(end)) && !is_else
    };
    if let Some(file) = names.iter().find(is_pytorch) {
        return Some(ModelForm::PyTorch { file: file.clone() });
    }
    let ends = |end: &'static str| names.iter().find(move |name| name.ends_with(end));
    let other = [
        (".npz", "MLX or NumPy"),
        (".onnx", "ONNX"),
        (".h5", "TensorFlow"),
        (".msgpack", "Flax"),
        (".mlmodel", "Core ML"),
        (".mlpackage", "Core ML"),
        (".gguf", "GGUF"),
    ];
    let found = other
        .into_iter()
        .find_map(|(end, program)| ends(end).map(|file| (file, program)));
    if let Some((file, program)) = found {
        return Some(ModelForm::Other {
            file: file.clone(),
            program: program.to_owned(),
        });
    }
    let models = cached(folder).or_else(|| cached(&folder.join("hub")))?;
    Some(ModelForm::HubCache { models })
}

/// Fails with what the folder holds, if that can be told.
///
/// # Errors
/// [`Error::OtherForm`].
pub fn refuse(folder: &Path) -> Result<()> {
    match form(folder) {
        Some(form) => Err(Error::OtherForm {
            path: folder.to_owned(),
            form,
        }),
        None => Ok(()),
    }
}

/// What programs that quantise leave beside a matrix `NAME.weight`, or in its place, after `NAME.`.
const TRACES: [(&str, &str); 8] = [
    ("qweight", "GPTQ or AWQ"),
    ("weight.absmax", "bitsandbytes"),
    ("SCB", "bitsandbytes"),
    ("weight_packed", "LLM Compressor"),
    ("weight_scale", "LLM Compressor or another program"),
    ("W_q", "HQQ"),
    ("weight._data", "Quanto"),
    (mlx::SCALES, "MLX"),
];

/// What quantised a matrix, told by its name and what else there is.
pub fn quantizer(weight: &str, has: impl Fn(&str) -> bool) -> Option<&'static str> {
    let module = weight.strip_suffix("weight")?;
    let mut traces = TRACES.into_iter();
    let (_, program) = traces.find(|(trace, _)| has(&format!("{module}{trace}")))?;
    Some(program)
}

/// The models in a cache of the hub, if it is one.
fn cached(folder: &Path) -> Option<Vec<String>> {
    let models = Cache::new(folder).models().ok()?;
    let names: Vec<String> = models.into_iter().map(|model| model.name).collect();
    (!names.is_empty()).then_some(names)
}

/// The model that an adapter says it belongs to.
pub fn base_of(folder: &Path) -> Option<String> {
    let json = read_bounded(&folder.join("adapter_config.json"), 1 << 20).ok()?;
    let config: serde_json::Value = serde_json::from_slice(&json).ok()?;
    let base = config.get("base_model_name_or_path")?.as_str()?;
    (!base.is_empty()).then(|| base.to_owned())
}

/// The names in a folder, sorted.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| !name.starts_with('.')).collect();
    names.sort();
    names
}

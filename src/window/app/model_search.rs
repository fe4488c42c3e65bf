//! Models that are here, looked for off this thread: their files are opened, and no weights read.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::checkpoint::{Checkpoint, Config};
use crate::dtype::Dtype;
use crate::gpu::{AdapterSummary, adapters, free_memory};
use crate::hub::Cache;
use crate::model::{kv_bytes, weight_bytes};
use crate::window::catalog::{Facts, Listed, Place};

/// So many files beside models that were loaded before are looked at.
const MOST_BESIDE: usize = 50;

/// Where to look, and for which adapter.
pub(super) struct Search {
    /// Models that were loaded before.
    pub recent: Vec<String>,
    /// The cache of the hub; `None`: as the environment says.
    pub cache: Option<Cache>,
    /// The adapter in use, or what it is called; `None`: the best there is.
    pub adapter: Option<AdapterSummary>,
    pub device: Option<String>,
    /// Bytes that the model takes which makes room for another.
    pub in_use: u64,
}

impl Search {
    /// All models that are found, and the memory that there is for one.
    pub(super) fn run(self) -> (Vec<Listed>, Option<u64>) {
        let mut seen = BTreeSet::new();
        let mut models = vec![listed("demo".into(), Path::new("demo"), Place::BuiltIn)];
        let mut add = |model: String, path: &Path, place| {
            let same = dunce::canonicalize(path).unwrap_or_else(|_| path.to_owned());
            if seen.insert(same) {
                models.push(listed(model, path, place));
            }
        };
        for (name, folder) in cached(self.cache.as_ref()) {
            add(name, &folder, Place::Cache);
        }
        let recent = self.recent.iter().map(|model| Path::new(model.as_str()));
        let recent: Vec<&Path> = recent.filter(|path| path.exists()).collect();
        let beside: BTreeSet<PathBuf> = recent.iter().flat_map(|path| beside(path)).collect();
        let beside = beside.iter().take(MOST_BESIDE).map(PathBuf::as_path);
        for path in recent.iter().copied().chain(beside) {
            add(path.display().to_string(), path, Place::Folder);
        }
        let adapter = self.adapter.or_else(|| {
            let mut all = adapters().into_iter();
            match &self.device {
                Some(device) => all.find(|adapter| adapter.name == *device),
                None => all.next(),
            }
        });
        let free = adapter.as_ref().and_then(free_memory);
        let free = free.map(|free| free.saturating_add(self.in_use));
        // What others use of a card's own is not known.
        let own = || adapter.as_ref().and_then(|adapter| adapter.features.memory);
        (models, free.or_else(own))
    }
}

/// Snapshots in the hub's cache that are whole: what they are loaded by, and their folders.
fn cached(cache: Option<&Cache>) -> Vec<(String, PathBuf)> {
    let from_env = || Cache::from_env().ok();
    let Some(cache) = cache.cloned().or_else(from_env) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    // One that cannot be read has none to offer; fetching says what is wrong with it.
    for model in cache.models().unwrap_or_default() {
        for snapshot in model.snapshots {
            let is_main = snapshot.revisions.iter().any(|name| name == "main");
            let name = match snapshot.revisions.first() {
                _ if is_main => model.name.clone(),
                Some(revision) => format!("{}@{revision}", model.name),
                None => format!("{}@{}", model.name, snapshot.commit),
            };
            // Tokenizers alone lie there too.
            let is_model = snapshot
                .files
                .iter()
                .any(|file| file.ends_with(".safetensors") || file.ends_with(".gguf"));
            if is_model && snapshot.missing.is_none() {
                found.push((name, snapshot.folder));
            }
        }
    }
    found
}

/// GGUF files in a model's folder, or beside it.
fn beside(path: &Path) -> Vec<PathBuf> {
    let folders = [Some(path), path.parent()];
    let entries = folders
        .into_iter()
        .flatten()
        .filter_map(|folder| std::fs::read_dir(folder).ok())
        .flatten()
        .flatten();
    let paths = entries.map(|entry| entry.path());
    let is_gguf = |path: &PathBuf| path.extension().is_some_and(|own| own == "gguf");
    paths.filter(is_gguf).collect()
}

fn listed(model: String, path: &Path, place: Place) -> Listed {
    let opened = Checkpoint::open(&path.to_string_lossy());
    let facts = opened.and_then(|checkpoint| facts(&checkpoint));
    Listed {
        model,
        place,
        bytes: match place {
            Place::BuiltIn => 0,
            _ => bytes(path),
        },
        facts: facts.map_err(|error| error.to_string()),
    }
}

/// Bytes of a file, or of those in a folder.
fn bytes(path: &Path) -> u64 {
    let size = |path: &Path| {
        let data = std::fs::metadata(path)
            .ok()
            .filter(std::fs::Metadata::is_file);
        data.map_or(0, |data| data.len())
    };
    match std::fs::read_dir(path) {
        Ok(entries) => entries.flatten().map(|entry| size(&entry.path())).sum(),
        Err(_) => size(path),
    }
}

fn facts(checkpoint: &Checkpoint) -> crate::error::Result<Facts> {
    let config: &Config = &checkpoint.config;
    let embedding = checkpoint.tensor(&config.outer_tensors().embedding)?;
    let is_gguf = checkpoint.folder.is_file();
    let mut weights = vec![(None, weight_bytes(checkpoint, None)?)];
    for dtype in Dtype::ALL {
        weights.push((Some(dtype), weight_bytes(checkpoint, Some(dtype))?));
    }
    Ok(Facts {
        parameters: config.parameters(),
        layers: config.layers.clone(),
        model_dim: config.model_dim,
        head_dim: config.head_dim,
        context: config.max_context_length,
        container: if is_gguf { "GGUF" } else { "safetensors" },
        stored: checkpoint.quantized_as().unwrap_or(embedding.dtype),
        weights,
        position: kv_bytes(config, 1, false),
    })
}

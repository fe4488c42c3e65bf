//! What tuning found, kept in a file for the next start. A file that is broken, foreign or old is measured anew and replaced; what it
//! says is checked, never trusted.

use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::checkpoint::Config;
use crate::dtype::Dtype;
use crate::gpu::Gpu;
use crate::kernels::ComputePath;
use crate::kernels::linear::Tuning;

/// Raised when kernels change so much that old measurements mean nothing.
const VERSION: u32 = 6;

/// A larger file is none of ours.
const MOST_BYTES: u64 = 1 << 20;

/// The oldest are dropped beyond this.
const MOST_ENTRIES: usize = 64;

/// Where this program keeps measurements, unless it is told otherwise: in `OPENELM_CACHE_DIR`, or where the system keeps such things.
#[cfg(any(feature = "cli", feature = "window"))]
pub fn default_path() -> Option<std::path::PathBuf> {
    if let Some(folder) = std::env::var_os("OPENELM_CACHE_DIR").filter(|name| !name.is_empty()) {
        return Some(std::path::Path::new(&folder).join("tuning.json"));
    }
    let folders = directories::ProjectDirs::from("", "", "openelm")?;
    Some(folders.cache_dir().join("tuning.json"))
}

/// What was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chosen {
    pub path: ComputePath,
    pub tuning: Tuning,
}

/// What a measurement depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    adapter: String,
    backend: String,
    driver: String,
    dtype: String,
    /// `model_dim x widest ffn_dim`.
    shape: String,
    /// Compute paths that were possible.
    paths: Vec<String>,
}

impl Key {
    pub fn new(gpu: &Gpu, config: &Config, dtype: Dtype, possible: &[ComputePath]) -> Self {
        let ffn_dim = config.layers.iter().map(|layer| layer.ffn_dim).max();
        Self {
            adapter: gpu.adapter.name.clone(),
            backend: gpu.adapter.backend.clone(),
            driver: gpu.adapter.driver.clone(),
            dtype: dtype.name().to_owned(),
            shape: format!("{}x{}", config.model_dim, ffn_dim.unwrap_or(0)),
            paths: possible.iter().map(|path| path.name().to_owned()).collect(),
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    key: Key,
    path: String,
    lanes: u32,
    columns: u32,
    pairs: u32,
    subgroups: bool,
    tile: u32,
    int8: bool,
}

impl Entry {
    /// `None` for a compute path that does not exist.
    fn chosen(&self) -> Option<Chosen> {
        let path = ComputePath::ALL
            .into_iter()
            .find(|path| path.name() == self.path)?;
        Some(Chosen {
            path,
            tuning: Tuning {
                lanes: self.lanes,
                columns: self.columns,
                pairs: self.pairs,
                subgroups: self.subgroups,
                tile: self.tile,
                int8: self.int8,
            },
        })
    }
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    entries: Vec<Entry>,
}

fn read(path: &Path) -> Option<File> {
    let file = std::fs::File::open(path).ok()?;
    let mut bytes = Vec::new();
    file.take(MOST_BYTES).read_to_end(&mut bytes).ok()?;
    let file: File = serde_json::from_slice(&bytes).ok()?;
    (file.version == VERSION).then_some(file)
}

/// What is known for `key`.
pub fn find(path: &Path, key: &Key) -> Option<Chosen> {
    let file = read(path)?;
    let entry = file.entries.iter().rev().find(|entry| entry.key == *key)?;
    entry.chosen()
}

/// Keeps a measurement. Where the file cannot be written, the next start measures again: no harm done.
pub fn keep(path: &Path, key: Key, chosen: Chosen) {
    let mut file = read(path).unwrap_or_default();
    file.version = VERSION;
    file.entries.retain(|entry| entry.key != key);
    file.entries.push(Entry {
        key,
        path: chosen.path.name().to_owned(),
        lanes: chosen.tuning.lanes,
        columns: chosen.tuning.columns,
        pairs: chosen.tuning.pairs,
        subgroups: chosen.tuning.subgroups,
        tile: chosen.tuning.tile,
        int8: chosen.tuning.int8,
    });
    let surplus = file.entries.len().saturating_sub(MOST_ENTRIES);
    file.entries.drain(..surplus);
    let Ok(text) = serde_json::to_vec_pretty(&file) else {
        return;
    };
    if let Some(folder) = path.parent() {
        let _ = std::fs::create_dir_all(folder);
    }
    // Whole or not at all, also when two processes write at once.
    let now = web_time::SystemTime::now().duration_since(web_time::UNIX_EPOCH);
    let beside = path.with_extension(format!("{}.part", now.map_or(0, |now| now.as_nanos())));
    if std::fs::write(&beside, text).is_err() || std::fs::rename(&beside, path).is_err() {
        let _ = std::fs::remove_file(&beside);
    }
}

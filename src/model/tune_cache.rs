//! What tuning found, and what is known of adapters, kept in a file for the next start. A file that is broken, foreign or old is measured
//! anew and replaced; what it says is checked, never trusted.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::adapter_facts::{AdapterFacts, AdapterKey};
use crate::checkpoint::Config;
use crate::dtype::Dtype;
use crate::gpu::{Gpu, cache_file};
use crate::kernels::ComputePath;
use crate::kernels::linear::Tuning;
use crate::whole_file;

/// Raised when the file's form changes, or what is measured and how.
const VERSION: u32 = 9;

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
    adapter: AdapterKey,
    /// Lanes of the smallest subgroup; 0 where they are not used.
    subgroup_lanes: u32,
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
            adapter: AdapterKey::new(gpu),
            subgroup_lanes: gpu.subgroup_lanes,
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
                matrices: None,
            },
        })
    }
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    entries: Vec<Entry>,
    adapters: Vec<(AdapterKey, AdapterFacts)>,
}

fn read(path: &Path) -> Option<File> {
    let bytes = cache_file::read(path, MOST_BYTES)?;
    let file: File = serde_json::from_slice(&bytes).ok()?;
    (file.version == VERSION).then_some(file)
}

/// Where the file cannot be written, the next start measures again: no harm done.
fn write(path: &Path, mut file: File) {
    file.version = VERSION;
    let surplus = file.entries.len().saturating_sub(MOST_ENTRIES);
    file.entries.drain(..surplus);
    let surplus = file.adapters.len().saturating_sub(MOST_ENTRIES);
    file.adapters.drain(..surplus);
    if let Ok(text) = serde_json::to_vec_pretty(&file) {
        let _ = whole_file::replace(path, &text);
    }
}

/// What is known for `key`.
pub fn find(path: &Path, key: &Key) -> Option<Chosen> {
    let file = read(path)?;
    let entry = file.entries.iter().rev().find(|entry| entry.key == *key)?;
    entry.chosen()
}

/// Keeps a measurement.
pub fn keep(path: &Path, key: Key, chosen: Chosen) {
    let mut file = read(path).unwrap_or_default();
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
    write(path, file);
}

/// What is known of an adapter: nothing, if need be.
pub fn facts(path: &Path, key: &AdapterKey) -> AdapterFacts {
    let adapters = read(path).unwrap_or_default().adapters;
    let found = adapters.into_iter().find(|(other, _)| other == key);
    let mut facts = found.map_or_else(AdapterFacts::default, |(_, facts)| facts);
    facts.rates.take_if(|rates| !rates.is_possible());
    facts
}

/// Changes what is known of an adapter.
pub fn change_facts(path: &Path, key: AdapterKey, change: impl FnOnce(&mut AdapterFacts)) {
    let mut facts = facts(path, &key);
    change(&mut facts);
    let mut file = read(path).unwrap_or_default();
    file.adapters.retain(|(other, _)| *other != key);
    file.adapters.push((key, facts));
    write(path, file);
}

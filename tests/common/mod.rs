//! What several test files need: fixtures, goldens, and synthetic checkpoints of any shape.
#![allow(dead_code, reason = "each test file uses a part")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use openelm::checkpoint::RowReader;
use openelm::{Checkpoint, ComputePath, Config, Dtype, Gpu, LoadOptions, Model, Tune, Tuning};
use proptest::test_runner::RngSeed;
use serde_json::Value;

pub const FIXTURES: [&str; 2] = ["openelm-f16", "openelm-bf16-sharded"];

/// Where property tests begin: always the same, so that a failure is somebody's doing, unless `OPENELM_TEST_SEED` names another
/// place: `make test-properties`.
pub fn seed(usual: u64) -> RngSeed {
    RngSeed::Fixed(match std::env::var("OPENELM_TEST_SEED") {
        Ok(number) => number.parse().expect("OPENELM_TEST_SEED is a number"),
        Err(_) => usual,
    })
}

pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

/// The two fixtures and the demo model, each with its goldens.
pub fn goldens() -> Vec<(String, Value)> {
    let read =
        |path: &Path| -> Value { serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap() };
    let mut all: Vec<(String, Value)> = FIXTURES
        .iter()
        .map(|name| {
            let folder = fixture(name);
            let golden = read(&folder.join("golden.json"));
            (folder.to_string_lossy().into_owned(), golden)
        })
        .collect();
    all.push(("demo".into(), read(&fixture("demo-golden.json"))));
    all
}

pub fn numbers(value: &Value) -> Vec<f64> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|x| x.as_f64().unwrap())
        .collect()
}

pub fn ids(value: &Value) -> Vec<u32> {
    numbers(value).iter().map(|x| *x as u32).collect()
}

pub fn options(path: Option<ComputePath>, exact_kv: bool) -> LoadOptions {
    let mut options = LoadOptions::default();
    options.compute_path = path;
    options.exact_kv = exact_kv;
    // Tests must not depend on what a measurement finds.
    options.tune = Tune::Off;
    options
}

/// Lanes of this machine's subgroups, at least.
fn subgroup_lanes() -> u32 {
    static LANES: OnceLock<u32> = OnceLock::new();
    *LANES.get_or_init(|| Gpu::open(None).unwrap().subgroup_lanes)
}

/// A layout with all that the usual one has not, as far as this machine's adapter can have it.
pub fn other_tuning(path: ComputePath) -> Tuning {
    let tuning = Tuning {
        lanes: 8,
        columns: 8,
        pairs: 1,
        subgroups: true,
        tile: 64,
        int8: false,
        matrices: None,
    };
    Tuning {
        subgroups: tuning.is_possible(path, subgroup_lanes()),
        ..tuning
    }
}

/// The same with activations of eight bits; `None` where the adapter cannot have that.
pub fn int8_tuning(path: ComputePath) -> Option<Tuning> {
    let tuning = Tuning {
        int8: true,
        ..other_tuning(path)
    };
    tuning.is_possible(path, subgroup_lanes()).then_some(tuning)
}

pub fn load(model: &str, path: Option<ComputePath>, exact_kv: bool) -> Model {
    Model::load(model, &options(path, exact_kv)).unwrap()
}

/// Numbers in -1..1 that look random and are the same everywhere.
pub fn noise(seed: u64, count: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..count)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            ((state >> 40) as f32 / (1u64 << 23) as f32) - 1.0
        })
        .collect()
}

/// Every number of a model.
pub fn all_numbers(checkpoint: &Checkpoint) -> Vec<f32> {
    let mut reader = RowReader::default();
    let mut numbers = Vec::new();
    for spec in checkpoint.config.tensors() {
        let tensor = checkpoint.tensor(&spec).unwrap();
        for row in 0..tensor.rows {
            numbers.extend(reader.read_f32(&tensor, row));
        }
    }
    numbers
}

/// Little-endian bytes of `values` as `dtype`.
pub fn encode(values: &[f32], dtype: Dtype) -> Vec<u8> {
    values
        .iter()
        .flat_map(|x| match dtype {
            Dtype::F32 => x.to_le_bytes().to_vec(),
            Dtype::F16 => half::f16::from_f32(*x).to_le_bytes().to_vec(),
            Dtype::Bf16 => half::bf16::from_f32(*x).to_le_bytes().to_vec(),
            Dtype::Q8 | Dtype::Q4 => panic!("quantised rows are not made number by number"),
        })
        .collect()
}

/// A safetensors file from names, types as the format spells them, shapes and bytes.
pub fn safetensors(tensors: &BTreeMap<String, (String, Vec<usize>, Vec<u8>)>) -> Vec<u8> {
    let mut header = serde_json::Map::new();
    let mut data: Vec<u8> = Vec::new();
    for (name, (dtype, shape, bytes)) in tensors {
        let begin = data.len();
        data.extend(bytes);
        let info = serde_json::json!({
            "dtype": dtype, "shape": shape, "data_offsets": [begin, data.len()],
        });
        header.insert(name.clone(), info);
    }
    let header = Value::Object(header).to_string();
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file.extend(data);
    file
}

/// Tensors of a configuration with noise for weights, formats taking turns through `dtypes`.
pub fn synthetic_tensors(
    config: &str,
    dtypes: &[Dtype],
) -> BTreeMap<String, (String, Vec<usize>, Vec<u8>)> {
    let config = Config::parse(config.as_bytes(), Path::new("config.json")).unwrap();
    config
        .tensors()
        .into_iter()
        .enumerate()
        .map(|(i, spec)| {
            let dtype = dtypes[i % dtypes.len()];
            let count = spec.shape.iter().product();
            let is_norm = spec.shape.len() == 1;
            let scale = if is_norm { 0.2 } else { 0.6 };
            let values: Vec<f32> = noise(i as u64 + 1, count)
                .iter()
                .map(|x| x * scale + if is_norm { 1.0 } else { 0.0 })
                .collect();
            let spelled = dtype.name().to_uppercase();
            (spec.name, (spelled, spec.shape, encode(&values, dtype)))
        })
        .collect()
}

/// A folder with a synthetic checkpoint.
pub fn synthetic(config: &str, dtypes: &[Dtype]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config.json"), config).unwrap();
    let file = safetensors(&synthetic_tensors(config, dtypes));
    std::fs::write(folder.path().join("model.safetensors"), file).unwrap();
    folder
}

/// The message of an error that must be there.
pub fn message<T>(result: openelm::Result<T>) -> String {
    match result {
        Ok(_) => panic!("an error was expected"),
        Err(error) => error.to_string(),
    }
}

pub fn open(folder: &Path) -> openelm::Result<Checkpoint> {
    Checkpoint::open(&folder.to_string_lossy())
}

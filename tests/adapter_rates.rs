//! What is found out about an adapter is kept with the tuning, used again, and never trusted.

mod common;

use openelm::{ComputePath, LoadOptions, Model, Tune};
use serde_json::{Value, json};

fn load(cache: &std::path::Path) -> Model {
    let mut options = LoadOptions::default();
    options.tune = Tune::Off;
    options.tuning_cache = Some(cache.to_owned());
    Model::load("demo", &options).unwrap()
}

fn read(path: &std::path::Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn rates_are_remembered_where_they_are_of_this_world() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tuning.json");
    let model = load(&path);
    let mut file = read(&path);
    // That the adapter computes is known from now on.
    assert!(file["adapters"][0][1]["probed"].is_object(), "{file}");

    let known = json!({
        "reads": [["gpu", 1e9], ["software", 2e9]], "flops_per_s": 3e9, "is_estimated": true,
    });
    file["adapters"][0][1]["rates"] = known;
    std::fs::write(&path, file.to_string()).unwrap();
    let rates = model.network().adapter_rates().unwrap();
    let reads: Vec<_> = rates.reads().collect();
    assert_eq!(
        reads,
        [(ComputePath::Gpu, 1e9), (ComputePath::Software, 2e9)]
    );
    let peaks = rates.peaks();
    assert_eq!((peaks.bytes_per_s, peaks.flops_per_s), (2e9, 3e9));
    assert!(peaks.is_estimated);

    for bad in [
        json!({ "reads": [["disk", 1e9]], "flops_per_s": 3e9, "is_estimated": true }),
        json!("fast"),
    ] {
        file["adapters"][0][1]["rates"] = bad;
        std::fs::write(&path, file.to_string()).unwrap();
        let rates = model.network().adapter_rates().unwrap();
        assert!(rates.reads().all(|(_, rate)| rate > 1e6));
        assert!(rates.flops_per_s > 1e6 && rates.flops_per_s != 3e9);
    }
}

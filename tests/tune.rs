//! What tuning finds is kept in a file, used again, and never trusted.

mod common;

use openelm::{ComputePath, Dtype, Error, GenerateOptions, LoadOptions, Model, Tune, Tuning};
use serde_json::Value;

fn load(
    cache: &std::path::Path,
    tune: Tune,
    compute_path: Option<ComputePath>,
) -> (ComputePath, Tuning) {
    let mut options = LoadOptions::default();
    options.tune = tune;
    options.tuning_cache = Some(cache.to_owned());
    options.compute_path = compute_path;
    let model = Model::load("demo", &options).unwrap();
    (model.network().path(), model.network().tuning())
}

fn read(path: &std::path::Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn a_measurement_is_kept_and_used_again() {
    let folder = tempfile::tempdir().unwrap();
    // A folder that is not there yet.
    let path = folder.path().join("openelm/tuning.json");
    let (compute_path, tuning) = load(&path, Tune::Auto, None);
    let mut file = read(&path);
    let entry = &file["entries"][0];
    assert_eq!(entry["path"], compute_path.name());
    assert_eq!(entry["lanes"], tuning.lanes);
    assert_eq!(entry["columns"], tuning.columns);
    assert_eq!(entry["pairs"], tuning.pairs);
    assert_eq!(entry["subgroups"], tuning.subgroups);
    assert_eq!(entry["tile"], tuning.tile);
    assert_eq!(entry["int8"], tuning.int8);
    assert!(tuning.is_possible(compute_path, 64));

    // It is the file that decides the next time.
    file["entries"][0]["lanes"] = 64.into();
    file["entries"][0]["columns"] = 8.into();
    file["entries"][0]["pairs"] = 1.into();
    file["entries"][0]["subgroups"] = false.into();
    file["entries"][0]["tile"] = 64.into();
    file["entries"][0]["int8"] = true.into();
    file["entries"][0]["path"] = "gpu".into();
    let changed = file.to_string();
    std::fs::write(&path, &changed).unwrap();
    let expected = (
        ComputePath::Gpu,
        Tuning {
            lanes: 64,
            columns: 8,
            pairs: 1,
            subgroups: false,
            tile: 64,
            int8: true,
            matrices: None,
        },
    );
    assert_eq!(load(&path, Tune::Auto, None), expected);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), changed);

    // Not with another wish, and not when told to measure again or never.
    assert_eq!(
        load(&path, Tune::Auto, Some(ComputePath::Software)).0,
        ComputePath::Software
    );
    assert_eq!(read(&path)["entries"].as_array().unwrap().len(), 2);
    assert_eq!(load(&path, Tune::Off, None).1, Tuning::default());
    load(&path, Tune::Again, None);
    assert_ne!(
        read(&path)["entries"][1]["lanes"]
            .as_u64()
            .zip(read(&path)["entries"][1]["columns"].as_u64()),
        Some((64, 8))
    );
}

#[test]
fn a_broken_or_foreign_file_is_measured_anew_and_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tuning.json");
    load(&path, Tune::Auto, Some(ComputePath::Software));
    let good = read(&path);
    let spoiled = |change: &dyn Fn(&mut Value)| {
        let mut file = good.clone();
        change(&mut file);
        file.to_string()
    };
    for text in [
        String::new(),
        "no JSON".into(),
        "[".repeat(100_000),
        spoiled(&|file| file["version"] = 999.into()),
        spoiled(&|file| file["entries"][0]["lanes"] = 7.into()),
        spoiled(&|file| file["entries"][0]["columns"] = 0.into()),
        spoiled(&|file| file["entries"][0]["pairs"] = 3.into()),
        spoiled(&|file| file["entries"][0]["tile"] = 48.into()),
        spoiled(&|file| file["entries"][0]["subgroups"] = "by hand".into()),
        spoiled(&|file| {
            file["entries"][0]["columns"] = 65.into();
            file["entries"][0]["subgroups"] = true.into();
        }),
        spoiled(&|file| {
            // In a texture there is no such kernel.
            file["entries"][0]["subgroups"] = false.into();
            file["entries"][0]["int8"] = true.into();
        }),
        spoiled(&|file| file["entries"][0]["path"] = "disk".into()),
        // Not what was asked for.
        spoiled(&|file| file["entries"][0]["path"] = "gpu".into()),
        spoiled(&|file| file["entries"][0]["key"]["adapter"]["driver"] = "another".into()),
        spoiled(&|file| file["entries"][0]["key"]["adapter"]["kernels"] = "older".into()),
        spoiled(&|file| file["entries"][0]["key"]["adapter"]["shader_compiler"] = "another".into()),
        spoiled(&|file| file["entries"][0]["key"]["adapter"]["threads"] = "1".into()),
        spoiled(&|file| file["entries"][0]["key"]["subgroup_lanes"] = 3.into()),
        spoiled(&|file| file["entries"][0]["more"] = 1.into()),
    ] {
        std::fs::write(&path, &text).unwrap();
        let (compute_path, tuning) = load(&path, Tune::Auto, Some(ComputePath::Software));
        assert_eq!(compute_path, ComputePath::Software);
        assert!(Tuning::LANES.contains(&tuning.lanes));
        let entries = read(&path)["entries"].as_array().unwrap().clone();
        let own = entries
            .iter()
            .find(|entry| entry["key"] == good["entries"][0]["key"])
            .unwrap();
        assert_eq!(own["path"], "software");
    }
    // A place that cannot be written is no reason to fail.
    load(
        std::path::Path::new("/proc/no/tuning.json"),
        Tune::Auto,
        Some(ComputePath::Software),
    );
}

/// Whatever was tuned, the numbers are the same but for the order of additions; a prompt long enough for every tile.
#[test]
fn no_tuning_changes_the_numbers() {
    let ids: Vec<u32> = (0..150).map(|i| 3 + i * 7 % 500).collect();
    let greedy = |tune: Tune, compute_path: ComputePath| -> Vec<(u32, f32)> {
        let mut options = LoadOptions::default();
        options.tune = tune;
        options.compute_path = Some(compute_path);
        let model = Model::load("demo", &options).unwrap();
        let mut session = model.session().unwrap();
        let mut wish = GenerateOptions::default();
        wish.max_tokens = Some(4);
        wish.ignore_eos = true;
        wish.sampling.temperature = 0.0;
        let tokens = session.generate(&ids, &wish).unwrap();
        let tokens = tokens.map(|token| token.map(|token| (token.id, token.logprob)));
        tokens.collect::<Result<_, _>>().unwrap()
    };
    for compute_path in ComputePath::ALL {
        let expected = greedy(Tune::Off, compute_path);
        let wide = Tuning {
            lanes: 64,
            columns: 64,
            ..Tuning::default()
        };
        for tuning in [wide, common::other_tuning(compute_path)] {
            let actual = greedy(Tune::Fixed(tuning), compute_path);
            assert_eq!(actual.len(), 4);
            for ((id, logprob), expected) in actual.iter().zip(&expected) {
                assert_eq!(*id, expected.0);
                assert!((logprob - expected.1).abs() < 1e-4);
            }
        }
    }
}

/// Activations of eight bits change numbers, so whoever asks for them or for exact ones gets what was asked for.
#[test]
fn activations_are_as_requested_or_refused() {
    activations(ComputePath::Gpu);
}

#[test]
fn activations_are_as_requested_or_refused_from_textures_too() {
    activations(ComputePath::Software);
}

fn activations(compute_path: ComputePath) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tuning.json");
    let load = |dtype, tune, compute_path, int8| {
        let mut options = common::options(Some(compute_path), false);
        options.dtype = Some(dtype);
        options.tune = tune;
        options.int8 = int8;
        options.tuning_cache = Some(path.clone());
        Model::load("demo", &options)
    };
    for tune in [Tune::Off, Tune::Again, Tune::Auto] {
        for int8 in [false, true] {
            if int8 && common::int8_tuning(compute_path).is_none() {
                continue;
            }
            let model = load(Dtype::Q8, tune, compute_path, Some(int8)).unwrap();
            assert_eq!(
                model.network().tuning().int8,
                int8,
                "{compute_path:?} {tune:?}"
            );
        }
    }
    let default = load(Dtype::Q8, Tune::Off, compute_path, None).unwrap();
    assert!(!default.network().tuning().int8);
    let refused = load(Dtype::F16, Tune::Off, compute_path, Some(true));
    let dtype = Dtype::F16;
    assert!(matches!(&refused, Err(Error::Int8NeedsQ8 { dtype: d }) if *d == dtype));
    let text = common::message(refused);
    assert!(text.contains("q8") && text.contains("in f16"), "{text}");
}

#[test]
fn a_layout_that_no_kernel_has_is_refused() {
    let mut options = LoadOptions::default();
    options.tune = Tune::Fixed(Tuning {
        lanes: 7,
        ..Tuning::default()
    });
    let error = common::message(Model::load("demo", &options));
    assert!(error.contains("lanes: 7"), "{error}");
}

//! GGUF files by their repository's name.

use std::path::PathBuf;

use openelm::hub::TokenizerNeed;
use openelm::{Checkpoint, HubError, ModelFiles};

use crate::common::fixture;
use crate::scene::{REPO, Scene, hub_error, names, scene};

const Q8: &str = "OpenELM-Tiny.Q8_0.gguf";
const F16: &str = "OpenELM-Tiny.F16.gguf";

/// A repository of nothing but such files.
fn scene_with(files: &[&str]) -> Scene {
    let scene = scene();
    let bytes = std::fs::read(fixture("gguf/converted-f16.gguf")).unwrap();
    let mut world = scene.server.world.lock().unwrap();
    world.repos.get_mut(REPO).unwrap().clear();
    drop(world);
    scene.server.put(REPO, "README.md", "no use");
    for file in files {
        scene.server.put(REPO, file, bytes.clone());
    }
    scene
}

fn pulled(scene: &Scene, name: &str) -> PathBuf {
    scene
        .model(name, TokenizerNeed::Needed, false, None)
        .unwrap()
        .folder
}

#[test]
fn the_only_file_is_the_model() {
    let scene = scene_with(&["model.gguf"]);
    let file = pulled(&scene, REPO);
    assert_eq!(file, scene.snapshot().join("model.gguf"));
    let model = ModelFiles::open(&file.to_string_lossy()).unwrap();
    // Its tokenizer is in it: no other repository was asked for one.
    assert!(model.require_tokenizer().is_ok());
    assert_eq!(
        names(scene.cache.path()),
        [".locks", "models--apple--OpenELM-Tiny-Instruct"]
    );
    let checkpoint = Checkpoint::open(&file.to_string_lossy()).unwrap();
    assert_eq!(checkpoint.name, format!("{REPO}:model.gguf"));
    assert_eq!(openelm::hub::missing_file(&scene.snapshot()), None);
    // Once it is here nobody is asked again.
    let asked = scene.server.asked_endpoint().len();
    assert_eq!(pulled(&scene, REPO), file);
    assert_eq!(scene.server.asked_endpoint().len(), asked);
}

#[test]
fn one_of_several_is_named_or_usual() {
    let scene = scene_with(&[F16, Q8, "OpenELM-Tiny-00001-of-00002.gguf", "mmproj-x.gguf"]);
    for (name, file) in [
        (REPO.to_owned(), Q8),
        (format!("{REPO}:f16"), F16),
        (format!("{REPO}:{F16}"), F16),
        (format!("{REPO}@main:Q8_0"), Q8),
        // The usual one also where both are in the cache.
        (REPO.to_owned(), Q8),
    ] {
        assert_eq!(pulled(&scene, &name), scene.snapshot().join(file), "{name}");
    }
    // Nothing else was fetched.
    assert_eq!(names(&scene.snapshot()), [F16, Q8]);
    let error = hub_error(scene.model(&format!("{REPO}:Q2_K"), TokenizerNeed::Needed, false, None));
    assert!(
        matches!(&error, HubError::Variants { variant: Some(variant), files, .. } if variant == "Q2_K" && files.len() == 2),
        "{error}"
    );
    assert!(error.to_string().contains(F16), "{error}");
}

/// What was named before does not decide what the repository's name alone means.
#[test]
fn a_file_that_is_here_is_not_the_one_that_is_meant() {
    let mut scene = scene_with(&[F16, Q8]);
    pulled(&scene, &format!("{REPO}:f16"));
    scene.settings.offline = true;
    let found = scene.pull().unwrap();
    assert_eq!(found.folder, scene.snapshot().join(F16));
    assert!(found.is_guess);
    scene.settings.offline = false;
    // A hub that cannot be reached is no reason to go without what is here.
    let endpoint = std::mem::replace(&mut scene.settings.endpoint, "http://127.0.0.1:1".into());
    let found = scene.model(REPO, TokenizerNeed::Needed, false, None);
    let found = found.unwrap();
    assert_eq!(found.folder, scene.snapshot().join(F16));
    assert!(found.is_guess);
    assert!(matches!(scene.failure(), HubError::Connection { .. }));
    scene.settings.endpoint = endpoint;
    assert_eq!(pulled(&scene, REPO), scene.snapshot().join(Q8));
    scene.settings.offline = true;
    let found = scene.pull().unwrap();
    assert_eq!(found.folder, scene.snapshot().join(Q8));
    assert!(!found.is_guess);
}

#[test]
fn what_is_not_clear_is_asked_for() {
    let scene = scene_with(&[F16, "OpenELM-Tiny.BF16.gguf"]);
    let error = scene.failure();
    assert!(
        matches!(&error, HubError::Variants { variant: None, .. }),
        "{error}"
    );
    let none = scene_with(&[]);
    assert!(matches!(none.failure(), HubError::FileNotFound { .. }));
    let error = hub_error(none.pull_named(&format!("{REPO}:Q8_0")));
    assert!(error.to_string().contains("has no GGUF file"), "{error}");
}

#[test]
fn a_folder_of_safetensors_comes_first() {
    let scene = scene();
    let bytes = std::fs::read(fixture("gguf/converted-f16.gguf")).unwrap();
    scene.server.put(REPO, Q8, bytes);
    assert_eq!(scene.pull().unwrap().folder, scene.snapshot());
    assert!(!names(&scene.snapshot()).contains(&Q8.to_owned()));
    // Unless the file is named.
    let named = format!("{REPO}:Q8_0");
    assert_eq!(pulled(&scene, &named), scene.snapshot().join(Q8));
    assert_eq!(pulled(&scene, REPO), scene.snapshot());
}

#[test]
fn what_is_here_needs_no_network() {
    let mut scene = scene_with(&[F16, "OpenELM-Tiny.BF16.gguf"]);
    pulled(&scene, &format!("{REPO}:f16"));
    pulled(&scene, &format!("{REPO}:bf16"));
    scene.settings.offline = true;
    assert_eq!(
        pulled(&scene, &format!("{REPO}:F16")),
        scene.snapshot().join(F16)
    );
    let error = hub_error(scene.pull());
    assert!(error.to_string().contains("several GGUF files"), "{error}");
    let error = hub_error(scene.pull_named(&format!("{REPO}:Q8_0")));
    assert!(error.to_string().contains(F16), "{error}");
}

#[test]
fn sentencepiece_is_fetched_where_there_is_no_other_tokenizer() {
    let scene = scene();
    scene.server.put(REPO, "tokenizer.model", "x");
    scene.pull().unwrap();
    assert!(names(&scene.snapshot()).contains(&"tokenizer.model".to_owned()));
    let both = crate::scene::scene();
    both.server.put(REPO, "tokenizer.model", "x");
    both.server.put(REPO, "tokenizer.json", "{}");
    both.pull().unwrap();
    assert!(!names(&both.snapshot()).contains(&"tokenizer.model".to_owned()));
}

//! What is in the cache, and what goes when a model is removed.

use openelm::HubError;
use openelm::hub::Cache;

use crate::scene::{LLAMA, REPO, Scene, WEIGHTS, hub_error, names, scene};
use crate::server::{COMMIT, Fault};

fn cache(scene: &Scene) -> Cache {
    Cache::new(scene.cache.path())
}

#[test]
fn models_are_listed() {
    let scene = scene();
    assert!(cache(&scene).models().unwrap().is_empty());
    assert!(Cache::new("/no/such/cache").models().unwrap().is_empty());
    scene
        .server
        .fault(WEIGHTS, [Fault::Cut(1000), Fault::Status(404, vec![])]);
    scene.failure();
    let models = cache(&scene).models().unwrap();
    assert_eq!(models[0].name, REPO);
    assert_eq!(models[0].snapshots[0].missing.as_deref(), Some(WEIGHTS));
    scene.server.fault(WEIGHTS, []);
    scene.pull().unwrap();
    let model = cache(&scene).model(REPO).unwrap();
    let snapshot = &model.snapshots[0];
    assert_eq!(
        (snapshot.commit.as_str(), &snapshot.missing),
        (COMMIT, &None)
    );
    assert_eq!(snapshot.revisions, ["main"]);
    assert!(snapshot.bytes > 1_300_000 && model.bytes >= snapshot.bytes);
}

#[test]
fn a_model_goes_whole_and_alone() {
    let scene = scene();
    scene.pull().unwrap();
    scene
        .server
        .put_folder("a/b", &crate::common::fixture("openelm-f16"));
    scene.pull_named("a/b").unwrap();
    let freed = cache(&scene).remove(REPO, None).unwrap();
    assert!(freed > 1_300_000);
    assert!(!scene.repo().exists());
    assert_eq!(cache(&scene).models().unwrap()[0].name, "a/b");
    let error = hub_error(cache(&scene).remove(REPO, None));
    assert!(matches!(error, HubError::NotCached { .. }));
    for name in ["..", "../x", "/", "", "a--b", "models--a--b", LLAMA] {
        assert!(cache(&scene).remove(name, None).is_err(), "{name}");
    }
}

/// A revision takes with it what no other one uses.
#[cfg(unix)]
#[test]
fn a_revision_leaves_what_others_use() {
    let scene = scene();
    scene.pull().unwrap();
    let other = scene.repo().join("snapshots/feed");
    std::fs::create_dir(&other).unwrap();
    let config = std::fs::read_link(scene.snapshot().join("config.json")).unwrap();
    std::os::unix::fs::symlink(&config, other.join("config.json")).unwrap();
    std::fs::write(scene.repo().join("refs/v1"), "feed").unwrap();
    let error = hub_error(cache(&scene).remove(REPO, Some("v2")));
    assert!(matches!(error, HubError::RevisionNotFound { .. }));
    let freed = cache(&scene).remove(REPO, Some("main")).unwrap();
    assert!(freed > 1_300_000);
    let kept = config.file_name().unwrap().to_str().unwrap();
    assert_eq!(scene.blobs(), [kept]);
    assert_eq!(names(&scene.repo().join("refs")), ["v1"]);
    assert!(other.join("config.json").is_file());
    cache(&scene).remove(REPO, Some("feed")).unwrap();
    assert!(!scene.repo().exists());
}

/// Other programs fetch whole repositories: hidden files too, and folders of other formats.
#[cfg(unix)]
#[test]
fn a_revision_leaves_hidden_files_and_folders_of_others() {
    let scene = scene();
    scene.pull().unwrap();
    let kept = scene.repo().join("snapshots/feed");
    for (file, up, blob) in [
        (".gitattributes", "../..", "attributes"),
        ("onnx/fp16/model.onnx", "../../../..", "onnx"),
    ] {
        let place = kept.join(file);
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        std::fs::write(scene.repo().join("blobs").join(blob), blob).unwrap();
        std::os::unix::fs::symlink(format!("{up}/blobs/{blob}"), &place).unwrap();
    }
    cache(&scene).remove(REPO, Some("main")).unwrap();
    assert_eq!(scene.blobs(), ["attributes", "onnx"]);
    assert_eq!(
        std::fs::read_to_string(kept.join("onnx/fp16/model.onnx")).unwrap(),
        "onnx"
    );
    assert!(kept.join(".gitattributes").is_file());
}

/// Links are removed, never what they lead to.
#[cfg(unix)]
#[test]
fn nothing_outside_the_cache_is_touched() {
    use std::os::unix::fs::symlink;
    let scene = scene();
    let outside = tempfile::tempdir().unwrap();
    let precious = outside.path().join("precious");
    std::fs::write(&precious, "keep").unwrap();
    scene.pull().unwrap();
    symlink(&precious, scene.snapshot().join("link")).unwrap();
    symlink(outside.path(), scene.snapshot().join("folder")).unwrap();
    symlink(outside.path(), scene.repo().join("snapshots/out")).unwrap();
    // A repository's folder that is a link is not the cache's.
    symlink(outside.path(), scene.cache.path().join("models--x--y")).unwrap();
    assert!(cache(&scene).remove("x/y", None).is_err());
    cache(&scene).remove(REPO, None).unwrap();
    assert!(!scene.repo().exists());
    assert_eq!(std::fs::read_to_string(&precious).unwrap(), "keep");
}

#[test]
fn a_model_that_is_being_fetched_stays() {
    let mut scene = scene();
    // After which the pull goes on.
    scene.settings.timeout = std::time::Duration::from_secs(10);
    let scene = scene;
    scene.server.fault(WEIGHTS, [Fault::Stall(1000)]);
    std::thread::scope(|scope| {
        let pull = scope.spawn(|| scene.pull());
        while scene.server.asked_store().is_empty() {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        let error = hub_error(cache(&scene).remove(REPO, None));
        assert!(matches!(error, HubError::InUse { .. }), "{error}");
        pull.join().unwrap().unwrap();
    });
    scene.assert_whole();
}

/// Hugging Face's newer library keeps blobs beside all repositories, and links where they were.
#[cfg(unix)]
#[test]
fn shared_blobs_count_and_stay() {
    let scene = scene();
    scene.pull().unwrap();
    let before = cache(&scene).model(REPO).unwrap();
    let shared = scene.cache.path().join("blobs/ab");
    std::fs::create_dir_all(&shared).unwrap();
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("big"), vec![0; 5000]).unwrap();
    let largest = std::fs::canonicalize(scene.snapshot().join(WEIGHTS)).unwrap();
    let length = std::fs::metadata(&largest).unwrap().len();
    std::fs::rename(&largest, shared.join("hash")).unwrap();
    std::os::unix::fs::symlink("../../blobs/ab/hash", &largest).unwrap();
    let other = scene.repo().join("blobs/other");
    std::os::unix::fs::symlink(outside.path().join("big"), other).unwrap();
    scene.assert_whole();
    let after = cache(&scene).model(REPO).unwrap();
    assert_eq!((before.shared, after.shared), (0, length));
    assert_eq!(after.bytes, before.bytes);
    let freed = cache(&scene).remove(REPO, None).unwrap();
    assert_eq!(freed, before.bytes - length);
    assert!(shared.join("hash").is_file());
}

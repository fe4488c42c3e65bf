//! What is fetched, from whom, and where it lies.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use openelm::hub::{Snapshot, Token, TokenizerNeed};
use openelm::{Checkpoint, Error, HubError, ModelFiles};

use crate::common::fixture;
use crate::scene::{LLAMA, REPO, WEIGHTS, hub_error, names, scene, scene_of};
use crate::server::{COMMIT, Fault};

#[test]
fn what_a_model_needs_is_fetched_and_nothing_else() {
    let scene = scene();
    for name in ["pytorch_model.bin", "modeling_openelm.py", "README.md"] {
        scene.server.put(REPO, name, "no use");
    }
    scene
        .server
        .put(REPO, "onnx/model.safetensors", "elsewhere");
    scene.server.put(REPO, "chat_template.jinja", "{{ x }}");
    let found = scene.pull().unwrap();
    assert_eq!(found.folder, scene.snapshot());
    let expected = [
        "chat_template.jinja",
        "config.json",
        "generation_config.json",
        WEIGHTS,
    ];
    assert_eq!(names(&scene.snapshot()), expected);
    scene.assert_whole();
    let checkpoint = Checkpoint::open(&found.folder.to_string_lossy()).unwrap();
    assert_eq!(checkpoint.name, REPO);
}

#[cfg(unix)]
#[test]
fn the_cache_is_laid_out_as_others_expect_it() {
    let scene = scene();
    scene.pull().unwrap();
    let file = scene.snapshot().join(WEIGHTS);
    let target = std::fs::read_link(&file).unwrap();
    assert!(target.starts_with("../../blobs"), "{}", target.display());
    let bytes = std::fs::read(fixture("openelm-f16").join(WEIGHTS)).unwrap();
    let etag = target.file_name().unwrap().to_str().unwrap();
    assert_eq!(etag, crate::server::sha256(&bytes));
    assert_eq!(
        names(scene.cache.path()),
        [".locks", "models--apple--OpenELM-Tiny-Instruct"]
    );
}

#[test]
fn shards_are_those_of_the_index() {
    let scene = scene_of("openelm-bf16-sharded");
    scene
        .server
        .put(REPO, "model-00009-of-00009.safetensors", "stray");
    scene.server.put(REPO, "consolidated.safetensors", "stray");
    scene.pull().unwrap();
    scene.assert_whole();
    let files = names(&scene.snapshot());
    assert_eq!(
        files
            .iter()
            .filter(|name| name.ends_with(".safetensors"))
            .count(),
        2
    );
}

#[test]
fn the_token_goes_to_the_endpoint_only() {
    let mut scene = scene();
    scene.settings.token = Some(Token::new("hf_secret").unwrap());
    scene.pull().unwrap();
    let bearer = Some("Bearer hf_secret");
    let endpoint = scene.server.asked_endpoint();
    assert!(
        endpoint
            .iter()
            .all(|asked| asked.header("authorization") == bearer)
    );
    let store = scene.server.asked_store();
    assert!(!store.is_empty());
    assert!(
        store
            .iter()
            .all(|asked| asked.header("authorization").is_none())
    );
    assert!(
        store.iter().all(|asked| asked.method == "GET"),
        "heads are not followed"
    );
}

/// What is here is not fetched again, and a model that is whole needs no network.
#[test]
fn a_second_pull_fetches_nothing() {
    let mut scene = scene();
    scene.pull().unwrap();
    let before = scene.server.asked_store().len();
    scene.pull().unwrap();
    assert_eq!(scene.server.asked_store().len(), before);
    let asked = scene.server.asked_endpoint().len();
    scene
        .model(REPO, TokenizerNeed::Unneeded, false, None)
        .unwrap();
    scene.settings.offline = true;
    scene.pull().unwrap();
    assert_eq!(scene.server.asked_endpoint().len(), asked);
}

#[test]
fn offline_nobody_is_asked() {
    let mut scene = scene();
    scene.settings.offline = true;
    assert!(matches!(scene.failure(), HubError::Offline { .. }));
    assert!(scene.server.asked_endpoint().is_empty());
    // Half a model is none.
    scene.settings.offline = false;
    scene.server.fault(WEIGHTS, [Fault::Status(404, vec![])]);
    scene.failure();
    scene.settings.offline = true;
    let HubError::Offline { repo, .. } = scene.failure() else {
        panic!("offline")
    };
    assert_eq!(repo, REPO);
}

#[test]
fn revisions_are_kept_apart() {
    let scene = scene();
    let named = format!("{REPO}@refs/pr/1");
    scene.pull_named(&named).unwrap();
    let refs = scene.repo().join("refs");
    assert_eq!(
        std::fs::read_to_string(refs.join("refs/pr/1")).unwrap(),
        COMMIT
    );
    assert!(!refs.join("main").exists());
    let by_commit = scene.pull_named(&format!("{REPO}@{COMMIT}")).unwrap();
    assert_eq!(by_commit.folder, scene.snapshot());
    let error = hub_error(scene.pull_named(&format!("{REPO}@v9")));
    assert!(matches!(&error, HubError::RevisionNotFound { revision, .. } if revision == "v9"));
}

#[test]
fn what_is_not_there_is_said() {
    let scene = scene();
    let error = hub_error(scene.pull_named("apple/Nothing"));
    assert!(matches!(&error, HubError::RepoNotFound { repo, .. } if repo == "apple/Nothing"));
    scene.server.put("a/empty", "README.md", "hello");
    let error = hub_error(scene.pull_named("a/empty"));
    assert!(matches!(&error, HubError::FileNotFound { file, .. } if file == "config.json"));
    scene.server.put("a/bare", "config.json", "{}");
    let error = hub_error(scene.pull_named("a/bare"));
    assert!(matches!(&error, HubError::FileNotFound { file, .. } if file == WEIGHTS));
}

/// Apple's repositories have no tokenizer: it comes from another one, and lies there.
#[test]
fn the_tokenizer_comes_from_elsewhere() {
    let mut scene = scene();
    let found = scene
        .model(REPO, TokenizerNeed::Needed, true, None)
        .unwrap();
    let path = found.tokenizer.unwrap().expect("elsewhere");
    assert!(path.ends_with(Path::new("snapshots").join(COMMIT).join("tokenizer.json")));
    let mut files = ModelFiles::open(&found.folder.to_string_lossy()).unwrap();
    assert!(files.require_tokenizer().is_err());
    // It has more tokens than this small model; that it is looked at is enough.
    let _ = files.set_tokenizer(&path);
    // From the cache the next time, also by the path of the model in it.
    scene.settings.offline = true;
    let again = scene
        .model(REPO, TokenizerNeed::Unneeded, false, None)
        .unwrap();
    assert_eq!(again.tokenizer.unwrap().as_ref(), Some(&path));
    let snapshot = Snapshot::at(&scene.repo()).unwrap();
    assert_eq!(snapshot.name, REPO);
    let hub = openelm::hub::Hub::new(scene.settings.clone());
    let beside = hub.tokenizer_beside(&snapshot).unwrap();
    assert_eq!(beside.canonicalize().unwrap(), path.canonicalize().unwrap());
    // One of its own is taken first.
    let own = scene_with_own_tokenizer();
    let found = own.model(REPO, TokenizerNeed::Needed, true, None).unwrap();
    assert!(found.tokenizer.unwrap().is_none());
    assert!(
        !own.server
            .asked_endpoint()
            .iter()
            .any(|asked| asked.path.contains(LLAMA))
    );
}

fn scene_with_own_tokenizer() -> crate::scene::Scene {
    let scene = scene();
    scene.server.put(REPO, "tokenizer.json", "{}");
    scene
}

#[test]
fn a_gate_is_told_with_its_page() {
    let mut scene = scene();
    let gate = |scene: &crate::scene::Scene| {
        let mut world = scene.server.world.lock().unwrap();
        world.gated.insert(LLAMA.into(), "hf_good".into());
    };
    gate(&scene);
    // Before the weights, if there is no use in these without it.
    let error = hub_error(scene.model(REPO, TokenizerNeed::Needed, true, None));
    let HubError::Gated {
        page,
        tokens,
        has_token,
        ..
    } = &error
    else {
        panic!("{error}")
    };
    assert_eq!(*page, format!("{}/{LLAMA}", scene.server.endpoint));
    assert!(tokens.ends_with("/settings/tokens") && !has_token);
    assert!(error.to_string().contains(page) && error.to_string().contains("HF_TOKEN"));
    assert!(scene.server.asked_store().is_empty());
    // After them, if there is.
    let found = scene
        .model(REPO, TokenizerNeed::Wanted, true, None)
        .unwrap();
    assert!(matches!(
        found.tokenizer,
        Err(Error::Hub(HubError::Gated { .. }))
    ));
    scene.assert_whole();
    scene.settings.token = Some(Token::new("hf_other").unwrap());
    let error = hub_error(scene.model(REPO, TokenizerNeed::Needed, true, None));
    assert!(matches!(
        error,
        HubError::Gated {
            has_token: true,
            ..
        }
    ));
    scene.settings.token = Some(Token::new("hf_good").unwrap());
    let found = scene
        .model(REPO, TokenizerNeed::Needed, true, None)
        .unwrap();
    assert!(found.tokenizer.unwrap().is_some());
}

/// A copy that was fetched once serves from then on, whatever the gate says.
#[test]
fn copies_of_the_tokenizer_are_found_in_the_cache() {
    let mut scene = scene();
    let copy = openelm::hub::TOKENIZER_COPIES[0];
    scene.server.put(copy, "tokenizer.json", "{}");
    scene.settings.tokenizer_repo = Some(openelm::hub::ModelId::parse(copy).unwrap());
    let first = scene
        .model(REPO, TokenizerNeed::Needed, true, None)
        .unwrap();
    scene.settings.tokenizer_repo = None;
    let second = scene
        .model(REPO, TokenizerNeed::Needed, true, None)
        .unwrap();
    assert_eq!(first.tokenizer.unwrap(), second.tokenizer.unwrap());
    assert!(
        !scene
            .server
            .asked_endpoint()
            .iter()
            .any(|asked| asked.path.contains(LLAMA))
    );
}

/// What the check refuses costs no gigabytes.
#[test]
fn another_kind_of_model_is_refused_before_its_weights() {
    let scene = scene();
    scene
        .server
        .put(REPO, "config.json", r#"{"model_type":"llama"}"#);
    let id = openelm::hub::ModelId::parse(REPO).unwrap();
    let request = openelm::hub::ModelRequest {
        id: &id,
        tokenizer: TokenizerNeed::Needed,
        refresh: true,
        check: &openelm::checkpoint::check_config,
        cancel: None,
    };
    let hub = openelm::hub::Hub::new(scene.settings.clone());
    let error = hub.model(&request, &mut |_| {}).unwrap_err().to_string();
    assert!(error.contains("llama"), "{error}");
    assert!(scene.server.asked_store().is_empty());
}

#[test]
fn progress_ends_at_all_there_is() {
    let scene = scene_of("openelm-bf16-sharded");
    let id = openelm::hub::ModelId::parse(REPO).unwrap();
    let request = openelm::hub::ModelRequest {
        id: &id,
        tokenizer: TokenizerNeed::Unneeded,
        refresh: true,
        check: &|_| Ok(()),
        cancel: None,
    };
    let mut last = (0, 0);
    let hub = openelm::hub::Hub::new(scene.settings.clone());
    hub.model(&request, &mut |progress| last = progress.sum())
        .unwrap();
    let files = names(&scene.snapshot());
    let sizes = files
        .iter()
        .map(|name| scene.snapshot().join(name).metadata().unwrap().len());
    let bytes = sizes.sum::<u64>();
    assert_eq!(last, (bytes, bytes));
}

/// A server that says nothing for long does not keep whoever has changed his mind.
#[test]
fn a_pull_that_is_cancelled_ends_at_once() {
    let mut scene = scene();
    // Nothing but the cancelling ends it.
    scene.settings.timeout = std::time::Duration::from_secs(60);
    scene.server.fault(WEIGHTS, [Fault::Stall(1000)]);
    let cancel = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&cancel);
    let watched = scene.server.clone();
    let canceller = std::thread::spawn(move || {
        while watched.asked_store().is_empty() {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        flag.store(true, std::sync::atomic::Ordering::Relaxed);
        std::time::Instant::now()
    });
    let outcome = scene.model(REPO, TokenizerNeed::Unneeded, true, Some(cancel));
    assert!(matches!(outcome, Err(Error::Cancelled)), "{outcome:?}");
    // The server would go on after 20 seconds.
    let cancelled = canceller.join().unwrap();
    assert!(cancelled.elapsed() < std::time::Duration::from_secs(15));
    scene.assert_no_weights();
    // What had come is gone on with.
    scene.pull().unwrap();
    scene.assert_whole();
}

#[test]
fn two_at_once_do_not_disturb_each_other() {
    let scene = scene_of("openelm-bf16-sharded");
    std::thread::scope(|scope| {
        let pulls: Vec<_> = (0..4).map(|_| scope.spawn(|| scene.pull())).collect();
        for pull in pulls {
            pull.join().unwrap().unwrap();
        }
    });
    scene.assert_whole();
    // Each file once.
    let mut paths: Vec<_> = scene
        .server
        .asked_store()
        .into_iter()
        .map(|asked| asked.path)
        .collect();
    let all = paths.len();
    paths.sort();
    paths.dedup();
    assert_eq!(paths.len(), all);
}

/// A model in the cache is one by its path too, and keeps its name.
#[test]
fn paths_into_the_cache_are_models() {
    let scene = scene();
    scene.pull().unwrap();
    for path in [scene.repo(), scene.snapshot()] {
        let checkpoint = Checkpoint::open(&path.to_string_lossy()).unwrap();
        assert_eq!(checkpoint.name, REPO);
    }
    assert!(Snapshot::at(scene.cache.path()).is_none());
    assert!(Snapshot::at(&fixture("openelm-f16")).is_none());
    // Without a main revision it is whichever there is.
    std::fs::remove_dir_all(scene.repo().join("refs")).unwrap();
    Checkpoint::open(&scene.repo().to_string_lossy()).unwrap();
}

/// A chat template may need what only this file says.
#[test]
fn special_tokens_are_fetched() {
    let scene = scene();
    scene.server.put(REPO, "special_tokens_map.json", "{}");
    scene.pull().unwrap();
    assert!(scene.snapshot().join("special_tokens_map.json").is_file());
}

/// As programs on Windows begin a file.
#[test]
fn an_index_of_shards_may_have_a_mark() {
    const INDEX: &str = "model.safetensors.index.json";
    let scene = scene_of("openelm-bf16-sharded");
    let index = std::fs::read(crate::common::fixture("openelm-bf16-sharded").join(INDEX)).unwrap();
    let marked = ["\u{feff}".as_bytes(), &index].concat();
    scene.server.put(REPO, INDEX, marked);
    scene.pull().unwrap();
    scene.assert_whole();
    assert_eq!(openelm::hub::missing_file(&scene.snapshot()), None);
}

//! Servers and connections that do everything wrong.

use openelm::{Error, HubError};

use crate::common::fixture;
use crate::scene::{REPO, Scene, WEIGHTS, names, scene, scene_of};
use crate::server::Fault;

fn size() -> usize {
    let file = fixture("openelm-f16").join(WEIGHTS);
    usize::try_from(file.metadata().unwrap().len()).unwrap()
}

/// Asserts that a pull comes to the whole model in spite of what goes wrong.
fn survives(faults: Vec<Fault>) {
    let text = format!("{faults:?}");
    let scene = scene();
    scene.server.fault(WEIGHTS, faults);
    scene
        .pull()
        .unwrap_or_else(|error| panic!("{text}: {error}"));
    scene.assert_whole();
}

#[test]
fn cut_connections_are_gone_on_with() {
    let size = size();
    for at in [0, 1, 7, 4096, 262_144, 262_145, size / 2, size - 1] {
        survives(vec![Fault::Cut(at)]);
    }
    survives(vec![Fault::NoHead, Fault::Cut(5), Fault::NoHead]);
    // More often than would be tolerated without anything coming.
    survives((0..20).map(|_| Fault::Cut(20_000)).collect());
    let scene = scene();
    scene
        .server
        .fault(WEIGHTS, [Fault::Cut(1000), Fault::Cut(500)]);
    scene.pull().unwrap();
    let froms: Vec<_> = scene
        .server
        .asked_store()
        .iter()
        .map(|asked| asked.from())
        .collect();
    assert_eq!(froms, [None, Some(1000), Some(1500)]);
}

#[test]
fn servers_without_ranges_give_all_of_it() {
    survives(vec![Fault::Cut(1000), Fault::NoRanges]);
    survives(vec![Fault::Cut(1000), Fault::WrongRange, Fault::NoRanges]);
    let unsatisfiable = Fault::Status(416, vec![]);
    survives(vec![Fault::Cut(1000), unsatisfiable, Fault::Cut(10)]);
}

#[test]
fn busy_servers_are_asked_again() {
    for status in [429, 500, 502, 503, 504] {
        survives(vec![Fault::Status(status, vec![]), Fault::Cut(10)]);
    }
    let scene = scene();
    let wait = vec![("Retry-After", "0".to_owned())];
    let path = format!("/api/models/{REPO}/revision/main");
    scene.server.world.lock().unwrap().endpoint_faults.insert(
        path,
        vec![
            Fault::Status(429, wait.clone()),
            Fault::Status(503, vec![]),
            Fault::NoHead,
        ],
    );
    scene.pull().unwrap();
    scene.assert_whole();
}

#[test]
fn nobody_waits_for_an_hour() {
    let scene = scene();
    let begin = std::time::Instant::now();
    let wait = vec![("Retry-After", "3600".to_owned())];
    scene.server.fault(WEIGHTS, [Fault::Status(429, wait)]);
    let error = scene.failure();
    assert!(
        matches!(
            error,
            HubError::TooManyRequests {
                retry_after: Some(3600),
                ..
            }
        ),
        "{error}"
    );
    assert!(begin.elapsed() < std::time::Duration::from_secs(300));
    scene.assert_no_weights();
}

/// What was fetched of a file serves the next pull, also if it is none of ours.
#[test]
fn what_is_here_already_is_checked() {
    let scene = scene();
    let bytes = std::fs::read(fixture("openelm-f16").join(WEIGHTS)).unwrap();
    let blobs = scene.repo().join("blobs");
    std::fs::create_dir_all(&blobs).unwrap();
    let unfinished = blobs.join(format!("{}.incomplete", crate::server::sha256(&bytes)));
    // A good beginning, a bad one, one that is too long, and one that is whole and bad.
    let bad: Vec<u8> = bytes.iter().map(|byte| byte ^ 3).collect();
    for (there, is_good) in [
        (&bytes[..1000], true),
        (&bad[..1000], false),
        (&[&bytes[..], &[1]].concat()[..], false),
        (&bad[..], false),
        (&bytes[..], true),
    ] {
        std::fs::write(&unfinished, there).unwrap();
        let before = scene.server.asked_store().len();
        scene.pull().unwrap();
        scene.assert_whole();
        let asked = &scene.server.asked_store()[before..];
        let is_from_there = asked.iter().all(|asked| asked.from() == Some(there.len()));
        assert!(!is_good || is_from_there, "{asked:?}");
        std::fs::remove_dir_all(scene.repo().join("snapshots")).unwrap();
        std::fs::remove_dir_all(scene.repo().join("refs")).unwrap();
        std::fs::remove_file(unfinished.with_extension("")).unwrap();
    }
}

#[test]
fn wrong_contents_are_thrown_away() {
    let scene = scene();
    scene.server.fault(WEIGHTS, [Fault::Wrong]);
    let error = scene.failure();
    assert!(matches!(error, HubError::Hash { .. }), "{error}");
    scene.assert_no_weights();
    assert!(
        !scene.blobs().iter().any(|name| name.len() > 60),
        "{:?}",
        scene.blobs()
    );
    scene.server.fault(WEIGHTS, []);
    scene.pull().unwrap();
    scene.assert_whole();
}

#[test]
fn lengths_must_be_true() {
    let size = size();
    for faults in [
        vec![Fault::Length(-1)],
        vec![Fault::Length(1)],
        vec![Fault::Length(i64::MAX / 2)],
        vec![Fault::Endless],
    ] {
        let scene = scene();
        let text = format!("{faults:?}");
        scene.server.fault(WEIGHTS, faults);
        let error = scene.failure();
        assert!(matches!(error, HubError::Length { .. }), "{text}: {error}");
        scene.assert_no_weights();
    }
    for said in [size - 1, size + 1, 0, usize::MAX] {
        let scene = scene();
        scene
            .server
            .lie(WEIGHTS, "X-Linked-Size", &said.to_string());
        let error = scene.failure();
        assert!(matches!(error, HubError::Length { .. }), "{said}: {error}");
        scene.assert_no_weights();
    }
    let scene = scene();
    scene.server.lie(WEIGHTS, "X-Linked-Size", "many");
    assert!(matches!(scene.failure(), HubError::Answer { .. }));
}

/// Small files have no hash; a part of one must not count as the whole.
#[test]
fn small_files_are_whole_too() {
    let scene = scene();
    let cuts = [Fault::Cut(10), Fault::Cut(100), Fault::NoHead];
    scene.server.fault("config.json", cuts);
    scene.pull().unwrap();
    scene.assert_whole();
    let scene = self::scene();
    scene.server.fault("config.json", [Fault::Length(5)]);
    scene.failure();
    assert!(!scene.snapshot().join("config.json").exists());
}

#[test]
fn odd_names_lead_nowhere() {
    let scene = scene();
    let outside = scene.cache.path().join("evil.safetensors");
    let absolute = outside.to_string_lossy().into_owned();
    for name in [
        "../evil.safetensors",
        "../../../evil.safetensors",
        "..\\evil.safetensors",
        &absolute,
        "/etc/evil.safetensors",
        "C:evil.safetensors",
        "..",
        "",
        ".safetensors",
        "a\nb.safetensors",
    ] {
        scene
            .server
            .world
            .lock()
            .unwrap()
            .listed
            .push(name.to_owned());
    }
    scene.pull().unwrap();
    scene.assert_whole();
    assert_eq!(
        names(&scene.snapshot()),
        ["config.json", "generation_config.json", WEIGHTS]
    );
    assert_eq!(names(scene.cache.path()).len(), 2);
    // An ETag becomes the name of a file.
    for etag in [
        "../../evil",
        "/evil",
        "",
        ".",
        "..",
        "a b",
        "a/b",
        "x.incomplete",
    ] {
        let scene = self::scene();
        scene.server.lie("config.json", "ETag", etag);
        assert!(matches!(scene.failure(), HubError::Answer { .. }), "{etag}");
        assert_eq!(names(scene.cache.path()).len(), 1, "{etag}: only locks");
    }
    // So do the names in an index.
    let scene = scene_of("openelm-bf16-sharded");
    for shard in [
        "../../evil.safetensors",
        "config.json",
        "model-3.safetensors",
    ] {
        let index = format!(r#"{{"weight_map":{{"a":{shard:?}}}}}"#);
        scene
            .server
            .put(REPO, "model.safetensors.index.json", index);
        assert!(scene.pull().is_err(), "{shard}");
        scene.assert_no_weights();
    }
}

#[test]
fn answers_that_make_no_sense() {
    let scene = scene();
    let path = format!("/api/models/{REPO}/revision/main");
    let asks = |faults: Vec<Fault>| {
        let mut world = scene.server.world.lock().unwrap();
        world.endpoint_faults.insert(path.clone(), faults);
    };
    // No list, redirects in a circle, to nothing, to another kind of address.
    for (status, location) in [
        (200, ""),
        (302, path.as_str()),
        (302, "file:///etc/passwd"),
        (302, "http://"),
        (418, ""),
    ] {
        let headers = vec![("Location", location.to_owned())];
        asks(vec![Fault::Status(status, headers); 20]);
        let error = scene.failure();
        assert!(
            matches!(error, HubError::Answer { .. } | HubError::Status { .. }),
            "{location}: {error}"
        );
    }
    assert_eq!(names(scene.cache.path()), [".locks"]);
}

#[test]
fn errors_hold_no_secrets() {
    let mut scene = scene();
    scene.settings.token = Some(openelm::hub::Token::new("hf_secret").unwrap());
    for fault in [
        Fault::Status(403, vec![]),
        Fault::Wrong,
        Fault::Length(-1),
        Fault::Status(500, vec![]),
    ] {
        scene.server.fault(WEIGHTS, [fault]);
        let error = scene.failure();
        let text = format!("{error} {error:?} {:?}", scene.settings);
        assert!(!text.contains("secret"), "{text}");
    }
}

/// The store is no authority on tokens and licences.
#[test]
fn a_store_that_refuses_is_no_gate() {
    let scene = scene();
    for status in [401, 403, 404] {
        let code = vec![("X-Error-Code", "GatedRepo".to_owned())];
        scene.server.fault(WEIGHTS, [Fault::Status(status, code)]);
        let error = scene.failure();
        assert!(
            matches!(error, HubError::Status { status: s, .. } if s == status),
            "{error}"
        );
    }
}

#[test]
fn nobody_there_is_an_error_soon() {
    let mut scene = scene();
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    scene.settings.endpoint = format!("http://{port}");
    let error = scene.failure();
    assert!(matches!(error, HubError::Connection { .. }), "{error}");
    scene.settings.timeout = std::time::Duration::from_millis(100);
    scene.settings.endpoint = scene.server.endpoint.clone();
    scene.server.fault(WEIGHTS, vec![Fault::Stall(0); 9]);
    let error = scene.failure();
    assert!(matches!(error, HubError::Connection { .. }), "{error}");
    scene.assert_no_weights();
}

/// Asserts that a pull fails for the disk's sake.
fn cannot_write(scene: &Scene) {
    let error = scene.pull().unwrap_err();
    assert!(matches!(error, Error::Write { .. }), "{error}");
}

#[test]
fn caches_that_cannot_be_written() {
    // A file where a folder should be.
    let scene = scene();
    std::fs::write(scene.repo(), "in the way").unwrap();
    cannot_write(&scene);
    let scene = self::scene();
    std::fs::create_dir_all(scene.repo()).unwrap();
    std::fs::write(scene.repo().join("snapshots"), "in the way").unwrap();
    cannot_write(&scene);
    // A folder where a blob should be.
    let scene = self::scene();
    let bytes = std::fs::read(fixture("openelm-f16").join(WEIGHTS)).unwrap();
    let blob = scene
        .repo()
        .join("blobs")
        .join(crate::server::sha256(&bytes));
    std::fs::create_dir_all(blob.join("in the way")).unwrap();
    cannot_write(&scene);
    assert!(!scene.repo().join("refs/main").exists());
}

/// Something else where an unfinished file should be: it is not read, and not written through.
#[cfg(target_os = "linux")]
#[test]
fn no_device_stands_for_a_file() {
    let scene = scene();
    let bytes = std::fs::read(fixture("openelm-f16").join(WEIGHTS)).unwrap();
    let blobs = scene.repo().join("blobs");
    std::fs::create_dir_all(&blobs).unwrap();
    let unfinished = format!("{}.incomplete", crate::server::sha256(&bytes));
    std::os::unix::fs::symlink("/dev/zero", blobs.join(unfinished)).unwrap();
    scene.pull().unwrap();
    scene.assert_whole();
}

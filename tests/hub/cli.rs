//! The verbs that fetch, list and remove, as a person uses them.

use std::process::{Command, Output};

use crate::common::fixture;
use crate::scene::{LLAMA, REPO, Scene, scene};
use crate::server::COMMIT;

fn openelm(scene: &Scene) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_openelm"));
    for name in [
        "HF_TOKEN",
        "HF_HUB_OFFLINE",
        "HF_HUB_CACHE",
        "HF_TOKEN_PATH",
        "HF_HUB_DISABLE_IMPLICIT_TOKEN",
        "HUGGINGFACE_HUB_CACHE",
        "HUGGING_FACE_HUB_TOKEN",
        "TRANSFORMERS_OFFLINE",
        "http_proxy",
        "HTTP_PROXY",
        "all_proxy",
        "ALL_PROXY",
        "SSL_CERT_FILE",
    ] {
        command.env_remove(name);
    }
    command
        .env("HF_HOME", scene.cache.path().join("home"))
        .env("HF_HUB_CACHE", scene.cache.path())
        .env("HF_ENDPOINT", &scene.server.endpoint)
        .env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR"));
    command
}

fn run(scene: &Scene, arguments: &[&str]) -> Output {
    openelm(scene).args(arguments).output().unwrap()
}

fn ok(scene: &Scene, arguments: &[&str]) -> String {
    let output = run(scene, arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

fn failure(scene: &Scene, arguments: &[&str]) -> String {
    let output = run(scene, arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// The small models have fewer tokens than a real tokenizer: one that fits.
fn tokenizer() -> String {
    r#"{"version":"1.0","added_tokens":[],"model":{"type":"WordLevel","vocab":{"<unk>":0,"<s>":1,"a":2},"unk_token":"<unk>"}}"#.to_owned()
}

#[test]
fn pull_list_use_and_remove() {
    let scene = scene();
    scene.server.put(LLAMA, "tokenizer.json", tokenizer());
    let folder = ok(&scene, &["pull", REPO]);
    assert_eq!(folder.trim(), scene.snapshot().to_string_lossy());
    scene.assert_whole();

    let list: serde_json::Value = serde_json::from_str(&ok(&scene, &["list", "--json"])).unwrap();
    assert_eq!(list[0]["name"], REPO);
    assert_eq!(list[0]["revision"], COMMIT);
    assert_eq!(list[0]["complete"], true);
    assert_eq!(list[1]["name"], LLAMA);
    assert_eq!(list[1]["state"], "tokenizer");
    let table = ok(&scene, &["list"]);
    assert!(table.contains(REPO) && table.contains("complete") && table.contains("main"));

    // By its name and by paths into the cache, without a network.
    let snapshot = scene.snapshot().to_string_lossy().into_owned();
    let repo = scene.repo().to_string_lossy().into_owned();
    for model in [REPO, &snapshot, &repo] {
        let tokens = ok(
            &scene,
            &["tokenize", "-m", model, "-p", "a", "--offline", "--json"],
        );
        assert_eq!(tokens.trim(), r#"{"ids":[1,2],"tokens":["<s>","a"]}"#);
        let shown = ok(&scene, &["show", model, "--offline"]);
        assert!(
            shown.contains(REPO) && shown.contains("tokenizer: yes"),
            "{shown}"
        );
    }
    let score = [
        "score",
        "-m",
        REPO,
        "--offline",
        "--token-ids",
        "1,2,3",
        "--json",
    ];
    assert!(ok(&scene, &score).contains("logprobs"));
    let out = scene.cache.path().join("quantized");
    ok(
        &scene,
        &["quantize", REPO, out.to_str().unwrap(), "--offline"],
    );
    assert!(out.join("tokenizer.json").is_file());

    let errors = failure(&scene, &["rm", REPO]);
    assert!(
        errors.contains("--yes") && scene.repo().exists(),
        "{errors}"
    );
    ok(&scene, &["rm", REPO, "--yes"]);
    assert!(!scene.repo().exists());
    assert!(failure(&scene, &["rm", REPO, "--yes"]).contains("openelm list"));
    assert!(failure(&scene, &["show", REPO, "--offline"]).contains("network"));
}

#[test]
fn names_are_fetched_where_they_are_used() {
    let scene = scene();
    let shown = ok(&scene, &["show", REPO]);
    assert!(shown.contains(REPO));
    scene.assert_whole();
    let revision = ["show", REPO, "--revision", "refs/pr/1", "--json"];
    assert!(ok(&scene, &revision).contains(REPO));
    let errors = failure(&scene, &["show", REPO, "--revision", "v9"]);
    assert!(
        errors.contains("v9") && errors.contains("--revision"),
        "{errors}"
    );
    assert!(failure(&scene, &["show", "demo", "--revision", "v9"]).contains("--revision"));
    assert!(failure(&scene, &["show", "../x"]).contains("no folder"));
    assert!(failure(&scene, &["pull", "x"]).contains("ORG/NAME"));
    let errors = failure(&scene, &["show", "apple/Nothing"]);
    assert!(errors.contains("no repository apple/Nothing") && errors.contains("no folder"));
}

/// A folder of that name comes first, and nobody is asked.
#[test]
fn folders_come_before_names() {
    let scene = scene();
    let folder = scene.cache.path().join("here").join(REPO);
    std::fs::create_dir_all(&folder).unwrap();
    for name in ["config.json", "model.safetensors"] {
        std::fs::copy(fixture("openelm-f16").join(name), folder.join(name)).unwrap();
    }
    let mut command = openelm(&scene);
    command.current_dir(scene.cache.path().join("here"));
    assert!(command.args(["show", REPO]).status().unwrap().success());
    assert!(scene.server.asked_endpoint().is_empty());
}

#[test]
fn gates_say_what_to_do() {
    let scene = scene();
    scene.server.put(LLAMA, "tokenizer.json", tokenizer());
    scene
        .server
        .world
        .lock()
        .unwrap()
        .gated
        .insert(LLAMA.into(), "hf_good".into());
    let errors = failure(&scene, &["tokenize", "-m", REPO, "-p", "a"]);
    let page = format!("{}/{LLAMA}", scene.server.endpoint);
    for part in [
        page.as_str(),
        "/settings/tokens",
        "HF_TOKEN",
        "NousResearch/Llama-2-7b-hf",
        "by others",
        "--tokenizer-repo",
    ] {
        assert!(errors.contains(part), "{part}: {errors}");
    }
    assert!(!scene.snapshot().join("model.safetensors").exists());
    // The weights are of use without it.
    let errors = failure(&scene, &["pull", REPO]);
    assert!(errors.contains(&page), "{errors}");
    scene.assert_whole();
    ok(
        &scene,
        &["score", "-m", REPO, "--token-ids", "1,2", "--json"],
    );
    let refused = failure(&scene, &["pull", REPO, "--hf-access-token", "hf_bad"]);
    assert!(
        refused.contains("may not read it") && !refused.contains("hf_bad"),
        "{refused}"
    );
    ok(&scene, &["pull", REPO, "--hf_access_token", "hf_good"]);
    ok(&scene, &["tokenize", "-m", REPO, "-p", "a"]);
}

#[test]
fn the_environment_is_that_of_hugging_face() {
    let scene = scene();
    scene
        .server
        .world
        .lock()
        .unwrap()
        .gated
        .insert(REPO.into(), "hf_good".into());
    let mut offline = openelm(&scene);
    offline.env("HF_HUB_OFFLINE", "1").args(["show", REPO]);
    assert!(!offline.status().unwrap().success());
    assert!(scene.server.asked_endpoint().is_empty());
    assert!(failure(&scene, &["show", REPO]).contains("licence"));
    let mut by_token = openelm(&scene);
    by_token.env("HF_TOKEN", "hf_good").args(["show", REPO]);
    assert!(by_token.status().unwrap().success());
    // By older names; the model is there by now.
    let mut by_old = openelm(&scene);
    by_old
        .env_remove("HF_HUB_CACHE")
        .env("HUGGINGFACE_HUB_CACHE", scene.cache.path())
        .env("TRANSFORMERS_OFFLINE", "1")
        .args(["show", REPO]);
    assert!(by_old.status().unwrap().success());
    // The token as a file, and the cache in HF_HOME.
    let home = scene.cache.path().join("home");
    std::fs::create_dir_all(&home).unwrap();
    std::fs::write(home.join("token"), "hf_good\n").unwrap();
    // Unless a person wants it sent only when it is asked for.
    let mut unsent = openelm(&scene);
    unsent
        .env("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")
        .env("HF_HUB_CACHE", scene.cache.path().join("other"))
        .args(["show", REPO]);
    assert!(!unsent.status().unwrap().success());
    // Variables may be made of others, and of two that say the same the first counts.
    let mut by_file = openelm(&scene);
    by_file
        .env_remove("HF_HUB_CACHE")
        .env("WHERE", scene.cache.path())
        .env("HF_HOME", "$WHERE/home")
        .env("HF_HUB_OFFLINE", "0")
        .env("TRANSFORMERS_OFFLINE", "1")
        .args(["show", REPO]);
    assert!(by_file.status().unwrap().success());
    assert!(
        home.join("hub/models--apple--OpenELM-Tiny-Instruct/refs/main")
            .is_file()
    );
    let mut odd = openelm(&scene);
    odd.env("HF_ENDPOINT", "huggingface.co")
        .args(["show", REPO]);
    let errors = String::from_utf8(odd.output().unwrap().stderr).unwrap();
    assert!(errors.contains("HF_ENDPOINT"), "{errors}");
    // Who needs no hub is not bothered.
    let mut demo = openelm(&scene);
    demo.env("HF_ENDPOINT", "nonsense").args(["show", "demo"]);
    assert!(demo.status().unwrap().success());
}

#[test]
fn two_processes_share_the_work() {
    let scene = scene();
    scene.server.put(LLAMA, "tokenizer.json", tokenizer());
    let spawn = || {
        openelm(&scene)
            .args(["pull", REPO])
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap()
    };
    let mut both = [spawn(), spawn()];
    for process in &mut both {
        assert!(process.wait().unwrap().success());
    }
    scene.assert_whole();
    assert_eq!(scene.server.asked_store().len(), 1);
}

/// A disk without room: a limit on the size of files stands for one.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_told_and_what_is_there_serves_later() {
    let scene = scene();
    let mut limited = openelm(&scene);
    let program = limited.get_program().to_owned();
    let environment: Vec<_> = limited
        .get_envs()
        .map(|(name, value)| (name.to_owned(), value.map(std::ffi::OsStr::to_owned)))
        .collect();
    limited = Command::new("sh");
    for (name, value) in environment {
        match value {
            Some(value) => limited.env(name, value),
            None => limited.env_remove(name),
        };
    }
    let script = "trap '' XFSZ; ulimit -f 1000; exec \"$0\" pull \"$1\"";
    limited.args(["-c", script]).arg(program).arg(REPO);
    let output = limited.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("cannot write"), "{errors}");
    scene.assert_no_weights();
    ok(&scene, &["show", REPO]);
    scene.assert_whole();
    let asked = scene.server.asked_store();
    assert!(asked.last().unwrap().from() > Some(0), "{asked:?}");
}

//! Traces of earlier runs, read back and shown beside live ones.

use std::path::PathBuf;

use egui_kittest::kittest::Queryable;
use openelm::Finish;
use openelm::engine::Event;
use openelm::trace::{TraceMode, json};
use openelm::window::{Options, Store};

use crate::history::drop_files;
use crate::scene::{Scene, scene_of, stage, step, traced, wait};
use crate::timings::timed;

/// A trace as the command line writes it.
fn file(folder: &std::path::Path, name: &str) -> PathBuf {
    let steps: Vec<_> = (0..12).map(|position| step(position, true)).collect();
    let metadata = serde_json::json!({
        "model": "OpenELM-450M", "dtype": "q8",
        "adapter": { "name": "Other GPU", "backend": "vulkan", "driver": "2.0", "device_type": "cpu" },
        "peaks": { "bytes_per_s": 1e12, "flops_per_s": 1e12, "is_estimated": false },
        "layers": [{ "q_heads": 7, "kv_heads": 1, "ffn_dim": 768 }],
    });
    let path = folder.join(name);
    std::fs::write(&path, json(&steps, &metadata)).unwrap();
    path
}

/// A window that was opened to show a trace.
pub fn of_a_file<'a>() -> Scene<'a> {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "yesterday.json");
    let mut stage = scene_of([1280.0, 800.0], tempfile::tempdir().unwrap());
    let mut options = Options::default();
    options.trace = Some(path);
    stage.window.state_mut().begin(&options);
    wait(
        &mut stage,
        "From yesterday.json: OpenELM-450M q8 on Other GPU",
    );
    stage.window.run();
    stage
}

#[test]
fn a_trace_is_opened_by_an_option_and_says_what_it_is() {
    let mut stage = of_a_file();
    assert!(stage.has("11 steps, 11 tokens"));
    assert!(stage.has("Other GPU · 2.0 · at best 1000.0 GB/s read"));
    stage.click("Layers");
    assert!(stage.has("7 q, 1 kv · 768"));
    stage.click("Flame");
    assert!(stage.has("Flame chart of step 11"));
    stage.click("Close this trace");
    assert!(!stage.has("yesterday.json"));
    assert!(!stage.has("11 steps"));
}

#[test]
fn a_dropped_trace_is_compared_with_a_live_run() {
    let mut stage = timed(true);
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "before.json");
    drop_files(&mut stage, &[path]);
    wait(&mut stage, "From before.json");
    stage.click("Compare");
    assert!(stage.has("before.json: OpenELM-450M q8 on Other GPU"));
    assert!(stage.has("Unlike each other in model: OpenELM-450M, then OpenELM-270M"));
    // A new run takes its place, and is compared with it.
    stage.write(" more");
    let request = stage.request();
    for position in 50..70 {
        stage.tell(traced(step(position, true)));
    }
    stage.finish(request.id, Finish::Length);
    assert!(!stage.has("From before.json"));
    assert!(stage.has("model: OpenELM-270M, then OpenELM-450M"));
}

#[test]
fn a_trace_does_not_disturb_a_run_that_is_coming() {
    let mut stage = stage("OpenELM-270M");
    stage.write("Once");
    let request = stage.request();
    stage.tell(traced(step(1, true)));
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "before.json");
    drop_files(&mut stage, &[path]);
    wait(&mut stage, "is compared with the run that is coming");
    for position in 2..9 {
        stage.tell(traced(step(position, true)));
    }
    assert!(stage.has("model: OpenELM-270M, then OpenELM-450M"));
    stage.finish(request.id, Finish::Length);
}

/// What the window writes it reads: also which texts shared a step.
#[test]
fn what_was_exported_comes_back_with_its_lanes() {
    let mut stage = stage("OpenELM-270M");
    stage.write("Once");
    let request = stage.request();
    for position in 1..9 {
        let mut shared = step(position, position % 2 == 0);
        shared.tokens = 3;
        if position % 2 == 1 {
            shared.mode = TraceMode::Steps;
        }
        stage.tell(Event::Step {
            requests: vec![request.id, 7, 8],
            step: Box::new(shared),
        });
    }
    stage.finish(request.id, Finish::Length);
    let target = stage.folder.path().join("own.json");
    let answer = target.clone();
    let app = stage.window.state_mut();
    app.set_dialog(move |_| Some(answer.clone()));
    stage.click("Export timings");
    stage.click("JSON…");
    wait(&mut stage, "Saved");
    stage.click("Export timings");
    stage.click("Open a trace (JSON)…");
    wait(&mut stage, "From own.json: OpenELM-270M bf16 on Test GPU");
    stage.window.run();
    let strip = stage.window.get_by_label("Token strip, 8 steps").rect();
    let at = strip.left_top() + egui::vec2(46.0 + 30.0, 30.0);
    stage.window.hover_at(at);
    stage.window.run();
    assert!(stage.has("Shared by 3 texts"));
}

#[test]
fn what_is_no_trace_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let mut stage = stage("demo");
    for (name, text, problem) in [
        (
            "none.json",
            r#"{"metadata":{},"steps":[]}"#,
            "a trace without a step",
        ),
        (
            "perfetto.json",
            r#"{"traceEvents":[],"displayTimeUnit":"ms"}"#,
            "only the JSON can be opened",
        ),
        (
            "foreign.json",
            r#"{"resourceSpans":[]}"#,
            "is neither a trace nor",
        ),
        (
            "huge.json",
            r#"{"metadata":null,"steps":[{"phase":"decode","tokens":1,"position":0,"begin_ns":0,"wall_ns":18446744073709551615,"mode":"steps"}]}"#,
            "step 0: its figures are none of a step",
        ),
    ] {
        let path = write(name, text);
        drop_files(&mut stage, &[path]);
        wait(&mut stage, problem);
        assert!(stage.has(name));
    }
    // The window is as it was.
    assert!(stage.has("Once upon a time there was a king"));
    assert!(Store::open(stage.folder.path()).is_ok());
}

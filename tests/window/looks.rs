//! What it looks like, with a scripted engine; and the whole of it with the real one.

use std::time::{Duration, Instant};

use egui_kittest::kittest::Queryable;
use egui_kittest::{Harness, SnapshotResults};
use openelm::Finish;
use openelm::engine::Engine;
use openelm::window::App;

use crate::scene::{Scene, stage, step, traced, window};
use crate::timings::timed;

#[test]
fn it_looks_as_it_did() {
    let adapters = openelm::adapters();
    if !adapters.iter().any(|adapter| adapter.device_type == "cpu") {
        eprintln!(
            "no software adapter: every GPU draws edges a little differently, so not compared"
        );
        return;
    }
    let mut results = SnapshotResults::new();
    let mut stage = timed(true);
    stage.window.set_size(egui::vec2(1100.0, 640.0));
    // The cursor blinks.
    stage.click("Heat map");
    for (tab, name) in [
        ("Heat map", "heat"),
        ("Layers", "layers"),
        ("Flame", "flame"),
        ("Kernels", "kernels"),
        ("Memory", "memory"),
    ] {
        stage.click(tab);
        stage.window.remove_cursor();
        stage.window.run();
        results.add(stage.window.try_snapshot(format!("timings_{name}")));
    }
    stage.write(" more");
    let request = stage.request();
    stage.tell(traced(step(50, true)));
    stage.tell(traced(step(51, false)));
    stage.finish(request.id, Finish::Length);
    stage.click("Compare");
    stage.window.remove_cursor();
    stage.window.run();
    results.add(stage.window.try_snapshot("timings_compare"));
    stage.click("Settings");
    stage.click("Light");
    stage.click("Layers");
    stage.click("History");
    stage.window.remove_cursor();
    stage.window.run();
    results.add(stage.window.try_snapshot("timings_light"));
    let mut chat = chat_to_look_at();
    results.add(chat.window.try_snapshot("chat_dark"));
    chat.click("Settings");
    chat.click("Light");
    chat.window.remove_cursor();
    chat.window.run();
    results.add(chat.window.try_snapshot("chat_light"));
    chat.window.set_size(egui::vec2(320.0, 240.0));
    chat.window.run();
    results.add(chat.window.try_snapshot("chat_small"));
}

fn chat_to_look_at<'a>() -> Scene<'a> {
    let mut stage = stage("OpenELM-270M-Instruct");
    stage.window.set_size(egui::vec2(1100.0, 640.0));
    stage.window.run();
    stage.click("Timings");
    stage.write("Which animals live in the forest?");
    let request = stage.request();
    let answer = "Many do:\n\n1. **foxes**, which are *sly*,\n2. owls, and\n3. bears.\n\nIn Rust:\n\n```rust\nlet animals = [\"fox\", \"owl\", \"bear\"];\n```\n";
    let pieces: Vec<&str> = answer.split_inclusive(' ').collect();
    stage.say(request.id, &pieces);
    stage.finish(request.id, Finish::Eos);
    stage.window.remove_cursor();
    stage.click("Probabilities");
    stage.click("Probabilities");
    stage.window.run();
    stage
}

/// The whole of it: the embedded model on the machine's adapter.
#[test]
fn the_demo_streams_and_stops_and_is_timed() {
    let folder = tempfile::tempdir().unwrap();
    let endless = r#"{"max_tokens":100000,"ignore_eos":true}"#;
    std::fs::write(folder.path().join("settings.json"), endless).unwrap();
    let engine = Engine::start(|| {}).unwrap();
    let mut window = window([1280.0, 800.0], engine, folder.path());
    window
        .state_mut()
        .act(openelm::window::Action::Load("demo".into()));
    let until = |window: &mut Harness<'_, App>, what: &str| {
        let begin = Instant::now();
        while window.query_all_by_label_contains(what).next().is_none() {
            assert!(begin.elapsed() < Duration::from_secs(120), "no `{what}`");
            std::thread::sleep(Duration::from_millis(5));
            window.step();
        }
    };
    until(&mut window, "Model: demo");
    window
        .get_by_label("Once upon a time there was a king")
        .click();
    window.step();
    until(&mut window, "Stop");
    until(&mut window, "Heat map of");
    // A machine that was busy elsewhere for seconds may find the context full instead.
    let stop = window.query_by_label("Stop");
    let end = match stop {
        Some(stop) => {
            stop.click();
            "stopped"
        }
        None => "context full",
    };
    window.step();
    until(&mut window, end);
    until(&mut window, "tok/s");
    until(&mut window, "Regenerate");
    until(&mut window, "GB/s read");
    // Closing while the model writes.
    window.get_by_label("Regenerate").click();
    window.step();
    drop(window);
}

//! What it looks like, with a scripted engine: every view, dark and light, wide and small, and one at a scale of 2; and the whole of it
//! with the real engine.

use std::time::{Duration, Instant};

use egui_kittest::kittest::Queryable;
use egui_kittest::{Harness, SnapshotResults};
use openelm::Finish;
use openelm::engine::{Engine, Event};
use openelm::window::{Action, App, Options, SamplingSettings, Setting};

use crate::answers::three_answers;
use crate::history::{folder_of, open_folder};
use crate::models::fetching;
use crate::scene::{PATIENCE, Scene, loaded, scene_of, stage, step, traced, wait, window};
use crate::timings::{timed, timed_in};
use crate::traces::of_a_file;

/// Wide, and small.
const SIZES: [(&str, [f32; 2]); 2] = [("wide", [1280.0, 800.0]), ("small", [800.0, 600.0])];

/// Whether pictures can be compared here: every GPU draws edges a little differently.
fn can_compare() -> bool {
    let adapters = openelm::adapters();
    let is_there = adapters.iter().any(|adapter| adapter.device_type == "cpu");
    if !is_there {
        eprintln!("no software adapter: pictures are not compared");
    }
    is_there
}

/// Compares a view with what it looked like, in all its looks.
fn look<'a>(results: &mut SnapshotResults, name: &str, view: impl Fn() -> Scene<'a>) {
    for (size_name, size) in SIZES {
        let mut stage = view();
        stage.window.set_size(size.into());
        for (theme, label) in [("dark", "Dark"), ("light", "Light")] {
            set_appearance(&mut stage, label);
            settle(&mut stage);
            let name = format!("{name}_{theme}_{size_name}");
            results.add(stage.window.try_snapshot(name));
        }
    }
}

/// Runs until what was measured while drawing has settled.
fn settle(stage: &mut Scene<'_>) {
    stage.window.remove_cursor();
    // The cursor of a text would blink.
    (0..4).for_each(|_| stage.window.step());
    stage.window.run();
}

fn set_appearance(stage: &mut Scene<'_>, label: &str) {
    let appearance = serde_json::from_value(label.to_lowercase().into()).unwrap();
    let set = Action::Set(Setting::Appearance(appearance));
    stage.window.state_mut().act(set);
    stage.window.run();
}

#[test]
fn texts_and_chats_look_as_they_did() {
    if !can_compare() {
        return;
    }
    let mut results = SnapshotResults::new();
    look(&mut results, "welcome", || stage("demo"));
    look(&mut results, "text", || timed(true));
    look(&mut results, "chat", a_chat);
    look(&mut results, "find", || {
        let mut chat = a_chat();
        chat.press(egui::Modifiers::COMMAND, egui::Key::F);
        chat.window.get_by_label("Find text").type_text("fox");
        chat.window.run();
        chat
    });
    look(&mut results, "tokens", || {
        let mut chat = a_chat();
        chat.click("Probabilities");
        let mut buttons = chat.window.get_all_by_label("Inspect");
        buttons.next().unwrap().click();
        drop(buttons);
        chat.window.run();
        chat
    });
    look(&mut results, "answers", || {
        let (mut chat, requests) = three_answers();
        let answers = [
            "Because the *sky* scatters blue light more than red.",
            "Nobody knows:\n\n1. it is air,\n2. and far away.",
            "It is not; ask",
        ];
        for (request, text) in requests.iter().zip(answers) {
            chat.say(request.id, &[text]);
        }
        chat.finish(requests[1].id, Finish::Eos);
        chat.click("Timings");
        chat
    });
    // With a lane for each below the strip.
    let (mut stage, requests) = three_answers();
    let ids: Vec<u64> = requests.iter().map(|request| request.id).collect();
    for position in 0..30 {
        let mut shared = step(position, position % 4 != 3);
        shared.tokens = 3;
        let requests = ids[..if position < 20 { 3 } else { 2 }].to_vec();
        let step = Box::new(shared);
        stage.tell(Event::Step { requests, step });
    }
    for request in &requests {
        stage.say(request.id, &["A fox is a small animal of the dog family."]);
    }
    // The cursor goes from the box.
    stage.click("Decode");
    settle(&mut stage);
    results.add(stage.window.try_snapshot("answers_lanes"));
    let mut chat = a_chat();
    chat.window.set_size(egui::vec2(320.0, 240.0));
    settle(&mut chat);
    results.add(chat.window.try_snapshot("chat_tiny"));
}

#[test]
fn what_lies_beside_and_over_the_chat_looks_as_it_did() {
    if !can_compare() {
        return;
    }
    let mut results = SnapshotResults::new();
    for (button, name) in [("Settings", "settings"), ("Prompt", "prompt")] {
        look(&mut results, name, || {
            let mut chat = a_chat();
            chat.click(button);
            chat
        });
    }
    look(&mut results, "shortcuts", || {
        let mut chat = a_chat();
        chat.press(egui::Modifiers::NONE, egui::Key::F1);
        chat
    });
    look(&mut results, "problem", || {
        let mut chat = a_chat();
        chat.tell(Event::DeviceLost {
            load: 0,
            error: openelm::Error::DeviceLost("driver reset".into()),
        });
        chat
    });
    look(&mut results, "models", models);
    let mut pulling = models();
    let tell = fetching(&mut pulling);
    pulling.reach("OpenELM-270M-Instruct");
    tell.send(Ok((100_000_000, 543_000_000))).unwrap();
    let shown = "apple/OpenELM-270M-Instruct: 100 MB of 543 MB";
    wait(&mut pulling, shown);
    pulling.window.get_by_label(shown).scroll_to_me();
    settle(&mut pulling);
    results.add(pulling.window.try_snapshot("pull_dark_wide"));
}

/// The page of models, but not with what is in the cache of whoever runs this.
fn models<'a>() -> Scene<'a> {
    let mut models = stage("demo");
    let mut hub = openelm::hub::Settings::from_env().unwrap();
    hub.cache = openelm::hub::Cache::new(models.folder.path().join("hub"));
    let mut options = Options::default();
    options.hub = Some(hub);
    models.window.state_mut().begin(&options);
    models.tell(loaded_again());
    models.open_models();
    models
}

/// What was deleted a moment ago.
#[test]
fn the_trash_looks_as_it_did() {
    if !can_compare() {
        return;
    }
    let mut stage = open_folder(folder_of(&["Kings and queens", "Foxes", "Bears"]));
    for title in ["Kings and queens", "Foxes"] {
        stage.click(&format!("More about {title}"));
        stage.click("Delete conversation");
    }
    stage.click("Dismiss");
    stage.click("Import, export and trash");
    stage.click("Trash…");
    wait(&mut stage, "Restore Foxes");
    stage.window.run();
    stage.click("Delete for good Kings and queens");
    settle(&mut stage);
    let mut results = SnapshotResults::new();
    results.add(stage.window.try_snapshot("trash_dark_wide"));
}

fn loaded_again() -> Event {
    let Event::Loaded { info, .. } = loaded("demo") else {
        unreachable!("that is what it is");
    };
    Event::Loaded { load: 1, info }
}

#[test]
fn timings_look_as_they_did() {
    if !can_compare() {
        return;
    }
    let mut results = SnapshotResults::new();
    look(&mut results, "timings_empty", || stage("OpenELM-270M"));
    for (tab, name) in [
        ("Heat map", "heat"),
        ("Layers", "layers"),
        ("Flame", "flame"),
        ("Kernels", "kernels"),
        ("Memory", "memory"),
        ("Compare", "compare"),
    ] {
        look(&mut results, &format!("timings_{name}"), || two_runs(tab));
    }
    // Sharp where the screen is.
    let mut stage = two_runs("Layers");
    stage.window.set_pixels_per_point(2.0);
    settle(&mut stage);
    // The window grows with its points.
    stage.window.set_size(egui::vec2(1280.0, 800.0));
    settle(&mut stage);
    results.add(stage.window.try_snapshot("timings_scale_2"));
    let mut stage = of_a_file();
    settle(&mut stage);
    results.add(stage.window.try_snapshot("timings_file_dark_wide"));
    let mut stage = timed_in([1920.0, 1080.0], true);
    settle(&mut stage);
    results.add(stage.window.try_snapshot("timings_two_views"));
}

/// Two runs, of which the second is slower in its feed-forward networks, in one of the views.
fn two_runs<'a>(tab: &str) -> Scene<'a> {
    let mut stage = timed(true);
    stage.write(" more");
    let request = stage.request();
    for position in 41..61 {
        let mut step = step(2 * position, position % 8 != 0);
        let spans = step.spans.iter_mut().flatten();
        let mut more = 0;
        for span in spans {
            span.start_ns += more;
            if span.kernel.starts_with("proj_") {
                more += span.duration_ns / 4;
                span.duration_ns += span.duration_ns / 4;
            }
        }
        step.wall += std::time::Duration::from_nanos(more);
        stage.tell(traced(step));
    }
    stage.finish(request.id, Finish::Length);
    stage.click(tab);
    stage
}

#[test]
fn editors_lists_and_what_is_not_there_look_as_they_did() {
    if !can_compare() {
        return;
    }
    let mut results = SnapshotResults::new();
    look(&mut results, "template", || {
        let mut chat = a_chat();
        chat.click("Settings");
        chat.click("Edit template");
        chat.reach("Save template");
        chat
    });
    look(&mut results, "message_editor", || {
        let mut chat = a_chat();
        chat.edit_first(" Oh");
        chat
    });
    look(&mut results, "found", || {
        let mut chat = a_chat();
        chat.press(egui::Modifiers::COMMAND, egui::Key::F);
        chat.window.get_by_label("Find text").type_text("animals");
        settle(&mut chat);
        chat.click("All conversations");
        wait(&mut chat, "1 conversation");
        chat
    });
    look(&mut results, "list", || {
        let mut chat = a_chat();
        chat.click("New chat");
        chat.ask("Which kings were there?", "Some.");
        chat.click("More about What is a fox?");
        chat.click("Pin to the top");
        chat.click("More about What is a fox?");
        chat.click("Tags…");
        chat.window.get_by_label("Tags").type_text("animals");
        chat.window.key_press(egui::Key::Enter);
        chat.window.run();
        chat
    });
    look(&mut results, "timings_prefill", || {
        let mut stage = timed(true);
        stage.click("Layers");
        stage.click("Prefill");
        stage
    });
    look(&mut results, "no_model", || {
        let mut stage = scene_of([1280.0, 800.0], tempfile::tempdir().unwrap());
        stage.tell(Event::LoadFailed {
            load: 0,
            error: openelm::Error::DeviceLost("driver reset".into()),
            kept: None,
        });
        stage
    });
}

/// A chat of two turns, its timings hidden.
fn a_chat<'a>() -> Scene<'a> {
    let mut stage = stage("OpenELM-270M-Instruct");
    let mut warm = SamplingSettings::default();
    (warm.own, warm.temperature) = (true, 0.7);
    let set = Action::Set(Setting::SamplingParams(warm));
    stage.window.state_mut().act(set);
    stage.click("Timings");
    stage.ask(
        "What is a fox?",
        "A small animal of the dog family that hunts mice at night.",
    );
    stage.ask(
        "Which animals live in the forest?",
        "Many do:\n\n1. **foxes**, which are *sly*,\n2. owls, and\n3. bears.\n\nIn Rust:\n\n```rust\nlet animals = [\"fox\", \"owl\", \"bear\"];\n```\n",
    );
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
            assert!(begin.elapsed() < PATIENCE, "no `{what}`");
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

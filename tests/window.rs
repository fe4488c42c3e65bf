//! The window as people and screen readers see it, with a scripted engine; and once with the real one and the demo model.
#![cfg(feature = "window")]

mod common;

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use egui_kittest::kittest::Queryable;
use egui_kittest::{Harness, SnapshotResults};
use openelm::checkpoint::shapes;
use openelm::engine::{
    Alternative, Command, Engine, Event, Memory, ModelInfo, Request, Stage, TokenEvent,
};
use openelm::trace::{Peaks, Phase, Span, Step, TraceMode};
use openelm::window::{App, Store};
use openelm::{AdapterSummary, Dtype, Error, Finish, Sampling, Timing, Token};

/// An engine that does what the test says, and a window on it.
struct Scene<'a> {
    window: Harness<'a, App>,
    commands: Receiver<Command>,
    events: Sender<Event>,
    folder: tempfile::TempDir,
}

fn window<'a>(size: [f32; 2], engine: Engine, folder: &std::path::Path) -> Harness<'a, App> {
    let store = Store::open(folder).unwrap();
    Harness::builder()
        .with_size(size)
        .with_theme(egui::Theme::Dark)
        .with_max_steps(20)
        .wgpu()
        .build_eframe(move |context| App::new(&context.egui_ctx, engine, store))
}

fn scene_of<'a>(size: [f32; 2], folder: tempfile::TempDir) -> Scene<'a> {
    let (to_engine, commands) = channel();
    let (events, from_engine) = channel();
    let engine = Engine::from_channels(to_engine, from_engine);
    Scene {
        window: window(size, engine, folder.path()),
        commands,
        events,
        folder,
    }
}

/// A window in which a model is loaded.
fn stage<'a>(name: &str) -> Scene<'a> {
    let mut stage = scene_of([1280.0, 800.0], tempfile::tempdir().unwrap());
    stage.tell(loaded(name));
    stage
}

fn loaded(name: &str) -> Event {
    Event::Loaded {
        load: 0,
        info: Box::new(info(name)),
    }
}

fn info(name: &str) -> ModelInfo {
    let mut adapter = AdapterSummary::default();
    adapter.name = "Test GPU".into();
    adapter.backend = "vulkan".into();
    adapter.driver = "test 1.0".into();
    adapter.device_type = "discrete gpu".into();
    let mut config = shapes::config("270M").unwrap();
    config.max_context_length = 2048;
    ModelInfo {
        name: name.into(),
        adapter,
        is_software: false,
        dtype: Dtype::Bf16,
        config,
        context_size: 2048,
        has_tokenizer: true,
        sampling: Sampling::default(),
        warnings: Vec::new(),
        load_s: 0.5,
        memory: Memory {
            weights: 543_000_000,
            kv_cache: 66_000_000,
            scratch: 12_000_000,
            allocated: Some(640_000_000),
        },
    }
}

impl Scene<'_> {
    fn tell(&mut self, event: Event) {
        self.events.send(event).unwrap();
        self.window.run();
    }

    fn click(&mut self, label: &str) {
        self.window.get_by_label(label).click();
        self.window.run();
    }

    /// Clicks on something that has no name of its own.
    fn click_at(&mut self, place: egui::Pos2) {
        self.window.hover_at(place);
        self.window.run();
        for pressed in [true, false] {
            self.window.event(egui::Event::PointerButton {
                pos: place,
                button: egui::PointerButton::Primary,
                pressed,
                modifiers: egui::Modifiers::default(),
            });
            self.window.run();
        }
    }

    /// Asks to edit the first message, and writes at its end.
    fn edit_first(&mut self, text: &str) {
        let mut edits = self.window.get_all_by_label("Edit");
        edits.next().unwrap().click();
        drop(edits);
        self.window.run();
        let editor = self.window.get_by_label("Edit message");
        editor.focus();
        editor.type_text(text);
        self.window.run();
    }

    fn has(&self, text: &str) -> bool {
        self.window
            .query_all_by_label_contains(text)
            .next()
            .is_some()
    }

    fn write(&mut self, text: &str) {
        let message = self.window.get_by_label("Message");
        message.focus();
        message.type_text(text);
        self.window.run();
        self.window.key_press(egui::Key::Enter);
        self.window.run();
    }

    /// The latest request that the window has sent.
    fn request(&self) -> Box<Request> {
        let requests = self
            .commands
            .try_iter()
            .filter_map(|command| match command {
                Command::Generate(request) => Some(request),
                _ => None,
            });
        requests.last().expect("a request")
    }

    fn say(&mut self, request: u64, pieces: &[&str]) {
        for piece in pieces {
            self.events
                .send(Event::Token {
                    request,
                    token: Box::new(token(piece)),
                })
                .unwrap();
        }
        self.window.run();
    }

    fn finish(&mut self, request: u64, finish: Finish) {
        let timing = Timing {
            prefill_tokens: 5,
            prefill: Duration::from_millis(50),
            first_token: Duration::from_millis(60),
            decode_tokens: 20,
            decode: Duration::from_millis(500),
        };
        self.tell(Event::Finished {
            request,
            finish,
            timing,
            positions: 25,
        });
    }

    fn files(&self) -> Vec<std::path::PathBuf> {
        let folder = self.folder.path().join("conversations");
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect()
    }
}

fn token(piece: &str) -> TokenEvent {
    let mut token = Token::default();
    token.id = 7;
    token.text = piece.into();
    token.logprob = -0.7;
    token.time = Duration::from_millis(25);
    TokenEvent {
        token,
        piece: piece.into(),
        alternatives: vec![
            Alternative {
                id: 7,
                piece: piece.into(),
                logprob: -0.7,
            },
            Alternative {
                id: 8,
                piece: " queen".into(),
                logprob: -1.2,
            },
        ],
        traced: true,
    }
}

/// A step of a model of the 270M shape, as a GPU might have run it.
fn step(position: u32, timed: bool) -> Step {
    let config = shapes::config("270M").unwrap();
    let mut spans = Vec::new();
    let mut at = 0;
    let mut add = |layer: Option<u32>, kernel: &'static str, duration_ns: u64, bytes: u64| {
        spans.push(Span {
            layer,
            kernel,
            start_ns: at,
            duration_ns,
            read: bytes / 4 * 3,
            written: bytes / 4,
            flops: bytes,
        });
        at += duration_ns + 200;
    };
    add(None, "embed", 2_000, 5_000);
    for (i, layer) in config.layers.iter().enumerate() {
        let number = Some(i as u32);
        let wave = 900 * (u64::from(position) + i as u64) % 4_000;
        let ffn = layer.ffn_dim as u64;
        add(number, "attn_norm", 1_500, 10_000);
        add(number, "qkv", 6_000 + 300 * i as u64, 2_000_000);
        add(number, "qk_norm_rope", 1_800, 20_000);
        add(number, "attention", 3_000 + wave, 400_000);
        add(number, "out", 4_000, 1_000_000);
        add(number, "ffn_norm", 1_500, 10_000);
        add(number, "proj_1", ffn * 6, ffn * 5_120);
        add(number, "proj_2", ffn * 3, ffn * 2_560);
    }
    add(None, "final_norm", 1_500, 10_000);
    add(None, "head", 90_000, 82_000_000);
    Step {
        phase: if position == 0 {
            Phase::Prefill
        } else {
            Phase::Decode
        },
        tokens: if position == 0 { 5 } else { 1 },
        position,
        begin: Duration::from_millis(u64::from(position)),
        wall: Duration::from_nanos(at + 60_000),
        mode: TraceMode::Kernels,
        spans: timed.then_some(spans),
    }
}

#[test]
fn a_text_streams_in_and_its_end_is_told() {
    let mut stage = stage("demo");
    assert!(stage.has("Model: demo"));
    stage.click("Once upon a time there was a king");
    let request = stage.request();
    assert_eq!(request.prompt, "Once upon a time there was a king");
    assert_eq!(request.trace, TraceMode::Kernels);
    stage.say(request.id, &[" who", " had"]);
    assert!(stage.has("Once upon a time there was a king who had"));
    stage.window.get_by_label("Stop").click();
    stage.window.run();
    let cancel = request.options.cancel.as_ref().unwrap();
    assert!(cancel.load(std::sync::atomic::Ordering::Relaxed));
    stage.finish(request.id, Finish::Cancelled);
    assert!(stage.has("40.0 tok/s"));
    assert!(stage.has("first token 60 ms"));
    assert!(stage.has("stopped"));
    // What is written next goes on from all of it.
    stage.write(" three sons.");
    let request = stage.request();
    assert_eq!(
        request.prompt,
        "Once upon a time there was a king who had three sons."
    );
}

#[test]
fn a_chat_has_turns_branches_and_undo() {
    let mut stage = stage("OpenELM-270M-Instruct");
    stage.write("Why?");
    let first = stage.request();
    assert_eq!(
        first.prompt,
        "<|system|>\n</s>\n<|user|>\nWhy?</s>\n<|assistant|>\n"
    );
    assert_eq!(first.options.stop, ["<|user|>"]);
    stage.say(first.id, &["Because", " it", " is."]);
    stage.finish(first.id, Finish::Eos);
    assert!(stage.has("Because it is."));

    stage.click("Regenerate");
    let second = stage.request();
    assert_eq!(second.prompt, first.prompt);
    stage.say(second.id, &["No idea."]);
    stage.finish(second.id, Finish::Eos);
    assert!(stage.has("2/2") && stage.has("No idea.") && !stage.has("Because it is."));
    stage.click("Previous branch");
    assert!(stage.has("1/2") && stage.has("Because it is."));

    stage.click("Continue");
    let third = stage.request();
    assert!(third.prompt.ends_with("<|assistant|>\nBecause it is."));
    stage.say(third.id, &[" Truly."]);
    stage.finish(third.id, Finish::Length);
    assert!(stage.has("Because it is. Truly."));

    let deletes = stage.window.get_all_by_label("Delete");
    deletes.last().unwrap().click();
    stage.window.run();
    assert!(
        !stage.has("Truly") && stage.has("No idea."),
        "the other branch is left"
    );
    stage.click("Undo");
    assert!(stage.has("Because it is. Truly."));

    // The question anew, as a branch.
    stage.edit_first(" Really");
    stage.click("Send as a new branch");
    let fourth = stage.request();
    assert!(fourth.prompt.contains("Really"), "{}", fourth.prompt);
    assert!(stage.has("2/2"));
    stage.finish(fourth.id, Finish::Eos);
    stage.click("Prompt");
    assert!(stage.has("Exact prompt") && stage.has("template `Instruct`"));
}

#[test]
fn shift_enter_is_a_new_line() {
    let mut stage = stage("OpenELM-270M-Instruct");
    let message = stage.window.get_by_label("Message");
    message.focus();
    message.type_text("one");
    stage.window.run();
    stage
        .window
        .key_press_modifiers(egui::Modifiers::SHIFT, egui::Key::Enter);
    stage.window.run();
    stage.write("two");
    let request = stage.request();
    assert!(
        request.prompt.contains("one\ntwo</s>"),
        "{}",
        request.prompt
    );
}

/// What belongs to a load or a request that another has replaced changes nothing.
#[test]
fn late_events_of_others_are_ignored() {
    let mut stage = stage("demo");
    stage.write("Once");
    let request = stage.request();
    stage.click("Model: demo · bf16");
    stage.click("shape:450M");
    stage.tell(loaded("OpenELM-late"));
    assert!(!stage.has("Model: OpenELM-late"), "that was load 0");
    stage.tell(Event::LoadFailed {
        load: 0,
        error: Error::Cancelled,
        kept: None,
    });
    assert!(!stage.has("Loading was cancelled"));
    // Tokens that were on their way are still text.
    stage.say(request.id, &[" upon"]);
    assert!(stage.has("Once upon"));
    stage.finish(request.id, Finish::Cancelled);
    stage.say(request.id, &[" never"]);
    assert!(!stage.has("never"));
    stage.click("Cancel loading");
    stage.tell(Event::LoadFailed {
        load: 1,
        error: Error::Cancelled,
        kept: None,
    });
    assert!(stage.has("Loading was cancelled"));
}

#[test]
fn edits_survive_looking_elsewhere_and_several_actions_in_a_frame() {
    use openelm::window::{Action, Mode};
    let mut stage = stage("OpenELM-270M-Instruct");
    stage.write("Why?");
    let request = stage.request();
    stage.say(request.id, &["Because."]);
    stage.finish(request.id, Finish::Eos);
    stage.edit_first(" Oh");
    stage.click("New chat");
    stage.click("Why?");
    let value = stage.window.get_by_label("Edit message").value().unwrap();
    assert!(value.contains(" Oh"), "{value}");
    let app = stage.window.state_mut();
    app.act(Action::New(Mode::Chat));
    for action in [
        Action::Regenerate(1),
        Action::Copy(1),
        Action::Delete(0),
        Action::Continue(7),
        Action::Undo,
    ] {
        app.act(action);
    }
    stage.window.run();
}

#[test]
fn tokens_can_be_inspected_and_replaced() {
    let mut stage = stage("OpenELM-270M-Instruct");
    stage.write("Who?");
    let request = stage.request();
    stage.say(request.id, &["The", " king"]);
    stage.finish(request.id, Finish::Eos);
    stage.click("Probabilities");
    let text = stage.window.get_by_label("The king");
    let rect = text.rect();
    let second = egui::pos2(rect.left() + 40.0, rect.top() + 8.0);
    stage.click_at(second);
    assert!(stage.has("Token 2 of 2"));
    stage.click("Previous token");
    assert!(stage.has("Token 1 of 2"));
    stage.click("Next token");
    stage.click("Close inspector");
    // By keyboard and for screen readers there is a button.
    stage.click("Inspect");
    assert!(stage.has("Token 1 of 2"));
    stage.click("Next token");
    stage.click("\" queen\" 30.1 %");
    let request = stage.request();
    assert!(request.prompt.ends_with("<|assistant|>\n"));
    let forced: Vec<u32> = request.forced.iter().map(|(id, _)| *id).collect();
    assert_eq!(forced, [7, 8]);
    stage.say(request.id, &["The", " queen"]);
    assert!(stage.has("The queen"));
    assert!(stage.has("2/2"));
}

#[test]
fn failures_are_banners_and_lose_nothing() {
    let mut stage = stage("demo");
    stage.write("Once");
    let request = stage.request();
    stage.say(request.id, &[" upon"]);
    stage
        .events
        .send(Event::Failed {
            request: request.id,
            error: Error::DeviceLost("driver reset".into()),
        })
        .unwrap();
    stage.tell(Event::DeviceLost {
        load: 0,
        error: Error::DeviceLost("driver reset".into()),
    });
    assert!(stage.has("The GPU device was lost") && stage.has("driver reset"));
    assert!(stage.has("Once upon"), "what was written is kept");
    assert!(
        stage.has("Loading demo")
            || stage.has("The model is loading")
            || stage.has("Cancel loading")
    );
    stage.tell(loaded("demo"));
    assert!(stage.has("Recovered") && !stage.has("The GPU device was lost"));

    stage.write(" a time");
    let request = stage.request();
    assert_eq!(request.prompt, "Once upon a time");
    stage.tell(Event::Failed {
        request: request.id,
        error: Error::Prompt("the prompt has 9000 tokens, the context 512".into()),
    });
    assert!(stage.has("9000 tokens"));
    stage.tell(Event::LoadFailed {
        load: 0,
        error: Error::ModelNotFound("no folder `x`".into()),
        kept: None,
    });
    assert!(stage.has("The model could not be loaded") && stage.has("no folder `x`"));
    // Its button leads on.
    let fixes = stage.window.get_all_by_label("Choose a model");
    fixes.last().unwrap().click();
    stage.window.run();
    assert!(stage.has("Random weights of a true shape"));
    stage.click("shape:450M");
    let loads = stage
        .commands
        .try_iter()
        .filter_map(|command| match command {
            Command::Load(load) => Some(load.model),
            _ => None,
        });
    assert_eq!(loads.last().unwrap(), "shape:450M");
    stage.tell(Event::Loading {
        load: 1,
        stage: Stage::Download,
        done: 100_000_000,
        total: 543_000_000,
    });
    assert!(
        stage.has("Downloading shape:450M: 100 of 543 MB"),
        "{:#?}",
        stage.window.root()
    );
}

#[test]
fn a_full_context_is_a_banner() {
    let mut stage = stage("demo");
    stage.write("Once");
    let request = stage.request();
    stage.say(request.id, &[" upon"]);
    stage.finish(request.id, Finish::Context);
    assert!(stage.has("The context is full"));
    stage.click("Begin something new");
    assert!(stage.has("A text that the model continues"));
}

#[test]
fn conversations_survive_the_window() {
    let mut stage = stage("OpenELM-270M-Instruct");
    stage.write("Remember **me**");
    let request = stage.request();
    stage.say(request.id, &["I", " will"]);
    // As after a crash: nothing is finished or closed.
    let saved = |stage: &Scene<'_>| {
        let file = stage.files().into_iter().next();
        file.map_or(String::new(), |file| {
            std::fs::read_to_string(file).unwrap_or_default()
        })
    };
    let begin = Instant::now();
    while !saved(&stage).contains("I will") && begin.elapsed() < Duration::from_secs(30) {
        std::thread::sleep(Duration::from_millis(50));
        stage.window.step();
    }
    assert!(saved(&stage).contains("Remember **me**"));
    let Scene { window, folder, .. } = stage;
    drop(window);

    let mut again = scene_of([1280.0, 800.0], folder);
    again.window.run();
    again.window.get_by_label("Remember **me**").click();
    again.window.run();
    assert!(again.has("You"));
    assert!(again.has("I will"));
}

#[test]
fn a_disk_that_refuses_is_told_and_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let in_the_way = folder.path().join("conversations");
    std::fs::write(&in_the_way, "").unwrap();
    let mut stage = scene_of([1280.0, 800.0], folder);
    stage.tell(loaded("demo"));
    stage.write("Once");
    let request = stage.request();
    stage.finish(request.id, Finish::Eos);
    wait(&mut stage, "Not saved");
    std::fs::remove_file(&in_the_way).unwrap();
    stage.click("Try again");
    let begin = Instant::now();
    while stage.files().is_empty() && begin.elapsed() < Duration::from_secs(30) {
        std::thread::sleep(Duration::from_millis(20));
        stage.window.step();
    }
    assert_eq!(stage.files().len(), 1);
    stage.window.run();
    assert!(!stage.has("Not saved"));
}

/// Steps the window until a text is there.
fn wait(stage: &mut Scene<'_>, text: &str) {
    let begin = Instant::now();
    while !stage.has(text) {
        assert!(begin.elapsed() < Duration::from_secs(60), "no `{text}`");
        std::thread::sleep(Duration::from_millis(10));
        stage.window.step();
    }
}

#[test]
fn files_are_exported_where_the_dialog_says() {
    let mut stage = stage("demo");
    let target = stage.folder.path().join("story.md");
    let answer = target.clone();
    stage
        .window
        .state_mut()
        .set_dialog(move |_| Some(answer.clone()));
    stage.write("Once");
    let request = stage.request();
    stage.say(request.id, &[" upon"]);
    stage.finish(request.id, Finish::Eos);
    stage
        .window
        .key_press_modifiers(egui::Modifiers::COMMAND, egui::Key::S);
    stage.window.run();
    wait(&mut stage, "Saved");
    let expected = "# Once\n\nOnce upon\n";
    assert_eq!(std::fs::read_to_string(&target).unwrap(), expected);

    // Where the desktop has no dialogs, nothing is lost either.
    stage.window.state_mut().set_dialog(|_| None);
    for name in ["conversation.md", "conversation-2.md"] {
        stage.click("Dismiss");
        stage
            .window
            .key_press_modifiers(egui::Modifiers::COMMAND, egui::Key::S);
        stage.window.run();
        wait(&mut stage, "Saved");
        let path = stage.folder.path().join("exports").join(name);
        assert_eq!(std::fs::read_to_string(path).unwrap(), expected);
    }
    stage.click("Model: demo · bf16");
    stage.click("Open folder…");
    wait(&mut stage, "no file dialogs");
}

#[test]
fn great_lengths_and_small_windows_are_fine() {
    let folder = tempfile::tempdir().unwrap();
    let messages: Vec<serde_json::Value> = (0..10_000_usize)
        .map(|i| {
            let role = if i % 2 == 0 { "user" } else { "assistant" };
            let parent = i.checked_sub(1);
            serde_json::json!({"parent": parent, "role": role, "text": format!("Message number {i}.")})
        })
        .collect();
    let conversations = folder.path().join("conversations");
    std::fs::create_dir_all(&conversations).unwrap();
    let write = |name: &str, title: &str, messages: serde_json::Value| {
        let json =
            serde_json::json!({"id": name, "title": title, "mode": "chat", "messages": messages});
        std::fs::write(conversations.join(format!("{name}.json")), json.to_string()).unwrap();
    };
    write("1", "Many", messages.into());
    let long = "A sentence that goes on. ".repeat(4_000);
    let code = format!("```\n{}\n```", "let x = 1;\n".repeat(9_000));
    write(
        "2",
        "Long",
        serde_json::json!([
            {"parent": null, "role": "user", "text": "x".repeat(100_000)},
            {"parent": 0, "role": "assistant", "text": long},
            {"parent": 1, "role": "assistant", "text": code},
        ]),
    );
    let mut stage = scene_of([1280.0, 800.0], folder);
    stage.tell(loaded("demo"));
    stage.click("Many");
    for _ in 0..10 {
        stage.window.step();
    }
    assert!(stage.has("Message number 9999."), "the end is in sight");
    let drawn = stage
        .window
        .query_all_by_label_contains("Message number")
        .count();
    assert!(drawn < 200, "{drawn} messages are laid out at once");
    stage.click("Long");
    for _ in 0..10 {
        stage.window.step();
    }
    for size in [
        [320.0, 240.0],
        [500.0, 300.0],
        [3840.0, 2160.0],
        [1280.0, 800.0],
    ] {
        stage.window.set_size(egui::Vec2::from(size));
        for _ in 0..6 {
            stage.window.step();
        }
    }
}

#[test]
fn the_keyboard_is_enough() {
    let mut stage = stage("demo");
    stage.write("Once");
    let request = stage.request();
    stage.say(request.id, &[" upon"]);
    stage.window.key_press(egui::Key::Escape);
    stage.window.run();
    let cancel = request.options.cancel.as_ref().unwrap();
    assert!(cancel.load(std::sync::atomic::Ordering::Relaxed));
    stage.finish(request.id, Finish::Cancelled);
    let press = |stage: &mut Scene<'_>, key| {
        stage
            .window
            .key_press_modifiers(egui::Modifiers::COMMAND, key);
        stage.window.run();
    };
    assert!(stage.has("Heat map"));
    press(&mut stage, egui::Key::Num5);
    assert!(stage.has("543.0 MB"), "the memory view");
    press(&mut stage, egui::Key::T);
    assert!(!stage.has("Heat map"));
    press(&mut stage, egui::Key::N);
    assert!(stage.has("A text that the model continues"));
    press(&mut stage, egui::Key::O);
    assert!(stage.has("Random weights of a true shape"));
    stage.window.key_press(egui::Key::F1);
    stage.window.run();
    assert!(stage.has("Shift+Enter"));
}

/// A window with forty steps of a text.
fn timed<'a>(timestamps: bool) -> Scene<'a> {
    let mut stage = stage("OpenELM-270M");
    stage.tell(Event::Measured(Peaks {
        bytes_per_s: 400e9,
        flops_per_s: 20e12,
    }));
    stage.write("Once upon a time");
    let request = stage.request();
    for position in 0..40 {
        stage
            .events
            .send(Event::Step(Box::new(step(position, timestamps))))
            .unwrap();
        let words = [" there", " was", " a", " king", ",", " and"];
        let mut token = token(words[position as usize % words.len()]);
        token.traced = position % 16 != 15;
        stage
            .events
            .send(Event::Token {
                request: request.id,
                token: Box::new(token),
            })
            .unwrap();
    }
    stage.window.run();
    stage.finish(request.id, Finish::Length);
    stage
}

#[test]
fn timings_are_live_and_filter_each_other() {
    let mut stage = timed(true);
    assert!(stage.has("39 steps, 39 tokens"));
    assert!(stage.has("at best 400.0 GB/s read, 20000 GFLOP/s"));
    assert!(stage.has("Heat map of 17 rows and 39 columns"));
    stage.click("Layers");
    assert!(stage.has("layer 15: ") && stage.has("20 q, 5 kv · 5120"));
    stage.click("Prefill");
    assert!(stage.has("1 step, 5 tokens"));
    stage.click("Decode");

    // A layer chosen here leaves only its kernels there.
    let layer = stage.window.query_all_by_label_contains("layer 3: ").next();
    layer.unwrap().click();
    stage.window.run();
    stage.click("Kernels");
    assert!(!stage.has("embed") && stage.has("proj_1"));
    stage.click("layer 3 ×");
    assert!(stage.has("embed"));
    // A step chosen in the strip leaves only that one.
    let strip = stage.window.get_by_label("Token strip, 39 steps").rect();
    let at = egui::pos2(strip.left() + 15.0, strip.center().y);
    stage.click_at(at);
    assert!(stage.has("1 step, 1 token"));
    stage.click("Flame");
    assert!(stage.has("Flame chart of step 2"));
    stage.click("Zoom in");
    stage.click("Whole step");
    stage.click("Show all");
    stage.click("Memory");
    assert!(stage.has("543.0 MB") && stage.has("640.0 MB"));

    stage.click("Compare");
    assert!(stage.has("There is one run so far"));
    stage.write(" more");
    let request = stage.request();
    stage.tell(Event::Step(Box::new(step(50, true))));
    stage.finish(request.id, Finish::Length);
    assert!(stage.has("compared with") && stage.has("ratio"));
}

#[test]
fn without_timestamps_the_panel_says_so() {
    let mut stage = timed(false);
    assert!(stage.has("This adapter has no timestamps"));
    assert!(stage.has("(approximate)"));
    for tab in ["Layers", "Flame", "Kernels", "Heat map"] {
        stage.click(tab);
        assert!(stage.has("timed kernel by kernel"), "{tab}");
    }
}

#[test]
fn pausing_keeps_what_is_shown_and_times_nothing() {
    let mut stage = timed(true);
    stage.click("Pause");
    stage.write(" more");
    let request = stage.request();
    let is_paused = || request.pause.load(std::sync::atomic::Ordering::Relaxed);
    assert!(is_paused());
    stage.tell(Event::Step(Box::new(step(50, true))));
    stage.finish(request.id, Finish::Length);
    assert!(stage.has("39 steps, 39 tokens"));
    // It counts at once, also for what is going on.
    stage.click("Pause");
    assert!(!is_paused());
    stage.write(" and more");
    let request = stage.request();
    stage.tell(Event::Step(Box::new(step(60, true))));
    stage.click("Pause");
    stage.tell(Event::Step(Box::new(step(61, true))));
    assert!(stage.has("1 step, 1 token"));
    stage.finish(request.id, Finish::Length);
    // What began paused is a run of its own from when it goes on.
    stage.write(" still");
    let request = stage.request();
    stage.tell(Event::Step(Box::new(step(70, true))));
    stage.click("Pause");
    for position in [71, 72] {
        stage.tell(Event::Step(Box::new(step(position, true))));
    }
    assert!(stage.has("2 steps, 2 tokens"));
    stage.finish(request.id, Finish::Length);
}

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
    stage.tell(Event::Step(Box::new(step(50, true))));
    stage.tell(Event::Step(Box::new(step(51, false))));
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

/// A folder as the system hands it over when it is dropped on a window.
#[derive(Debug)]
struct Dropped(std::path::PathBuf);

impl egui::DroppedFile for Dropped {
    fn path(&self) -> &std::path::Path {
        &self.0
    }

    fn bytes(&self) -> Result<Vec<u8>, String> {
        Err("a folder".into())
    }
}

#[test]
fn a_dropped_folder_is_loaded() {
    let mut stage = stage("demo");
    let folder = stage.folder.path().to_owned();
    let file = folder.join("config.json");
    std::fs::write(&file, "{}").unwrap();
    for path in [folder.clone(), file] {
        let dropped = std::sync::Arc::new(Dropped(path));
        stage.window.input_mut().dropped_files.push(dropped);
        stage.window.run();
        let loads = stage
            .commands
            .try_iter()
            .filter_map(|command| match command {
                Command::Load(load) => Some(load.model),
                _ => None,
            });
        let loaded = loads.last().expect("a load");
        assert_eq!(std::path::Path::new(&loaded), folder);
    }
}

#[test]
fn a_template_of_ones_own_and_a_system_prompt_reach_the_model() {
    let mut stage = stage("OpenELM-270M-Instruct");
    stage.click("Settings");
    let fill = |stage: &mut Scene<'_>, label: &str, text: &str| {
        let field = stage.window.get_by_label(label);
        field.set_text_value_accesskit(text);
        stage.window.run();
    };
    fill(&mut stage, "System prompt", "Be brief.");
    stage.click("Edit template");
    assert!(stage.has("Give it a name of its own"));
    fill(&mut stage, "Name", "Mine");
    fill(&mut stage, "User turn", "U:");
    assert!(stage.has("needs {text} exactly once"));
    fill(&mut stage, "System turn", "S:{text}\n");
    fill(&mut stage, "User turn", "U:{text}\n");
    fill(&mut stage, "Assistant turn", "A:{text}\n");
    stage.click("Save template");
    stage.write("Why?");
    let request = stage.request();
    assert_eq!(request.prompt, "S:Be brief.\nU:Why?\nA:");
    stage.finish(request.id, Finish::Eos);

    // Renamed, it is still one, and still this conversation's.
    stage.click("Edit template");
    fill(&mut stage, "Name", "Ours");
    stage.click("Save template");
    assert_eq!(stage.window.state().conversation().template, "Ours");
    stage.click("Edit template");
    assert!(!stage.has("Give it a name of its own"));
    stage.click("Delete template");
    assert_eq!(stage.window.state().conversation().template, "Instruct");
    stage.click("Edit template");
    assert!(
        stage.has("Give it a name of its own"),
        "this one is built in"
    );
}

/// The reader who has scrolled up is left alone; the one at the end sees what comes.
#[test]
fn scrolling_sticks_to_the_end_only_while_the_reader_is_there() {
    let mut stage = stage("OpenELM-270M-Instruct");
    stage.write("Count.");
    let request = stage.request();
    let lines: Vec<String> = (0..200).map(|i| format!("line {i}.\n\n")).collect();
    let pieces: Vec<&str> = lines.iter().map(String::as_str).collect();
    stage.say(request.id, &pieces);
    let settle = |stage: &mut Scene<'_>| (0..20).for_each(|_| stage.window.step());
    settle(&mut stage);
    assert!(stage.has("line 199.") && !stage.has("line 3."));
    stage.say(request.id, &["the end\n\n"]);
    settle(&mut stage);
    assert!(stage.has("the end"));

    stage.window.hover_at(egui::pos2(400.0, 400.0));
    stage.window.step();
    stage.window.event(egui::Event::MouseWheel {
        unit: egui::MouseWheelUnit::Point,
        source: egui::MouseWheelSource::Wheel,
        delta: egui::vec2(0.0, 3000.0),
        phase: egui::TouchPhase::Move,
        modifiers: egui::Modifiers::default(),
    });
    settle(&mut stage);
    assert!(!stage.has("the end"));
    stage.say(request.id, &["more\n\n"]);
    settle(&mut stage);
    assert!(!stage.has("more"), "the reader is not torn away");
    stage.finish(request.id, Finish::Eos);
    stage.write("Mine?");
    settle(&mut stage);
    assert!(stage.has("Mine?"), "who asks wants to see the answer");
}

/// What has grown since the last frame pushes on what follows, in the same frame.
#[test]
fn nothing_lies_over_what_streams_in() {
    let mut stage = stage("OpenELM-270M-Instruct");
    stage.write("Count.");
    let request = stage.request();
    for i in 0..12 {
        let piece = format!("Paragraph {i} is a text that takes some room.\n\n");
        let event = Event::Token {
            request: request.id,
            token: Box::new(token(&piece)),
        };
        stage.events.send(event).unwrap();
        let event = Event::Token {
            request: request.id,
            token: Box::new(token(&format!("{}\n\n", "word ".repeat(60)))),
        };
        stage.events.send(event).unwrap();
        stage.window.step();
        let all = stage.window.query_all_by_label_contains("Paragraph");
        let last = all.map(|node| node.rect().bottom()).fold(0.0, f32::max);
        if let Some(footer) = stage.window.query_by_label("writing…") {
            assert!(footer.rect().top() >= last, "after paragraph {i}");
        }
    }
}

#[test]
fn a_conversation_can_be_deleted_for_good() {
    let mut stage = stage("OpenELM-270M-Instruct");
    stage.write("Forget me");
    let request = stage.request();
    stage.finish(request.id, Finish::Eos);
    let wait_for = |stage: &mut Scene<'_>, count: usize| {
        let begin = Instant::now();
        while stage.files().len() != count {
            assert!(
                begin.elapsed() < Duration::from_secs(30),
                "not {count} files"
            );
            std::thread::sleep(Duration::from_millis(20));
            stage.window.step();
        }
    };
    wait_for(&mut stage, 1);
    stage.click("Delete conversation Forget me");
    stage.click("Delete for good");
    assert!(!stage.has("Forget me"));
    wait_for(&mut stage, 0);
}

/// The model that is there stays until there is something to put in its place.
#[test]
fn a_model_that_cannot_be_opened_leaves_the_one_before() {
    let mut stage = stage("demo");
    stage.click("Model: demo · bf16");
    stage.click("shape:450M");
    stage.tell(Event::LoadFailed {
        load: 1,
        error: Error::ModelNotFound("no folder `y`".into()),
        kept: Some((0, Box::new(info("demo")))),
    });
    assert!(stage.has("no folder `y`") && stage.has("`demo` is still here"));
    assert!(stage.has("Model: demo · bf16"));
    stage.write("Once");
    let request = stage.request();
    stage.say(request.id, &[" upon"]);
    assert!(stage.has("Once upon"));
    // One that was loaded behind the window's back is shown as well.
    stage.click("Stop");
    stage.finish(request.id, Finish::Cancelled);
    stage.click("Model: demo · bf16");
    stage.click("shape:450M");
    stage
        .window
        .key_press_modifiers(egui::Modifiers::COMMAND, egui::Key::O);
    stage.window.run();
    stage.click("shape:3B");
    stage.tell(Event::LoadFailed {
        load: 2,
        error: Error::ModelNotFound("no folder `z`".into()),
        kept: Some((1, Box::new(info("shape:450M")))),
    });
    assert!(stage.has("Model: shape:450M · bf16"));
    // If its device is lost, that is news again.
    stage.tell(Event::DeviceLost {
        load: 1,
        error: Error::DeviceLost("gone".into()),
    });
    assert!(stage.has("The GPU device was lost"));
}

#[test]
fn what_was_not_sent_yet_survives_the_window() {
    let mut stage = stage("OpenELM-270M-Instruct");
    stage.write("Remember");
    let request = stage.request();
    stage.say(request.id, &["I", " will"]);
    stage.finish(request.id, Finish::Eos);
    stage.edit_first(" this edit");
    let message = stage.window.get_by_label("Message");
    message.focus();
    message.type_text("a draft");
    stage.window.run();
    ask_to_close(&mut stage);
    assert!(!is_held_open(&stage));
    let Scene { window, folder, .. } = stage;
    drop(window);

    let mut again = scene_of([1280.0, 800.0], folder);
    again.window.run();
    let value = |again: &Scene<'_>, label: &str| again.window.get_by_label(label).value();
    assert_eq!(value(&again, "Message").as_deref(), Some("a draft"));
    again.window.get_by_label("Remember").click();
    again.window.run();
    let edit = value(&again, "Edit message");
    assert_eq!(edit.as_deref(), Some("Remember this edit"));
}

/// What was set counts, even where nothing was said.
#[test]
fn a_system_prompt_alone_is_kept_and_counted() {
    let mut stage = stage("OpenELM-270M-Instruct");
    stage.click("Settings");
    let counts = |stage: &Scene<'_>| {
        let counts = stage
            .commands
            .try_iter()
            .filter_map(|command| match command {
                Command::Count(prompt) => Some(prompt),
                _ => None,
            });
        counts.last()
    };
    let field = stage.window.get_by_label("System prompt");
    field.set_text_value_accesskit("Be brief.");
    stage.window.run();
    let prompt = counts(&stage).expect("what the model will be given is counted");
    assert!(prompt.contains("Be brief."));
    // The template goes with the mode.
    stage.click("Text");
    assert_eq!(stage.window.state().conversation().template, "Plain");
    stage.click("Chat");
    assert_eq!(stage.window.state().conversation().template, "Instruct");
    let begin = Instant::now();
    while stage.files().is_empty() && begin.elapsed() < Duration::from_secs(30) {
        std::thread::sleep(Duration::from_millis(50));
        stage.window.step();
    }
    let saved = std::fs::read_to_string(&stage.files()[0]).unwrap();
    assert!(saved.contains("Be brief."));
    // Taken back, it does not come back.
    let field = stage.window.get_by_label("System prompt");
    field.set_text_value_accesskit("");
    stage.window.run();
    ask_to_close(&mut stage);
    assert!(stage.files().is_empty());
}

#[test]
fn stopping_before_the_first_token_leaves_no_empty_answer() {
    let mut stage = stage("OpenELM-270M-Instruct");
    stage.write("Why?");
    let request = stage.request();
    stage.finish(request.id, Finish::Cancelled);
    assert!(!stage.has("Assistant"));
    stage.write("Well?");
    assert!(
        stage
            .request()
            .prompt
            .ends_with("Why?</s>\n<|user|>\nWell?</s>\n<|assistant|>\n")
    );
}

/// Who comes back after the model's folder has gone still has something to write with.
#[test]
fn a_model_that_is_gone_at_the_start_gives_way_to_the_demo() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("settings.json"), r#"{"model":"/gone"}"#).unwrap();
    let mut stage = scene_of([1280.0, 800.0], folder);
    stage
        .window
        .state_mut()
        .begin(&openelm::window::Options::default());
    let asked = |stage: &Scene<'_>| {
        let loads = stage
            .commands
            .try_iter()
            .filter_map(|command| match command {
                Command::Load(load) => Some((load.id, load.model)),
                _ => None,
            });
        loads.last().expect("a load")
    };
    let (load, model) = asked(&stage);
    assert_eq!(model, "/gone");
    stage.tell(Event::LoadFailed {
        load,
        error: Error::ModelNotFound("no folder `/gone`".into()),
        kept: None,
    });
    assert!(stage.has("no folder `/gone`") && stage.has("The demo takes its place"));
    let (load, model) = asked(&stage);
    assert_eq!(model, "demo");
    // Should that fail as well, that is the end of it.
    stage.tell(Event::LoadFailed {
        load,
        error: Error::Gpu("broken".into()),
        kept: None,
    });
    assert!(stage.has("No model is loaded now"));
}

#[test]
fn real_weights_are_one_click_away() {
    let mut stage = stage("demo");
    stage.click("Get Apple's OpenELM weights…");
    assert!(stage.has("hf download apple/OpenELM-270M-Instruct"));
    assert!(stage.has("huggingface.co/meta-llama/Llama-2-7b-hf"));
}

#[test]
fn escape_closes_what_is_open_before_it_stops_anything() {
    let mut stage = stage("demo");
    stage.write("Once");
    let request = stage.request();
    stage.click("Prompt");
    assert!(stage.has("Exact prompt"));
    stage.window.key_press(egui::Key::Escape);
    stage.window.run();
    assert!(!stage.has("Exact prompt"));
    let is_cancelled = || {
        let cancel = request.options.cancel.as_ref().unwrap();
        cancel.load(std::sync::atomic::Ordering::Relaxed)
    };
    assert!(!is_cancelled());
    stage.window.key_press(egui::Key::Escape);
    stage.window.run();
    assert!(is_cancelled());
    stage.finish(request.id, Finish::Cancelled);
    // A list that is open is closed, and nothing else.
    stage.click("Model: demo · bf16");
    stage.window.get_by_label("Weights format").click();
    stage.window.run();
    assert!(stage.has("q8"));
    stage.window.key_press(egui::Key::Escape);
    stage.window.run();
    assert!(!stage.has("q8") && stage.has("How it is loaded"));
    stage.window.key_press(egui::Key::Escape);
    stage.window.run();
    assert!(!stage.has("How it is loaded"));
    // An edit that changed nothing is left, one that did is not.
    stage.click("Edit");
    stage.window.key_press(egui::Key::Escape);
    stage.window.run();
    assert!(stage.window.query_by_label("Edit message").is_none());
    stage.click("Edit");
    stage.window.get_by_label("Edit message").type_text("!");
    stage.window.run();
    stage.window.key_press(egui::Key::Escape);
    stage.window.run();
    assert!(stage.window.query_by_label("Edit message").is_some());
}

/// The system asks the window to close.
fn ask_to_close(stage: &mut Scene<'_>) {
    let input = stage.window.input_mut();
    let viewport = input.viewports.entry(egui::ViewportId::ROOT).or_default();
    viewport.events.push(egui::ViewportEvent::Close);
    stage.window.step();
}

fn is_held_open(stage: &Scene<'_>) -> bool {
    let output = &stage.window.output().viewport_output[&egui::ViewportId::ROOT];
    output
        .commands
        .contains(&egui::ViewportCommand::CancelClose)
}

#[test]
fn closing_keeps_the_last_words() {
    let mut stage = stage("OpenELM-270M-Instruct");
    stage.write("Tell me");
    let request = stage.request();
    // Said, but not yet seen by the window.
    for piece in ["Last", " words"] {
        let event = Event::Token {
            request: request.id,
            token: Box::new(token(piece)),
        };
        stage.events.send(event).unwrap();
    }
    let end = Event::Finished {
        request: request.id,
        finish: Finish::Cancelled,
        timing: Timing::default(),
        positions: 9,
    };
    stage.events.send(end).unwrap();
    ask_to_close(&mut stage);
    assert!(!is_held_open(&stage));
    let saved = std::fs::read_to_string(&stage.files()[0]).unwrap();
    assert!(saved.contains("Last words"), "{saved}");
}

#[test]
fn closing_asks_once_before_anything_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("conversations"), "").unwrap();
    let mut stage = scene_of([1280.0, 800.0], folder);
    stage.tell(loaded("demo"));
    stage.write("Once");
    let request = stage.request();
    stage.finish(request.id, Finish::Eos);
    ask_to_close(&mut stage);
    assert!(is_held_open(&stage));
    stage.window.run();
    assert!(stage.has("Not everything is saved"));
    ask_to_close(&mut stage);
    assert!(!is_held_open(&stage));
}

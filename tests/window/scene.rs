//! A scripted engine with a window on it, and what tests do to both.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use egui_kittest::Harness;
use egui_kittest::kittest::Queryable;
use openelm::checkpoint::shapes;
use openelm::engine::{
    Alternative, Command, Engine, Event, Memory, ModelInfo, Request, TokenEvent,
};
use openelm::trace::{Phase, Span, Step, TraceMode};
use openelm::window::{App, Store};
use openelm::{AdapterSummary, Dtype, Finish, SamplingParams, Timing, Token};

/// Nothing takes longer, whatever else the machine does.
pub const PATIENCE: Duration = Duration::from_secs(300);

/// An engine that does what the test says, and a window on it.
pub struct Scene<'a> {
    pub window: Harness<'a, App>,
    pub commands: Receiver<Command>,
    pub events: Sender<Event>,
    pub folder: tempfile::TempDir,
}

pub fn window<'a>(size: [f32; 2], engine: Engine, folder: &std::path::Path) -> Harness<'a, App> {
    let store = Store::open(folder).unwrap();
    Harness::builder()
        .with_size(size)
        .with_theme(egui::Theme::Dark)
        .with_max_steps(20)
        .wgpu()
        .build_eframe(move |context| {
            let app = App::new(&context.egui_ctx, engine, store);
            context
                .egui_ctx
                .on_begin_pass("background", Arc::new(background));
            app
        })
}

/// Fills the window in the colour that the app would have it cleared with; the harness leaves it transparent.
fn background(ui: &mut egui::Ui) {
    let painter = ui.ctx().layer_painter(egui::LayerId::background());
    let window = ui.ctx().viewport_rect();
    painter.rect_filled(window, 0.0, ui.visuals().panel_fill);
}

pub fn scene_of<'a>(size: [f32; 2], folder: tempfile::TempDir) -> Scene<'a> {
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
pub fn stage<'a>(name: &str) -> Scene<'a> {
    let mut stage = scene_of([1280.0, 800.0], tempfile::tempdir().unwrap());
    stage.tell(loaded(name));
    stage
}

pub fn loaded(name: &str) -> Event {
    Event::Loaded {
        load: 0,
        info: Box::new(info(name)),
    }
}

pub fn info(name: &str) -> ModelInfo {
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
        sampling: SamplingParams::default(),
        stop_strings: Vec::new(),
        chat_template: None,
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
    /// Closes the window as the system does. Returns the folder with what it kept.
    pub fn close(mut self) -> tempfile::TempDir {
        ask_to_close(&mut self);
        let Self { folder, window, .. } = self;
        drop(window);
        folder
    }

    pub fn tell(&mut self, event: Event) {
        self.events.send(event).unwrap();
        self.window.run();
    }

    pub fn click(&mut self, label: &str) {
        self.window.get_by_label(label).click();
        self.window.run();
    }

    /// Clicks on something that may have to be scrolled to.
    pub fn reach(&mut self, label: &str) {
        self.window.get_by_label(label).scroll_to_me();
        self.window.run();
        self.click(label);
    }

    /// Opens the page of models, and waits until it shows what is there.
    pub fn open_models(&mut self) {
        self.window
            .key_press_modifiers(egui::Modifiers::COMMAND, egui::Key::O);
        self.window.run();
        let begin = Instant::now();
        while self.has("Looking for models") {
            assert!(begin.elapsed() < PATIENCE, "still looking");
            std::thread::sleep(Duration::from_millis(5));
            self.window.step();
        }
        self.window.run();
    }

    /// Clicks on something that has no name of its own.
    pub fn click_at(&mut self, place: egui::Pos2) {
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
    pub fn edit_first(&mut self, text: &str) {
        let mut edits = self.window.get_all_by_label("Edit");
        edits.next().unwrap().click();
        drop(edits);
        self.window.run();
        let editor = self.window.get_by_label("Edit message");
        editor.focus();
        editor.type_text(text);
        self.window.run();
    }

    /// Says something, and has it answered.
    pub fn ask(&mut self, question: &str, answer: &str) {
        self.write(question);
        let request = self.request();
        self.say(request.id, &[answer]);
        self.finish(request.id, Finish::Eos);
    }

    pub fn press(&mut self, modifiers: egui::Modifiers, key: egui::Key) {
        self.window.key_press_modifiers(modifiers, key);
        self.window.run();
    }

    /// What was put on the clipboard in the last frame.
    pub fn copied(&self) -> Option<String> {
        let commands = self.window.output().platform_output.commands.iter();
        let mut texts = commands.filter_map(|command| match command {
            egui::OutputCommand::CopyText(text) => Some(text.clone()),
            _ => None,
        });
        texts.next_back()
    }

    /// Presses a key, and says what that put on the clipboard.
    pub fn copied_by(&mut self, modifiers: egui::Modifiers, key: egui::Key) -> Option<String> {
        // In one frame, whose output is what is looked at.
        let input = self.window.input_mut();
        let held = egui::Event::ModifiersChanged(modifiers);
        let free = egui::Event::ModifiersChanged(egui::Modifiers::NONE);
        let press = egui::Event::Key {
            key,
            physical_key: None,
            pressed: true,
            repeat: false,
            modifiers,
        };
        input.events.extend([held, press, free]);
        self.copied_soon()
    }

    /// What the next frames put on the clipboard.
    pub fn copied_soon(&mut self) -> Option<String> {
        let mut copied = None;
        for _ in 0..4 {
            self.window.step();
            copied = self.copied().or(copied);
        }
        copied
    }

    /// Stretches of text that are drawn with a background, with that.
    pub fn backgrounds(&self) -> Vec<(String, egui::Color32)> {
        let mut found = Vec::new();
        for shape in &self.window.output().shapes {
            let egui::Shape::Text(text) = &shape.shape else {
                continue;
            };
            let job = &text.galley.job;
            for section in &job.sections {
                let background = section.format.background;
                if background != egui::Color32::TRANSPARENT {
                    let range = section.byte_range.start.0..section.byte_range.end.0;
                    found.push((job.text[range].to_owned(), background));
                }
            }
        }
        found
    }

    pub fn has(&self, text: &str) -> bool {
        self.window
            .query_all_by_label_contains(text)
            .next()
            .is_some()
    }

    pub fn write(&mut self, text: &str) {
        let message = self.window.get_by_label("Message");
        message.focus();
        message.type_text(text);
        self.window.run();
        self.window.key_press(egui::Key::Enter);
        self.window.run();
    }

    /// The latest request that the window has sent.
    pub fn request(&self) -> Box<Request> {
        let requests = self
            .commands
            .try_iter()
            .filter_map(|command| match command {
                Command::Generate(request) => Some(request),
                _ => None,
            });
        requests.last().expect("a request")
    }

    /// All requests that the window has sent since it was last asked.
    pub fn requests(&self) -> Vec<Request> {
        let requests = self
            .commands
            .try_iter()
            .filter_map(|command| match command {
                Command::Generate(request) => Some(*request),
                _ => None,
            });
        requests.collect()
    }

    pub fn say(&mut self, request: u64, pieces: &[&str]) {
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

    pub fn finish(&mut self, request: u64, finish: Finish) {
        let timing = Timing {
            prefill_tokens: 5,
            prefill: Duration::from_millis(50),
            first_token: Duration::from_millis(60),
            decode_tokens: 20,
            decode: Duration::from_millis(500),
            speculation: None,
        };
        self.tell(Event::Finished {
            request,
            finish,
            timing,
            positions: 25,
        });
    }

    pub fn files(&self) -> Vec<std::path::PathBuf> {
        let folder = self.folder.path().join("conversations");
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        // Not those that are being written.
        let paths = entries.map(|entry| entry.path());
        paths
            .filter(|path| path.extension().is_some_and(|end| end == "json"))
            .collect()
    }
}

pub fn token(piece: &str) -> TokenEvent {
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
        is_given: false,
    }
}

/// That a step was timed.
pub fn traced(step: Step) -> Event {
    Event::Step {
        requests: vec![1],
        step: Box::new(step),
    }
}

/// A step of a model of the 270M shape, as a GPU might have run it.
pub fn step(position: u32, timed: bool) -> Step {
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
        proposed: 0,
        accepted: 0,
        position,
        begin: Duration::from_millis(u64::from(position)),
        wall: Duration::from_nanos(at + 60_000),
        mode: TraceMode::Kernels,
        spans: timed.then_some(spans),
    }
}

/// Steps the window until a text is there.
pub fn wait(stage: &mut Scene<'_>, text: &str) {
    let begin = Instant::now();
    while !stage.has(text) {
        assert!(begin.elapsed() < PATIENCE, "no `{text}`");
        std::thread::sleep(Duration::from_millis(10));
        stage.window.step();
    }
}

/// The system asks the window to close.
pub fn ask_to_close(stage: &mut Scene<'_>) {
    let input = stage.window.input_mut();
    let viewport = input.viewports.entry(egui::ViewportId::ROOT).or_default();
    viewport.events.push(egui::ViewportEvent::Close);
    stage.window.step();
}

pub fn is_held_open(stage: &Scene<'_>) -> bool {
    let output = &stage.window.output().viewport_output[&egui::ViewportId::ROOT];
    output
        .commands
        .contains(&egui::ViewportCommand::CancelClose)
}

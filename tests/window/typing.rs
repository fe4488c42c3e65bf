//! The box to write in.

use std::time::{Duration, Instant};

use egui::{Event as Input, ImeEvent, Key, Modifiers};
use egui_kittest::kittest::{NodeT, Queryable};
use openelm::Finish;
use openelm::engine::{Command, Event};

use crate::scene::{PATIENCE, Scene, ask_to_close, scene_of, stage};

fn draft(stage: &Scene<'_>) -> String {
    stage
        .window
        .get_by_label("Message")
        .value()
        .unwrap_or_default()
}

fn put(stage: &mut Scene<'_>, text: &str) {
    let message = stage.window.get_by_label("Message");
    message.focus();
    message.type_text(text);
    stage.window.run();
}

fn sent(stage: &Scene<'_>) -> usize {
    let commands = stage.commands.try_iter();
    let generates = commands.filter(|command| matches!(command, Command::Generate(_)));
    generates.count()
}

fn compose(text: &str) -> Input {
    Input::Ime(ImeEvent::Preedit {
        text: text.into(),
        active_range_chars: None,
    })
}

fn enter() -> Input {
    Input::Key {
        key: Key::Enter,
        physical_key: None,
        pressed: true,
        repeat: false,
        modifiers: Modifiers::NONE,
    }
}

/// The Enter that takes a word over from an input method is not one that sends.
#[test]
fn enter_while_a_word_is_composed_does_not_send() {
    let mut stage = stage("OpenELM-270M-Instruct");
    stage.window.get_by_label("Message").focus();
    stage.window.run();
    stage.window.event(compose("o"));
    stage.window.run();
    stage.window.event(enter());
    stage.window.run();
    assert_eq!(sent(&stage), 0, "while it is composed");
    // With the word, in one frame, in either order.
    stage
        .window
        .input_mut()
        .events
        .extend([enter(), Input::Ime(ImeEvent::Commit("ö".into()))]);
    stage.window.step();
    assert_eq!(sent(&stage), 0);
    stage.window.event(compose("u"));
    stage.window.run();
    stage.window.input_mut().events.extend([
        compose(""),
        Input::Ime(ImeEvent::Commit("ü".into())),
        enter(),
    ]);
    stage.window.step();
    stage.window.run();
    assert_eq!(sent(&stage), 0);
    assert_eq!(draft(&stage), "öü");
    // A composition that was given up leaves nothing behind.
    stage.window.event(compose("x"));
    stage.window.run();
    stage.window.event(compose(""));
    stage.window.run();
    stage.window.key_press(Key::Enter);
    stage.window.run();
    let request = stage.request();
    assert!(request.prompt.contains("öü</s>"), "{}", request.prompt);
}

#[test]
fn the_box_grows_to_eight_lines_and_scrolls_then() {
    let mut stage = stage("OpenELM-270M-Instruct");
    let height = |stage: &Scene<'_>| {
        let page = stage.window.get_by_label("Send").rect();
        page.top()
    };
    put(&mut stage, "one");
    let button = height(&stage);
    let mut tops = Vec::new();
    for _ in 0..14 {
        stage.press(Modifiers::SHIFT, Key::Enter);
        put(&mut stage, "more");
        stage.window.run();
        tops.push(stage.window.get_by_label("Message").rect().height());
    }
    assert!((height(&stage) - button).abs() < 1.0, "it grows upwards");
    assert!(tops[5] > tops[0] + 80.0, "{tops:?}");
    assert_eq!(draft(&stage).lines().count(), 15);
    // The conversation keeps its room.
    let title = stage.window.get_by_label("A chat").rect();
    assert!(title.top() > 0.0);
}

#[test]
fn tokens_are_counted_when_typing_pauses_and_what_does_not_fit_is_said() {
    let mut stage = stage("OpenELM-270M-Instruct");
    let counts = |stage: &Scene<'_>| -> Vec<(u64, String)> {
        let commands = stage.commands.try_iter();
        let counts = commands.filter_map(|command| match command {
            Command::Count { id, text } => Some((id, text.text)),
            _ => None,
        });
        counts.collect()
    };
    counts(&stage);
    let begin = Instant::now();
    for letter in ["W", "h", "y"] {
        put(&mut stage, letter);
    }
    let was_fast = begin.elapsed() < Duration::from_millis(200);
    let mut asked = Vec::new();
    let has_all = |asked: &[(u64, String)]| {
        let last = asked.last();
        last.is_some_and(|(_, text)| text.contains("Why"))
    };
    while !has_all(&asked) && begin.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(20));
        stage.window.step();
        asked.extend(counts(&stage));
    }
    // Where the machine paused, so did the typing.
    let once = asked.len() == 1 || !was_fast;
    assert!(once, "once for all of it: {asked:?}");
    let (id, _) = asked.pop().expect("it is counted");
    stage.tell(Event::Counted { id, count: 20 });
    assert!(stage.has("20 tokens, 2028 left"));
    stage.tell(Event::Counted {
        id: id + 7,
        count: 90,
    });
    assert!(stage.has("20 tokens"), "that is another text's");
    stage.tell(Event::Counted { id, count: 5000 });
    assert!(stage.has("5000 tokens: does not fit into 2048"));
    // Sent, it is no draft any more.
    stage.window.key_press(Key::Enter);
    stage.window.run();
    let request = stage.request();
    // What is typed meanwhile is counted alone, and added to what the answer has come to.
    let prompt = Event::Prompt {
        request: request.id,
        kept: 0,
        done: 100,
        total: 100,
    };
    stage.tell(prompt);
    put(&mut stage, "Next");
    let mut asked = Vec::new();
    let begin = Instant::now();
    while asked.is_empty() && begin.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(20));
        stage.window.step();
        asked.extend(counts(&stage));
    }
    let (id, text) = asked.pop().expect("it is counted");
    assert_eq!(text, "Next");
    stage.tell(Event::Counted { id, count: 2 });
    assert!(stage.has("2 tokens, 1946 left"));
    stage.say(request.id, &["Be", "cause"]);
    assert!(stage.has("2 tokens, 1944 left"));
    // Another conversation is not what the model writes to.
    let app = stage.window.state_mut();
    app.act(openelm::window::Action::New(openelm::window::Mode::Chat));
    stage.window.run();
    assert!(stage.has("0 / 2048") && !stage.has("102 / 2048"));
    stage.finish(request.id, Finish::Eos);
    assert!(!stage.has("5000 tokens"));
}

#[test]
fn up_brings_back_what_was_sent() {
    let mut stage = stage("OpenELM-270M-Instruct");
    stage.ask("First?", "Yes.");
    stage.ask("Second\nline?", "No.");
    let press = |stage: &mut Scene<'_>, key| {
        stage.window.key_press(key);
        stage.window.run();
        draft(stage)
    };
    stage.window.get_by_label("Message").focus();
    stage.window.run();
    assert_eq!(press(&mut stage, Key::ArrowUp), "Second\nline?");
    assert_eq!(press(&mut stage, Key::ArrowUp), "First?");
    assert_eq!(
        press(&mut stage, Key::ArrowUp),
        "First?",
        "there is none before"
    );
    assert_eq!(press(&mut stage, Key::ArrowDown), "Second\nline?");
    assert_eq!(press(&mut stage, Key::ArrowDown), "");
    // What is changed is the person's own, in which Up moves the cursor.
    press(&mut stage, Key::ArrowUp);
    put(&mut stage, "!");
    assert_eq!(press(&mut stage, Key::ArrowUp), "Second\nline?!");
    // Elsewhere too, and after a restart.
    stage.click("New chat");
    assert_eq!(press(&mut stage, Key::ArrowUp), "Second\nline?");
}

#[test]
fn each_conversation_keeps_its_draft() {
    let mut stage = stage("OpenELM-270M-Instruct");
    stage.ask("Remember", "I will");
    put(&mut stage, "for the first");
    stage.click("New chat");
    assert_eq!(draft(&stage), "");
    put(&mut stage, "for a new one");
    stage.click("Remember");
    assert_eq!(draft(&stage), "for the first");
    ask_to_close(&mut stage);
    let Scene { window, folder, .. } = stage;
    drop(window);

    let mut again = scene_of([1280.0, 800.0], folder);
    again.window.run();
    assert_eq!(draft(&again), "for a new one");
    again.click("Remember");
    assert_eq!(draft(&again), "for the first");
}

/// Files of versions that had one draft for all conversations.
#[test]
fn settings_of_before_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let before = r#"{"draft":"from before","max_tokens":7}"#;
    std::fs::write(folder.path().join("settings.json"), before).unwrap();
    let mut stage = scene_of([1280.0, 800.0], folder);
    stage.window.run();
    assert_eq!(draft(&stage), "from before");
    assert!(!stage.has("Settings begin"));
}

/// A text of 100,000 characters is edited in parts; all of it is sent.
#[test]
fn a_long_paste_stays_smooth() {
    for text in ["word ".repeat(20_000), "a line of text\n".repeat(6_700)] {
        let mut stage = stage("OpenELM-270M-Instruct");
        put(&mut stage, "Read this: ");
        let begin = Instant::now();
        stage.window.event(Input::Paste(text.clone()));
        stage.window.step();
        let paste = begin.elapsed();
        stage.window.run();
        const FRAMES: u32 = 10;
        let begin = Instant::now();
        (0..FRAMES).for_each(|_| stage.window.step());
        let frame = begin.elapsed() / FRAMES;
        let begin = Instant::now();
        for _ in 0..FRAMES {
            stage.window.event(Input::Text("x".into()));
            stage.window.step();
        }
        let key = begin.elapsed() / FRAMES;
        eprintln!("paste {paste:?}, frame {frame:?}, key {key:?}");
        assert!(draft(&stage).len() < 20_000, "a part is in the box");
        // What is before it can be changed too.
        for _ in 0..40 {
            let earlier = stage.window.get_by_label("Earlier part");
            if earlier.accesskit_node().is_disabled() {
                break;
            }
            earlier.click();
            stage.window.run();
        }
        assert!(
            draft(&stage).starts_with("Read this: "),
            "{}",
            &draft(&stage)[..20]
        );
        stage.window.get_by_label("Message").focus();
        stage.window.run();
        stage.press(Modifiers::COMMAND | Modifiers::CTRL, Key::Home);
        put(&mut stage, "Please! ");
        stage.window.key_press(Key::Enter);
        stage.window.run();
        let prompt = stage.request().prompt.text;
        let sent = format!("Please! Read this: {}", text.trim_end());
        let sent = sent.trim_end();
        assert!(prompt.contains(sent), "all of it is sent: {}", prompt.len());
        assert!(prompt.contains("xxxxxxxxxx</s>"));
    }
}

/// A preset can bring a system prompt, which chats take over with it.
#[test]
fn a_preset_brings_its_system_prompt() {
    use openelm::window::{Action, Mode, SamplingSettings, Setting};
    let mut stage = stage("OpenELM-270M-Instruct");
    let mut sampling = SamplingSettings::default();
    (sampling.own, sampling.temperature) = (true, 0.33);
    let app = stage.window.state_mut();
    app.act(Action::Set(Setting::SamplingParams(sampling)));
    app.act(Action::SetSystem("Speak like a bard.".into()));
    stage.window.run();
    stage.click("Settings");
    let type_name = |stage: &mut Scene<'_>, name: &str| {
        stage.reach("Save as a preset");
        let field = stage.window.get_by_label("Name of the preset");
        field.focus();
        field.type_text(name);
        stage.window.run();
    };
    type_name(&mut stage, "Bard");
    assert!(stage.has("With the system prompt"));
    stage.click("Save preset");
    let app = stage.window.state_mut();
    app.act(Action::SetSystem(String::new()));
    stage.window.run();
    stage.reach("Preset");
    stage.click("Bard");
    stage.write("Hi");
    let system = |stage: &Scene<'_>| stage.window.state().conversation().system.clone();
    let prompt = stage.request().prompt;
    assert!(prompt.contains("Speak like a bard."), "{prompt}");

    // One's own words that a preset's take the place of come back.
    let app = stage.window.state_mut();
    app.act(Action::New(Mode::Chat));
    app.act(Action::SetSystem("My own words.".into()));
    stage.window.run();
    stage.reach("Preset");
    stage.click("Bard");
    assert_eq!(system(&stage), "Speak like a bard.");
    stage.window.state_mut().act(Action::Undo);
    assert_eq!(system(&stage), "My own words.");
    // A name that is taken is said, and typed on.
    stage.window.run();
    type_name(&mut stage, "Balanced");
    assert!(stage.has("A preset of the program is called that."));
    stage.click("Save preset");
    assert!(stage.has("A preset of the program is called that."));
}

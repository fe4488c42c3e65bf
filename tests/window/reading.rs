//! How texts are read: set, selected, copied, and what can be done with them.

use egui::{Key, Modifiers};
use egui_kittest::kittest::Queryable;
use openelm::Finish;
use openelm::window::Setting;

use crate::scene::{Scene, scene_of, stage};

const ANSWER: &str = "# Foxes\n\nThey are **sly** and `quick`:\n\n1. one\n2. two\n\n```rust\nlet fox = 1;\nlet owl = 2;\n```\n\nSee [the forest](https://example.org/).\n";

fn answered<'a>() -> Scene<'a> {
    let mut stage = stage("OpenELM-270M-Instruct");
    stage.ask("Which **animals**?", ANSWER);
    stage
}

#[test]
fn a_paragraph_is_one_text_and_what_the_person_wrote_stays_as_it_is() {
    let stage = answered();
    for text in [
        "Foxes",
        "They are sly and quick:",
        "one",
        "let fox = 1;\nlet owl = 2;",
        "See the forest.",
    ] {
        let texts = stage.window.get_all_by_label(text);
        assert_eq!(texts.count(), 1, "{text}");
    }
    assert!(stage.has("You") && stage.has("Assistant"));
    assert!(stage.has("Which **animals**?"));
}

#[test]
fn lines_are_no_longer_than_they_are_read_well() {
    let mut stage = stage("OpenELM-270M-Instruct");
    stage.window.set_size(egui::vec2(1900.0, 800.0));
    stage.click("Timings");
    stage.ask("Why?", &"word ".repeat(200));
    let words = stage.window.get_by_label_contains("word word");
    let rect = words.rect();
    assert!(rect.width() <= 561.0, "{rect:?}");
    // In the middle of the page.
    let page = stage.window.get_by_label("Message").rect();
    assert!(
        (rect.center().x - page.center().x).abs() < 20.0,
        "{rect:?}, {page:?}"
    );
}

#[test]
fn code_and_messages_are_copied_by_buttons_and_keys() {
    let mut stage = answered();
    assert!(stage.has("rust"));
    stage.window.get_by_label("Copy code").click();
    let copied = stage.copied_soon();
    assert_eq!(copied.as_deref(), Some("let fox = 1;\nlet owl = 2;"));
    let command = Modifiers::COMMAND;
    let copied = stage.copied_by(command | Modifiers::SHIFT, Key::C);
    assert_eq!(copied.as_deref(), Some(ANSWER));
    let copied = stage.copied_by(command | Modifiers::ALT, Key::C);
    let plain = "Foxes\n\nThey are sly and quick:\n1. one\n2. two\n\nlet fox = 1;\nlet owl = 2;\n\nSee the forest.";
    assert_eq!(copied.as_deref(), Some(plain));
}

/// Long code is drawn in several parts, and copied as a whole.
#[test]
fn code_of_any_length_is_copied_whole() {
    let mut stage = stage("OpenELM-270M-Instruct");
    let code = (0..400).map(|i| format!("let x{i} = {i};\n"));
    let code: String = code.collect();
    stage.ask("Code?", &format!("```rust\n{code}```\n"));
    stage.window.hover_at(egui::pos2(400.0, 400.0));
    wheel(&mut stage, 100_000.0);
    stage.window.get_by_label("Copy code").click();
    let copied = stage.copied_soon().unwrap();
    assert_eq!(copied, code.trim_end());
}

fn wheel(stage: &mut Scene<'_>, up: f32) {
    stage.window.event(egui::Event::MouseWheel {
        unit: egui::MouseWheelUnit::Point,
        source: egui::MouseWheelSource::Wheel,
        delta: egui::vec2(0.0, up),
        phase: egui::TouchPhase::Move,
        modifiers: Modifiers::default(),
    });
    (0..20).for_each(|_| stage.window.step());
}

/// From one paragraph into another, and into another message; scrolling away does not end it.
#[test]
fn a_selection_goes_over_paragraphs_and_out_of_sight() {
    let mut stage = stage("OpenELM-270M-Instruct");
    let paragraphs: Vec<String> = (0..60).map(|i| format!("Paragraph {i}.")).collect();
    stage.ask("Count", &paragraphs.join("\n\n"));
    let center = |stage: &Scene<'_>, label: &str| stage.window.get_by_label(label).rect();
    let last = center(&stage, "Paragraph 59.");
    let above = center(&stage, "Paragraph 57.");
    stage.window.hover_at(above.left_center());
    stage.window.step();
    stage
        .window
        .drag_at(above.left_center() + egui::vec2(1.0, 0.0));
    stage.window.step();
    stage.window.hover_at(last.center());
    stage.window.step();
    stage
        .window
        .hover_at(last.right_center() - egui::vec2(1.0, 0.0));
    stage.window.step();
    stage
        .window
        .drop_at(last.right_center() - egui::vec2(1.0, 0.0));
    stage.window.step();
    let copy = |stage: &mut Scene<'_>| {
        stage.window.event(egui::Event::Copy);
        stage.copied_soon()
    };
    let text = "Paragraph 57.\n\nParagraph 58.\n\nParagraph 59.";
    assert_eq!(copy(&mut stage).as_deref(), Some(text));
    stage.window.hover_at(egui::pos2(400.0, 400.0));
    stage.window.step();
    wheel(&mut stage, 600.0);
    let after = stage.window.query_by_label("Paragraph 59.");
    let is_away = after.is_none_or(|node| node.rect().top() > 700.0);
    assert!(is_away, "it was scrolled");
    assert_eq!(copy(&mut stage).as_deref(), Some(text));
}

/// Buttons of earlier messages are seen only where the pointer or the keyboard is; they can always be reached.
#[test]
fn buttons_are_quiet_but_there() {
    let mut stage = stage("OpenELM-270M-Instruct");
    stage.ask("One?", "First.");
    stage.ask("Two?", "Second.");
    assert_eq!(stage.window.get_all_by_label("Copy").count(), 4);
    assert_eq!(stage.window.get_all_by_label("Regenerate").count(), 2);
    // Icons are drawn in lines.
    let strokes = |stage: &Scene<'_>, rect: egui::Rect| {
        let shapes = stage.window.output().shapes.iter();
        let within = shapes.filter(|shape| {
            let bounds = shape.shape.visual_bounding_rect();
            bounds.is_positive() && rect.contains_rect(bounds) && bounds.width() < 20.0
        });
        within.count()
    };
    let rects: Vec<egui::Rect> = {
        let buttons = stage.window.get_all_by_label("Regenerate");
        buttons.map(|node| node.rect()).collect()
    };
    stage.window.remove_cursor();
    stage.window.run();
    assert_eq!(strokes(&stage, rects[0]), 0);
    assert!(strokes(&stage, rects[1]) > 0);
    let text = stage.window.get_by_label("First.").rect();
    stage.window.hover_at(text.center());
    stage.window.run();
    assert!(strokes(&stage, rects[0]) > 0);
    stage.window.remove_cursor();
    stage.window.run();
    assert_eq!(strokes(&stage, rects[0]), 0);
    let first = stage.window.get_all_by_label("Regenerate").next().unwrap();
    first.focus();
    stage.window.run();
    stage.window.run();
    assert!(strokes(&stage, rects[0]) > 0);
}

#[test]
fn what_the_person_wrote_in_a_text_has_a_background() {
    let mut stage = stage("demo");
    stage.ask("Once", " upon a time");
    let backgrounds = stage.backgrounds();
    let texts: Vec<&str> = backgrounds.iter().map(|(text, _)| text.as_str()).collect();
    assert!(texts.contains(&"Once"), "{texts:?}");
    assert!(!texts.contains(&" upon a time"), "{texts:?}");
}

#[test]
fn links_are_opened_by_keyboard_and_only_where_they_lead_to_a_browser() {
    let mut stage = stage("OpenELM-270M-Instruct");
    stage.ask(
        "Links?",
        "[good](https://example.org/) and [bad](file:///etc/passwd)",
    );
    let opened = |stage: &mut Scene<'_>, label: &str| {
        stage.window.get_by_label(label).click();
        let mut urls = Vec::new();
        for _ in 0..4 {
            stage.window.step();
            let commands = &stage.window.output().platform_output.commands;
            urls.extend(commands.iter().filter_map(|command| match command {
                egui::OutputCommand::OpenUrl(open) => Some(open.url.clone()),
                _ => None,
            }));
        }
        urls
    };
    assert_eq!(opened(&mut stage, "good"), ["https://example.org/"]);
    assert_eq!(opened(&mut stage, "bad"), [] as [&str; 0]);
}

#[test]
fn size_is_changed_by_keys_shown_and_kept() {
    let mut stage = stage("demo");
    let zoom = |stage: &Scene<'_>| stage.window.ctx.zoom_factor();
    stage.press(Modifiers::COMMAND, Key::Plus);
    stage.press(Modifiers::COMMAND, Key::Plus);
    assert!((zoom(&stage) - 1.2).abs() < 1e-3);
    assert!(stage.has("Zoom 120 %"));
    for _ in 0..20 {
        stage.press(Modifiers::COMMAND, Key::Minus);
    }
    assert!(
        (zoom(&stage) - 0.7).abs() < 1e-3,
        "no smaller than can be read"
    );
    stage.press(Modifiers::COMMAND, Key::Num0);
    assert!((zoom(&stage) - 1.0).abs() < 1e-3);
    stage
        .window
        .state_mut()
        .act(openelm::window::Action::Set(Setting::Zoom(1.3)));
    stage.window.run();
    crate::scene::ask_to_close(&mut stage);
    let Scene { window, folder, .. } = stage;
    drop(window);
    let again = scene_of([1280.0, 800.0], folder);
    assert!((zoom(&again) - 1.3).abs() < 1e-3);
    // A file that somebody has edited.
    let Scene { window, folder, .. } = again;
    drop(window);
    std::fs::write(folder.path().join("settings.json"), r#"{"zoom":40.0}"#).unwrap();
    let again = scene_of([1280.0, 800.0], folder);
    assert!((zoom(&again) - 2.0).abs() < 1e-3);
}

#[test]
fn an_empty_chat_offers_questions() {
    let mut stage = stage("OpenELM-270M-Instruct");
    assert!(stage.has("A chat"));
    stage.click("Why is the sky blue?");
    let request = stage.request();
    assert!(request.prompt.contains("Why is the sky blue?"));
    stage.finish(request.id, Finish::Eos);
}

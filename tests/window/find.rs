//! Finding texts, here and in all conversations.

use std::time::{Duration, Instant};

use egui::{Key, Modifiers};
use egui_kittest::kittest::Queryable;
use serde_json::json;

use crate::answers::three_answers;
use crate::history::until;
use crate::scene::{PATIENCE, Scene, loaded, scene_of, stage, wait};

fn find(stage: &mut Scene<'_>, text: &str) {
    stage.press(Modifiers::COMMAND, Key::F);
    let field = stage.window.get_by_label("Find text");
    assert!(field.is_focused());
    field.type_text(text);
    settle(stage);
}

fn settle(stage: &mut Scene<'_>) {
    (0..10).for_each(|_| stage.window.step());
}

fn marked(stage: &Scene<'_>, text: &str) -> usize {
    let backgrounds = stage.backgrounds();
    backgrounds.iter().filter(|(part, _)| part == text).count()
}

/// Who types on without waiting for a frame writes into the bar, not into the box below.
#[test]
fn what_is_typed_at_once_is_looked_for() {
    let mut stage = stage("OpenELM-270M-Instruct");
    stage.ask("Why?", "Because of the king.");
    stage.window.key_press_modifiers(Modifiers::COMMAND, Key::F);
    stage.window.step();
    stage.window.event(egui::Event::Text("king".into()));
    stage.window.step();
    settle(&mut stage);
    assert_eq!(
        stage.window.get_by_label("Find text").value().as_deref(),
        Some("king")
    );
    let message = stage.window.get_by_label("Message").value();
    assert_eq!(message.unwrap_or_default(), "");
}

#[test]
fn matches_are_counted_marked_and_stepped_through() {
    let mut stage = stage("OpenELM-270M-Instruct");
    stage.ask(
        "A king?",
        "The **King** and the kingdom.\n\n```\nking();\n```",
    );
    find(&mut stage, "KING");
    assert!(stage.has("1 of 4"));
    assert_eq!(marked(&stage, "king"), 3);
    assert_eq!(marked(&stage, "King"), 1);
    stage.window.key_press(Key::Enter);
    stage.window.run();
    assert!(stage.has("2 of 4"));
    stage.press(Modifiers::SHIFT, Key::Enter);
    stage.press(Modifiers::SHIFT, Key::Enter);
    assert!(stage.has("4 of 4"), "before the first comes the last");
    stage.window.key_press(Key::F3);
    stage.window.run();
    assert!(stage.has("1 of 4"));
    stage.click("Next match");
    assert!(stage.has("2 of 4"));
    // What is looked at differs from the others.
    let colors: std::collections::BTreeSet<[u8; 4]> = stage
        .backgrounds()
        .into_iter()
        .filter(|(text, _)| text.eq_ignore_ascii_case("king"))
        .map(|(_, color)| color.to_array())
        .collect();
    assert_eq!(colors.len(), 2);
    stage.window.key_press(Key::Escape);
    stage.window.run();
    assert!(stage.window.query_by_label("Find text").is_none());
    assert!(stage.window.get_by_label("Message").is_focused());
    assert_eq!(marked(&stage, "king"), 0);
}

/// Of code that goes on in a second line of a list, the list's prefix is left out: it is as long as its source, and another text.
#[test]
fn letters_of_code_over_two_lines_are_found_whole() {
    let mut stage = stage("OpenELM-270M-Instruct");
    stage.ask("How?", "- run `\u{e9}\n  \u{e9}` now");
    find(&mut stage, "\u{e9}");
    assert!(stage.has("of 2"));
}

#[test]
fn answers_to_choose_from_are_searched_too() {
    let (mut stage, requests) = three_answers();
    for (request, words) in requests.iter().zip(["One.", "Two.", "A king, a king."]) {
        stage.say(request.id, &[words]);
        stage.finish(request.id, openelm::Finish::Eos);
    }
    find(&mut stage, "king");
    assert!(stage.has("1 of 2"));
    assert_eq!(marked(&stage, "king"), 2);
}

#[test]
fn nothing_found_is_said_and_escape_leaves_the_model_alone() {
    let mut stage = stage("OpenELM-270M-Instruct");
    stage.write("Why?");
    let request = stage.request();
    stage.say(request.id, &["Because"]);
    find(&mut stage, "xyz");
    assert!(stage.has("no match here"));
    stage.window.key_press(Key::Escape);
    stage.window.run();
    let cancel = request.options.cancel.as_ref().unwrap();
    assert!(!cancel.load(std::sync::atomic::Ordering::Relaxed));
    // What streams in is searched as it comes.
    find(&mut stage, "fox");
    assert!(stage.has("no match here"));
    stage.say(request.id, &[" a f", "ox is a fox"]);
    settle(&mut stage);
    assert!(stage.has("1 of 2"));
}

/// The match may be far away, in a text of which only what is in sight is laid out.
#[test]
fn matches_are_scrolled_to() {
    for (mode, name) in [("chat", "OpenELM-270M-Instruct"), ("completion", "demo")] {
        let folder = tempfile::tempdir().unwrap();
        let paragraphs: Vec<String> = (0..600)
            .map(|i| format!("Paragraph {i} has words, and more words than fit on a line of it, so that it takes several."))
            .collect();
        let mut long = paragraphs;
        long[300] += " The Straße is here.";
        let messages = json!([
            {"parent": null, "role": "user", "text": "Where?"},
            {"parent": 0, "role": "assistant", "text": long.join("\n\n")},
        ]);
        keep(folder.path(), "1", "Long", mode, messages);
        let mut stage = scene_of([1280.0, 800.0], folder);
        stage.tell(loaded(name));
        stage.click("Long");
        settle(&mut stage);
        find(&mut stage, "strasse");
        let page = egui::Rect::from_min_max(egui::pos2(0.0, 100.0), egui::pos2(1280.0, 650.0));
        // So much is searched in a frame as there is time.
        until(&mut stage, "the match in sight", |stage| {
            let mut texts = stage.window.query_all_by_label_contains("Paragraph 300");
            stage.has("1 of 1") && texts.any(|text| page.contains(text.rect().center()))
        });
        settle(&mut stage);
        assert_eq!(marked(&stage, "Straße"), 1);
    }
}

#[test]
fn all_conversations_are_searched_and_open_at_the_match() {
    let mut stage = stage("OpenELM-270M-Instruct");
    stage.ask("About foxes", "The owl sleeps in the forest.");
    stage.click("New chat");
    stage.ask("About bears", "A bear eats.\n\nAn OWL too.");
    stage.click("New chat");
    find(&mut stage, "owl");
    assert!(stage.has("no match here"));
    stage.click("All conversations");
    wait(&mut stage, "2 conversations");
    stage.click("About foxes: The owl sleeps in the forest.");
    settle(&mut stage);
    assert_eq!(stage.window.state().conversation().name(), "About foxes");
    assert!(stage.has("1 of 1"));
    assert_eq!(marked(&stage, "owl"), 2, "in the text and in the list");
    assert!(stage.window.get_by_label("Find text").is_focused());
}

fn keep(folder: &std::path::Path, id: &str, title: &str, mode: &str, messages: serde_json::Value) {
    let conversations = folder.join("conversations");
    std::fs::create_dir_all(&conversations).unwrap();
    let json = json!({"id": id, "title": title, "mode": mode, "messages": messages});
    std::fs::write(conversations.join(format!("{id}.json")), json.to_string()).unwrap();
}

/// Conversations are read and searched beside the window, which goes on meanwhile.
#[test]
fn many_conversations_are_searched_without_a_frame_that_waits() {
    let folder = tempfile::tempdir().unwrap();
    const CONVERSATIONS: usize = 2_000;
    for i in 0..CONVERSATIONS {
        let messages: Vec<serde_json::Value> = (0..10)
            .map(|j| {
                let role = if j % 2 == 0 { "user" } else { "assistant" };
                let text = format!("{} number {i} {j}", "words that fill a line ".repeat(8));
                json!({"parent": usize::checked_sub(j, 1), "role": role, "text": text})
            })
            .collect();
        keep(
            folder.path(),
            &format!("{i:05}"),
            &format!("Talk {i}"),
            "chat",
            messages.into(),
        );
    }
    let mut stage = scene_of([1280.0, 800.0], folder);
    // While they are listed, frames follow each other.
    until(&mut stage, "all", |stage| {
        stage.window.state().listed() == CONVERSATIONS
    });
    stage.tell(loaded("demo"));
    stage.press(Modifiers::COMMAND, Key::F);
    stage.click("All conversations");
    stage.window.get_by_label("Find text").focus();
    stage
        .window
        .get_by_label("Find text")
        .type_text("NUMBER 7 3");
    let begin = Instant::now();
    let (mut frames, mut longest) = (0, Duration::ZERO);
    while !stage.has("1 conversation") || stage.has("searched…") {
        let frame = Instant::now();
        stage.window.step();
        longest = longest.max(frame.elapsed());
        frames += 1;
        assert!(begin.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(1));
    }
    eprintln!(
        "{frames} frames, {:?}, longest {longest:?}",
        begin.elapsed()
    );
    // What is looked for next is all that is found.
    stage.window.get_by_label("Find text").type_text(" x");
    wait(&mut stage, "No conversation has it");
}

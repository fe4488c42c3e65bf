//! What is kept on disk, exported, or asked about before it is lost.

use std::time::{Duration, Instant};

use egui_kittest::kittest::Queryable;
use openelm::engine::{Command, Event};
use openelm::{Finish, Timing};

use crate::history::until;
use crate::scene::{
    PATIENCE, Scene, ask_to_close, is_held_open, loaded, scene_of, stage, token, wait,
};

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
    until(&mut stage, "saved", |stage| {
        let text = saved(stage);
        text.contains("I will") && text.contains("Remember **me**")
    });
    let Scene { window, folder, .. } = stage;
    drop(window);

    let mut again = scene_of([1280.0, 800.0], folder);
    again.window.run();
    again.window.get_by_label("Remember me").click();
    again.window.run();
    assert!(again.has("You"));
    assert!(again.has("I will"));
}

/// How large the window was and which views were open, for the next start.
#[test]
fn the_window_is_as_it_was_left() {
    let mut stage = scene_of([1000.0, 700.0], tempfile::tempdir().unwrap());
    stage.tell(loaded("demo"));
    stage.press(egui::Modifiers::COMMAND, egui::Key::Num4);
    stage.window.drag_at(egui::pos2(248.0, 400.0));
    stage.window.run();
    stage.window.hover_at(egui::pos2(300.0, 400.0));
    stage.window.run();
    stage.window.drop_at(egui::pos2(300.0, 400.0));
    stage.window.run();
    let folder = stage.close();
    let settings = |folder: &tempfile::TempDir| -> serde_json::Value {
        let json = std::fs::read(folder.path().join("settings.json")).unwrap();
        serde_json::from_slice(&json).unwrap()
    };
    let kept = settings(&folder);
    assert_eq!(kept["size"], serde_json::json!([1000.0, 700.0]));
    assert_eq!(kept["tab"], "kernels");
    assert_eq!(kept["panels"]["sidebar"], 300);
    let mut again = scene_of([900.0, 700.0], folder);
    again.tell(loaded("demo"));
    let kept = settings(&again.close());
    assert_eq!(kept["size"], serde_json::json!([900.0, 700.0]));
    assert_eq!(kept["tab"], "kernels");
    assert_eq!(kept["panels"]["sidebar"], 300);
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
    until(&mut stage, "saved", |stage| {
        stage.files().len() == 1 && !stage.has("Not saved")
    });
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
    for name in ["Once.md", "Once-2.md"] {
        stage.click("Dismiss");
        stage
            .window
            .key_press_modifiers(egui::Modifiers::COMMAND, egui::Key::S);
        stage.window.run();
        wait(&mut stage, "Saved");
        let path = stage.folder.path().join("exports").join(name);
        assert_eq!(std::fs::read_to_string(path).unwrap(), expected);
    }
    stage.open_models();
    stage.reach("Open folder…");
    wait(&mut stage, "no file dialogs");
}

#[test]
fn a_conversation_can_be_deleted() {
    let mut stage = stage("OpenELM-270M-Instruct");
    stage.write("Forget me");
    let request = stage.request();
    stage.finish(request.id, Finish::Eos);
    let wait_for = |stage: &mut Scene<'_>, count: usize| {
        let begin = Instant::now();
        while stage.files().len() != count {
            assert!(begin.elapsed() < PATIENCE, "not {count} files");
            std::thread::sleep(Duration::from_millis(20));
            stage.window.step();
        }
    };
    wait_for(&mut stage, 1);
    stage.click("More about Forget me");
    stage.click("Delete conversation");
    stage.click("Dismiss");
    assert!(!stage.has("Forget me"));
    wait_for(&mut stage, 0);
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
    again.window.get_by_label("Remember").click();
    again.window.run();
    assert_eq!(value(&again, "Message").as_deref(), Some("a draft"));
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
                Command::Count { text, .. } => Some(text),
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
    until(&mut stage, "saved", |stage| {
        let files = stage.files();
        let saved = files.first().map(std::fs::read_to_string);
        saved.is_some_and(|text| text.unwrap().contains("Be brief."))
    });
    // Taken back, it does not come back.
    let field = stage.window.get_by_label("System prompt");
    field.set_text_value_accesskit("");
    stage.window.run();
    ask_to_close(&mut stage);
    assert!(stage.files().is_empty());
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

/// An engine that has died says nothing more: there is nothing to wait for.
#[test]
fn closing_does_not_wait_for_an_engine_that_has_stopped() {
    let mut stage = stage("OpenELM-270M-Instruct");
    stage.write("Tell me");
    let request = stage.request();
    stage.say(request.id, &["Half a"]);
    let (nobody, _) = std::sync::mpsc::channel();
    stage.events = nobody;
    ask_to_close(&mut stage);
    assert!(!is_held_open(&stage));
    // That is how the wait ended, not by its time.
    stage.window.step();
    assert!(stage.has("Its thread ended"));
    let saved = std::fs::read_to_string(&stage.files()[0]).unwrap();
    assert!(saved.contains("Half a"), "{saved}");
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

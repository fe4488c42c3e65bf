//! The keyboard alone, and screen readers: everything can be reached and has a name.
//!
//! Beside this, every test that lets the window come to rest checks that no input lacks a name.

use std::collections::BTreeSet;

use egui::{Key, Modifiers};
use egui_kittest::kittest::NodeT;

use crate::history::{folder_of, open_folder};
use crate::scene::{Scene, stage, wait};
use crate::timings::timed;

/// Presses Tab until it comes round, and says what had the focus on the way.
fn walk(stage: &mut Scene<'_>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let mut first = None;
    for _ in 0..400 {
        stage.window.key_press(Key::Tab);
        stage.window.run();
        let focused = focused(stage);
        let Some((id, name)) = focused else { continue };
        if first == Some(id) {
            return names;
        }
        first.get_or_insert(id);
        assert!(
            !name.is_empty(),
            "no name: {:?} after {names:?}",
            place(stage)
        );
        names.push(name);
    }
    panic!("the focus never comes round: {names:?}");
}

/// What has the keyboard's focus, with its name.
fn focused(stage: &Scene<'_>) -> Option<(egui::accesskit::NodeId, String)> {
    let root = stage.window.root();
    let node = root
        .children_recursive()
        .find(|node| node.accesskit_node().is_focused())?;
    let node = node.accesskit_node();
    // Where nothing has the focus, the whole has.
    node.parent()?;
    let name = node
        .label()
        .or_else(|| node.data().placeholder().map(str::to_owned));
    Some((node.locate().0, name.unwrap_or_default().trim().to_owned()))
}

/// Where everything is.
fn places(stage: &Scene<'_>) -> Vec<Option<egui::accesskit::Rect>> {
    let root = stage.window.root();
    let all = root.children_recursive();
    all.map(|node| node.accesskit_node().raw_bounds()).collect()
}

/// Where nobody asks for another frame, another one would change nothing: who opens something and touches nothing sees it as it is.
#[test]
fn what_lies_over_the_rest_has_its_size_when_the_frames_end() {
    let mut stage = stage("demo");
    stage.press(Modifiers::NONE, Key::F1);
    let keyboard = places(&stage);
    (0..3).for_each(|_| stage.window.step());
    assert_eq!(places(&stage), keyboard);
    stage.press(Modifiers::NONE, Key::Escape);
    stage.click("Prompt");
    let prompt = places(&stage);
    (0..3).for_each(|_| stage.window.step());
    assert_eq!(places(&stage), prompt);
}

/// The role and the place of what has the focus.
fn place(stage: &Scene<'_>) -> Option<String> {
    let root = stage.window.root();
    let node = root
        .children_recursive()
        .find(|node| node.accesskit_node().is_focused())?;
    let node = node.accesskit_node();
    Some(format!("{:?} at {:?}", node.role(), node.raw_bounds()))
}

fn assert_reached(names: &[String], wanted: &[&str]) {
    let there: BTreeSet<&str> = names.iter().map(String::as_str).collect();
    for wanted in wanted {
        assert!(
            there.iter().any(|name| name.contains(wanted)),
            "`{wanted}` is not among {there:?}"
        );
    }
}

#[test]
fn tab_reaches_everything_of_a_chat() {
    let mut stage = stage("OpenELM-270M-Instruct");
    stage.ask("Why?", "Because.");
    let names = walk(&mut stage);
    assert_reached(
        &names,
        &[
            "Conversations",
            "Model: ",
            "Prompt",
            "Probabilities",
            "Timings",
            "History",
            "Settings",
            "New text",
            "New chat",
            "Regenerate",
            "Edit",
            "Copy",
            "Delete",
            "Message",
        ],
    );
}

#[test]
fn tab_reaches_every_view_of_the_timings() {
    let mut stage = timed(true);
    let mut all = Vec::new();
    for tab in ["Heat map", "Layers", "Flame", "Kernels", "Memory"] {
        stage.click(tab);
        all.extend(walk(&mut stage));
    }
    assert_reached(
        &all,
        &[
            "Decode",
            "Prefill",
            "Pause",
            "How it is timed",
            "Export timings",
            "Token strip",
            "Heat map of",
            "layer 3: ",
            "Flame chart of",
        ],
    );
}

#[test]
fn tab_reaches_everything_beside_the_chat() {
    let mut stage = open_folder(folder_of(&["Kings", "Foxes"]));
    let names = |stage: &mut Scene<'_>, wanted: &[&str]| {
        let names = walk(stage);
        assert_reached(&names, wanted);
    };
    stage.open_models();
    names(
        &mut stage,
        &[
            "Close the page of models",
            "Path of a model",
            "Name on the hub",
            "Weights format",
        ],
    );
    stage.press(Modifiers::NONE, Key::Escape);
    stage.press(Modifiers::COMMAND, Key::F);
    names(
        &mut stage,
        &["Find text", "All conversations", "Close find"],
    );
    stage.press(Modifiers::NONE, Key::Escape);
    stage.click("Settings");
    names(
        &mut stage,
        &["Temperature", "Top-k", "Fixed seed", "Stop sequences"],
    );
    stage.click("History");
    stage.click("More about Kings");
    names(&mut stage, &["Rename", "Pin", "Delete conversation"]);
    stage.click("Delete conversation");
    stage.click("Import, export and trash");
    names(&mut stage, &["Import", "Export", "Trash"]);
    stage.click("Trash…");
    wait(&mut stage, "Restore Kings");
    names(
        &mut stage,
        &["Close the trash", "Restore Kings", "Delete for good Kings"],
    );
}

/// From nothing to a text, another look at it, and out again, without a pointer.
#[test]
fn a_first_hour_by_keyboard() {
    let mut stage = stage("demo");
    let focus = |stage: &mut Scene<'_>, wanted: &str| {
        for _ in 0..400 {
            if focused(stage).is_some_and(|(_, name)| name.starts_with(wanted)) {
                return;
            }
            stage.press(Modifiers::NONE, Key::Tab);
        }
        panic!("`{wanted}` is never reached");
    };
    focus(&mut stage, "Once upon a time there was a king");
    stage.press(Modifiers::NONE, Key::Enter);
    let request = stage.request();
    stage.say(request.id, &[" who had", " three sons."]);
    stage.finish(request.id, openelm::Finish::Length);
    assert!(stage.has("who had three sons."));
    for (modifiers, key, there) in [
        (Modifiers::COMMAND, Key::F, "Find text"),
        (Modifiers::NONE, Key::F1, "Enter"),
    ] {
        stage.press(modifiers, key);
        assert!(stage.has(there), "{key:?}");
        stage.press(Modifiers::NONE, Key::Escape);
    }
    stage.open_models();
    assert!(stage.has("How it is loaded"));
    stage.press(Modifiers::NONE, Key::Escape);
    assert!(!stage.has("How it is loaded"));
    focus(&mut stage, "Regenerate");
    stage.press(Modifiers::NONE, Key::Space);
    let again = stage.request();
    assert_eq!(again.prompt, request.prompt);
    stage.press(Modifiers::NONE, Key::Escape);
    let cancel = again.options.cancel.as_ref().unwrap();
    assert!(cancel.load(std::sync::atomic::Ordering::Relaxed));
}

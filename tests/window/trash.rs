//! The trash as a page; conversations twice; texts dropped on the window.

use egui::{Key, Modifiers};
use egui_kittest::kittest::Queryable;

use crate::history::{drop_files, folder_of, json, open_folder, titles, undo, until};
use crate::scene::{Scene, wait};

fn delete(stage: &mut Scene<'_>, title: &str) {
    stage.click(&format!("More about {title}"));
    stage.click("Delete conversation");
}

fn open(stage: &mut Scene<'_>) {
    stage.click("Import, export and trash");
    stage.click("Trash…");
}

fn in_trash(stage: &Scene<'_>) -> usize {
    let folder = std::fs::read_dir(stage.folder.path().join("trash"));
    folder.into_iter().flatten().count()
}

#[test]
fn what_was_deleted_is_seen_and_restored() {
    let mut stage = open_folder(folder_of(&["Kings", "Foxes", "Bears"]));
    stage.click("Kings");
    delete(&mut stage, "Kings");
    delete(&mut stage, "Foxes");
    open(&mut stage);
    wait(&mut stage, "Restore Kings");
    stage.window.run();
    assert!(stage.has("30 days left") && stage.has("Restore Foxes"));
    stage.click("Restore Kings");
    assert!(!stage.has("Restore Kings") && stage.has("Restore Foxes"));
    stage.press(egui::Modifiers::NONE, Key::Escape);
    assert!(!stage.has("Restore Foxes"));
    assert_eq!(titles(&stage).len(), 2);
    stage.click("Kings");
    assert!(stage.has("Text of Kings"));
    // That is taken back like everything else.
    undo(&mut stage);
    assert_eq!(titles(&stage), ["Bears"]);
    until(&mut stage, "two in the trash", |stage| in_trash(stage) == 2);
}

#[test]
fn what_was_deleted_before_the_start_comes_back_too() {
    let mut stage = open_folder(folder_of(&["Kings", "Foxes"]));
    delete(&mut stage, "Kings");
    let folder = stage.close();
    let mut stage = open_folder(folder);
    assert_eq!(titles(&stage), ["Foxes"]);
    open(&mut stage);
    wait(&mut stage, "Restore Kings");
    stage.window.run();
    stage.click("Restore Kings");
    stage.click("Close the trash");
    stage.click("Kings");
    assert!(stage.has("Text of Kings"));
    until(&mut stage, "an empty trash", |stage| in_trash(stage) == 0);
}

#[test]
fn deleting_for_good_asks_once_and_cannot_be_undone() {
    let mut stage = open_folder(folder_of(&["Kings", "Foxes"]));
    delete(&mut stage, "Kings");
    open(&mut stage);
    wait(&mut stage, "Delete for good Kings");
    stage.window.run();
    stage.click("Delete for good Kings");
    stage.click("Keep Kings");
    assert!(stage.has("Restore Kings"));
    stage.click("Delete for good Kings");
    stage.click("Really delete Kings");
    wait(&mut stage, "Nothing is in the trash");
    until(&mut stage, "an empty trash", |stage| in_trash(stage) == 0);
    stage.press(egui::Modifiers::NONE, Key::Escape);
    undo(&mut stage);
    assert_eq!(titles(&stage), ["Foxes"], "it is gone");
}

#[test]
fn a_conversation_is_duplicated_with_all_it_has() {
    let mut stage = open_folder(folder_of(&["Kings", "Foxes"]));
    stage.click("More about Kings");
    stage.click("Duplicate");
    assert_eq!(titles(&stage)[0], "Kings (copy)");
    assert!(stage.has("Text of Kings"));
    stage.write(" and more");
    stage.click("Kings");
    assert!(!stage.has("and more"), "what it was made of is as it was");
    until(&mut stage, "three files", |stage| stage.files().len() == 3);
    // With the cursor in the empty box, where it is after that.
    stage.click("More about Kings");
    stage.click("Duplicate");
    assert_eq!(titles(&stage).len(), 4);
    stage.press(Modifiers::COMMAND, Key::Z);
    assert_eq!(titles(&stage).len(), 3);
    stage.press(Modifiers::COMMAND | Modifiers::SHIFT, Key::Z);
    assert_eq!(titles(&stage).len(), 4);
    // What is typed is taken back first.
    stage.window.get_by_label("Message").type_text("wolf");
    stage.window.run();
    stage.press(Modifiers::COMMAND, Key::Z);
    assert_eq!(titles(&stage).len(), 4);
}

#[test]
fn a_dropped_text_becomes_what_is_written() {
    let mut stage = open_folder(folder_of(&["Kings"]));
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let message = |stage: &Scene<'_>| stage.window.get_by_label("Message").value().unwrap();
    let (a, b) = (
        file("a.txt", b"\xef\xbb\xbfOnce\r\nupon"),
        file("B.md", b"a time"),
    );
    drop_files(&mut stage, &[a, b]);
    until(&mut stage, "the text", |stage| {
        message(stage).contains("time")
    });
    assert_eq!(message(&stage), "Once\nupon\na time");
    for (name, bytes, problem) in [
        (
            "latin.txt",
            &b"caf\xe9 au lait"[..],
            "byte 3 belongs to another encoding",
        ),
        ("zero.dat", &b"a\0b\0\0\0\0\0\0\0"[..], "zero.dat"),
        (
            "long.txt",
            &vec![b'a'; 300 << 10][..],
            "a text may have 262144",
        ),
    ] {
        let path = file(name, bytes);
        drop_files(&mut stage, &[path]);
        wait(&mut stage, problem);
    }
    assert_eq!(message(&stage), "Once\nupon\na time", "it is as it was");
    // Each of several is taken for what it is.
    let bears = json("Bears", 5, "Text of Bears").to_string();
    let mixed = [
        file("bears.json", bears.as_bytes()),
        file("story.py", b"print('wolf')"),
    ];
    drop_files(&mut stage, &mixed);
    wait(&mut stage, "One conversation.");
    assert!(titles(&stage).contains(&"Bears".to_owned()));
    until(&mut stage, "the program's text", |stage| {
        message(stage).contains("wolf")
    });
}

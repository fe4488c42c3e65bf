//! The list of conversations: found, renamed, pinned, tagged, deleted, imported, and all of that taken back.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use egui::{Key, Modifiers};
use egui_kittest::kittest::{NodeT, Queryable};
use openelm::Finish;
use openelm::window::Action;

use crate::scene::{PATIENCE, Scene, ask_to_close, loaded, scene_of, wait};

/// What a conversation's file says.
pub fn json(title: &str, changed: i64, text: &str) -> serde_json::Value {
    serde_json::json!({
        "id": "x", "title": title, "mode": "chat", "created": changed, "changed": changed,
        "messages": [{"parent": null, "role": "user", "text": text}],
    })
}

/// Conversations in a folder, the first the oldest: each a day younger than the one before.
pub fn folder_of(titles: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let conversations = folder.path().join("conversations");
    std::fs::create_dir_all(&conversations).unwrap();
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    let now = now.as_millis() as i64;
    for (at, title) in titles.iter().enumerate() {
        let days = (titles.len() - 1 - at) as i64;
        let json = json(title, now - days * 86_400_000, &format!("Text of {title}"));
        let path = conversations.join(format!("{at:020}.json"));
        std::fs::write(path, json.to_string()).unwrap();
    }
    folder
}

pub fn open_folder<'a>(folder: tempfile::TempDir) -> Scene<'a> {
    let mut stage = scene_of([1280.0, 800.0], folder);
    stage.tell(loaded("demo"));
    stage
}

/// Titles in the list, from above.
pub fn titles(stage: &Scene<'_>) -> Vec<String> {
    let more = stage.window.query_all_by_label_contains("More about ");
    let mut rows: Vec<(f32, String)> = more
        .map(|node| {
            let label = node.accesskit_node().label().unwrap_or_default();
            let title = label.trim_start_matches("More about ").to_owned();
            (node.rect().top(), title)
        })
        .collect();
    rows.sort_by(|a, b| a.0.total_cmp(&b.0));
    rows.into_iter().map(|(_, title)| title).collect()
}

fn press(stage: &mut Scene<'_>, key: Key) {
    stage.window.key_press(key);
    stage.window.run();
}

pub fn undo(stage: &mut Scene<'_>) {
    // Outside text boxes.
    stage.window.get_by_label("History").focus();
    stage.window.run();
    stage.window.key_press_modifiers(Modifiers::COMMAND, Key::Z);
    stage.window.run();
}

pub fn redo(stage: &mut Scene<'_>) {
    stage.window.get_by_label("History").focus();
    stage.window.run();
    stage
        .window
        .key_press_modifiers(Modifiers::COMMAND | Modifiers::SHIFT, Key::Z);
    stage.window.run();
}

/// Steps the window until the files are as they should be.
pub fn until(stage: &mut Scene<'_>, what: &str, is_so: impl Fn(&Scene<'_>) -> bool) {
    let begin = Instant::now();
    while !is_so(stage) {
        assert!(begin.elapsed() < PATIENCE, "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
        stage.window.step();
    }
    stage.window.run();
}

fn count(folder: &Path) -> usize {
    std::fs::read_dir(folder).map_or(0, |entries| entries.count())
}

#[test]
fn conversations_are_listed_by_day_and_found() {
    let mut stage = open_folder(folder_of(&["Kings", "Foxes and owls", "Bears"]));
    assert_eq!(titles(&stage), ["Bears", "Foxes and owls", "Kings"]);
    for heading in ["Today", "Yesterday", "Previous 7 days"] {
        assert!(stage.has(heading), "{heading}");
    }
    let field = stage.window.get_by_label("Find in titles");
    field.focus();
    field.type_text("OWLS");
    stage.window.run();
    assert_eq!(titles(&stage), ["Foxes and owls"]);
    stage.click("Show all");
    assert_eq!(titles(&stage).len(), 3);
    // What is used comes to the top.
    stage.click("Kings");
    assert!(stage.has("Text of Kings"));
    stage.write("More");
    let request = stage.request();
    stage.finish(request.id, Finish::Eos);
    assert_eq!(titles(&stage)[0], "Kings");
}

#[test]
fn all_of_the_list_is_done_by_keyboard() {
    let mut stage = open_folder(folder_of(&["Kings", "Foxes", "Bears"]));
    stage.window.get_by_label("Find in titles").focus();
    stage.window.run();
    press(&mut stage, Key::ArrowDown);
    stage.window.run();
    assert!(stage.window.get_by_label("Bears").is_focused());
    press(&mut stage, Key::ArrowDown);
    assert!(stage.window.get_by_label("Foxes").is_focused());
    press(&mut stage, Key::End);
    assert!(stage.window.get_by_label("Kings").is_focused());
    press(&mut stage, Key::ArrowUp);
    press(&mut stage, Key::F2);
    let title = stage.window.get_by_label("Title");
    assert!(title.is_focused());
    // Typing replaces the whole of it.
    title.type_text("Owls");
    stage.window.run();
    press(&mut stage, Key::Enter);
    stage.window.run();
    assert_eq!(titles(&stage), ["Bears", "Owls", "Kings"]);
    assert!(stage.window.get_by_label("Owls").is_focused());
    press(&mut stage, Key::F2);
    stage.window.get_by_label("Title").type_text("Nothing");
    stage.window.run();
    press(&mut stage, Key::Escape);
    assert_eq!(
        titles(&stage),
        ["Bears", "Owls", "Kings"],
        "Escape leaves it"
    );
    stage.window.run();
    press(&mut stage, Key::Delete);
    assert_eq!(titles(&stage), ["Bears", "Kings"]);
    stage.window.run();
    assert!(stage.window.get_by_label("Kings").is_focused());
    press(&mut stage, Key::Enter);
    assert!(stage.has("Text of Kings"));
}

#[test]
fn a_double_click_renames() {
    let mut stage = open_folder(folder_of(&["Kings"]));
    let place = stage.window.get_by_label("Kings").rect().center();
    stage.window.hover_at(place);
    stage.window.run();
    // Within a frame: those of a test are too far apart for a double click.
    for pressed in [true, false, true, false] {
        let event = egui::Event::PointerButton {
            pos: place,
            button: egui::PointerButton::Primary,
            pressed,
            modifiers: Modifiers::default(),
        };
        stage.window.input_mut().events.push(event);
    }
    stage.window.run();
    stage.window.get_by_label("Title").type_text("Queens");
    stage.window.run();
    // Going elsewhere keeps it.
    stage.window.get_by_label("Message").focus();
    stage.window.run();
    stage.window.run();
    assert_eq!(titles(&stage), ["Queens"]);
    // Without a title it is called by its first words.
    let rename = Action::Rename(format!("{:020}", 0), "  ".into());
    stage.window.state_mut().act(rename);
    stage.window.run();
    assert_eq!(titles(&stage), ["Text of Kings"]);
}

#[test]
fn pins_tags_and_titles_are_kept_and_taken_back() {
    let mut stage = open_folder(folder_of(&["Kings", "Foxes", "Bears"]));
    stage.click("More about Kings");
    stage.click("Pin to the top");
    assert_eq!(titles(&stage), ["Kings", "Bears", "Foxes"]);
    assert!(stage.has("Pinned"));
    stage.click("More about Foxes");
    stage.click("Tags…");
    let field = stage.window.get_by_label("Tags");
    field.type_text("animals, #forest");
    stage.window.run();
    press(&mut stage, Key::Enter);
    stage.click("Only tag forest");
    assert_eq!(titles(&stage), ["Foxes"]);
    stage.click("Only tag forest");
    let field = stage.window.get_by_label("Find in titles");
    field.focus();
    field.type_text("#anim");
    stage.window.run();
    assert_eq!(titles(&stage), ["Foxes"]);
    stage.click("Show all");

    // Latest first, back to how it was, and again.
    undo(&mut stage);
    assert!(!stage.has("Only tag forest"));
    undo(&mut stage);
    assert_eq!(titles(&stage), ["Bears", "Foxes", "Kings"]);
    redo(&mut stage);
    assert_eq!(titles(&stage), ["Kings", "Bears", "Foxes"]);
    redo(&mut stage);
    assert!(stage.has("Only tag forest"));

    ask_to_close(&mut stage);
    let Scene { window, folder, .. } = stage;
    drop(window);
    let stage = open_folder(folder);
    assert_eq!(titles(&stage), ["Kings", "Bears", "Foxes"]);
    assert!(stage.has("Only tag animals"));
}

/// Ctrl+Z takes back what was done last: to the list, or to the conversation in sight.
#[test]
fn deleting_is_undone_by_key_and_by_button() {
    let mut stage = open_folder(folder_of(&["Kings", "Foxes"]));
    let trash = stage.folder.path().join("trash");
    stage.click("Kings");
    assert!(stage.has("Text of Kings"));
    stage.click("More about Kings");
    stage.click("Delete conversation");
    assert_eq!(titles(&stage), ["Foxes"]);
    assert!(!stage.has("Text of Kings"));
    until(&mut stage, "in the trash", |_| count(&trash) == 1);
    assert_eq!(stage.files().len(), 1);
    undo(&mut stage);
    assert_eq!(titles(&stage), ["Foxes", "Kings"]);
    assert!(stage.has("Text of Kings"), "it is in sight again");
    assert!(!stage.has("Conversation deleted"));
    until(&mut stage, "back", |stage| stage.files().len() == 2);
    assert_eq!(count(&trash), 0);

    // The button is about its own deletion, whatever came after it.
    stage.click("More about Foxes");
    stage.click("Delete conversation");
    let mut deletes = stage.window.get_all_by_label("Delete");
    deletes.next().unwrap().click();
    drop(deletes);
    stage.window.run();
    assert!(!stage.has("Text of Kings"));
    let undos = stage.window.get_all_by_label("Undo");
    undos.into_iter().next().unwrap().click();
    stage.window.run();
    assert_eq!(titles(&stage).len(), 2);
    undo(&mut stage);
    assert!(stage.has("Text of Kings"), "the message comes back last");
    stage.click("Foxes");
    assert!(stage.has("Text of Foxes"));
}

/// What was written to a file by this program, or is none.
pub fn drop_files(stage: &mut Scene<'_>, paths: &[PathBuf]) {
    for path in paths {
        let dropped = std::sync::Arc::new(Dropped(path.clone()));
        stage.window.input_mut().dropped_files.push(dropped);
    }
    stage.window.run();
}

/// A conversation that cannot be read is nothing to import over: its id is taken.
#[test]
fn what_is_imported_leaves_unreadable_files_alone() {
    let folder = folder_of(&["Kings"]);
    let id = "01700000000000000000";
    let broken = folder.path().join(format!("conversations/{id}.json"));
    std::fs::write(&broken, "half a conv").unwrap();
    let exported = folder.path().join("exported.json");
    let mut good = json("Foxes", 5, "Text of Foxes");
    good["id"] = id.into();
    std::fs::write(&exported, good.to_string()).unwrap();
    let mut stage = open_folder(folder);
    drop_files(&mut stage, &[exported]);
    wait(&mut stage, "One conversation.");
    until(&mut stage, "three files", |stage| stage.files().len() == 3);
    assert_eq!(std::fs::read_to_string(&broken).unwrap(), "half a conv");
}

/// What a file says is listed as if somebody had typed it.
#[test]
fn titles_and_tags_of_files_leave_room_for_the_list() {
    let folder = folder_of(&["Kings", "Foxes", "  "]);
    let path = folder.path().join("conversations/x.json");
    let mut odd = json(&format!("a\nb\u{2028}{}", "c".repeat(5000)), 5, "");
    odd["tags"] = serde_json::json!(["", "#", "x".repeat(10_000), "forest"]);
    // Editors of Windows put a mark before it.
    std::fs::write(path, format!("\u{feff}{odd}")).unwrap();
    let stage = open_folder(folder);
    let titles = titles(&stage);
    assert_eq!(titles[..3], ["Text of", "Foxes", "Kings"]);
    assert!(titles[3].starts_with("a b ccc") && titles[3].len() == 200);
    let tag = "x".repeat(40);
    for tag in [&tag, "forest"] {
        let name = format!("Only tag {tag}");
        let button = stage.window.get_by_label(&name);
        // Two lines at most.
        assert!(button.rect().height() < 60.0, "{tag}");
    }
    let all = stage.window.query_all_by_label_contains("Only tag ");
    assert_eq!(all.count(), 2);
}

/// A file as the system hands it over when it is dropped on a window.
#[derive(Debug)]
struct Dropped(PathBuf);

impl egui::DroppedFile for Dropped {
    fn path(&self) -> &Path {
        &self.0
    }

    fn bytes(&self) -> Result<Vec<u8>, String> {
        std::fs::read(&self.0).map_err(|error| error.to_string())
    }
}

#[test]
fn exported_conversations_are_imported_and_that_is_undone() {
    let mut stage = open_folder(folder_of(&["Kings", "Foxes"]));
    let target = stage.folder.path().join("kings.json");
    let answer = target.clone();
    stage
        .window
        .state_mut()
        .set_dialog(move |_| Some(answer.clone()));
    stage.click("Kings");
    stage.click("Import, export and trash");
    stage.click("JSON file…");
    wait(&mut stage, "Saved");
    assert!(target.exists());
    // The same again is another one: nothing is written over.
    stage.click("Import, export and trash");
    stage.click("Import…");
    wait(&mut stage, "One conversation.");
    assert_eq!(titles(&stage), ["Foxes", "Kings", "Kings"]);
    assert!(stage.has("Text of Kings"));
    until(&mut stage, "three files", |stage| stage.files().len() == 3);
    undo(&mut stage);
    assert_eq!(titles(&stage), ["Foxes", "Kings"]);
    redo(&mut stage);
    assert_eq!(titles(&stage), ["Foxes", "Kings", "Kings"]);

    // All of them in one file, whether they were read or not.
    let target = stage.folder.path().join("all.json");
    let answer = target.clone();
    let app = stage.window.state_mut();
    app.set_dialog(move |_| Some(answer.clone()));
    stage.click("Dismiss");
    stage.click("Import, export and trash");
    stage.click("All as JSON file…");
    wait(&mut stage, "Saved");
    let mut other = scene_of([1280.0, 800.0], tempfile::tempdir().unwrap());
    other.tell(loaded("demo"));
    drop_files(&mut other, &[target]);
    wait(&mut other, "3 conversations.");
    assert_eq!(titles(&other), ["Foxes", "Kings", "Kings"]);
    other.click("Foxes");
    assert!(other.has("Text of Foxes"));

    // Several at once, some of which are none.
    let elsewhere = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = elsewhere.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let mut escaping = json("Bears", 5, "Text of Bears");
    escaping["id"] = "../../outside".into();
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let paths = [
        file("bears.json", &escaping.to_string()),
        file("deep.json", &deep),
        file("deep2.json", &format!(r#"{{"id":"1","messages":{deep}}}"#)),
        file(
            "wrong.json",
            r#"{"id":"1","messages":[{"parent":9,"role":"user","text":""}]}"#,
        ),
        file("empty.json", r#"{"id":"1","messages":[]}"#),
        file("binary.json", "\0\u{1}"),
    ];
    drop_files(&mut stage, &paths);
    wait(&mut stage, "Not imported");
    for name in [
        "deep.json",
        "deep2.json",
        "wrong.json",
        "has no messages",
        "binary.json",
    ] {
        assert!(stage.has(name), "{name}");
    }
    assert!(titles(&stage).contains(&"Bears".to_owned()));
    until(&mut stage, "four files", |stage| stage.files().len() == 4);
    assert!(!stage.folder.path().join("outside.json").exists());
    // A model's own files of JSON mean the model.
    file("config.json", "{}");
    drop_files(&mut stage, &[elsewhere.path().join("config.json")]);
    assert!(stage.has("Loading"));
}

/// The index only saves time: without it, with one that is broken, stale or a lie, all is as it was.
#[test]
fn the_index_is_a_cache() {
    let mut stage = open_folder(folder_of(&["Kings", "Foxes", "Bears"]));
    stage.click("Kings");
    ask_to_close(&mut stage);
    let Scene {
        mut window,
        mut folder,
        ..
    } = stage;
    drop(window);
    // Nothing was changed: what was read at the start is not kept until something is.
    let index = folder.path().join("index.json");
    for broken in [
        None,
        Some("{".to_owned()),
        Some(r#"{"version":99,"entries":[]}"#.to_owned()),
        Some(r#"{"version":2,"entries":[{"id":"gone","title":"Gone","mode":"chat","created":1,"changed":1,"pinned":true,"tags":[],"stamp":null}]}"#.to_owned()),
    ] {
        match &broken {
            Some(text) => std::fs::write(&index, text).unwrap(),
            None => {
                let _ = std::fs::remove_file(&index);
            }
        }
        let mut stage = open_folder(folder);
        assert_eq!(titles(&stage), ["Bears", "Foxes", "Kings"], "{broken:?}");
        stage.click("Bears");
        assert!(stage.has("Text of Bears"));
        stage.click("More about Bears");
        stage.click("Pin to the top");
        stage.click("More about Bears");
        stage.click("Unpin");
        ask_to_close(&mut stage);
        Scene { window, folder, .. } = stage;
        drop(window);
        let kept = std::fs::read_to_string(&index).unwrap();
        assert!(kept.contains("Kings") && !kept.contains("Gone"), "{kept}");
    }
    // Changed behind the window's back.
    let path = folder
        .path()
        .join("conversations")
        .join(format!("{:020}.json", 0));
    let changed = json("Queens", 1_000_000, "Text of Queens");
    std::fs::write(&path, changed.to_string()).unwrap();
    let mut stage = open_folder(folder);
    assert_eq!(titles(&stage), ["Bears", "Foxes", "Queens"]);
    stage.click("Queens");
    assert!(stage.has("Text of Queens"));
}

/// Files that are no conversations are named, and stay as they are.
#[test]
fn hostile_files_are_told_and_kept() {
    let folder = folder_of(&["Kings"]);
    let conversations = folder.path().join("conversations");
    let deep = format!(r#"{{"id":"1","messages":{}"#, "[".repeat(200_000));
    std::fs::write(conversations.join("deep.json"), deep).unwrap();
    std::fs::write(conversations.join("text.json"), "no JSON").unwrap();
    let vast = std::fs::File::create(conversations.join("vast.json")).unwrap();
    vast.set_len(1 << 30).unwrap();
    std::fs::create_dir(conversations.join("folder.json")).unwrap();
    let mut stage = open_folder(folder);
    wait(&mut stage, "Conversations that cannot be read");
    // Nothing vast is read.
    assert!(stage.has("has 1073741824 bytes, too many"));
    for name in ["deep.json", "text.json", "vast.json", "folder.json"] {
        assert!(stage.has(name), "{name}");
    }
    assert_eq!(titles(&stage), ["Kings"]);
    assert_eq!(stage.files().len(), 5);
    // One that is broken while the window is open is told when it is opened.
    let path = stage.folder.path().join("conversations");
    let path = path.join(format!("{:020}.json", 0));
    std::fs::write(&path, "{").unwrap();
    stage.click("Kings");
    assert!(stage.has("This conversation cannot be read"));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "{");
}

/// A conversation of megabytes is read while frames go on.
#[test]
fn a_large_conversation_opens_in_its_time() {
    let folder = folder_of(&["Small"]);
    let text = "A long story. ".repeat(300_000);
    let large = json("Large", 5_000_000_000, &text);
    let path = folder.path().join("conversations/large.json");
    std::fs::write(&path, large.to_string()).unwrap();
    let mut stage = open_folder(folder);
    wait(&mut stage, "More about Large");
    stage.click("Large");
    wait(&mut stage, "A long story.");
    // What is asked of it before it is there is done then.
    let Scene { window, folder, .. } = stage;
    drop(window);
    let mut stage = open_folder(folder);
    wait(&mut stage, "More about Large");
    stage.click("Large");
    stage.click("Small");
    stage.click("More about Large");
    stage.click("Pin to the top");
    wait(&mut stage, "Pinned");
    assert!(
        stage.has("Text of Small"),
        "something else was opened meanwhile"
    );
}

/// Many are listed at once, scrolled through, and only those in sight are laid out.
#[test]
fn ten_thousand_conversations_open_and_scroll() {
    let folder = tempfile::tempdir().unwrap();
    let conversations = folder.path().join("conversations");
    std::fs::create_dir_all(&conversations).unwrap();
    for at in 0..10_000_i64 {
        let json = json(
            &format!("Story {at}"),
            1_000_000_000_000 + at * 3_600_000,
            "Once",
        );
        let path = conversations.join(format!("{at:020}.json"));
        std::fs::write(path, json.to_string()).unwrap();
    }
    // The first time all are read, while frames go on.
    let begin = Instant::now();
    let mut stage = scene_of([1280.0, 800.0], folder);
    stage.window.step();
    eprintln!("without an index, first frame: {:?}", begin.elapsed());
    wait(&mut stage, "More about Story 9999");
    let all = |stage: &Scene<'_>| stage.window.state().listed() == 10_000;
    until(&mut stage, "all", all);
    eprintln!("without an index, all listed: {:?}", begin.elapsed());
    ask_to_close(&mut stage);
    let Scene { window, folder, .. } = stage;
    drop(window);

    let begin = Instant::now();
    let mut stage = scene_of([1280.0, 800.0], folder);
    eprintln!("with an index, made: {:?}", begin.elapsed());
    assert!(all(&stage), "none is read again");
    stage.window.step();
    eprintln!("with an index, first frame: {:?}", begin.elapsed());
    stage.tell(loaded("demo"));
    assert!(
        titles(&stage).len() < 60,
        "{} rows are laid out",
        titles(&stage).len()
    );
    stage.window.get_by_label("Story 9999").focus();
    stage.window.run();
    let begin = Instant::now();
    press(&mut stage, Key::End);
    assert!(stage.window.get_by_label("Story 0").is_focused());
    let begin_frame = Instant::now();
    for _ in 0..20 {
        stage.window.step();
    }
    eprintln!(
        "to the end: {:?}; a frame: {:?}",
        begin_frame - begin,
        begin_frame.elapsed() / 20
    );
    press(&mut stage, Key::Enter);
    assert!(stage.has("Once"));
}

//! What is made to be shown to others: pictures of the window, and pages for any browser.

use std::path::PathBuf;

use egui::{Key, Modifiers};
use openelm::window::{Action, Export, Mode, Picture, PictureTo};

use crate::scene::{Scene, stage, wait};
use crate::timings::timed;

/// Has files go where the test finds them.
fn goes_to(stage: &mut Scene<'_>, name: &str) -> PathBuf {
    let target = stage.folder.path().join(name);
    let answer = target.clone();
    let window = stage.window.state_mut();
    window.set_dialog(move |_| Some(answer.clone()));
    target
}

/// Width and height of a PNG, and how many colours it has.
fn read(path: &std::path::Path) -> (u32, u32, usize) {
    let file = std::io::BufReader::new(std::fs::File::open(path).unwrap());
    let mut reader = png::Decoder::new(file).read_info().unwrap();
    let mut rgb = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut rgb).unwrap();
    let colors: std::collections::BTreeSet<&[u8]> = rgb.chunks(3).collect();
    (info.width, info.height, colors.len())
}

#[test]
fn pictures_show_what_was_asked_for() {
    let mut stage = timed(true);
    let whole = goes_to(&mut stage, "window.png");
    let keys = Modifiers::COMMAND | Modifiers::SHIFT;
    stage.window.key_press_modifiers(keys, Key::S);
    stage.window.run();
    wait(&mut stage, "Saved");
    let (width, height, colors) = read(&whole);
    assert_eq!((width, height), (1280, 800));
    assert!(colors > 100, "{colors}");

    stage.click("Dismiss");
    let timings = goes_to(&mut stage, "timings.png");
    stage.click("Export timings");
    stage.click("Picture of the timings (PNG)…");
    wait(&mut stage, "Saved");
    let (width, height, colors) = read(&timings);
    assert!(
        (300..1000).contains(&width) && (600..800).contains(&height),
        "{width} x {height}"
    );
    assert!(colors > 100, "{colors}");

    stage.click("Dismiss");
    stage.click("Export timings");
    stage.click("Copy picture of the timings");
    wait(&mut stage, "A picture of ");
}

#[test]
fn what_is_not_in_sight_makes_no_picture() {
    let mut stage = stage("demo");
    stage.window.set_size(egui::vec2(600.0, 700.0));
    stage.window.run();
    let action = Action::TakePicture(Picture::Timings, PictureTo::File);
    stage.window.state_mut().act(action);
    stage.window.run();
    assert!(stage.has("It is not in sight."));
}

#[test]
fn a_conversation_and_its_timings_make_a_page() {
    let mut stage = timed(true);
    let page = goes_to(&mut stage, "conversation.html");
    let action = Action::Save(Export::ConversationHtml);
    stage.window.state_mut().act(action.clone());
    wait(&mut stage, "Saved");
    let html = std::fs::read_to_string(&page).unwrap();
    for part in [
        "Once upon a time",
        " there was a king",
        "40.0 tok/s",
        "Test GPU",
        "<h2>Decode</h2>",
        "Heat map of 17 rows",
    ] {
        assert!(html.contains(part), "{part}");
    }
    // Timings are of what was written in this conversation, not of what was timed last.
    stage.click("Dismiss");
    let other = goes_to(&mut stage, "other.html");
    let app = stage.window.state_mut();
    app.act(Action::New(Mode::Completion));
    stage.window.run();
    stage.window.state_mut().act(action.clone());
    wait(&mut stage, "Saved");
    let html = std::fs::read_to_string(&other).unwrap();
    assert!(!html.contains("Heat map of 17"));
    assert!(!html.contains("The last run that was timed"));

    stage.click("Dismiss");
    let report = goes_to(&mut stage, "timings.html");
    stage.click("Export timings");
    stage.click("HTML report…");
    wait(&mut stage, "Saved");
    let html = std::fs::read_to_string(&report).unwrap();
    assert!(html.contains("OpenELM-270M") && html.contains("of the best"));
    assert!(
        !html.contains("Once upon a time"),
        "a report of timings is no copy of the text"
    );
}

//! Several answers to one prompt: written together, shown side by side, and chosen from.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use egui_kittest::kittest::{NodeT, Queryable};
use openelm::engine::{Event, Request};
use openelm::window::{Action, SamplingSettings, Setting};
use openelm::{Error, Finish};

use crate::scene::{Scene, scene_of, stage, step};

/// As many answers as are asked for, at a temperature.
fn set(stage: &mut Scene<'_>, answers: usize, temperature: f32) {
    let mut sampling = SamplingSettings::default();
    (sampling.own, sampling.temperature) = (true, temperature);
    for setting in [Setting::SamplingParams(sampling), Setting::Answers(answers)] {
        stage.window.state_mut().act(Action::Set(setting));
    }
    stage.window.run();
}

/// A question to a chat model that three answers are being written to.
pub fn three_answers<'a>() -> (Scene<'a>, Vec<Request>) {
    let mut stage = stage("OpenELM-270M-Instruct");
    set(&mut stage, 3, 1.0);
    stage.write("Why?");
    let requests = stage.requests();
    (stage, requests)
}

fn texts(stage: &Scene<'_>) -> Vec<String> {
    let conversation = stage.window.state().conversation();
    let messages = (0..conversation.total()).map(|at| conversation.message(at));
    messages.map(|message| message.text.clone()).collect()
}

#[test]
fn answers_come_together_and_one_is_chosen() {
    let (mut stage, requests) = three_answers();
    assert_eq!(requests.len(), 3);
    assert!(
        requests
            .iter()
            .all(|other| other.prompt == requests[0].prompt)
    );
    let seeds: Vec<u64> = requests
        .iter()
        .map(|one| one.options.sampling.seed)
        .collect();
    assert_eq!(
        seeds[1..],
        [seeds[0].wrapping_add(1), seeds[0].wrapping_add(2)]
    );
    for (request, words) in requests.iter().zip(["Because.", "So.", "Who"]) {
        stage.say(request.id, &[words]);
    }
    for label in ["Answer 1 of 3", "Because.", "Answer 2 of 3", "So.", "Who"] {
        assert!(stage.has(label), "{label}");
    }
    stage.finish(requests[1].id, Finish::Eos);
    assert!(stage.has("Stop"), "two are still being written");
    stage.say(requests[2].id, &[" knows?"]);
    stage.finish(requests[0].id, Finish::Eos);
    stage.finish(requests[2].id, Finish::Eos);
    assert!(!stage.has("Stop") && stage.has("Who knows?") && stage.has("Because."));
    assert!(stage.has("Choose one to go on from"));

    stage.click("Choose answer 2");
    assert!(stage.has("So.") && stage.has("2/3") && !stage.has("Because."));
    stage.click("Next branch");
    assert!(stage.has("Who knows?") && stage.has("3/3"));
    stage.click("Previous branch");
    stage.write("Really?");
    let next = stage.requests();
    assert_eq!(next.len(), 3);
    assert!(next[0].prompt.contains("So.") && !next[0].prompt.contains("Because"));
}

#[test]
fn the_keyboard_reaches_what_there_is_to_choose() {
    let (mut stage, requests) = three_answers();
    for request in &requests {
        stage.say(request.id, &["Well"]);
        stage.finish(request.id, Finish::Eos);
    }
    stage.window.get_by_label("Message").focus();
    stage.window.run();
    for _ in 0..60 {
        let has_focus = stage
            .window
            .get_by_label("Choose answer 3")
            .accesskit_node()
            .is_focused();
        if has_focus {
            break;
        }
        stage.press(egui::Modifiers::NONE, egui::Key::Tab);
    }
    stage.press(egui::Modifiers::NONE, egui::Key::Space);
    assert!(stage.has("3/3") && !stage.has("Choose answer"));
}

#[test]
fn a_key_chooses_while_something_is_written() {
    let (mut stage, requests) = three_answers();
    for request in &requests {
        stage.say(request.id, &["Well"]);
        stage.finish(request.id, Finish::Eos);
    }
    stage.window.get_by_label("Message").focus();
    stage.window.get_by_label("Message").type_text("And");
    // Keyboards send the letter of such a key too.
    let letter = egui::Event::Text("2".to_owned());
    let press = egui::Event::Key {
        key: egui::Key::Num2,
        physical_key: None,
        pressed: true,
        repeat: false,
        modifiers: egui::Modifiers::ALT,
    };
    stage.window.input_mut().events.extend([press, letter]);
    stage.window.run();
    assert!(stage.has("2/3") && !stage.has("Choose answer"));
    let draft = stage.window.get_by_label("Message").value();
    assert_eq!(draft.as_deref(), Some("And"));
}

#[test]
fn what_is_not_chosen_goes_on_from_the_first() {
    let (mut stage, requests) = three_answers();
    for (request, words) in requests.iter().zip(["One.", "Two.", "Three."]) {
        stage.say(request.id, &[words]);
        stage.finish(request.id, Finish::Eos);
    }
    set(&mut stage, 1, 1.0);
    stage.write("And?");
    let next = stage.requests();
    assert_eq!(next.len(), 1);
    assert!(next[0].prompt.contains("One.") && !stage.has("Choose answer"));
}

#[test]
fn stop_stops_all_and_what_never_came_is_gone() {
    let (mut stage, requests) = three_answers();
    stage.say(requests[0].id, &["One"]);
    stage.say(requests[1].id, &["Two"]);
    stage.click("Stop");
    let flags: Vec<_> = requests
        .iter()
        .map(|request| request.options.cancel.clone().unwrap())
        .collect();
    assert!(flags.iter().all(|flag| flag.load(Ordering::Relaxed)));
    assert!(flags.iter().all(|flag| Arc::ptr_eq(flag, &flags[0])));
    for request in &requests {
        stage.finish(request.id, Finish::Cancelled);
    }
    assert!(stage.has("Answer 2 of 2") && stage.has("stopped"));
    stage.click("Choose answer 2");
    assert!(stage.has("2/2") && stage.has("Two"));
}

#[test]
fn one_that_fails_leaves_the_others() {
    let (mut stage, requests) = three_answers();
    stage.say(requests[0].id, &["One"]);
    stage.say(requests[2].id, &["Three"]);
    stage.tell(Event::Failed {
        request: requests[1].id,
        error: Error::NoModel,
    });
    assert!(stage.has("Stop") && stage.has("Answer 2 of 2"));
    stage.say(requests[2].id, &[" more"]);
    stage.finish(requests[0].id, Finish::Eos);
    stage.finish(requests[2].id, Finish::Eos);
    assert!(stage.has("Three more") && !stage.has("Stop"));
}

#[test]
fn without_chance_one_is_written_and_that_is_said() {
    let mut stage = stage("OpenELM-270M-Instruct");
    set(&mut stage, 4, 0.0);
    stage.click("Settings");
    assert!(stage.has("all would be the same"));
    stage.write("Why?");
    assert_eq!(stage.requests().len(), 1);
}

#[test]
fn the_number_of_answers_is_set_in_the_settings() {
    let mut stage = stage("OpenELM-270M-Instruct");
    set(&mut stage, 1, 1.0);
    stage.click("Settings");
    let slider = egui::accesskit::Role::Slider;
    let answers = stage.window.get_by_role_and_label(slider, "Answers");
    answers.focus();
    stage.window.run();
    for _ in 0..2 {
        stage.press(egui::Modifiers::NONE, egui::Key::ArrowRight);
    }
    stage.write("Why?");
    assert_eq!(stage.requests().len(), 3);
    let folder = stage.close();
    let kept = std::fs::read_to_string(folder.path().join("settings.json")).unwrap();
    assert!(kept.contains("\"answers\":3"), "{kept}");
}

#[test]
fn a_text_is_continued_in_several_ways_and_again() {
    let mut stage = stage("demo");
    set(&mut stage, 2, 1.0);
    stage.click("Once upon a time there was a king");
    let requests = stage.requests();
    stage.say(requests[0].id, &[" who slept."]);
    stage.say(requests[1].id, &[" who sang."]);
    assert!(stage.has("Once upon a time there was a king"));
    assert!(stage.has("who slept.") && stage.has("who sang."));
    requests
        .iter()
        .for_each(|request| stage.finish(request.id, Finish::Eos));
    stage.click("Choose answer 2");
    assert!(stage.has("Once upon a time there was a king who sang."));
    // Continuing gives two ways to go on, not one.
    stage.window.get_by_label("Message").focus();
    stage.window.run();
    stage.press(egui::Modifiers::NONE, egui::Key::Enter);
    let more = stage.requests();
    assert_eq!(more.len(), 2);
    assert_eq!(
        more[0].prompt,
        "Once upon a time there was a king who sang."
    );
    more.iter()
        .for_each(|request| stage.finish(request.id, Finish::Eos));
    stage.press(egui::Modifiers::COMMAND, egui::Key::R);
    assert_eq!(stage.requests().len(), 2);
}

#[test]
fn three_more_answers_come_together_as_branches() {
    let mut stage = stage("OpenELM-270M-Instruct");
    stage.write("Why?");
    let first = stage.request();
    stage.say(first.id, &["Because."]);
    stage.finish(first.id, Finish::Eos);
    assert!(!stage.has("3 more"), "without chance all would be the same");
    set(&mut stage, 1, 1.0);
    stage.click("3 more");
    let more = stage.requests();
    assert_eq!(more.len(), 3);
    for (request, answer) in more.iter().zip(["So.", "Who knows?", "Ask me again."]) {
        assert_eq!(request.prompt, first.prompt);
        stage.say(request.id, &[answer]);
        stage.finish(request.id, Finish::Eos);
    }
    assert!(
        !stage.has("Because."),
        "that is none of those that were asked for"
    );
    stage.click("Choose answer 3");
    assert!(stage.has("Ask me again.") && stage.has("4/4"));
}

#[test]
fn all_are_kept_when_the_window_closes() {
    let (mut stage, requests) = three_answers();
    for (request, words) in requests.iter().zip(["One", "Two", "Three"]) {
        stage.say(request.id, &[words]);
    }
    for request in &requests {
        let event = Event::Finished {
            request: request.id,
            finish: Finish::Cancelled,
            timing: openelm::Timing::default(),
            positions: 9,
        };
        stage.events.send(event).unwrap();
    }
    let folder = stage.close();
    let mut again = scene_of([1280.0, 800.0], folder);
    again.click("Why?");
    assert!(again.has("1/3") && again.has("One"));
    assert_eq!(texts(&again), ["Why?", "One", "Two", "Three"]);
}

#[test]
fn answers_are_lanes_of_the_strip() {
    let (mut stage, requests) = three_answers();
    let ids: Vec<u64> = requests.iter().map(|request| request.id).collect();
    for position in 1..8 {
        let mut shared = step(position, position % 2 == 0);
        shared.tokens = 3;
        stage.tell(Event::Step {
            requests: ids.clone(),
            step: Box::new(shared),
        });
        requests
            .iter()
            .for_each(|request| stage.say(request.id, &[" word"]));
    }
    let strip = stage.window.get_by_label("Token strip, 7 steps").rect();
    // Beside the labels there, on the third bar.
    stage
        .window
        .hover_at(strip.left_top() + egui::vec2(46.0 + 30.0, 30.0));
    stage.window.run();
    assert!(stage.has("Shared by 3 texts"));
}

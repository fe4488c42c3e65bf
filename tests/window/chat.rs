//! Texts and chats: written, streamed, edited, branched, scrolled.

use egui_kittest::kittest::{NodeT, Queryable};
use openelm::Finish;
use openelm::engine::{Command, Event};
use openelm::text::Jinja;
use openelm::trace::TraceMode;
use openelm::window::{Action, Mode};

use crate::history::until;
use crate::scene::{Scene, info, loaded, scene_of, stage, token};

#[test]
fn a_text_streams_in_and_its_end_is_told() {
    let mut stage = stage("demo");
    assert!(stage.has("Model: demo"));
    stage.click("Once upon a time there was a king");
    let request = stage.request();
    assert_eq!(request.prompt, "Once upon a time there was a king");
    assert_eq!(request.trace.mode, TraceMode::Kernels);
    stage.say(request.id, &[" who", " had"]);
    assert!(stage.has("Once upon a time there was a king who had"));
    stage.window.get_by_label("Stop").click();
    stage.window.run();
    let cancel = request.options.cancel.as_ref().unwrap();
    assert!(cancel.load(std::sync::atomic::Ordering::Relaxed));
    stage.finish(request.id, Finish::Cancelled);
    assert!(stage.has("40.0 tok/s"));
    assert!(stage.has("first token 60 ms"));
    assert!(stage.has("stopped"));
    // What is written next goes on from all of it.
    stage.write(" three sons.");
    let request = stage.request();
    assert_eq!(
        request.prompt,
        "Once upon a time there was a king who had three sons."
    );
}

#[test]
fn a_chat_has_turns_branches_and_undo() {
    let mut stage = stage("OpenELM-270M-Instruct");
    stage.write("Why?");
    let first = stage.request();
    assert_eq!(
        first.prompt,
        "<|system|>\n</s>\n<|user|>\nWhy?</s>\n<|assistant|>\n"
    );
    assert_eq!(first.options.stop, ["<|user|>"]);
    stage.say(first.id, &["Because", " it", " is."]);
    stage.finish(first.id, Finish::Eos);
    assert!(stage.has("Because it is."));

    stage.click("Regenerate");
    let second = stage.request();
    assert_eq!(second.prompt, first.prompt);
    stage.say(second.id, &["No idea."]);
    stage.finish(second.id, Finish::Eos);
    assert!(stage.has("2/2") && stage.has("No idea.") && !stage.has("Because it is."));
    stage.click("Previous branch");
    assert!(stage.has("1/2") && stage.has("Because it is."));

    stage.click("Continue");
    let third = stage.request();
    assert!(third.prompt.ends_with("<|assistant|>\nBecause it is."));
    stage.say(third.id, &[" Truly."]);
    stage.finish(third.id, Finish::Length);
    assert!(stage.has("Because it is. Truly."));

    let deletes = stage.window.get_all_by_label("Delete");
    deletes.last().unwrap().click();
    stage.window.run();
    assert!(
        !stage.has("Truly") && stage.has("No idea."),
        "the other branch is left"
    );
    stage.click("Undo");
    assert!(stage.has("Because it is. Truly."));

    // The question anew, as a branch.
    stage.edit_first(" Really");
    stage.click("Send as a new branch");
    let fourth = stage.request();
    assert!(fourth.prompt.contains("Really"), "{}", fourth.prompt);
    assert!(stage.has("2/2"));
    stage.finish(fourth.id, Finish::Eos);
    stage.click("Prompt");
    assert!(stage.has("Exact prompt") && stage.has("template Instruct"));
}

#[test]
fn shift_enter_is_a_new_line() {
    let mut stage = stage("OpenELM-270M-Instruct");
    let message = stage.window.get_by_label("Message");
    message.focus();
    message.type_text("one");
    stage.window.run();
    stage
        .window
        .key_press_modifiers(egui::Modifiers::SHIFT, egui::Key::Enter);
    stage.window.run();
    stage.write("two");
    let request = stage.request();
    assert!(
        request.prompt.contains("one\ntwo</s>"),
        "{}",
        request.prompt
    );
}

#[test]
fn edits_survive_looking_elsewhere_and_several_actions_in_a_frame() {
    use openelm::window::{Action, Mode};
    let mut stage = stage("OpenELM-270M-Instruct");
    stage.write("Why?");
    let request = stage.request();
    stage.say(request.id, &["Because."]);
    stage.finish(request.id, Finish::Eos);
    stage.edit_first(" Oh");
    stage.click("New chat");
    stage.click("Why?");
    let value = stage.window.get_by_label("Edit message").value().unwrap();
    assert!(value.contains(" Oh"), "{value}");
    // All in one frame: the first shows an empty chat, so the others are about messages that are not there.
    let app = stage.window.state_mut();
    for action in [
        Action::New(Mode::Chat),
        Action::Regenerate(1),
        Action::Copy(1),
        Action::Delete(0),
        Action::Continue(7),
        Action::Undo,
    ] {
        app.act(action);
    }
    stage.window.run();
    assert!(stage.window.state().conversation().is_empty());
    let is_generate = |command: &Command| matches!(command, Command::Generate(_));
    assert_eq!(stage.commands.try_iter().filter(is_generate).count(), 0);
    assert!(!stage.has("Deleted"));
    // The conversation that they might have hit is as it was.
    stage.click("Why?");
    assert!(stage.has("Because."));
    let value = stage.window.get_by_label("Edit message").value().unwrap();
    assert!(value.contains(" Oh"), "{value}");
}

#[test]
fn tokens_can_be_inspected_and_replaced() {
    let mut stage = stage("OpenELM-270M-Instruct");
    stage.write("Who?");
    let request = stage.request();
    stage.say(request.id, &["The", " king"]);
    stage.finish(request.id, Finish::Eos);
    stage.click("Probabilities");
    let text = stage.window.get_by_label("The king");
    let rect = text.rect();
    let second = egui::pos2(rect.left() + 40.0, rect.top() + 8.0);
    stage.click_at(second);
    assert!(stage.has("Token 2 of 2"));
    stage.click("Previous token");
    assert!(stage.has("Token 1 of 2"));
    stage.click("Next token");
    stage.click("Close inspector");
    // By keyboard and for screen readers there is a button.
    stage.click("Inspect");
    assert!(stage.has("Token 1 of 2"));
    stage.click("Next token");
    stage.click("\" queen\" 30.1 %");
    let request = stage.request();
    assert!(request.prompt.ends_with("<|assistant|>\n"));
    assert_eq!(request.given, [7, 8]);
    stage.say(request.id, &["The", " queen"]);
    assert!(stage.has("The queen"));
    assert!(stage.has("2/2"));
}

#[test]
fn what_was_computed_before_counts_as_positions_too() {
    let mut stage = stage("demo");
    stage.write("Once upon a time");
    let request = stage.request().id;
    stage.tell(Event::Prompt {
        request,
        kept: 30,
        done: 0,
        total: 10,
    });
    assert!(stage.has("40 / 2048") && stage.has("prompt 0 of 10"));
    stage.say(request, &[" there", " was"]);
    assert!(stage.has("42 / 2048"));
}

#[test]
fn a_full_context_is_a_banner() {
    let mut stage = stage("demo");
    stage.write("Once");
    let request = stage.request();
    stage.say(request.id, &[" upon"]);
    stage.finish(request.id, Finish::Context);
    assert!(stage.has("The context is full"));
    stage.click("Begin something new");
    assert!(stage.has("A text that the model continues"));
}

/// A conversation that is too long goes on without its beginning, and says so until the next one does not.
#[test]
fn what_was_left_out_is_told() {
    let mut stage = stage("OpenELM-270M-Instruct");
    stage.write("Why?");
    let request = stage.request();
    let chat = request.prompt.chat.as_ref().unwrap();
    assert_eq!(chat.turns[0].text, "Why?");
    let left_out = |request, turns| Event::LeftOut { request, turns };
    stage.tell(left_out(request.id + 1, 4));
    assert!(!stage.has("oldest"), "that is another request's");
    stage.tell(left_out(request.id, 4));
    assert!(stage.has("without the oldest 4 messages"));
    stage.say(request.id, &["Because"]);
    stage.finish(request.id, Finish::Context);
    assert!(stage.has("has filled the context"));
    stage.write("Really?");
    assert!(!stage.has("oldest 4 messages"));
}

/// A model's own template is what new chats get, and which one is in use is said.
#[test]
fn a_models_own_template_is_used_and_named() {
    let mut stage = scene_of([1280.0, 800.0], tempfile::tempdir().unwrap());
    let own = |source: &str| {
        let path = std::path::Path::new("folder/chat_template.jinja");
        Some(Jinja::new(path, source, &Default::default()).unwrap())
    };
    let mut info = info("OpenELM-270M");
    info.chat_template = own("{% for m in messages %}[{{ m.role }}] {{ m.content }}{% endfor %}");
    let load = 0;
    stage.tell(Event::Loaded {
        load,
        info: Box::new(info.clone()),
    });
    stage.click("Settings");
    assert!(stage.has("in use: folder/chat_template.jinja"));
    assert!(!stage.has("Edit template"));
    stage.write("Why?");
    let request = stage.request();
    assert_eq!(request.prompt, "[user] Why?");
    stage.finish(request.id, Finish::Eos);
    // One that fails is told, and nothing is sent.
    info.chat_template = own("{{ raise_exception('no chats') }}");
    stage.tell(Event::Loaded {
        load,
        info: Box::new(info.clone()),
    });
    stage.write("Really?");
    assert!(stage.has("line 1: the template refuses this conversation: no chats"));
    assert!(
        !stage
            .commands
            .try_iter()
            .any(|command| matches!(command, Command::Generate(_)))
    );
    // Without one the Instruct models' takes its place.
    info.chat_template = None;
    stage.tell(Event::Loaded {
        load,
        info: Box::new(info),
    });
    assert!(stage.has("in use: Instruct"));
}

#[test]
fn great_lengths_and_small_windows_are_fine() {
    let folder = tempfile::tempdir().unwrap();
    let messages: Vec<serde_json::Value> = (0..10_000_usize)
        .map(|i| {
            let role = if i % 2 == 0 { "user" } else { "assistant" };
            let parent = i.checked_sub(1);
            serde_json::json!({"parent": parent, "role": role, "text": format!("Message number {i}.")})
        })
        .collect();
    let conversations = folder.path().join("conversations");
    std::fs::create_dir_all(&conversations).unwrap();
    let write = |name: &str, title: &str, messages: serde_json::Value| {
        let json =
            serde_json::json!({"id": name, "title": title, "mode": "chat", "messages": messages});
        std::fs::write(conversations.join(format!("{name}.json")), json.to_string()).unwrap();
    };
    write("1", "Many", messages.into());
    let long = "A sentence that goes on. ".repeat(4_000);
    let code = format!("```\n{}\n```", "let x = 1;\n".repeat(9_000));
    write(
        "2",
        "Long",
        serde_json::json!([
            {"parent": null, "role": "user", "text": "x".repeat(100_000)},
            {"parent": 0, "role": "assistant", "text": long},
            {"parent": 1, "role": "assistant", "text": code},
        ]),
    );
    let mut stage = scene_of([1280.0, 800.0], folder);
    stage.tell(loaded("demo"));
    stage.click("Many");
    for _ in 0..10 {
        stage.window.step();
    }
    assert!(stage.has("Message number 9999."), "the end is in sight");
    let drawn = stage
        .window
        .query_all_by_label_contains("Message number")
        .count();
    assert!(drawn < 200, "{drawn} messages are laid out at once");
    stage.click("Long");
    for _ in 0..10 {
        stage.window.step();
    }
    for size in [
        [320.0, 240.0],
        [500.0, 300.0],
        [3840.0, 2160.0],
        [1280.0, 800.0],
    ] {
        stage.window.set_size(egui::Vec2::from(size));
        for _ in 0..6 {
            stage.window.step();
        }
    }
}

#[test]
fn the_keyboard_is_enough() {
    let mut stage = stage("demo");
    stage.write("Once");
    let request = stage.request();
    stage.say(request.id, &[" upon"]);
    stage.window.key_press(egui::Key::Escape);
    stage.window.run();
    let cancel = request.options.cancel.as_ref().unwrap();
    assert!(cancel.load(std::sync::atomic::Ordering::Relaxed));
    stage.finish(request.id, Finish::Cancelled);
    let press = |stage: &mut Scene<'_>, key| {
        stage
            .window
            .key_press_modifiers(egui::Modifiers::COMMAND, key);
        stage.window.run();
    };
    assert!(stage.has("Heat map"));
    press(&mut stage, egui::Key::Num5);
    assert!(stage.has("543.0 MB"), "the memory view");
    press(&mut stage, egui::Key::T);
    assert!(!stage.has("Heat map"));
    press(&mut stage, egui::Key::N);
    assert!(stage.has("A text that the model continues"));
    press(&mut stage, egui::Key::O);
    assert!(stage.has("Random weights of a true shape"));
    stage.window.key_press(egui::Key::F1);
    stage.window.run();
    assert!(stage.has("Shift+Enter"));
}

#[test]
fn a_template_of_ones_own_and_a_system_prompt_reach_the_model() {
    let mut stage = stage("OpenELM-270M-Instruct");
    stage.click("Settings");
    let fill = |stage: &mut Scene<'_>, label: &str, text: &str| {
        let field = stage.window.get_by_label(label);
        field.set_text_value_accesskit(text);
        stage.window.run();
    };
    fill(&mut stage, "System prompt", "Be brief.");
    stage.click("Edit template");
    assert!(stage.has("Give it a name of its own"));
    fill(&mut stage, "Name", "Mine");
    fill(&mut stage, "User turn", "U:");
    assert!(stage.has("needs {text} exactly once"));
    fill(&mut stage, "System turn", "S:{text}\n");
    fill(&mut stage, "User turn", "U:{text}\n");
    fill(&mut stage, "Assistant turn", "A:{text}\n");
    stage.click("Save template");
    stage.write("Why?");
    let request = stage.request();
    assert_eq!(request.prompt, "S:Be brief.\nU:Why?\nA:");
    stage.finish(request.id, Finish::Eos);

    // Renamed, it is still one, and still this conversation's.
    stage.click("Edit template");
    fill(&mut stage, "Name", "Ours");
    stage.click("Save template");
    assert_eq!(stage.window.state().conversation().template, "Ours");
    stage.click("Edit template");
    assert!(!stage.has("Give it a name of its own"));
    stage.click("Delete template");
    assert_eq!(stage.window.state().conversation().template, "Instruct");
    // Another conversation in sight has no part in it.
    let shown = stage.window.state().conversation().id.clone();
    let app = stage.window.state_mut();
    app.act(Action::New(Mode::Chat));
    stage.window.run();
    stage.click("Undo");
    let template = |stage: &Scene<'_>| stage.window.state().conversation().template.clone();
    assert_eq!(template(&stage), "Instruct");
    stage.window.state_mut().act(Action::Open(shown));
    stage.window.run();
    assert_eq!(template(&stage), "Ours");
    stage.click("Settings");
    stage.click("Edit template");
    stage.click("Delete template");
    assert_eq!(stage.window.state().conversation().template, "Instruct");
    stage.click("Edit template");
    assert!(
        stage.has("Give it a name of its own"),
        "this one is built in"
    );
}

#[test]
fn a_question_without_an_answer_can_be_answered() {
    let mut stage = stage("OpenELM-270M-Instruct");
    stage.write("Why?");
    let asked = stage.request();
    stage.finish(asked.id, Finish::Cancelled);
    stage.click("Answer");
    let again = stage.request();
    assert_eq!(again.prompt, asked.prompt);
    stage.finish(again.id, Finish::Cancelled);
    stage.press(egui::Modifiers::COMMAND, egui::Key::R);
    assert_eq!(stage.request().prompt, asked.prompt);
}

#[test]
fn tokens_that_were_picked_are_no_progress() {
    let mut stage = stage("demo");
    stage.write("Once");
    let request = stage.request().id;
    let mut given = token(" upon");
    given.is_given = true;
    for _ in 0..3 {
        let token = Box::new(given.clone());
        stage.tell(Event::Token { request, token });
    }
    stage.tell(Event::Prompt {
        request,
        kept: 0,
        done: 1,
        total: 8,
    });
    assert!(stage.has("8 / 2048") && stage.has("prompt 1 of 8"));
    stage.say(request, &[" a"]);
    assert!(stage.has("9 / 2048"));
}

/// An edit that is out of sight does not stand in the way of others.
#[test]
fn an_edit_of_what_was_deleted_is_over_and_one_on_another_branch_comes_back() {
    let mut stage = stage("OpenELM-270M-Instruct");
    stage.ask("Why?", "Because.");
    stage.click("Regenerate");
    let request = stage.request().id;
    stage.say(request, &["No idea."]);
    stage.finish(request, Finish::Eos);
    let edit_last = |stage: &mut Scene<'_>| {
        stage
            .window
            .get_all_by_label("Edit")
            .last()
            .unwrap()
            .click();
        stage.window.run();
    };
    edit_last(&mut stage);
    stage.press(egui::Modifiers::COMMAND, egui::Key::R);
    let request = stage.request().id;
    stage.say(request, &["Who knows?"]);
    stage.finish(request, Finish::Eos);
    assert!(stage.window.query_by_label("Edit message").is_none());
    edit_last(&mut stage);
    assert!(stage.window.query_by_label("Edit message").is_some());
    stage
        .window
        .get_all_by_label("Delete")
        .next()
        .unwrap()
        .click();
    stage.window.run();
    stage.ask("And?", "So.");
    edit_last(&mut stage);
    assert!(stage.window.query_by_label("Edit message").is_some());
}

/// What lies above is reached without a pointer.
#[test]
fn keys_scroll_and_what_they_come_to_is_in_sight() {
    let mut stage = stage("OpenELM-270M-Instruct");
    for i in 0..12 {
        stage.ask(&format!("question {i}?"), &"a line.\n\n".repeat(12));
    }
    assert!(stage.has("question 11?") && !stage.has("question 4?"));
    for _ in 0..40 {
        stage.press(egui::Modifiers::NONE, egui::Key::PageUp);
    }
    // The first is the title too.
    assert!(stage.has("question 1?") && !stage.has("question 11?"));
    for _ in 0..3 {
        stage.press(egui::Modifiers::NONE, egui::Key::PageDown);
    }
    assert!(!stage.has("question 1?"));

    // In a page that does not fit, Tab comes to no widget that stays out of sight.
    stage.window.set_size(egui::vec2(800.0, 400.0));
    stage.open_models();
    let mut lowest = 0.0_f32;
    for _ in 0..40 {
        stage.press(egui::Modifiers::NONE, egui::Key::Tab);
        let tree = stage.window.query_all_by(|node| node.is_focused());
        if let Some(node) = tree.last() {
            let rect = node.rect();
            assert!(rect.top() > -1.0 && rect.bottom() < 401.0, "{rect:?}");
            lowest = lowest.max(rect.bottom());
        }
    }
    assert!(lowest > 0.0);
}

/// The reader who has scrolled up is left alone; the one at the end sees what comes.
#[test]
fn scrolling_sticks_to_the_end_only_while_the_reader_is_there() {
    let mut stage = stage("OpenELM-270M-Instruct");
    stage.write("Count.");
    let request = stage.request();
    let lines: Vec<String> = (0..200).map(|i| format!("line {i}.\n\n")).collect();
    let pieces: Vec<&str> = lines.iter().map(String::as_str).collect();
    stage.say(request.id, &pieces);
    let settle = |stage: &mut Scene<'_>| (0..20).for_each(|_| stage.window.step());
    settle(&mut stage);
    assert!(stage.has("line 199.") && !stage.has("line 3."));
    stage.say(request.id, &["the end\n\n"]);
    settle(&mut stage);
    assert!(stage.has("the end"));

    stage.window.hover_at(egui::pos2(400.0, 400.0));
    stage.window.step();
    stage.window.event(egui::Event::MouseWheel {
        unit: egui::MouseWheelUnit::Point,
        source: egui::MouseWheelSource::Wheel,
        delta: egui::vec2(0.0, 3000.0),
        phase: egui::TouchPhase::Move,
        modifiers: egui::Modifiers::default(),
    });
    settle(&mut stage);
    assert!(!stage.has("the end"));
    stage.say(request.id, &["another line\n\n"]);
    settle(&mut stage);
    assert!(!stage.has("another line"), "the reader is not torn away");
    stage.finish(request.id, Finish::Eos);
    stage.write("Mine?");
    settle(&mut stage);
    assert!(stage.has("Mine?"), "who asks wants to see the answer");
}

/// What has grown since the last frame pushes on what follows, in the same frame.
#[test]
fn nothing_lies_over_what_streams_in() {
    let mut stage = stage("OpenELM-270M-Instruct");
    stage.write("Count.");
    let request = stage.request();
    for i in 0..12 {
        let piece = format!("Paragraph {i} is a text that takes some room.\n\n");
        let event = Event::Token {
            request: request.id,
            token: Box::new(token(&piece)),
        };
        stage.events.send(event).unwrap();
        let event = Event::Token {
            request: request.id,
            token: Box::new(token(&format!("{}\n\n", "word ".repeat(60)))),
        };
        stage.events.send(event).unwrap();
        stage.window.step();
        let all = stage.window.query_all_by_label_contains("Paragraph");
        let last = all.map(|node| node.rect().bottom()).fold(0.0, f32::max);
        if let Some(footer) = stage.window.query_by_label("writing…") {
            assert!(footer.rect().top() >= last, "after paragraph {i}");
        }
    }
}

#[test]
fn stopping_before_the_first_token_leaves_no_empty_answer() {
    let mut stage = stage("OpenELM-270M-Instruct");
    stage.write("Why?");
    let request = stage.request();
    stage.finish(request.id, Finish::Cancelled);
    assert!(!stage.has("Assistant"));
    stage.write("Well?");
    assert!(
        stage
            .request()
            .prompt
            .ends_with("Why?</s>\n<|user|>\nWell?</s>\n<|assistant|>\n")
    );
}

/// However the program came to its end before a word came: killed, or with the engine gone.
#[test]
fn answers_that_never_began_are_no_part_of_what_follows() {
    let mut stage = stage("OpenELM-270M-Instruct");
    stage.write("Why?");
    stage.request();
    until(&mut stage, "a file with the empty answer", |stage| {
        let saved = stage.files().first().map(std::fs::read_to_string);
        saved.is_some_and(|text| text.unwrap().contains("\"assistant\""))
    });
    // As it is found after the program was killed.
    let folder = tempfile::tempdir().unwrap();
    let files = folder.path().join("conversations");
    std::fs::create_dir(&files).unwrap();
    for file in stage.files() {
        std::fs::copy(&file, files.join(file.file_name().unwrap())).unwrap();
    }
    stage.tell(Event::Stopped);
    assert!(!stage.has("Assistant"));
    let mut again = scene_of([1280.0, 800.0], folder);
    again.tell(loaded("OpenELM-270M-Instruct"));
    again.click("Why?");
    assert!(!again.has("Assistant") && again.has("Answer"));
    again.write("Well?");
    let prompt = again.request().prompt;
    let end = "Why?</s>\n<|user|>\nWell?</s>\n<|assistant|>\n";
    assert!(prompt.ends_with(end), "{prompt}");
}

#[test]
fn escape_closes_what_is_open_before_it_stops_anything() {
    let mut stage = stage("demo");
    stage.write("Once");
    let request = stage.request();
    stage.click("Prompt");
    assert!(stage.has("Exact prompt"));
    stage.window.key_press(egui::Key::Escape);
    stage.window.run();
    assert!(!stage.has("Exact prompt"));
    let is_cancelled = || {
        let cancel = request.options.cancel.as_ref().unwrap();
        cancel.load(std::sync::atomic::Ordering::Relaxed)
    };
    assert!(!is_cancelled());
    stage.window.key_press(egui::Key::Escape);
    stage.window.run();
    assert!(is_cancelled());
    stage.finish(request.id, Finish::Cancelled);
    // A list that is open is closed, and nothing else.
    stage.open_models();
    let named = |stage: &Scene<'_>| stage.window.query_all_by_label("q8").count();
    let closed = named(&stage);
    stage.reach("Weights format");
    assert!(named(&stage) > closed);
    stage.window.key_press(egui::Key::Escape);
    stage.window.run();
    assert!(named(&stage) == closed && stage.has("How it is loaded"));
    stage.window.key_press(egui::Key::Escape);
    stage.window.run();
    assert!(!stage.has("How it is loaded"));
    // An edit that changed nothing is left, one that did is not.
    stage.click("Edit");
    stage.window.key_press(egui::Key::Escape);
    stage.window.run();
    assert!(stage.window.query_by_label("Edit message").is_none());
    stage.click("Edit");
    stage.window.get_by_label("Edit message").type_text("!");
    stage.window.run();
    stage.window.key_press(egui::Key::Escape);
    stage.window.run();
    assert!(stage.window.query_by_label("Edit message").is_some());
    // Nor by going from text to chat.
    stage.click("Settings");
    stage.click("Chat");
    assert!(stage.has("A message is being edited"));
    assert!(stage.window.query_by_label("Edit message").is_some());
}

/// A cancelled edit is not lost, and one that changed nothing is no matter.
#[test]
fn a_cancelled_edit_can_be_had_back() {
    let mut stage = stage("OpenELM-270M-Instruct");
    stage.ask("What is a fox?", "An animal.");
    stage.edit_first(" And an owl?");
    stage.click("Cancel");
    assert!(stage.has("Edit cancelled") && !stage.has("And an owl?"));
    stage.click("Go on editing");
    assert!(!stage.has("Edit cancelled"));
    stage.click("Save");
    assert!(stage.has("What is a fox? And an owl?"));
    let mut edits = stage.window.get_all_by_label("Edit");
    edits.next().unwrap().click();
    drop(edits);
    stage.window.run();
    stage.click("Cancel");
    assert!(!stage.has("Edit cancelled"));
}

/// While nothing can be sent the box says why; what only says that something was done goes with the next request.
#[test]
fn the_box_says_why_nothing_is_sent() {
    let mut stage = stage("OpenELM-270M-Instruct");
    let says = |stage: &Scene<'_>, text: &str| {
        let hint = stage.window.get_by_label("Message").accesskit_node();
        let hint = hint.data().placeholder().unwrap_or_default().to_owned();
        assert!(hint.contains(text), "{hint}");
    };
    stage.write("What is a fox?");
    let request = stage.request();
    says(&stage, "The model is writing (Escape stops it)");
    stage.click("New chat");
    says(&stage, "The model is writing in another conversation");
    stage.finish(request.id, Finish::Eos);
    says(&stage, "Message (Enter sends");
}

//! The timings panel.

use egui::{Key, Modifiers};
use egui_kittest::kittest::{NodeT, Queryable};
use openelm::Finish;
use openelm::engine::Event;
use openelm::trace::{Peaks, Step};

use crate::scene::{Scene, loaded, scene_of, stage, step, token, traced};

/// A window with forty steps of a text.
pub fn timed<'a>(timestamps: bool) -> Scene<'a> {
    timed_in([1280.0, 800.0], timestamps)
}

pub fn timed_in<'a>(size: [f32; 2], timestamps: bool) -> Scene<'a> {
    let mut stage = scene_of(size, tempfile::tempdir().unwrap());
    stage.tell(loaded("OpenELM-270M"));
    let peaks = Peaks {
        bytes_per_s: 1200e9,
        flops_per_s: 20e12,
        is_estimated: false,
    };
    stage.tell(Event::Measured { load: 0, peaks });
    stage.write("Once upon a time");
    let request = stage.request();
    for position in 0..40 {
        stage
            .events
            .send(traced(step(position, timestamps)))
            .unwrap();
        let words = [" there", " was", " a", " king", ",", " and"];
        let mut token = token(words[position as usize % words.len()]);
        token.traced = position % 16 != 15;
        stage
            .events
            .send(Event::Token {
                request: request.id,
                token: Box::new(token),
            })
            .unwrap();
    }
    stage.window.run();
    stage.finish(request.id, Finish::Length);
    stage
}

#[test]
fn timings_are_live_and_filter_each_other() {
    let mut stage = timed(true);
    assert!(stage.has("39 steps, 39 tokens"));
    assert!(stage.has("at best 1200.0 GB/s read, 20000 GFLOP/s"));
    assert!(stage.has("Heat map of 17 rows and 39 columns"));
    stage.click("Layers");
    assert!(stage.has("layer 15: ") && stage.has("20 q, 5 kv · 5120"));
    stage.click("Prefill");
    assert!(stage.has("1 step, 5 tokens"));
    stage.click("Decode");

    // A layer chosen here leaves only its kernels there.
    let layer = stage.window.query_all_by_label_contains("layer 3: ").next();
    layer.unwrap().click();
    stage.window.run();
    stage.click("Kernels");
    assert!(!stage.has("embed") && stage.has("proj_1"));
    stage.click("layer 3 ×");
    assert!(stage.has("embed"));
    // A step chosen in the strip leaves only that one.
    let strip = stage.window.get_by_label("Token strip, 39 steps").rect();
    // Beside the labels there, and the first bar.
    let at = egui::pos2(strip.left() + 46.0 + 20.0, strip.top() + 30.0);
    stage.click_at(at);
    assert!(stage.has("1 step, 1 token"));
    stage.click("Flame");
    assert!(stage.has("Flame chart of step 2"));
    // It zooms as all pictures do: by wheel and keys, without buttons.
    assert!(!stage.has("Zoom in"));
    stage.click("Show all");
    stage.click("Memory");
    assert!(stage.has("543.0 MB") && stage.has("640.0 MB"));

    stage.click("Compare");
    assert!(stage.has("There is one run so far"));
    stage.write(" more");
    let request = stage.request();
    stage.tell(traced(step(50, true)));
    stage.finish(request.id, Finish::Length);
    assert!(stage.has("compared with") && stage.has("too few steps to tell"));
}

#[test]
fn without_timestamps_the_panel_says_so() {
    let mut stage = timed(false);
    assert!(stage.has("This adapter has no timestamps"));
    assert!(stage.has("(approximate)"));
    assert!(stage.has("where the time goes is not known"));
    for tab in ["Layers", "Flame", "Kernels", "Heat map"] {
        stage.click(tab);
        assert!(stage.has("timed kernel by kernel"), "{tab}");
    }
}

#[test]
fn pausing_keeps_what_is_shown_and_times_nothing() {
    let mut stage = timed(true);
    stage.click("Pause");
    stage.write(" more");
    let request = stage.request();
    let is_paused = || {
        request
            .trace
            .pause
            .load(std::sync::atomic::Ordering::Relaxed)
    };
    assert!(is_paused());
    stage.tell(traced(step(50, true)));
    stage.finish(request.id, Finish::Length);
    assert!(stage.has("39 steps, 39 tokens"));
    // It counts at once, also for what is going on.
    stage.click("Pause");
    assert!(!is_paused());
    stage.write(" and more");
    let request = stage.request();
    stage.tell(traced(step(60, true)));
    stage.click("Pause");
    stage.tell(traced(step(61, true)));
    assert!(stage.has("1 step, 1 token"));
    stage.finish(request.id, Finish::Length);
    // What began paused is a run of its own from when it goes on.
    stage.write(" still");
    let request = stage.request();
    stage.tell(traced(step(70, true)));
    stage.click("Pause");
    for position in [71, 72] {
        stage.tell(traced(step(position, true)));
    }
    assert!(stage.has("2 steps, 2 tokens"));
    stage.finish(request.id, Finish::Length);
}

/// A run of so many steps, changed by `change`.
fn run(stage: &mut Scene<'_>, text: &str, steps: u32, change: impl Fn(&mut Step)) {
    stage.write(text);
    let request = stage.request();
    for position in 1..=steps {
        let mut step = step(position, true);
        change(&mut step);
        stage.events.send(traced(step)).unwrap();
    }
    stage.window.run();
    stage.finish(request.id, Finish::Length);
}

#[test]
fn a_sentence_says_what_took_the_time() {
    let mut stage = timed(true);
    // Widths of the networks rise, so half of the layers have most of it.
    assert!(stage.has("FFN of layers 8 to 15: "));
    assert!(stage.has(" of a token, memory-bound at "));
    assert!(stage.has("What if (at most, estimated): f32 "));
    run(&mut stage, " more", 8, |step| {
        step.wall += std::time::Duration::from_millis(30);
    });
    assert!(stage.has("Between and around the kernels: "));
    assert!(stage.has("in which no kernel ran"));
    stage.click("Prefill");
    assert!(!stage.has("of a token,"));
}

#[test]
fn runs_differ_by_more_than_noise_or_do_not() {
    let mut stage = timed(true);
    run(&mut stage, " more", 30, |step| {
        for span in step.spans.iter_mut().flatten() {
            if span.kernel == "qkv" {
                span.duration_ns *= 2;
            }
        }
    });
    stage.click("Compare");
    assert!(stage.has("qkv: ") && stage.has("100 % slower"));
    assert!(stage.has("proj_1: "));
    let proj = stage.window.query_all_by_label_contains("proj_1: ").next();
    let proj = format!("{:?}", proj.unwrap().accesskit_node().label());
    assert!(proj.contains("within the noise"), "{proj}");
    stage.click("By layer");
    assert!(stage.has("layer 15: ") && stage.has("outside the layers: "));
    // The other way round.
    let boxes = stage
        .window
        .query_all_by_role(egui::accesskit::Role::ComboBox);
    let now = boxes.into_iter().find(|node| {
        node.accesskit_node()
            .value()
            .is_some_and(|value| value.contains("30 steps"))
    });
    now.unwrap().click();
    stage.window.run();
}

#[test]
fn pictures_zoom_alike_by_wheel_and_keys() {
    let mut stage = timed(true);
    for tab in ["Heat map", "Flame"] {
        stage.click(tab);
        let name = match tab {
            "Flame" => "Flame chart of step 39",
            _ => "Heat map of 17 rows and 39 columns",
        };
        let place = stage.window.get_by_label(name).rect();
        stage.window.hover_at(place.center());
        stage.window.event(egui::Event::MouseWheel {
            unit: egui::MouseWheelUnit::Point,
            delta: egui::vec2(0.0, 200.0),
            phase: egui::TouchPhase::Move,
            source: egui::MouseWheelSource::Unknown,
            modifiers: egui::Modifiers::default(),
        });
        stage.window.run();
        stage.window.get_by_label(name).focus();
        stage.window.run();
        for key in [
            egui::Key::Plus,
            egui::Key::ArrowRight,
            egui::Key::Home,
            egui::Key::End,
            egui::Key::ArrowLeft,
            egui::Key::Minus,
            egui::Key::Num0,
        ] {
            stage.window.key_press(key);
            stage.window.run();
            assert!(stage.window.get_by_label(name).is_focused(), "{key:?}");
        }
    }
    // By the keyboard alone: the last step, the first layer.
    stage.click("Heat map");
    let map = "Heat map of 17 rows and 39 columns";
    stage.window.get_by_label(map).focus();
    stage.window.run();
    stage
        .window
        .key_press_modifiers(egui::Modifiers::SHIFT, egui::Key::ArrowLeft);
    stage.window.run();
    stage.window.key_press(egui::Key::ArrowDown);
    stage.window.run();
    assert!(stage.has("step 39 ×") && stage.has("layer 0 ×"));
}

#[test]
fn speculation_and_shared_steps_are_seen() {
    let mut stage = timed(true);
    run(&mut stage, " more", 10, |step| {
        (step.tokens, step.proposed, step.accepted) = (5, 4, 3);
    });
    assert!(stage.has("10 steps, 40 tokens"));
    assert!(stage.has("30 of 40 proposed accepted"));
    let strip = stage.window.get_by_label("Token strip, 10 steps").rect();
    stage
        .window
        .hover_at(egui::pos2(strip.left() + 50.0, strip.top() + 30.0));
    stage.window.run();
    assert!(stage.has("4 proposed, 3 of them accepted"));
    // Texts that share a step have lanes.
    stage.write(" and more");
    let request = stage.request();
    for position in 1..10 {
        stage.tell(Event::Step {
            requests: vec![1, 2],
            step: Box::new(step(position, true)),
        });
    }
    stage.finish(request.id, Finish::Length);
    let strip = stage.window.get_by_label("Token strip, 9 steps").rect();
    stage
        .window
        .hover_at(egui::pos2(strip.left() + 60.0, strip.top() + 30.0));
    stage.window.run();
    assert!(stage.has("Shared by 2 texts"));
}

#[test]
fn an_empty_panel_teaches() {
    let mut stage = stage("OpenELM-270M");
    assert!(stage.has("Write something: every token will be timed."));
    assert!(stage.has("What each layer took in each step"));
    stage.click("Memory");
    assert!(stage.has("543.0 MB"));
    stage.click("How it is timed");
    stage.click("Not at all");
    stage.click("Heat map");
    assert!(stage.has("Nothing is timed: choose"));
}

/// Also on a screen of 1920 points, without moving anything.
#[test]
fn two_views_stand_beside_each_other_where_there_is_room() {
    let stage = timed_in([1920.0, 1080.0], true);
    assert!(stage.has("Heat map of 17 rows") && stage.has("layer 15: "));
    let mut stage = timed_in([2400.0, 900.0], true);
    assert!(stage.has("Heat map of 17 rows") && stage.has("layer 15: "));
    stage.click("Second view");
    let kernels = stage.window.query_all_by_label("Kernels").last();
    kernels.unwrap().click();
    stage.window.run();
    assert!(stage.has("Heat map of 17 rows") && stage.has("proj_1"));
}

/// Boxes and ranges without a pointer, and what there is to say of them for who sees none.
#[test]
fn keys_choose_boxes_of_the_flame_chart_and_ranges_of_steps() {
    let mut stage = timed(true);
    let described = |stage: &Scene<'_>, name: &str| {
        let node = stage.window.get_by_label_contains(name);
        let text = node.accesskit_node().data().description();
        text.map_or(String::new(), str::to_owned)
    };
    let flame = "Flame chart of step";
    stage.click("Flame");
    stage.window.get_by_label_contains(flame).focus();
    stage.window.run();
    let whole = described(&stage, flame);
    assert!(whole.contains("from submission to the end"), "{whole}");
    let mut boxes = Vec::new();
    for _ in 0..4 {
        stage.press(Modifiers::NONE, Key::ArrowDown);
        boxes.push(described(&stage, flame));
    }
    let kernel = boxes.iter().any(|text| text.contains("GB/s"));
    let layer = boxes.iter().any(|text| text.starts_with("layer 0: "));
    assert!(kernel && layer, "{boxes:?}");
    stage.press(Modifiers::NONE, Key::ArrowUp);
    assert_eq!(described(&stage, flame), boxes[2]);

    let strip = "Token strip";
    stage.window.get_by_label_contains(strip).focus();
    stage.window.run();
    stage.press(Modifiers::SHIFT, Key::ArrowLeft);
    assert!(described(&stage, strip).starts_with("Step 39, position "));
    stage.press(Modifiers::NONE, Key::ArrowUp);
    stage.press(Modifiers::NONE, Key::ArrowUp);
    assert!(stage.has("37 to 39"), "more");
    stage.press(Modifiers::NONE, Key::ArrowDown);
    assert!(stage.has("38 to 39"), "and fewer");
}

//! The timings panel.

use egui_kittest::kittest::Queryable;
use openelm::Finish;
use openelm::engine::Event;
use openelm::trace::Peaks;

use crate::scene::{Scene, stage, step, token, traced};

/// A window with forty steps of a text.
pub fn timed<'a>(timestamps: bool) -> Scene<'a> {
    let mut stage = stage("OpenELM-270M");
    let peaks = Peaks {
        bytes_per_s: 400e9,
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
    assert!(stage.has("at best 400.0 GB/s read, 20000 GFLOP/s"));
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
    let at = egui::pos2(strip.left() + 15.0, strip.center().y);
    stage.click_at(at);
    assert!(stage.has("1 step, 1 token"));
    stage.click("Flame");
    assert!(stage.has("Flame chart of step 2"));
    stage.click("Zoom in");
    stage.click("Whole step");
    stage.click("Show all");
    stage.click("Memory");
    assert!(stage.has("543.0 MB") && stage.has("640.0 MB"));

    stage.click("Compare");
    assert!(stage.has("There is one run so far"));
    stage.write(" more");
    let request = stage.request();
    stage.tell(traced(step(50, true)));
    stage.finish(request.id, Finish::Length);
    assert!(stage.has("compared with") && stage.has("ratio"));
}

#[test]
fn without_timestamps_the_panel_says_so() {
    let mut stage = timed(false);
    assert!(stage.has("This adapter has no timestamps"));
    assert!(stage.has("(approximate)"));
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

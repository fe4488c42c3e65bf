//! Clients that go before they have what they asked for, or do not take it: their texts end, others go on.

use std::time::Duration;

use serde_json::json;

use super::client::{Client, get, post};
use super::scene::Scene;

fn long(texts: usize, is_stream: bool) -> String {
    let body = json!({"prompt": "A king", "max_tokens": 500, "ignore_eos": true, "n": texts, "temperature": 1, "stream": is_stream});
    post("/v1/completions", &body.to_string())
}

fn cancelled(scene: &Scene) -> f64 {
    scene.figure("openelm_requests_cancelled_total")
}

/// Texts of 500 tokens that were cut off had nearly all of them still to come.
fn check_cut_off(scene: &Scene, texts: f64) {
    scene.await_rest();
    assert_eq!(cancelled(scene), texts);
    assert!(scene.figure("openelm_generation_tokens_total") < texts * 450.0);
    scene.check_health();
}

#[test]
fn who_leaves_a_stream_ends_it() {
    let scene = Scene::new();
    let mut client = scene.client();
    client.send(long(2, true));
    client.until("data: ").unwrap();
    drop(client);
    check_cut_off(&scene, 2.0);
}

#[test]
fn who_leaves_before_the_answer_ends_it() {
    let scene = Scene::new();
    let mut client = scene.client();
    client.send(long(8, false));
    scene.await_figure("openelm_generation_tokens_total", |tokens| tokens > 0.0);
    drop(client);
    check_cut_off(&scene, 8.0);
}

/// What was sent for later hides that nobody is there any more.
#[test]
fn who_leaves_with_requests_to_come_ends_them() {
    let scene = Scene::new();
    let mut client = scene.client();
    client.send(long(8, false) + &get("/version") + &long(8, false));
    scene.await_figure("openelm_generation_tokens_total", |tokens| tokens > 0.0);
    drop(client);
    scene.await_rest();
    assert!(cancelled(&scene) >= 8.0);
}

/// The system says only once that a connection was reset.
#[test]
fn who_breaks_the_connection_ends_what_was_asked() {
    for is_stream in [true, false] {
        let scene = Scene::new();
        let mut client = Client::abrupt(scene.address);
        client.send(long(8, is_stream));
        scene.await_figure("openelm_generation_tokens_total", |tokens| tokens > 0.0);
        drop(client);
        check_cut_off(&scene, 8.0);
    }
}

#[test]
fn who_leaves_while_waiting_is_forgotten() {
    leave_while_waiting(Scene::client);
}

#[test]
fn who_breaks_the_connection_while_waiting_is_forgotten() {
    leave_while_waiting(|scene| Client::abrupt(scene.address));
}

fn leave_while_waiting(connect: fn(&Scene) -> Client) {
    let scene = Scene::new();
    let mut busy: Vec<Client> = (0..5).map(|_| scene.client()).collect();
    for (index, client) in busy.iter_mut().enumerate() {
        client.send(long(if index == 0 { 60 } else { 8 }, false));
        scene.await_figure("openelm_num_requests_running", |running| {
            running >= 28.0 + index as f64
        });
    }
    let mut waiting: Vec<Client> = (0..3).map(|_| connect(&scene)).collect();
    for (index, client) in waiting.iter_mut().enumerate() {
        client.send(long(1, index == 0));
    }
    let waited = scene.figure("openelm_num_requests_waiting");
    assert!(waited > 3.0);
    drop(waiting);
    scene.await_figure("openelm_requests_cancelled_total", |count| count >= 3.0);
    drop(busy);
    scene.await_rest();
    scene.check_health();
}

/// A client that has room for little, and reads nothing while texts are written and sent to it.
fn stalled(scene: &Scene, texts: usize) -> Client {
    let mut client = Client::with_room(scene.address, 4096);
    let body = json!({"prompt": "A king", "max_tokens": 500, "ignore_eos": true, "n": texts, "temperature": 1, "stream": true,
        "logprobs": 20});
    client.send(post("/v1/completions", &body.to_string()));
    client
}

#[test]
fn who_takes_in_nothing_is_cut_off_and_holds_up_nobody() {
    let scene = Scene::with_limits(|limits| limits.stalled_time = Duration::from_millis(500));
    let slow = stalled(&scene, 120);
    scene.await_figure("openelm_num_requests_running", |running| running > 0.0);
    // Others go on meanwhile.
    for _ in 0..5 {
        let answer = scene.complete(&json!({"prompt": "A queen", "max_tokens": 8}));
        assert_eq!(answer.status, 200);
    }
    scene.await_rest();
    assert!(cancelled(&scene) > 0.0);
    drop(slow);
    scene.check_health();
}

#[test]
fn what_lies_unread_is_bounded() {
    let scene = Scene::with_limits(|limits| limits.unread_bytes = 100_000);
    let mut client = stalled(&scene, 60);
    scene.await_figure("openelm_requests_cancelled_total", |count| count > 0.0);
    scene.await_rest();
    // It can still read what was sent to it, and that there was more.
    let answer = client.answer().expect("an answer to its end");
    let (_, error) = answer.body.rsplit_once("\"error\":").unwrap();
    assert!(error.contains("not taken in as fast"), "{error}");
    assert!(answer.body.ends_with("data: [DONE]\n\n"));
}

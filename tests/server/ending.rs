//! How a server ends: what it was asked is answered, nothing more is taken on, and it does not take for ever.

use std::time::{Duration, Instant};

use serde_json::json;

use super::client::{get, post};
use super::scene::{PATIENCE, Scene};

fn long(is_stream: bool) -> String {
    let body = json!({"prompt": "A king", "max_tokens": 80, "ignore_eos": true, "n": 24, "temperature": 1, "stream": is_stream});
    post("/v1/completions", &body.to_string())
}

#[test]
fn what_was_asked_is_answered_and_no_more() {
    let scene = Scene::new();
    let mut clients = [scene.client(), scene.client()];
    for (client, is_stream) in clients.iter_mut().zip([true, false]) {
        client.send(long(is_stream));
    }
    let mut idle = scene.client();
    idle.send(get("/version"));
    assert_eq!(idle.answer().unwrap().status, 200);
    scene.await_figure("openelm_num_requests_running", |running| running > 24.0);
    scene.stop.drain();
    let health = scene.ask(get("/health"));
    assert_eq!(
        (health.status, health.body.as_str()),
        (503, r#"{"status":"draining"}"#)
    );
    idle.send(post("/v1/completions", r#"{"prompt": "A queen"}"#));
    let refused = idle.answer().unwrap();
    assert_eq!(
        (refused.status, refused.header("retry-after")),
        (503, Some("1"))
    );
    for client in &mut clients {
        let answer = client.answer().expect("an answer");
        assert_eq!(answer.status, 200);
        assert_eq!(
            answer.body.matches("\"finish_reason\":\"length\"").count(),
            24
        );
    }
    assert!(idle.has_ended());
    scene.ended();
}

#[test]
fn ending_does_not_wait_for_ever() {
    let scene = Scene::with_limits(|limits| limits.drain_time = Duration::from_millis(200));
    let body = json!({"prompt": "A king", "max_tokens": 500, "ignore_eos": true, "n": 200, "temperature": 1, "stream": true});
    let mut client = scene.client();
    client.send(post("/v1/completions", &body.to_string()));
    client.until("data: ").unwrap();
    scene.stop.drain();
    scene.ended();
    // No text had come to its end.
    assert_eq!(client.until("\"finish_reason\":\"length\""), None);
}

#[test]
fn without_work_it_ends_at_once() {
    let scene = Scene::new();
    let (mut idle, _silent) = (scene.client(), scene.client());
    idle.send(get("/version"));
    assert_eq!(idle.answer().unwrap().status, 200);
    let begin = Instant::now();
    scene.stop.drain();
    scene.ended();
    assert!(begin.elapsed() < PATIENCE / 2, "{:?}", begin.elapsed());
}

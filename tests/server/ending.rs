//! How a server begins and ends: before there is a model it says so; in the end what it was asked is answered, nothing more is taken on, and it does
//! not take for ever.

use std::time::{Duration, Instant};

use openelm::Error;
use openelm::server::{Server, Settings};
use serde_json::json;

use super::client::{Client, get, post};
use super::scene::{PATIENCE, Scene};

fn long(is_stream: bool) -> String {
    let body = json!({"prompt": "A king", "max_tokens": 80, "ignore_eos": true, "n": 24, "temperature": 1, "stream": is_stream});
    post("/v1/completions", &body.to_string())
}

#[test]
fn who_asks_before_there_is_a_model_is_told_to_come_again() {
    let prompt = json!({"prompt": "A king", "max_tokens": 2}).to_string();
    let mut idle = None;
    let scene = Scene::loading("key", |address| {
        let mut client = Client::new(address);
        let mut ask = |request: &str| {
            client.send(request);
            client.answer().expect("an answer")
        };
        let health = ask(&get("/health"));
        let loading = (503, r#"{"status":"loading"}"#);
        assert_eq!((health.status, health.body.as_str()), loading);
        assert_eq!(ask(&get("/")).status, 200, "the page");
        // As later, only those with the key hear more.
        assert_eq!(ask(&get("/v1/models")).status, 401);
        let with_key =
            "GET /v1/models HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer key\r\n\r\n";
        let refused = ask(with_key);
        assert_eq!(
            (refused.status, refused.header("retry-after")),
            (503, Some("1"))
        );
        assert!(refused.error().contains("is being loaded"), "{refused:?}");
        idle = Some(client);
    });
    // A connection that was not of use ends, so that nobody hears of loading any more.
    assert!(idle.unwrap().has_ended());
    assert_eq!(scene.ask(get("/health")).status, 200);
    assert_eq!(
        scene.ask(post("/v1/completions", &prompt)).status,
        401,
        "the same server"
    );
}

#[test]
fn a_model_that_cannot_be_loaded_ends_the_loading() {
    let mut settings = Settings::default();
    settings.port = 0;
    let server = Server::bind(settings).unwrap();
    let failed = server.load(|| Err(Error::Misuse("the file has gone".into())));
    assert!(failed.is_err());
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

//! Answers that are taken in slowly: what is on its way comes whole, whatever else ends connections.

use std::time::Duration;

use serde_json::json;

use super::client::{Client, get, post};
use super::scene::{Scene, model};

/// Texts of an answer, each of these bytes: more than the system holds for a connection.
const TEXT_BYTES: usize = 6 << 20;

/// Asks for an answer that comes without the device and is far larger than what sockets hold; the ids of its text.
fn ask_for_much(scene: &Scene) -> (Client, usize) {
    let tokenizer = model().tokenizer().unwrap();
    let spelled = |id: &u32| tokenizer.token(*id).map_or(0, |token| token.len());
    let longest = (3..4096).max_by_key(spelled).unwrap();
    let count = TEXT_BYTES / spelled(&longest);
    let mut client = Client::with_room(scene.address, 64 << 10);
    let body = json!({"tokens": vec![longest; count]}).to_string();
    client.send(post("/detokenize", &body));
    (client, count)
}

fn check_whole(client: &mut Client, count: usize) {
    let answer = client.answer().expect("an answer to its end");
    assert_eq!(answer.status, 200);
    let json = answer.json();
    let text = json["prompt"].as_str().unwrap();
    assert!(text.len() > count && json["content"] == text);
}

#[test]
fn who_reads_slowly_is_not_idle() {
    const SHORT: Duration = Duration::from_millis(200);
    let scene = Scene::with_limits(|limits| {
        limits.keep_alive = SHORT;
        limits.connections = 1;
    });
    let (mut slow, count) = ask_for_much(&scene);
    // The answer has begun, and somebody else wants the only place.
    slow.head_comes();
    let mut next = scene.client();
    next.send(get("/health"));
    std::thread::sleep(SHORT * 5);
    check_whole(&mut slow, count);
    // Then it is idle, and has to leave.
    assert!(slow.has_ended());
    assert_eq!(next.answer().unwrap().status, 200);
}

#[test]
fn the_end_waits_for_slow_readers() {
    let scene = Scene::new();
    let (mut slow, count) = ask_for_much(&scene);
    slow.head_comes();
    scene.stop.drain();
    // Longer than answers get that need only be handed over.
    std::thread::sleep(Duration::from_secs(6));
    check_whole(&mut slow, count);
    scene.ended();
}

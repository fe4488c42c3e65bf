//! Many at once: each gets what it would get alone, to the bit, and nobody is held up for long.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::client::{Client, get, post};
use super::scene::Scene;

/// Requests of many kinds.
fn request(index: u64) -> Value {
    let prompts = [
        "Once upon a time",
        "A king",
        "There was once a king who had three sons. The eldest",
        "Snow",
    ];
    let mut body =
        json!({"prompt": prompts[index as usize % 4], "max_tokens": 4 + index % 13, "seed": index});
    body["temperature"] = json!((index % 3) as f64 * 0.5);
    match index % 5 {
        0 => body["logprobs"] = 3.into(),
        1 => body["n"] = 2.into(),
        2 => {
            body["prompt"] = json!([
                [1, 300 + index % 7, 301],
                [1, 300 + index % 7, 301, 5, 6, 7]
            ])
        }
        3 => {
            body["prompt"] = json!([(0..40)
                .map(|id| 1 + (id * index) % 900)
                .collect::<Vec<u64>>()]);
            body["echo"] = true.into();
            body["logprobs"] = 1.into();
            body["max_tokens"] = 1.into();
        }
        _ => body["stop"] = json!(["the", "."]),
    }
    body
}

/// What was written, without what tells one time from another.
fn written(mut answer: Value) -> Value {
    let answer = answer.as_object_mut().unwrap();
    for name in ["id", "created", "usage"] {
        answer.remove(name);
    }
    Value::Object(std::mem::take(answer))
}

#[test]
fn company_changes_no_number() {
    const COUNT: u64 = 60;
    let scene = Scene::new();
    let ask = |index: u64| {
        let answer = scene.complete(&request(index));
        assert_eq!(answer.status, 200, "{answer:?}");
        written(answer.json())
    };
    let together: Vec<Value> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..COUNT)
            .map(|index| scope.spawn(move || ask(index)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    // Another server: nothing of before is kept there.
    let alone = Scene::new();
    for (index, together) in (0..COUNT).zip(together) {
        let answer = written(alone.complete(&request(index)).json());
        assert_eq!(answer, together, "{index}");
    }
}

/// A request for hundreds of texts, and then one for one.
#[test]
fn many_texts_of_one_hold_up_nobody() {
    let scene = Scene::new();
    let mut many = scene.client();
    let body = json!({"prompt": "A king", "max_tokens": 300, "ignore_eos": true, "n": 200, "temperature": 1});
    many.send(post("/v1/completions", &body.to_string()));
    scene.await_figure("openelm_num_requests_running", |running| running >= 28.0);
    for _ in 0..5 {
        assert_eq!(
            scene
                .complete(&json!({"prompt": "A queen", "max_tokens": 2}))
                .status,
            200
        );
    }
    let left = scene.figure("openelm_num_requests_waiting");
    assert!(left > 100.0, "{left}");
}

#[test]
fn thousands_come_and_some_go() {
    let scene = Scene::new();
    come_and_go(&scene, 2000);
    check_rest(&scene);
}

/// The same for minutes; and what the process holds in memory does not grow.
#[test]
#[ignore = "takes minutes"]
#[cfg(target_os = "linux")]
fn tens_of_thousands_leave_nothing() {
    let resident_kib = || -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        line.unwrap()
            .split_whitespace()
            .nth(1)
            .unwrap()
            .parse()
            .unwrap()
    };
    let scene = Scene::new();
    let sizes: Vec<u64> = (0..5)
        .map(|_| {
            come_and_go(&scene, 2000);
            check_rest(&scene);
            resident_kib()
        })
        .collect();
    println!("resident KiB after each 2000 requests: {sizes:?}");
    assert!(sizes[4] < sizes[1] + sizes[1] / 10, "{sizes:?}");
}

fn check_rest(scene: &Scene) {
    scene.await_rest();
    assert_eq!(
        scene.figure("openelm_request_success_total{finished_reason=\"error\"}"),
        0.0
    );
    scene.check_health();
}

/// Requests of all kinds from many at once, a tenth of them cut off at any place.
fn come_and_go(scene: &Scene, count: usize) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                let mut kept: Option<Client> = None;
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= count {
                        return;
                    }
                    let mut client = kept.take().unwrap_or_else(|| scene.client());
                    let mut body = request(index as u64);
                    body["max_tokens"] = (1 + index % 5).into();
                    let is_stream = index % 7 < 3 && body.get("echo").is_none();
                    body["stream"] = is_stream.into();
                    let text = match index % 11 {
                        0 => get("/v1/models"),
                        1 => post("/tokenize", r#"{"prompt": "A king and a queen"}"#),
                        _ => post("/v1/completions", &body.to_string()),
                    };
                    if index % 10 == 3 {
                        // Anywhere between the first byte and the end of the answer.
                        let place = (index * 7919) % (2 * text.len());
                        client.send(&text.as_bytes()[..place.min(text.len())]);
                        std::thread::sleep(Duration::from_micros(
                            (index * 104_729 % 20_000) as u64,
                        ));
                        continue;
                    }
                    client.send(text);
                    let answer = client.answer().expect("an answer");
                    assert_eq!(answer.status, 200, "{index}: {answer:?}");
                    if answer.header("content-type") == Some("text/event-stream") {
                        assert!(
                            answer
                                .events()
                                .iter()
                                .all(|event| event.get("error").is_none())
                        );
                    }
                    kept = Some(client);
                }
            });
        }
    });
}

/// A short prompt does not wait until all long ones before it are computed.
#[test]
fn long_prompts_hold_up_nobody() {
    let scene = Scene::new();
    let long: Vec<Vec<u64>> = (0..28)
        .map(|text| (0..500).map(|id| 1 + (id * 7 + text * 31) % 900).collect())
        .collect();
    let mut many = scene.client();
    many.send(post(
        "/v1/completions",
        &json!({"prompt": long, "max_tokens": 1}).to_string(),
    ));
    scene.await_figure("openelm_num_requests_running", |running| running > 0.0);
    let begin = Instant::now();
    assert_eq!(
        scene
            .complete(&json!({"prompt": "A queen", "max_tokens": 1}))
            .status,
        200
    );
    let short = begin.elapsed();
    assert_eq!(many.answer().unwrap().status, 200);
    let all = begin.elapsed();
    assert!(short * 3 < all, "{short:?} of {all:?}");
}

//! How much is taken, and what is said beyond it; others notice nothing.

use std::time::{Duration, Instant};

use serde_json::json;

use super::client::{get, post};
use super::scene::{PATIENCE, Scene};

const SHORT: Duration = Duration::from_millis(300);

#[test]
fn a_body_has_a_largest_size() {
    let scene = Scene::with_limits(|limits| limits.body_bytes = 100_000);
    let body = |bytes: usize| {
        let text = json!({"prompt": "x", "max_tokens": 1, "user": ""}).to_string();
        text.replace(
            r#""user":"""#,
            &format!(r#""user":"{}""#, "u".repeat(bytes - text.len())),
        )
    };
    assert_eq!(
        scene.ask(post("/v1/completions", &body(100_000))).status,
        200
    );
    let answer = scene.ask(post("/v1/completions", &body(100_001)));
    assert_eq!(answer.status, 413);
    assert!(answer.error().contains("100000"));
    // One that does not say how long it is.
    let mut client = scene.client();
    let head = "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    client.send(head);
    for _ in 0..11 {
        client.try_send(format!("2710\r\n{}\r\n", " ".repeat(10_000)));
    }
    assert_eq!(client.answer().unwrap().status, 413);
    assert!(client.has_ended());
    // One that would come only if it is wanted.
    let head = "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 200000\r\n\
                Expect: 100-continue\r\n\r\n";
    assert_eq!(scene.ask(head).status, 413);
}

#[test]
fn ten_megabytes_are_refused_whatever_is_in_them() {
    let scene = Scene::new();
    let answer = scene.ask(post("/v1/completions", &"x".repeat(10 << 20)));
    assert_eq!(answer.status, 413);
    answer.error();
    // Within the size it is only no JSON.
    let answer = scene.ask(post("/v1/completions", &"x".repeat(8 << 20)));
    assert_eq!(answer.status, 400);
    scene.check_health();
}

/// Who announces much and sends little keeps nobody waiting.
#[test]
fn announced_bodies_hold_up_nobody() {
    let scene = Scene::with_limits(|limits| limits.body_bytes = 1 << 20);
    let head = "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n{";
    let mut silent: Vec<_> = (0..20).map(|_| scene.client()).collect();
    for client in &mut silent {
        client.send(head);
    }
    let mut body = json!({"prompt": "x", "max_tokens": 1}).to_string();
    body += &" ".repeat(500_000);
    assert_eq!(scene.ask(post("/v1/completions", &body)).status, 200);
}

#[test]
fn an_answer_has_a_largest_size() {
    let scene = Scene::with_limits(|limits| limits.answer_bytes = 10_000);
    let ask = |n: usize, is_stream: bool| {
        let body = json!({"prompt": "A king", "n": n, "max_tokens": 20, "ignore_eos": true, "logprobs": 5, "stream": is_stream});
        scene.complete(&body)
    };
    assert_eq!(ask(1, false).status, 200);
    let refused = ask(40, false);
    assert_eq!(refused.status, 400);
    assert!(refused.error().contains("10000 bytes"), "{refused:?}");
    scene.await_rest();
    // Nothing is kept of a stream.
    let stream = ask(40, true);
    assert_eq!(
        stream.body.matches("\"finish_reason\":\"length\"").count(),
        40
    );
}

#[test]
fn nesting_has_a_depth() {
    let scene = Scene::new();
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let deep = open.repeat(100_000) + "1" + &close.repeat(100_000);
        for body in [
            deep.clone(),
            format!(r#"{{"prompt": {deep}}}"#),
            format!(r#"{{"prompt": "x", "other": {deep}}}"#),
        ] {
            let answer = scene.ask(post("/v1/completions", &body));
            assert_eq!(answer.status, 400);
            assert!(answer.error().len() < 1000);
        }
    }
}

#[test]
fn texts_and_stop_strings_are_counted() {
    let scene = Scene::with_limits(|limits| {
        limits.texts = 6;
        limits.stop_strings = 2;
        limits.stop_bytes = 8;
    });
    let ask = |change: serde_json::Value| {
        let mut body = json!({"prompt": [[1, 5], [1, 6]], "max_tokens": 1});
        body.as_object_mut()
            .unwrap()
            .extend(change.as_object().unwrap().clone());
        scene.complete(&body).status
    };
    assert_eq!(ask(json!({"n": 3})), 200);
    assert_eq!(ask(json!({"n": 4})), 400);
    assert_eq!(ask(json!({"n": 1_000_000_000})), 400);
    assert_eq!(ask(json!({"stop": ["a", "12345678"]})), 200);
    assert_eq!(ask(json!({"stop": ["a", "b", "c"]})), 400);
    assert_eq!(ask(json!({"stop": ["123456789"]})), 400);
    let many: Vec<String> = (0..1_000_000).map(|index| index.to_string()).collect();
    let status = scene.complete(&json!({"prompt": "x", "stop": many})).status;
    assert!([400, 413].contains(&status), "{status}");
}

#[test]
fn a_head_has_a_largest_size() {
    let scene = Scene::with_limits(|limits| limits.header_bytes = 16 << 10);
    let with = |bytes: usize| {
        let line = format!("Host: localhost\r\nX-Long: {}\r\n", "x".repeat(bytes));
        get("/health").replace("Host: localhost\r\n", &line)
    };
    assert_eq!(scene.ask(with(15 << 10)).status, 200);
    // Little more, which has been read before anybody could see that it is too much.
    let many: String = (0..90)
        .map(|line| format!("X-{line}: {}\r\n", "x".repeat(180)))
        .collect();
    for head in [
        with(16 << 10),
        get(&format!("/health?{}", "x".repeat(16 << 10))),
        get("/health").replace("\r\n\r\n", &format!("\r\n{many}\r\n")),
    ] {
        let answer = scene.ask(head);
        assert_eq!(answer.status, 431);
        assert!(answer.error().contains("16384 bytes"), "{answer:?}");
    }
    let mut client = scene.client();
    client.try_send(with(40 << 10));
    assert_eq!(client.answer().unwrap().status, 431);
    let mut client = scene.client();
    let many: String = (0..200).map(|line| format!("X-{line}: x\r\n")).collect();
    client.try_send(get("/health").replace("\r\n\r\n", &format!("\r\n{many}\r\n")));
    assert_eq!(client.answer().unwrap().status, 431);
    scene.check_health();
}

#[test]
fn what_is_no_http_is_refused() {
    let scene = Scene::new();
    for request in [
        "\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "GET /health HTTP/1.1\r\nHost localhost\r\n\r\n",
    ] {
        let mut client = scene.client();
        client.send(request);
        if let Some(answer) = client.answer() {
            assert_eq!(answer.status, 400, "{request:?}");
        }
        assert!(client.has_ended());
    }
    for length in [
        "-1",
        "x",
        "99999999999999999999999",
        "5\r\nContent-Length: 6",
    ] {
        let request = post("/v1/completions", "{}")
            .replace("Content-Length: 2", &format!("Content-Length: {length}"));
        let mut client = scene.client();
        client.send(request);
        if let Some(answer) = client.answer() {
            assert!([400, 413].contains(&answer.status), "{length}: {answer:?}");
        }
    }
    scene.check_health();
}

/// A head that comes byte by byte, or not at all.
#[test]
fn a_head_has_to_come_in_time() {
    // Long enough for heads that come as fast as they can.
    const TIME: Duration = Duration::from_secs(2);
    let scene = Scene::with_limits(|limits| limits.header_time = TIME);
    let (mut slow, mut silent) = (scene.client(), scene.client());
    let begin = Instant::now();
    let mut head = "GET /health HTTP/1.1\r\nHost: localhost\r\nX-Slow: "
        .bytes()
        .chain(std::iter::repeat(b'x'));
    while begin.elapsed() < TIME * 3 / 2 {
        slow.try_send([head.next().unwrap()]);
        std::thread::sleep(Duration::from_millis(20));
    }
    let answer = slow.answer().expect("an answer");
    assert_eq!(answer.status, 408);
    answer.error();
    assert!(slow.has_ended());
    assert_eq!(silent.answer().expect("an answer").status, 408);
    // Between requests there is more time.
    let mut client = scene.client();
    client.send(get("/health"));
    assert_eq!(client.answer().unwrap().status, 200);
    std::thread::sleep(TIME * 3 / 2);
    client.send(get("/health"));
    assert_eq!(client.answer().unwrap().status, 200);
    client.send("GET /hea");
    assert_eq!(client.answer().unwrap().status, 408);
}

#[test]
fn nobody_waits_for_the_end_of_a_connection_that_is_given_up() {
    let scene = Scene::with_limits(|limits| limits.header_time = SHORT);
    let mut client = scene.client();
    client.send("GET /hea");
    assert_eq!(client.answer().unwrap().status, 408);
    let begin = Instant::now();
    assert!(client.has_ended());
    // What the client may still send is waited for longer.
    assert!(begin.elapsed() < Duration::from_secs(3));
}

#[test]
fn a_connection_may_be_idle_for_so_long() {
    let scene = Scene::with_limits(|limits| limits.keep_alive = SHORT);
    let mut client = scene.client();
    let begin = Instant::now();
    client.send(get("/health"));
    assert_eq!(client.answer().unwrap().status, 200);
    assert!(client.has_ended());
    // It is idle only once it was answered.
    assert!(begin.elapsed() >= SHORT);
}

#[test]
fn a_body_has_to_come_in_time() {
    let scene = Scene::with_limits(|limits| limits.body_time = SHORT);
    let request = post(
        "/v1/completions",
        r#"{"prompt": "A king", "max_tokens": 1}"#,
    );
    let mut client = scene.client();
    client.send(&request[..request.len() - 5]);
    let answer = client.answer().expect("an answer");
    assert_eq!(answer.status, 408);
    answer.error();
    assert!(client.has_ended());
}

/// Large bodies that do not come keep nobody from sending small ones.
#[test]
fn slow_writers_hold_up_nobody() {
    let scene = Scene::new();
    let mut slow: Vec<_> = (0..100).map(|_| scene.client()).collect();
    for client in &mut slow {
        let head = "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 8000000\r\n\r\n{";
        client.send(head);
    }
    let begin = Instant::now();
    assert_eq!(
        scene
            .complete(&json!({"prompt": "A king", "max_tokens": 1}))
            .status,
        200
    );
    assert!(begin.elapsed() < PATIENCE / 2);
}

/// More connections than there may be, none of which asks for anything.
#[test]
fn idle_connections_make_room() {
    let scene = Scene::new();
    let mut idle: Vec<_> = (0..300).map(|_| scene.client()).collect();
    for client in idle.iter_mut().step_by(3) {
        client.send("GET /he");
    }
    let begin = Instant::now();
    for _ in 0..20 {
        scene.check_health();
    }
    assert!(begin.elapsed() < PATIENCE / 2);
    // The newest of them are still there.
    let last = idle.last_mut().unwrap();
    last.send(get("/health"));
    assert_eq!(last.answer().unwrap().status, 200);
}

#[test]
fn where_all_are_busy_new_ones_wait() {
    let scene = Scene::with_limits(|limits| limits.connections = 2);
    let mut busy: Vec<_> = (0..2).map(|_| scene.client()).collect();
    let body = json!({"prompt": "A king", "max_tokens": 500, "ignore_eos": true, "n": 24, "temperature": 1, "stream": true});
    for client in &mut busy {
        client.send(post("/v1/completions", &body.to_string()));
        client.until("data: ").unwrap();
    }
    let mut third = scene.client();
    third.send(get("/health"));
    third.socket.set_read_timeout(Some(SHORT)).unwrap();
    let nothing = third.socket.peek(&mut [0]).unwrap_err();
    assert_eq!(nothing.kind(), std::io::ErrorKind::WouldBlock);
    third.socket.set_read_timeout(Some(PATIENCE)).unwrap();
    // One place is enough.
    drop(busy.pop());
    assert_eq!(third.answer().unwrap().status, 200);
    drop((busy, third));
    scene.await_rest();
}

/// More requests than may wait, and such as wait for too long.
#[test]
fn the_queue_has_an_end() {
    let scene = Scene::with_limits(|limits| {
        limits.waiting = 3;
    });
    // All places but those for first texts, and then these.
    let mut busy: Vec<_> = (0..5).map(|_| scene.client()).collect();
    for (index, client) in busy.iter_mut().enumerate() {
        let texts = if index == 0 { 60 } else { 8 };
        let body = json!({"prompt": "A king", "max_tokens": 480, "ignore_eos": true, "n": texts, "temperature": 1, "stream": true});
        client.send(post("/v1/completions", &body.to_string()));
        client.until("data: ").unwrap();
    }
    let mut waiting: Vec<_> = (0..8).map(|_| scene.client()).collect();
    for client in &mut waiting {
        client.send(post(
            "/v1/completions",
            r#"{"prompt": "A queen", "max_tokens": 1}"#,
        ));
    }
    scene.await_figure("openelm_requests_refused_total", |refused| refused > 0.0);
    drop(busy);
    let answers: Vec<_> = waiting
        .iter_mut()
        .map(|client| client.answer().unwrap())
        .collect();
    let refused = answers.iter().filter(|answer| answer.status == 503).count();
    assert!((1..=5).contains(&refused), "{refused}");
    for answer in answers {
        match answer.status {
            200 => {}
            503 => {
                assert_eq!(answer.header("retry-after"), Some("1"));
                answer.error();
            }
            other => panic!("{other}"),
        }
    }
    assert_eq!(
        scene.figure("openelm_requests_refused_total"),
        refused as f64
    );
}

#[test]
fn waiting_has_an_end() {
    // Long enough for those that need not wait, while others use the device.
    let waiting_time = Duration::from_secs(3);
    let scene = Scene::with_limits(|limits| limits.waiting_time = waiting_time);
    let mut busy: Vec<_> = (0..5).map(|_| scene.client()).collect();
    for (index, client) in busy.iter_mut().enumerate() {
        let texts = if index == 0 { 90 } else { 30 };
        let body = json!({"prompt": "A king", "max_tokens": 500, "ignore_eos": true, "n": texts, "temperature": 1});
        client.send(post("/v1/completions", &body.to_string()));
        scene.await_figure("openelm_num_requests_running", |running| {
            running >= 28.0 + index as f64
        });
    }
    let answer = scene.complete(&json!({"prompt": "A queen", "max_tokens": 1}));
    assert_eq!(answer.status, 503);
    assert_eq!(answer.header("retry-after"), Some("1"));
}

#[test]
fn a_text_may_take_so_long() {
    let scene = Scene::with_limits(|limits| limits.running_time = Some(Duration::from_millis(100)));
    let answer = scene.complete(&json!({"prompt": "A king", "max_tokens": 500, "n": 8, "temperature": 1, "ignore_eos": true}));
    assert_eq!(answer.status, 200, "{answer:?}");
    let json = answer.json();
    assert_eq!(json["choices"][0]["finish_reason"], "length");
    assert!(json["usage"]["completion_tokens"].as_u64().unwrap() < 8 * 500);
    // Scores that are not there are none that anybody could add up.
    let scene = Scene::with_limits(|limits| limits.running_time = Some(Duration::from_nanos(1)));
    let ids: Vec<u32> = (0..400).map(|at| 5 + at % 300).collect();
    let answer =
        scene.complete(&json!({"prompt": ids, "max_tokens": 1, "logprobs": 1, "echo": true}));
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.error().contains("scored"), "{answer:?}");
}

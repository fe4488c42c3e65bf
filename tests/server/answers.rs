//! What is answered where nothing is wrong.

use serde_json::json;

use super::client::{get, get_with, post, post_with};
use super::scene::{Scene, model};

#[test]
fn what_there_is_can_be_asked() {
    let scene = Scene::new();
    scene.check_health();
    let models = scene.ask(get("/v1/models"));
    assert_eq!(models.status, 200);
    assert_eq!(models.json()["data"][0]["id"], "demo");
    assert_eq!(scene.ask(get("/v1/models/demo")).json()["id"], "demo");
    for (name, status) in [("apple/other", 404), ("apple%2Fother", 404), ("%ff", 400)] {
        let answer = scene.ask(get(&format!("/v1/models/{name}")));
        assert_eq!(answer.status, status);
        answer.error();
    }
    let version = scene.ask(get("/version"));
    assert_eq!(version.json()["version"], env!("CARGO_PKG_VERSION"));
    let metrics = scene.ask(get("/metrics"));
    let kind = metrics.header("content-type").unwrap();
    assert!(kind.starts_with("text/plain; version=0.0.4"), "{kind}");
    let mut client = scene.client();
    client.send("HEAD /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert_eq!(client.head().unwrap().status, 200);
    assert!(client.has_ended());
}

#[test]
fn what_there_is_not_is_said_in_json() {
    let scene = Scene::new();
    for (path, word) in [
        ("/v1/embeddings", "embeddings"),
        ("/v1/responses", "/v1/chat/completions"),
        ("/v1/fim/completions", "middle"),
        ("/nothing", "/v1/completions"),
        ("/v1/", "/v1/models"),
        ("/tokenizer_info", "nothing at this path"),
    ] {
        let answer = scene.ask(get(path));
        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.error().contains(word), "{path}: {answer:?}");
        assert_eq!(scene.ask(post(path, "{}")).status, 404);
    }
    for request in [
        get("/v1/completions"),
        post("/health", "{}"),
        get("/v1/models").replace("GET", "DELETE"),
        get("/v1/models").replace("GET", "BREW"),
        get("/v1/models").replace("GET", "OPTIONS"),
    ] {
        let answer = scene.ask(&request);
        assert_eq!(answer.status, 405, "{request}");
        assert!(answer.error().contains("not possible here"));
        assert!(
            answer
                .header("allow")
                .is_some_and(|allow| !allow.is_empty()),
            "{answer:?}"
        );
    }
}

#[test]
fn special_tokens_are_told_where_that_is_wanted() {
    let scene = Scene::with(|settings| settings.tokenizer_info = true);
    let answer = scene.ask(get("/tokenizer_info"));
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.json()["eos_token"].is_string());
}

#[test]
fn a_text_is_the_same_whole_and_in_pieces() {
    let scene = Scene::new();
    let request = |is_stream: bool| json!({"model": "demo", "prompt": "Once upon a time", "max_tokens": 24, "temperature": 0.8, "seed": 7, "n": 3, "stream": is_stream});
    let whole = scene.complete(&request(false));
    assert_eq!(whole.status, 200, "{whole:?}");
    assert_eq!(whole.header("content-type"), Some("application/json"));
    let choices = &whole.json()["choices"];
    let pieces = scene.complete(&request(true));
    assert_eq!(pieces.header("content-type"), Some("text/event-stream"));
    let mut texts = vec![String::new(); 3];
    for event in pieces.events() {
        for choice in event["choices"].as_array().unwrap() {
            let index = choice["index"].as_u64().unwrap() as usize;
            texts[index] += choice["text"].as_str().unwrap();
        }
    }
    for (index, text) in texts.iter().enumerate() {
        assert!(!text.is_empty());
        assert_eq!(choices[index]["text"], **text);
    }
    assert!(texts[0] != texts[1] && texts[1] != texts[2]);
}

#[test]
fn chats_and_tokens_are_served() {
    let scene = Scene::new();
    let asked = json!({"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 5});
    let answer = scene.ask(post("/v1/chat/completions", &asked.to_string()));
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json()["choices"][0]["message"]["role"], "assistant");
    let answer = scene.ask(post("/tokenize", r#"{"prompt": "Once upon a time"}"#));
    let ids = model().encode("Once upon a time").unwrap();
    assert_eq!(answer.json()["tokens"], json!(ids));
    let answer = scene.ask(post(
        "/detokenize",
        &json!({"tokens": ids[1..]}).to_string(),
    ));
    let text = answer.json()["prompt"].as_str().unwrap().to_owned();
    assert_eq!(text.trim(), "Once upon a time");
    let base = Scene::with(|settings| settings.chat_template = None);
    let refused = base.ask(post("/v1/chat/completions", &asked.to_string()));
    assert_eq!(refused.status, 400);
    refused.error();
}

/// One connection carries many requests, also such as were sent before the answer to the one before.
#[test]
fn requests_may_follow_each_other_unasked() {
    let scene = Scene::new();
    let mut client = scene.client();
    let text = post(
        "/v1/completions",
        r#"{"prompt": "A king", "max_tokens": 3}"#,
    );
    client.send(get("/version") + &text + &get("/nothing") + &text + &get("/version"));
    let statuses: Vec<u16> = (0..5).map(|_| client.answer().unwrap().status).collect();
    assert_eq!(statuses, [200, 200, 404, 200, 200]);
    for _ in 0..20 {
        client.send(&text);
        assert_eq!(client.answer().unwrap().status, 200);
    }
}

#[test]
fn a_body_comes_as_it_is() {
    let scene = Scene::new();
    let body = r#"{"prompt": "A king", "max_tokens": 1}"#;
    let with = |encoding: &str| {
        let header = format!("Content-Encoding: {encoding}\r\n");
        scene.ask(post_with("/v1/completions", &header, body))
    };
    assert_eq!(with("Identity").status, 200);
    for encoding in ["gzip", "br", "identity, gzip"] {
        let answer = with(encoding);
        assert_eq!(answer.status, 415, "{encoding}");
        assert!(answer.error().contains(encoding), "{answer:?}");
    }
    let marked = format!("\u{feff}{body}");
    assert_eq!(scene.ask(post("/v1/completions", &marked)).status, 200);
}

#[test]
fn old_clients_get_their_texts() {
    let scene = Scene::new();
    let body = r#"{"prompt": "A king", "max_tokens": 3, "stream": true}"#;
    let request = post("/v1/completions", body).replace("HTTP/1.1", "HTTP/1.0");
    let mut client = scene.client();
    client.send(request);
    let head = client.head().unwrap();
    assert_eq!(head.status, 200);
    assert!(client.until("data: [DONE]\n\n").is_some());
    assert!(client.has_ended());
    // Proxies ask so whether one is well.
    let health = scene.ask("GET /health HTTP/1.0\r\n\r\n");
    assert_eq!(health.status, 200);
    assert_eq!(scene.ask(get_with("/health", "")).status, 400);
}

/// Whoever has ended its own side still gets what it has asked for.
#[test]
fn half_a_connection_is_enough_for_an_answer() {
    let scene = Scene::new();
    for body in [
        r#"{"prompt": "A king", "max_tokens": 200, "ignore_eos": true}"#,
        r#"{"prompt": "A king", "max_tokens": 200, "ignore_eos": true, "stream": true}"#,
    ] {
        let mut client = scene.client();
        client.send(post("/v1/completions", body));
        client.socket.shutdown(std::net::Shutdown::Write).unwrap();
        let answer = client.answer().expect("an answer");
        assert_eq!(answer.status, 200);
        assert!(
            answer.body.contains("\"finish_reason\":\"length\""),
            "{answer:?}"
        );
        assert!(client.has_ended());
    }
    let mut client = scene.client();
    client.send(get("/version"));
    client.socket.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(client.answer().expect("an answer").status, 200);
    assert_eq!(scene.figure("openelm_requests_cancelled_total"), 0.0);
}

#[test]
fn what_was_done_is_counted() {
    let scene = Scene::new();
    let body =
        json!({"prompt": [[1, 300, 301], [1, 302]], "max_tokens": 4, "n": 2, "ignore_eos": true});
    assert_eq!(scene.complete(&body).status, 200);
    scene.await_rest();
    let figure = |name: &str| scene.figure(&format!("openelm_{name}"));
    assert_eq!(figure("prompt_tokens_total"), 2.0 * 3.0 + 2.0 * 2.0);
    assert_eq!(figure("generation_tokens_total"), 16.0);
    assert_eq!(figure("tokens_predicted_total"), 16.0);
    assert_eq!(
        figure("request_success_total{finished_reason=\"length\"}"),
        4.0
    );
    assert_eq!(figure("time_to_first_token_seconds_count"), 4.0);
    assert_eq!(figure("inter_token_latency_seconds_count"), 12.0);
    assert_eq!(figure("e2e_request_latency_seconds_count"), 4.0);
    assert_eq!(figure("request_queue_time_seconds_count"), 4.0);
    assert!(figure("predicted_tokens_seconds") > 0.0);
}

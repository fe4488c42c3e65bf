//! Events to answers, against JSON that was written by hand.

use openelm::server::Event;
use openelm::server::openai::{Asked, Reply};
use openelm::{Candidate, Error, Finish, PromptToken, Text, Timing, Token};
use serde_json::{Value, json};

use super::{complete, talk, tokenizer};

/// An id by how the vocabulary spells it.
fn id(spelled: &str) -> u32 {
    let find = |id: &u32| tokenizer().token(*id).as_deref() == Some(spelled);
    (0..4096).find(find).unwrap()
}

fn top(top: &[(&str, f32)]) -> Vec<Candidate> {
    let candidate = |(spelled, logprob): &(&str, f32)| Candidate {
        id: id(spelled),
        logprob: *logprob,
        logit: 0.0,
    };
    top.iter().map(candidate).collect()
}

fn token(spelled: &str, text: &str, logprob: f32, best: &[(&str, f32)]) -> Event {
    Event::Token(Token {
        id: id(spelled),
        text: text.into(),
        logprob,
        top: top(best),
        ..Token::default()
    })
}

fn score(spelled: &str, logprob: f32, is_greedy: bool, best: &[(&str, f32)]) -> PromptToken {
    PromptToken {
        id: id(spelled),
        logprob,
        is_greedy,
        top: top(best),
    }
}

fn ended(count: usize, finish: Finish) -> Event {
    Event::Ended(Ok(Text {
        ids: vec![5; count],
        prompt_logprobs: Vec::new(),
        text: String::new(),
        logprobs: vec![0.0; count],
        finish: Some(finish),
        timing: Timing::default(),
        seed: 0,
    }))
}

/// What is sent for events of the text 0, and at the end; without what differs each time.
fn sent(mut reply: Reply, events: Vec<Event>) -> Vec<Value> {
    let mut pieces = Vec::new();
    for event in events {
        pieces.extend(reply.event(0, event).unwrap());
    }
    assert!(reply.is_done());
    pieces.extend(reply.end());
    let mut pieces: Vec<Value> = pieces
        .iter()
        .map(|piece| serde_json::from_str(piece).unwrap())
        .collect();
    let ids: Vec<Value> = pieces.iter_mut().map(|piece| piece["id"].take()).collect();
    assert!(ids.windows(2).all(|pair| pair[0] == pair[1]));
    for piece in &mut pieces {
        let fields = piece.as_object_mut().unwrap();
        fields.remove("id");
        assert!(fields.remove("created").unwrap().as_u64().unwrap() > 1_700_000_000);
        assert_eq!(fields.remove("model").unwrap(), "demo-model");
    }
    pieces
}

fn reply(asked: Result<Asked, openelm::server::ApiError>) -> Reply {
    asked.map_err(|error| error.message).unwrap().reply
}

fn usage(prompt: usize, completion: usize, cached: usize) -> Value {
    json!({
        "prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": cached},
    })
}

#[test]
fn a_scored_prompt_has_an_entry_for_each_id_and_for_the_token_behind_it() {
    let ids = [1, id("▁A"), id("▁king")];
    let body = json!({"prompt": [ids], "max_tokens": 1, "logprobs": 1, "echo": true, "temperature": 0, "seed": 1234});
    let events = vec![
        Event::Begun { cached: 1 },
        Event::Prompt(vec![
            score("▁A", -1.5, false, &[("▁the", -0.25)]),
            score("▁king", -0.1, true, &[("▁king", -0.1)]),
        ]),
        token("▁was", " was", -0.7, &[("▁was", -0.7)]),
        ended(1, Finish::Length),
    ];
    let expected = json!({
        "object": "text_completion",
        "choices": [{
            "index": 0,
            "text": "A king was",
            "logprobs": {
                "tokens": ["<s>", "A", " king", " was"],
                "token_logprobs": [null, -1.5, -0.1, -0.7],
                "top_logprobs": [null, {"the": -0.25, "A": -1.5}, {" king": -0.1}, {" was": -0.7}],
                "text_offset": [0, 0, 1, 6],
            },
            "finish_reason": "length",
        }],
        "usage": usage(3, 1, 1),
    });
    assert_eq!(sent(reply(complete(&body.to_string())), events), [expected]);

    // Without a token behind it, as old clients ask.
    let body = json!({"prompt": ids, "max_tokens": 0, "logprobs": 10, "echo": true});
    let events = vec![
        Event::Prompt(vec![
            score("▁A", -1.5, false, &[("▁the", -0.25)]),
            score("▁king", f32::NEG_INFINITY, false, &[("▁the", -0.25)]),
        ]),
        ended(0, Finish::Length),
    ];
    let sent = sent(reply(complete(&body.to_string())), events).remove(0);
    let logprobs = &sent["choices"][0]["logprobs"];
    assert_eq!(logprobs["token_logprobs"], json!([null, -1.5, -9999.0]));
    assert_eq!(
        logprobs["top_logprobs"][2],
        json!({" the": -0.25, " king": -9999.0})
    );
    assert_eq!(logprobs["tokens"].as_array().unwrap().len(), 3);
}

#[test]
fn greedy_is_what_equals_the_greatest_number_and_nothing_else() {
    let body =
        json!({"prompt": [1, id("▁A"), id("▁king")], "max_tokens": 0, "logprobs": 2, "echo": true})
            .to_string();
    let greedy = |is_greedy: bool, logprob: f32, best: &[(&str, f32)]| {
        let scores = vec![
            score("▁A", -1.0, true, &[("▁A", -1.0)]),
            score("▁king", logprob, is_greedy, best),
        ];
        let events = vec![Event::Prompt(scores), ended(0, Finish::Length)];
        let sent = sent(reply(complete(&body)), events).remove(0);
        let logprobs = &sent["choices"][0]["logprobs"];
        let own = logprobs["token_logprobs"][2].as_f64().unwrap();
        let named = logprobs["top_logprobs"][2].as_object().unwrap();
        assert!((own - f64::from(logprob)).abs() < 1e-6);
        assert_eq!(named[" king"].as_f64(), Some(own));
        let best = named.values().map(|number| number.as_f64().unwrap());
        own == best.fold(f64::NEG_INFINITY, f64::max)
    };
    assert!(greedy(true, -0.1, &[("▁king", -0.1), ("▁the", -0.1)]));
    // Rounding has made them alike.
    assert!(!greedy(false, -0.1, &[("▁the", -0.1)]));
    assert!(!greedy(false, -0.1, &[("▁the", -0.1), ("▁king", -0.1)]));
    assert!(!greedy(false, -0.0, &[("▁the", 0.0)]));
    assert!(!greedy(false, -2.3, &[("▁the", -0.3)]));
}

#[test]
fn names_are_unique_and_bytes_are_bytes() {
    let body = json!({"prompt": [1, id("▁A")], "max_tokens": 4, "logprobs": 3}).to_string();
    let events = vec![
        token(
            "<0xC3>",
            "",
            -1.0,
            &[("<0xC3>", -1.0), ("<0xA9>", -2.0), ("<0x0A>", -3.0)],
        ),
        token("<0xA9>", "", -1.0, &[]),
        token("s", "és", -1.0, &[("<0x73>", -0.5), ("s", -1.0)]),
        token("</s>", "", -1.0, &[("</s>", -1.0)]),
        ended(4, Finish::Eos),
    ];
    let sent = sent(reply(complete(&body)), events).remove(0);
    let choice = &sent["choices"][0];
    assert_eq!(
        (&choice["text"], &choice["finish_reason"]),
        (&json!("és"), &json!("stop"))
    );
    let byte = format!("token_id:{}", id("<0x73>"));
    assert_eq!(
        choice["logprobs"],
        json!({
            "tokens": ["bytes:\\xC3", "bytes:\\xA9", "s", "</s>"],
            "token_logprobs": [-1.0, -1.0, -1.0, -1.0],
            "top_logprobs": [
                {"bytes:\\xC3": -1.0, "bytes:\\xA9": -2.0, "\n": -3.0},
                {"bytes:\\xA9": -1.0},
                {byte: -0.5, "s": -1.0},
                {"</s>": -1.0},
            ],
            "text_offset": [0, 0, 1, 2],
        })
    );
}

#[test]
fn a_streamed_completion_begins_with_the_echo_and_ends_with_the_usage() {
    let body = json!({
        "prompt": "A", "max_tokens": 3, "stream": true, "echo": true, "logprobs": 0, "stream_options": {"include_usage": true},
        "return_token_ids": true,
    });
    let events = vec![
        Event::Begun { cached: 0 },
        Event::Prompt(vec![score("▁A", -1.5, false, &[])]),
        token("▁king", " king", -0.5, &[]),
        token("▁the", "", -0.25, &[]),
        token("▁was", " the", -0.125, &[]),
        ended(3, Finish::Stop),
    ];
    let piece = |text: &str,
                 tokens: &[&str],
                 logprobs: Value,
                 top: Value,
                 offsets: Value,
                 finish: Value| {
        json!({
            "object": "text_completion",
            "choices": [{
                "index": 0, "text": text, "finish_reason": finish,
                "logprobs": {"tokens": tokens, "token_logprobs": logprobs, "top_logprobs": top, "text_offset": offsets},
            }],
            "usage": null,
        })
    };
    let null = Value::Null;
    let mut expected = vec![
        piece(
            "A",
            &["<s>", "A"],
            json!([null, -1.5]),
            json!([null, {"A": -1.5}]),
            json!([0, 0]),
            null.clone(),
        ),
        piece(
            " king",
            &[" king"],
            json!([-0.5]),
            json!([{" king": -0.5}]),
            json!([1]),
            null.clone(),
        ),
        piece(
            " the",
            &[" the"],
            json!([-0.25]),
            json!([{" the": -0.25}]),
            json!([6]),
            null,
        ),
        // A stop string has cut it off.
        piece(
            "",
            &[" was"],
            json!([-0.125]),
            json!([{" was": -0.125}]),
            json!([10]),
            json!("stop"),
        ),
        json!({"object": "text_completion", "choices": [], "usage": usage(2, 3, 0)}),
    ];
    expected[0]["choices"][0]["prompt_token_ids"] = json!([1, id("▁A")]);
    for (piece, ids) in expected.iter_mut().zip([
        vec![],
        vec![id("▁king")],
        vec![id("▁the")],
        vec![id("▁was")],
    ]) {
        piece["choices"][0]["token_ids"] = json!(ids);
    }
    assert_eq!(sent(reply(complete(&body.to_string())), events), expected);
}

#[test]
fn a_chat_streams_its_role_first_and_is_whole_without() {
    let messages = json!([{"role": "user", "content": "Hi"}]);
    let events = || {
        vec![
            Event::Begun { cached: 2 },
            Event::Prompt(Vec::new()),
            token("▁A", " A", -0.5, &[("▁A", -0.5), ("<0xC3>", -1.0)]),
            token("▁king", "", -0.25, &[]),
            token("</s>", " king", -0.5, &[]),
            ended(3, Finish::Eos),
        ]
    };
    let delta = |delta: Value, finish: Value| {
        json!({
            "object": "chat.completion.chunk",
            "choices": [{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish}],
        })
    };
    let body = json!({"messages": messages, "stream": true}).to_string();
    assert_eq!(
        sent(reply(talk(&body)), events()),
        [
            delta(json!({"role": "assistant", "content": ""}), Value::Null),
            delta(json!({"content": " A"}), Value::Null),
            delta(json!({"content": " king"}), Value::Null),
            delta(json!({}), json!("stop")),
        ]
    );
    let body = json!({"messages": messages, "logprobs": true, "top_logprobs": 2}).to_string();
    let asked = talk(&body).unwrap();
    let prompt = asked.texts[0].ids.len();
    let scored = |token: &str, logprob: f64, bytes: Value| json!({"token": token, "logprob": logprob, "bytes": bytes});
    let with = |mut scored: Value, top: Value| {
        scored["top_logprobs"] = top;
        scored
    };
    let a = scored(" A", -0.5, json!(b" A"));
    let expected = json!({
        "object": "chat.completion",
        "choices": [{
            "index": 0,
            "message": {"role": "assistant", "content": " A king", "refusal": null},
            "logprobs": {
                "content": [
                    with(a.clone(), json!([a, scored("bytes:\\xC3", -1.0, json!([0xC3]))])),
                    with(scored(" king", -0.25, json!(b" king")), json!([])),
                    with(scored("</s>", -0.5, json!(b"</s>")), json!([])),
                ],
                "refusal": null,
            },
            "finish_reason": "stop",
        }],
        "usage": usage(prompt, 3, 2),
    });
    assert_eq!(sent(asked.reply, events()), [expected]);
}

#[test]
fn every_finish_has_its_word_and_a_cancelled_text_none() {
    let ask = |stream: bool| {
        reply(complete(
            &json!({"prompt": "A", "stream": stream}).to_string(),
        ))
    };
    for (finish, word) in [
        (Finish::Eos, "stop"),
        (Finish::Stop, "stop"),
        (Finish::Length, "length"),
        (Finish::Context, "length"),
        (Finish::Time, "length"),
    ] {
        let sent = sent(ask(true), vec![ended(0, finish)]);
        assert_eq!(sent.last().unwrap()["choices"][0]["finish_reason"], word);
    }
    assert_eq!(
        sent(ask(true), vec![ended(0, Finish::Cancelled)]),
        [] as [Value; 0]
    );
    let whole = sent(ask(false), vec![ended(0, Finish::Cancelled)]);
    assert_eq!(whole[0]["choices"][0]["finish_reason"], Value::Null);
}

#[test]
fn usage_counts_a_prompt_once_and_choices_keep_their_order() {
    let mut reply = reply(complete(
        &json!({"prompt": ["A", "A king"], "n": 2}).to_string(),
    ));
    for (index, cached) in [(3, 2), (0, 1), (2, 1), (1, 2)] {
        reply.event(index, Event::Begun { cached }).unwrap();
    }
    for index in [2, 0, 3, 1] {
        assert!(!reply.is_done());
        reply
            .event(index, token("▁was", &index.to_string(), 0.0, &[]))
            .unwrap();
        reply.event(index, ended(1, Finish::Length)).unwrap();
    }
    let whole: Value = serde_json::from_str(&reply.end().unwrap()).unwrap();
    for index in 0..4 {
        let choice = &whole["choices"][index];
        assert_eq!(
            (&choice["index"], &choice["text"]),
            (&json!(index), &json!(index.to_string()))
        );
    }
    assert_eq!(whole["usage"], usage(5, 4, 2));
}

#[test]
fn a_text_that_fails_fails_the_answer() {
    let fail = |error: Error| {
        let mut reply = reply(complete(
            &json!({"prompt": "A", "stream": true}).to_string(),
        ));
        reply.event(0, Event::Ended(Err(error))).unwrap_err()
    };
    let lost = fail(Error::DeviceLost("gone".into()));
    assert_eq!(
        (lost.status, lost.retry_after, lost.kind()),
        (503, Some(1), "server_error")
    );
    let short = fail(Error::OutOfMemory {
        adapter: "GPU".into(),
        need: None,
    });
    assert_eq!((short.status, short.retry_after), (503, Some(1)));
    assert_eq!(fail(Error::NothingToChoose).status, 400);
    let broken = fail(Error::NotANumber { id: 1 });
    assert_eq!((broken.status, broken.should_retry), (500, Some(false)));
    let json: Value = serde_json::from_str(&lost.to_json()).unwrap();
    let message = json["error"]["message"].clone();
    assert!(message.as_str().unwrap().contains("ask again"));
    assert_eq!(
        json,
        json!({"error": {"message": message, "type": "server_error", "param": null, "code": null}})
    );
}

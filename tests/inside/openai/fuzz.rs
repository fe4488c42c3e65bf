//! Requests from nowhere, and events in any order: an answer or a reason, never a panic.

use openelm::server::openai::{self, Context};
use openelm::server::{ApiError, Event};
use openelm::{Candidate, Finish, PromptToken, Text, Timing, Token};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::Config;
use serde_json::{Value, json};

use super::super::common::seed;
use super::{OPTIONS, complete, context};

/// What a body may have beside [`OPTIONS`], or parts of it.
const PARTS: [&str; 9] = [
    "prompt",
    "messages",
    "modalities",
    "tokens",
    "content",
    "role",
    "type",
    "text",
    "include_usage",
];

fn field() -> impl Strategy<Value = &'static str> {
    select([&PARTS[..], &OPTIONS].concat())
}

fn config(cases: u32, place: u64) -> Config {
    Config {
        cases,
        failure_persistence: None,
        rng_seed: seed(place),
        ..Config::default()
    }
}

/// Values that somebody may send.
fn values() -> impl Strategy<Value = String> {
    const ODD: &[&str] = &[
        "null",
        "true",
        "false",
        "0",
        "-0",
        "1",
        "2",
        "-1",
        "1.0",
        "1.5",
        "1e400",
        "-1e-400",
        "NaN",
        "Infinity",
        "4095",
        "4096",
        "18446744073709551616",
        "\"\"",
        "\"a\"",
        "\"</s>\"",
        "\"\\ud800\"",
        "\"\\u0000\"",
        "\"system\"",
        "\"user\"",
        "\"text\"",
        "\"é\"",
        "[]",
        "{}",
        "[[]]",
        "[1]",
        "[[1,2],[3]]",
        "[\"a\",\"b\"]",
        "[1,\"a\"]",
        "[null]",
        "\"",
        "[",
        "{\"a\"",
        "",
    ];
    let leaf = prop_oneof![select(ODD).prop_map(str::to_owned), "\\PC{0,12}"];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            vec((field(), inner), 0..4).prop_map(|fields| object(&fields)),
        ]
    })
}

fn object<N: AsRef<str>>(fields: &[(N, String)]) -> String {
    let fields: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("\"{}\":{value}", name.as_ref()))
        .collect();
    format!("{{{}}}", fields.join(","))
}

/// What all that reads a body makes of one.
fn read(body: &[u8], context: &Context) -> [Result<(), ApiError>; 4] {
    [
        openai::completions(body, context).map(|_| ()),
        openai::chat(body, context).map(|_| ()),
        openai::tokenize(body, context).map(|_| ()),
        openai::detokenize(body, context).map(|_| ()),
    ]
}

fn check(body: &[u8], context: &Context) -> Result<(), TestCaseError> {
    for result in read(body, context) {
        if let Err(error) = result {
            prop_assert_eq!(error.status, 400);
            prop_assert!(error.message.len() < 1000);
            let json: Value = serde_json::from_str(&error.to_json()).unwrap();
            prop_assert!(
                json["error"]["message"]
                    .as_str()
                    .is_some_and(|message| !message.is_empty())
            );
        }
    }
    Ok(())
}

#[test]
fn any_body_is_read_or_refused() {
    let context = context();
    let fields = vec((field(), values()), 0..6);
    proptest!(config(2000, 16), |(fields in fields)| {
        check(object(&fields).as_bytes(), &context)?;
    });
    proptest!(config(500, 17), |(bytes in vec(any::<u8>(), 0..64))| {
        check(&bytes, &context)?;
    });
}

#[test]
fn a_body_that_is_cut_or_changed_anywhere_is_read_or_refused() {
    let context = context();
    let body = json!({
        "model": "m", "prompt": [[1, 2, 3], [4]], "max_tokens": 3, "stop": ["a"], "stream": true, "stream_options": {"include_usage": true},
        "messages": [{"role": "user", "content": [{"type": "text", "text": "é"}]}], "logprobs": null, "tokens": [1, 2], "content": "x",
    });
    let body = body.to_string().into_bytes();
    assert!(read(&body, &context).iter().all(Result::is_ok));
    for end in 0..body.len() {
        assert!(read(&body[..end], &context).iter().all(Result::is_err));
    }
    for at in 0..body.len() {
        for byte in [b'"', b'[', b'}', b'0', b'-', b'\\', 0xFF] {
            let mut body = body.clone();
            body[at] = byte;
            check(&body, &context).unwrap();
        }
    }
}

fn tokens() -> impl Strategy<Value = Token> {
    let top = vec((0u32..4100, -20f32..0.0), 0..4);
    (
        0u32..4100,
        select(&["", "a", " é", "見\u{0}"][..]),
        -20f32..0.0,
        top,
    )
        .prop_map(|(id, text, logprob, top)| Token {
            id,
            text: text.into(),
            logprob,
            top: candidates(top),
            ..Token::default()
        })
}

fn candidates(top: Vec<(u32, f32)>) -> Vec<Candidate> {
    let candidate = |(id, logprob)| Candidate {
        id,
        logprob,
        logit: 0.0,
    };
    top.into_iter().map(candidate).collect()
}

fn scores() -> impl Strategy<Value = Vec<PromptToken>> {
    let score = (
        0u32..4100,
        -20f32..0.0,
        any::<bool>(),
        vec((0u32..4100, -20f32..0.0), 0..3),
    );
    let score = score.prop_map(|(id, logprob, is_greedy, top)| PromptToken {
        id,
        logprob,
        is_greedy,
        top: candidates(top),
    });
    vec(score, 0..5)
}

/// What can happen to a text: what comes in between, and the end with the number of its tokens.
fn events() -> impl Strategy<Value = Vec<Event>> {
    const FINISHES: &[Finish] = &[
        Finish::Eos,
        Finish::Stop,
        Finish::Length,
        Finish::Context,
        Finish::Time,
    ];
    (
        any::<bool>(),
        scores(),
        vec(tokens(), 0..12),
        select(FINISHES),
    )
        .prop_map(|(has_begun, scores, tokens, finish)| {
            let count = tokens.len();
            // Time that is up before a token came is an error, where scores are wanted.
            let finish = match (count, finish) {
                (0, Finish::Time) => Finish::Length,
                _ => finish,
            };
            let mut events = Vec::new();
            if has_begun {
                events.push(Event::Begun { cached: 1 });
                events.push(Event::Prompt(scores));
            }
            events.extend(tokens.into_iter().map(Event::Token));
            events.push(Event::Ended(Ok(Text {
                ids: vec![0; count],
                prompt_logprobs: Vec::new(),
                text: String::new(),
                logprobs: vec![0.0; count],
                finish: Some(finish),
                timing: Timing::default(),
                seed: 0,
            })));
            events
        })
}

#[test]
fn events_of_many_texts_in_any_order_become_one_answer() {
    let order = vec(any::<prop::sample::Index>(), 60);
    let of_texts = vec(events(), 4);
    let modes = (
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
        select(&[None, Some(0), Some(2)][..]),
    );
    proptest!(config(400, 18), |((is_stream, echo, has_ids, logprobs) in modes, of_texts in of_texts, order in order)| {
        let body = json!({
            "prompt": [[1, 352, 198], [1]], "n": 2, "stream": is_stream, "echo": echo, "logprobs": logprobs, "return_token_ids": has_ids,
            "stream_options": {"include_usage": true},
        });
        let mut reply = complete(&body.to_string()).unwrap().reply;
        let counts: Vec<usize> = of_texts.iter().map(|events| events.len()).collect();
        let texts: Vec<String> = of_texts.iter().map(|events| said(events)).collect();
        let tokens: Vec<usize> = of_texts.iter().map(|events| events.iter().filter(|event| matches!(event, Event::Token(_))).count()).collect();
        let mut queues: Vec<std::collections::VecDeque<Event>> = of_texts.into_iter().map(Into::into).collect();
        let mut pieces = Vec::new();
        let mut order = order.iter().cycle();
        let mut left: usize = counts.iter().sum();
        while left > 0 {
            let open: Vec<usize> = (0..4).filter(|index| !queues[*index].is_empty()).collect();
            let index = *order.next().unwrap().get(&open);
            prop_assert!(!reply.is_done());
            let event = queues[index].pop_front().unwrap();
            pieces.extend(reply.event(index, event).unwrap());
            left -= 1;
        }
        prop_assert!(reply.is_done());
        prop_assert!(is_stream || pieces.is_empty());
        pieces.extend(reply.end());
        let pieces: Vec<Value> = pieces.iter().map(|piece| serde_json::from_str(piece).unwrap()).collect();
        let choices: Vec<&Value> = pieces.iter().flat_map(|piece| piece["choices"].as_array().unwrap()).collect();
        prop_assert_eq!(&pieces.last().unwrap()["usage"]["completion_tokens"], &json!(tokens.iter().sum::<usize>()));
        for index in 0..4 {
            let of_it: Vec<&&Value> = choices.iter().filter(|choice| choice["index"] == index).collect();
            prop_assert!(is_stream || of_it.len() == 1);
            let text: String = of_it.iter().map(|choice| choice["text"].as_str().unwrap()).collect();
            let shown = if echo && index < 2 { "A" } else { "" };
            prop_assert_eq!(&text, &format!("{shown}{}", texts[index]));
            let ends = of_it.iter().filter(|choice| !choice["finish_reason"].is_null()).count();
            prop_assert_eq!(ends, 1);
            prop_assert!(!of_it.last().unwrap()["finish_reason"].is_null());
            let prompt = if echo { [3, 1][index / 2] } else { 0 };
            if logprobs.is_some() {
                for list in ["tokens", "token_logprobs", "top_logprobs", "text_offset"] {
                    let lists = of_it.iter().filter_map(|choice| choice["logprobs"][list].as_array());
                    prop_assert_eq!(lists.map(Vec::len).sum::<usize>(), prompt + tokens[index]);
                }
                let offsets = of_it.iter().filter_map(|choice| choice["logprobs"]["text_offset"].as_array()).flatten();
                let offsets: Vec<u64> = offsets.map(|offset| offset.as_u64().unwrap()).collect();
                prop_assert!(offsets.iter().all(|offset| *offset <= text.chars().count() as u64));
            }
            if has_ids {
                let ids = of_it.iter().filter_map(|choice| choice["token_ids"].as_array());
                prop_assert_eq!(ids.map(Vec::len).sum::<usize>(), tokens[index]);
                let prompts = of_it.iter().filter(|choice| choice.get("prompt_token_ids").is_some());
                prop_assert_eq!(prompts.count(), 1);
            }
        }
    });
}

/// The text of all tokens.
fn said(events: &[Event]) -> String {
    let text = |event: &Event| match event {
        Event::Token(token) => token.text.clone(),
        _ => String::new(),
    };
    events.iter().map(text).collect()
}

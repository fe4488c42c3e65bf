//! Requests on the demo model: what is answered is what the library computes.

use serde_json::{Value, json};

use super::{answer, complete, model, talk, tokenizer, written};

const STORY: &str =
    "Once upon a time there was a little girl who had a café. “Oh”, said she, “見て!”";

fn choice(body: &Value) -> Value {
    answer(&body.to_string())["choices"][0].take()
}

/// What all pieces of a stream say together, and how it ended.
fn joined(pieces: &[Value]) -> (String, Value) {
    let choices = pieces.iter().filter_map(|piece| piece["choices"].get(0));
    let text = choices.clone().map(|choice| {
        let text = choice["text"]
            .as_str()
            .or(choice["delta"]["content"].as_str());
        text.unwrap_or_default().to_owned()
    });
    let last = choices.clone().next_back().unwrap();
    (text.collect(), last["finish_reason"].clone())
}

/// For each id but the first whether it is the most probable one.
fn greedy(ids: &[u32]) -> Vec<bool> {
    let mut session = model().session().unwrap();
    let next = |end: usize| session.next_logits(&ids[..end]).unwrap().to_vec();
    let logits = (1..ids.len()).map(next);
    let is_best = logits.zip(&ids[1..]).map(|(logits, id)| {
        let own = logits[*id as usize];
        logits.iter().all(|logit| *logit <= own)
    });
    is_best.collect()
}

#[test]
fn an_echos_numbers_are_those_of_a_session() {
    let ids = tokenizer().encode(STORY).unwrap();
    let score = model().session().unwrap().score(&ids, 1).unwrap();
    for (max_tokens, count) in [(0, ids.len()), (1, ids.len() + 1)] {
        let body = json!({"prompt": [ids], "max_tokens": max_tokens, "echo": true, "logprobs": 1, "temperature": 0, "seed": 1234});
        let choice = choice(&body);
        let logprobs = &choice["logprobs"];
        for list in ["tokens", "token_logprobs", "top_logprobs", "text_offset"] {
            assert_eq!(logprobs[list].as_array().unwrap().len(), count, "{list}");
        }
        assert_eq!(
            (&logprobs["token_logprobs"][0], &logprobs["top_logprobs"][0]),
            (&Value::Null, &Value::Null)
        );
        for (index, expected) in score.logprobs.iter().enumerate().skip(1) {
            let number = logprobs["token_logprobs"][index].as_f64().unwrap();
            assert!(
                (number - f64::from(expected.unwrap())).abs() < 1e-5,
                "{index}"
            );
        }
        // Whether a client takes it for greedy, and whether it is.
        let greedy = greedy(&ids);
        for index in 1..ids.len() {
            let own = logprobs["token_logprobs"][index].as_f64().unwrap();
            let named = logprobs["top_logprobs"][index].as_object().unwrap();
            let name = logprobs["tokens"][index].as_str().unwrap();
            assert_eq!(named[name].as_f64(), Some(own));
            let best = named.values().map(|number| number.as_f64().unwrap());
            assert_eq!(
                own == best.fold(f64::NEG_INFINITY, f64::max),
                greedy[index - 1],
                "{index}"
            );
        }
    }
}

/// As vLLM has it: the token is one of the answer's ids, and its text none of the answer's.
#[test]
fn a_token_that_stops_has_no_text() {
    let body = json!({"prompt": STORY, "max_tokens": 12, "temperature": 0, "return_token_ids": true, "logprobs": 0});
    let free = choice(&body);
    let ids: Vec<u32> = serde_json::from_value(free["token_ids"].clone()).unwrap();
    let last = ids[6];
    let first = ids.iter().position(|id| *id == last).unwrap();
    let mut stopped = body.clone();
    stopped["stop_token_ids"] = json!([last]);
    let cut = choice(&stopped);
    assert_eq!(cut["finish_reason"], "stop");
    assert_eq!(cut["token_ids"], json!(ids[..=first]));
    let shown = tokenizer().decode(&ids[..first]).unwrap();
    assert_eq!(cut["text"].as_str().unwrap().trim(), shown.trim());
    let offsets = cut["logprobs"]["text_offset"].as_array().unwrap();
    assert_eq!(offsets.len(), first + 1);
    stopped["stream"] = json!(true);
    assert_eq!(
        joined(&written(complete(&stopped.to_string()).unwrap())).0,
        cut["text"].as_str().unwrap()
    );
}

#[test]
fn offsets_say_where_each_token_lies_in_the_text() {
    for (body, text) in [
        (
            json!({"prompt": STORY, "max_tokens": 12, "echo": true, "logprobs": 1, "temperature": 0}),
            Some(STORY),
        ),
        (
            json!({"prompt": [tokenizer().encode(STORY).unwrap()], "max_tokens": 0, "echo": true, "logprobs": 2}),
            Some(STORY),
        ),
        (
            json!({"prompt": "A</s> king </s>", "max_tokens": 3, "echo": true, "logprobs": 0, "temperature": 0}),
            Some("A</s> king </s>"),
        ),
        (
            json!({"prompt": "A king", "max_tokens": 24, "logprobs": 2, "temperature": 1, "seed": 3}),
            None,
        ),
        (
            json!({"prompt": [[1]], "max_tokens": 8, "logprobs": 2, "temperature": 0}),
            None,
        ),
        (
            json!({"prompt": [[1]], "max_tokens": 8, "logprobs": 2, "temperature": 0, "echo": true}),
            Some(""),
        ),
    ] {
        let choice = choice(&body);
        let chars: Vec<char> = choice["text"].as_str().unwrap().chars().collect();
        if let Some(text) = text {
            assert!(choice["text"].as_str().unwrap().starts_with(text));
        }
        let logprobs = &choice["logprobs"];
        let offsets = logprobs["text_offset"].as_array().unwrap();
        let mut offsets: Vec<usize> = offsets
            .iter()
            .map(|offset| offset.as_u64().unwrap() as usize)
            .collect();
        assert!(offsets.is_sorted(), "{offsets:?}");
        offsets.push(chars.len());
        let tokens = logprobs["tokens"].as_array().unwrap();
        for (token, ends) in tokens.iter().zip(offsets.windows(2)) {
            let part: String = chars[ends[0]..ends[1]].iter().collect();
            let token = token.as_str().unwrap();
            if token.starts_with("bytes:") {
                assert!(part.chars().count() <= 1, "{token} {part}");
            } else {
                // A special token that is not shown has no text.
                let is_silent = part.is_empty() && ["<s>", "</s>", "<unk>"].contains(&token);
                assert!(
                    is_silent || part == token,
                    "{token:?} is {part:?} in {body}"
                );
            }
        }
    }
}

#[test]
fn a_stream_says_what_the_whole_says() {
    let mut body = json!({"prompt": ["A king", "見"], "n": 2, "max_tokens": 20, "temperature": 0.9, "seed": 5, "stop": ["the", "</s>"], "logprobs": 1});
    let whole = answer(&body.to_string());
    body["stream"] = true.into();
    let pieces = written(complete(&body.to_string()).unwrap());
    for index in 0..4 {
        let of_it = |piece: &&Value| piece["choices"][0]["index"] == index;
        let of_it: Vec<Value> = pieces.iter().filter(of_it).cloned().collect();
        let choice = &whole["choices"][index];
        let (text, finish) = joined(&of_it);
        assert_eq!(
            (json!(text), &finish),
            (choice["text"].clone(), &choice["finish_reason"])
        );
        assert!(!text.contains("the"));
        for list in ["tokens", "token_logprobs", "top_logprobs", "text_offset"] {
            let lists = of_it
                .iter()
                .filter_map(|piece| piece["choices"][0]["logprobs"][list].as_array());
            let all: Vec<Value> = lists.flatten().cloned().collect();
            assert_eq!(json!(all), choice["logprobs"][list], "{list}");
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_texts_in_any_company() {
    let body = json!({"prompt": "A king", "n": 3, "max_tokens": 8, "temperature": 1, "seed": 11});
    let texts = |body: &Value| -> Vec<String> {
        let whole = answer(&body.to_string());
        let choices = whole["choices"].as_array().unwrap().iter();
        choices
            .map(|choice| choice["text"].as_str().unwrap().to_owned())
            .collect()
    };
    let three = texts(&body);
    assert_eq!(
        texts(
            &json!({"prompt": ["The", "A king"], "n": 3, "max_tokens": 8, "temperature": 1, "seed": 11})
        )[3..],
        three
    );
    assert_eq!(
        texts(&json!({"prompt": "A king", "max_tokens": 8, "temperature": 1, "seed": 12})),
        three[1..2]
    );
    assert_ne!(three[0], three[1]);
}

#[test]
fn a_chat_is_answered_and_prompts_that_are_there_already_are_told() {
    let body = json!({"messages": [{"role": "user", "content": "Tell me of a king."}], "max_tokens": 6, "temperature": 0});
    let mut stream = body.clone();
    stream["stream"] = true.into();
    let whole = written(talk(&body.to_string()).unwrap()).remove(0);
    let content = whole["choices"][0]["message"]["content"].clone();
    let (text, _) = joined(&written(talk(&stream.to_string()).unwrap()));
    assert_eq!(json!(text), content);
    assert_eq!(whole["usage"]["completion_tokens"], 6);

    let story = "Once upon a time there was a king who had three sons. ".repeat(3);
    let many = answer(&json!({"prompt": [story, story], "max_tokens": 1}).to_string());
    let usage = &many["usage"];
    assert!(
        usage["prompt_tokens_details"]["cached_tokens"].as_u64() > Some(20),
        "{usage}"
    );
    assert_eq!(usage["completion_tokens"], 2);
}

#[test]
fn a_prompt_that_fills_the_context_is_scored() {
    let size = model().context_size();
    for (count, max_tokens) in [(size, 1), (size + 1, 0)] {
        let ids: Vec<u32> = (0..count as u32).map(|at| 300 + at % 90).collect();
        let choice = choice(
            &json!({"prompt": [ids], "max_tokens": max_tokens, "echo": true, "logprobs": 1}),
        );
        let tokens = choice["logprobs"]["tokens"].as_array().unwrap();
        assert_eq!(tokens.len(), count + max_tokens);
        assert_eq!(choice["finish_reason"], "length");
    }
}

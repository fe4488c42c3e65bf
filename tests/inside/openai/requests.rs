//! What a request asks for, and what is refused: by status and field.

use openelm::GenerateOptions;
use openelm::server::ApiError;
use openelm::server::openai::{self, Context};
use serde_json::{Value, json};

use super::{OPTIONS, complete, context, model, talk, tokenizer};

/// Ids and options of a completion.
fn texts(body: &Value) -> Vec<(Vec<u32>, GenerateOptions)> {
    let asked = complete(&body.to_string()).unwrap();
    asked
        .texts
        .into_iter()
        .map(|text| (text.ids, text.options))
        .collect()
}

fn options(body: &Value) -> GenerateOptions {
    let mut body = body.clone();
    body["prompt"] = "x".into();
    texts(&body).remove(0).1
}

fn refused(error: ApiError) -> (u16, Option<String>) {
    (error.status, error.param)
}

#[test]
fn a_text_gets_bos_and_ids_are_what_they_are() {
    let ids = |prompt: Value| -> Vec<Vec<u32>> {
        let body = json!({"prompt": prompt, "max_tokens": 1});
        texts(&body).into_iter().map(|(ids, _)| ids).collect()
    };
    let king = tokenizer().encode("king").unwrap();
    assert_eq!(king[0], 1);
    assert_eq!(ids(json!("king")), std::slice::from_ref(&king));
    assert_eq!(ids(json!(["king", ""])), [king.clone(), vec![1]]);
    assert_eq!(ids(json!([5, 6])), [[5, 6]]);
    assert_eq!(ids(json!([[5], [1, 6]])), [vec![5], vec![1, 6]]);
    let bare = json!({"prompt": "king", "add_special_tokens": false});
    assert_eq!(texts(&bare)[0].0, king[1..]);
    // A text may bring its own.
    assert_eq!(
        ids(json!("<s>king")),
        [tokenizer().encode("<s>king").unwrap()]
    );
}

#[test]
fn defaults_are_openais_with_the_models_own_over_them() {
    let usual = options(&json!({}));
    let own = model().sampling_defaults();
    assert_eq!(usual.max_tokens, Some(16));
    assert_eq!(usual.sampling.temperature, own.temperature);
    assert_eq!(usual.sampling.top_p, own.top_p);
    assert!(usual.stop.is_empty() && !usual.ignore_eos && usual.eos_token_ids.is_none());
    assert_eq!((usual.top_logprobs, usual.prompt_logprobs), (0, None));
    let asked = talk(r#"{"messages": [{"role": "user", "content": "Hi"}]}"#).unwrap();
    assert_eq!(asked.texts[0].options.max_tokens, None);
    assert!(!asked.is_stream);
}

#[test]
fn what_is_asked_for_is_done() {
    let asked = options(&json!({
        "temperature": 0.5, "top_p": 0.25, "top_k": -1, "min_p": 0.125, "repetition_penalty": 1.5, "max_tokens": 9,
        "min_tokens": 3, "stop": ["a", "</s>"], "stop_token_ids": [7], "seed": -1, "logprobs": 5, "echo": true,
    }));
    let sampling = &asked.sampling;
    assert_eq!((sampling.temperature, sampling.top_p), (0.5, 0.25));
    assert_eq!((sampling.top_k, sampling.min_p), (0, 0.125));
    assert_eq!(
        (sampling.repetition_penalty, sampling.seed),
        (1.5, u64::MAX)
    );
    assert_eq!(sampling.processors.min_new_tokens, Some(3));
    assert_eq!(asked.stop_after, 3);
    assert_eq!((asked.max_tokens, asked.top_logprobs), (Some(9), 5));
    assert_eq!(asked.stop, ["a", "</s>"]);
    assert_eq!(asked.eos_token_ids, Some(vec![2, 7]));
    let scores = asked.prompt_logprobs.unwrap();
    assert_eq!((scores.from, scores.top), (1, 5));

    assert_eq!(options(&json!({"stop": "x"})).stop, ["x"]);
    assert_eq!(
        options(&json!({"max_completion_tokens": 4})).max_tokens,
        Some(4)
    );
    assert!(options(&json!({"ignore_eos": true})).ignore_eos);
    let ends = options(&json!({"ignore_eos": true, "stop_token_ids": [7]}));
    assert_eq!(
        (ends.ignore_eos, ends.eos_token_ids),
        (false, Some(vec![7]))
    );
    assert_eq!(options(&json!({"top_k": 3})).sampling.top_k, 3);
    assert_eq!(options(&json!({"logprobs": 2})).prompt_logprobs, None);
}

#[test]
fn a_seed_is_that_of_the_prompts_first_text() {
    let seeds = |body: Value| -> Vec<u64> {
        texts(&body)
            .iter()
            .map(|(_, options)| options.sampling.seed)
            .collect()
    };
    let given = seeds(json!({"prompt": ["a", "b"], "n": 2, "seed": 40}));
    assert_eq!(given, [40, 41, 40, 41]);
    let clock = seeds(json!({"prompt": ["a", "a"], "n": 2}));
    assert!(
        clock.windows(2).all(|pair| pair[0] + 1 == pair[1]),
        "{clock:?}"
    );
}

#[test]
fn null_equals_absent_and_unknown_names_are_passed_over() {
    let mut body = json!({"prompt": "x"});
    for name in OPTIONS {
        body[name] = Value::Null;
    }
    let (all_null, none) = (texts(&body).remove(0).1, options(&json!({})));
    assert_eq!(all_null.max_tokens, none.max_tokens);
    assert_eq!(all_null.stop, none.stop);

    for harmless in [
        json!({"user": "me", "metadata": {"a": [1]}, "store": true, "service_tier": "auto", "whatever": 1e300}),
        json!({"response_format": {"type": "text"}, "tools": [], "logit_bias": {}, "suffix": "", "best_of": 1}),
        json!({"presence_penalty": 0, "frequency_penalty": 0.0, "modalities": ["text"], "n": 2, "best_of": 2}),
        json!({"tool_choice": "none", "function_call": "auto"}),
        json!({"tool_choice": null}),
        json!({"stream_options": {"include_usage": true, "else": 1}, "model": "any", "use_beam_search": false}),
        json!({"stop": [], "max_tokens": 0}),
        json!({"max_tokens": 1_000_000_000_000_u64}),
    ] {
        options(&harmless);
    }
}

#[test]
fn what_cannot_be_is_refused_by_name() {
    let long = "x".repeat(257);
    for (name, wrong) in [
        ("prompt", json!([])),
        ("prompt", json!([[]])),
        ("prompt", json!([[1], []])),
        ("prompt", json!([1, "a"])),
        ("prompt", json!([1.0])),
        ("prompt", json!([-1])),
        ("prompt", json!([4096])),
        ("prompt", json!([[1, u64::MAX]])),
        ("prompt", json!({"a": 1})),
        ("prompt", json!(7)),
        ("model", json!(1)),
        ("max_tokens", json!(-1)),
        ("max_tokens", json!(1.5)),
        ("max_tokens", json!("16")),
        ("max_completion_tokens", json!([])),
        ("temperature", json!("hot")),
        ("temperature", json!(-0.1)),
        ("temperature", json!(1e300)),
        ("temperature", json!(true)),
        ("top_p", json!(1.1)),
        ("top_p", json!(-1)),
        ("min_p", json!(2)),
        ("top_k", json!(-2)),
        ("top_k", json!(0.5)),
        ("repetition_penalty", json!(0)),
        ("n", json!(0)),
        ("n", json!(257)),
        ("n", json!(-1)),
        ("best_of", json!(2)),
        ("stream", json!("yes")),
        ("stream_options", json!(true)),
        ("stream_options.include_usage", json!(1)),
        ("stop", json!(1)),
        ("stop", json!(["a", 1])),
        ("stop", json!(vec!["a"; 17])),
        ("stop", json!(long)),
        ("stop", json!([long])),
        ("seed", json!(1.5)),
        ("seed", json!("x")),
        ("logprobs", json!(21)),
        ("logprobs", json!(true)),
        ("logprobs", json!(-1)),
        ("echo", json!(1)),
        ("ignore_eos", json!("no")),
        ("min_tokens", json!(17)),
        ("stop_token_ids", json!([4096])),
        ("stop_token_ids", json!([-1])),
        ("stop_token_ids", json!(2)),
        ("add_special_tokens", json!("no")),
        ("return_token_ids", json!(0)),
        ("presence_penalty", json!(0.5)),
        ("frequency_penalty", json!("0")),
        ("logit_bias", json!({"5": 1})),
        ("suffix", json!(" ")),
        ("tools", json!([{"type": "function"}])),
        ("response_format", json!({"type": "json_object"})),
        ("response_format", json!("text")),
        ("guided_json", json!({"type": "object"})),
        ("tool_choice", json!("required")),
        (
            "tool_choice",
            json!({"type": "function", "function": {"name": "f"}}),
        ),
        ("function_call", json!({"name": "f"})),
        ("modalities", json!(["text", "audio"])),
    ] {
        let mut body = json!({"prompt": "x", "max_tokens": 16});
        match name.split_once('.') {
            Some((name, inner)) => body[name] = json!({inner: wrong}),
            None => body[name] = wrong.clone(),
        }
        let error = complete(&body.to_string()).err();
        let error = error.unwrap_or_else(|| panic!("{name}: {wrong} was taken"));
        let json: Value = serde_json::from_str(&error.to_json()).unwrap();
        assert_eq!(json["error"]["type"], "invalid_request_error");
        assert_eq!(
            json["error"]["param"],
            json!(name),
            "{wrong}: {}",
            error.message
        );
        assert!(!error.message.contains(" at line"), "{}", error.message);
        assert_eq!(refused(error), (400, Some(name.to_owned())), "{wrong}");
    }
    assert_eq!(
        refused(complete("{}").err().unwrap()),
        (400, Some("prompt".into()))
    );
    assert_eq!(
        refused(complete(r#"{"prompt": null}"#).err().unwrap()),
        (400, Some("prompt".into()))
    );
    // Sixteen tokens are what is asked for where nothing is said.
    let short = complete(r#"{"prompt": "x", "min_tokens": 17}"#);
    assert_eq!(
        refused(short.err().unwrap()),
        (400, Some("min_tokens".into()))
    );
}

/// Whoever sends megabytes knows them already.
#[test]
fn little_of_a_long_text_is_quoted() {
    let long = "y\"".repeat(1 << 20);
    let mut strict = context();
    strict.is_strict = true;
    let detokenize = |tokens: Value| {
        let body = json!({"tokens": tokens}).to_string();
        openai::detokenize(body.as_bytes(), &context()).err()
    };
    let named = json!({"prompt": "x", "model": long}).to_string();
    for error in [
        complete(&json!({"prompt": [[long]]}).to_string()).err(),
        detokenize(json!(long)),
        detokenize(json!([long])),
        openai::completions(named.as_bytes(), &strict).err(),
    ] {
        let message = error.unwrap().message;
        assert!(message.len() < 200, "{} bytes", message.len());
        assert!(
            message.contains("y\\\"y") || message.contains("y\"y"),
            "{message}"
        );
    }
    // What comes behind it still stands there.
    let message = detokenize(json!([long])).unwrap().message;
    assert!(
        message.ends_with("an id, which is a whole number from 0"),
        "{message}"
    );
}

#[test]
fn a_million_stop_strings_are_counted() {
    let body = format!(
        r#"{{"prompt": "x", "stop": [{}"a"]}}"#,
        "\"a\",".repeat(999_999)
    );
    let error = complete(&body).err().unwrap();
    assert!(error.message.contains("1000000"), "{}", error.message);
    assert_eq!(error.param.as_deref(), Some("stop"));
}

#[test]
fn a_request_has_so_many_texts() {
    let ask = |prompts: usize, n: usize| {
        let prompts: Vec<[u32; 1]> = vec![[1]; prompts];
        complete(&json!({"prompt": prompts, "n": n}).to_string())
    };
    assert_eq!(ask(128, 2).unwrap().texts.len(), 256);
    assert_eq!(ask(256, 1).unwrap().texts.len(), 256);
    assert_eq!(refused(ask(129, 2).err().unwrap()).0, 400);
    assert_eq!(
        refused(ask(257, 1).err().unwrap()),
        (400, Some("prompt".into()))
    );
}

#[test]
fn a_prompt_fits_the_context_or_both_numbers_are_told() {
    let size = model().context_size();
    let ask = |ids: usize, max_tokens: usize| {
        let body =
            json!({"prompt": vec![5; ids], "max_tokens": max_tokens, "echo": true, "logprobs": 1});
        complete(&body.to_string())
    };
    for (ids, max_tokens) in [(size + 1, 0), (size, 1), (size - 1, 2), (size - 1, 1000)] {
        assert!(ask(ids, max_tokens).is_ok(), "{ids} {max_tokens}");
    }
    for (ids, max_tokens) in [(size + 2, 0), (size + 1, 1), (size, 2), (1_000_000, 1)] {
        let error = ask(ids, max_tokens).err().unwrap();
        assert_eq!(error.code, Some("context_length_exceeded"));
        assert!(
            error.message.contains(&size.to_string()),
            "{}",
            error.message
        );
        assert!(
            error.message.contains(&ids.to_string()),
            "{}",
            error.message
        );
        assert_eq!(refused(error), (400, Some("prompt".into())));
    }
    // A text that is far too long is not even encoded.
    let long = json!({"prompt": "a ".repeat(4_000_000)}).to_string();
    let begin = std::time::Instant::now();
    let error = complete(&long).err().unwrap();
    assert_eq!(error.code, Some("context_length_exceeded"));
    assert!(begin.elapsed().as_secs() < 5);
    let long =
        json!({"messages": [{"role": "user", "content": "a ".repeat(4_000_000)}]}).to_string();
    assert_eq!(
        talk(&long).err().unwrap().code,
        Some("context_length_exceeded")
    );
}

#[test]
fn names_of_models_count_only_where_they_are_to() {
    let mut strict = context();
    strict.is_strict = true;
    let ask = |context: &Context, model: &str| {
        let body = json!({"prompt": "x", "model": model}).to_string();
        openai::completions(body.as_bytes(), context).map(|_| ())
    };
    assert_eq!(ask(&context(), "gpt-4"), Ok(()));
    assert_eq!(ask(&strict, "demo-model"), Ok(()));
    let error = ask(&strict, "gpt-4").unwrap_err();
    assert_eq!((error.status, error.code), (404, Some("model_not_found")));
    assert_eq!(error.kind(), "not_found_error");

    let models: Value = serde_json::from_str(&openai::models(&context())).unwrap();
    assert_eq!(models["object"], "list");
    let entry = &models["data"][0];
    assert_eq!(
        (&entry["id"], &entry["object"]),
        (&json!("demo-model"), &json!("model"))
    );
    assert_eq!(entry["max_model_len"], model().context_size());
    let one: Value =
        serde_json::from_str(&openai::model("demo-model", &context()).unwrap()).unwrap();
    assert_eq!(one["id"], entry["id"]);
    assert_eq!(openai::model("x", &context()).unwrap_err().status, 404);
}

#[test]
fn messages_become_what_the_template_makes_of_them() {
    let ids = |messages: Value| {
        let body = json!({"messages": messages}).to_string();
        talk(&body).map(|asked| asked.texts[0].ids.clone())
    };
    let said = |text: &str| {
        tokenizer()
            .encode(&format!(
                "<|system|>\nBe brief.</s>\n<|user|>\n{text}</s>\n<|assistant|>\n"
            ))
            .unwrap()
    };
    let whole = json!([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi\nthere", "name": "me"}]);
    assert_eq!(ids(whole), Ok(said("Hi\nthere")));
    let parts = json!([
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Hi"}, {"type": "text", "text": "there"}]},
    ]);
    assert_eq!(ids(parts), Ok(said("Hi\nthere")));
    // No special token is made of what was said.
    let forged = ids(json!([{"role": "user", "content": "</s><s>"}])).unwrap();
    let plain = ids(json!([{"role": "user", "content": "x"}])).unwrap();
    let count = |ids: &[u32]| ids.iter().filter(|id| **id < 3).count();
    assert_eq!(count(&forged), count(&plain));
    let asked = talk(r#"{"messages": [{"role": "user", "content": "x"}], "stop": "y"}"#).unwrap();
    assert_eq!(asked.texts[0].options.stop, ["y", "<|user|>"]);
    // No tools, however that is written.
    talk(r#"{"messages": [{"role": "user", "content": "x", "tool_calls": [ ], "audio": null}]}"#)
        .unwrap();

    for (messages, param) in [
        (json!(null), "messages"),
        (json!([]), "messages"),
        (json!("Hi"), "messages"),
        (json!(["Hi"]), "messages[0]"),
        (json!([{"content": "Hi"}]), "messages[0].role"),
        (
            json!([{"role": "tool", "content": "Hi"}]),
            "messages[0].role",
        ),
        (json!([{"role": 1, "content": "Hi"}]), "messages[0].role"),
        (json!([{"role": "user"}]), "messages[0].content"),
        (
            json!([{"role": "user", "content": null}]),
            "messages[0].content",
        ),
        (
            json!([{"role": "user", "content": 1}]),
            "messages[0].content",
        ),
        (
            json!([{"role": "user", "content": [1]}]),
            "messages[0].content[0]",
        ),
        (
            json!([{"role": "user", "content": "a"}, {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]),
            "messages[1].content[0].type",
        ),
        (
            json!([{"role": "user", "content": [{"type": "text"}]}]),
            "messages[0].content[0].text",
        ),
        (
            json!([{"role": "assistant", "content": "", "tool_calls": [{"id": "x"}]}]),
            "messages[0].tool_calls",
        ),
    ] {
        assert_eq!(
            refused(ids(messages).unwrap_err()),
            (400, Some(param.to_owned()))
        );
    }
    let many: Vec<Value> = vec![json!({"role": "user", "content": ""}); 100_000];
    assert_eq!(
        refused(ids(many.into()).unwrap_err()),
        (400, Some("messages".into()))
    );
}

#[test]
fn a_chat_ends_as_it_always_does() {
    let context = context();
    for (name, usual) in [
        ("add_generation_prompt", true),
        ("continue_final_message", false),
    ] {
        for wrong in [json!(!usual), json!("yes")] {
            let body = json!({"messages": [{"role": "user", "content": "x"}], name: wrong});
            let body = body.to_string();
            let named = (400, Some(name.to_owned()));
            assert_eq!(refused(talk(&body).err().unwrap()), named);
            let error = openai::tokenize(body.as_bytes(), &context).unwrap_err();
            assert_eq!(refused(error), named);
        }
        for fine in [json!(usual), json!(null)] {
            let body = json!({"messages": [{"role": "user", "content": "x"}], name: fine});
            assert!(talk(&body.to_string()).is_ok());
        }
        // An answer that stands last is gone on with.
        let begun =
            json!([{"role": "user", "content": "x"}, {"role": "assistant", "content": "Once"}]);
        for fine in [usual, !usual] {
            assert!(talk(&json!({"messages": begun, name: fine}).to_string()).is_ok());
        }
    }
}

#[test]
fn a_chat_can_name_probable_tokens_and_a_base_model_cannot_chat() {
    let ask = |extra: Value| {
        let mut body = json!({"messages": [{"role": "user", "content": "x"}]});
        body.as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        talk(&body.to_string())
    };
    let asked = ask(json!({"logprobs": true, "top_logprobs": 20})).unwrap();
    assert_eq!(asked.texts[0].options.top_logprobs, 20);
    for (extra, param) in [
        (json!({"logprobs": 1}), "logprobs"),
        (
            json!({"logprobs": true, "top_logprobs": 21}),
            "top_logprobs",
        ),
        (json!({"top_logprobs": 2}), "top_logprobs"),
        (
            json!({"logprobs": true, "top_logprobs": 1.0}),
            "top_logprobs",
        ),
    ] {
        assert_eq!(
            refused(ask(extra).err().unwrap()),
            (400, Some(param.to_owned()))
        );
    }
    let mut base = context();
    base.template = None;
    let body = br#"{"messages": [{"role": "user", "content": "x"}]}"#;
    let error = openai::chat(body, &base).err().unwrap();
    assert_eq!(error.status, 400);
    assert!(
        error.message.contains("/v1/completions"),
        "{}",
        error.message
    );
}

#[test]
fn texts_become_ids_and_ids_texts_in_two_servers_forms() {
    let context = context();
    let tokenize = |body: Value| -> Value {
        let answer = openai::tokenize(body.to_string().as_bytes(), &context).unwrap();
        serde_json::from_str(&answer).unwrap()
    };
    let king = tokenizer().encode("A king").unwrap();
    let vllm = tokenize(json!({"model": "x", "prompt": "A king"}));
    assert_eq!(vllm["tokens"], json!(king));
    assert_eq!(
        (&vllm["count"], &vllm["max_model_len"]),
        (&json!(king.len()), &json!(model().context_size()))
    );
    assert_eq!(
        tokenize(json!({"content": "A king"}))["tokens"],
        json!(king[1..])
    );
    assert_eq!(
        tokenize(json!({"content": "A king", "add_special": true}))["tokens"],
        json!(king)
    );
    assert_eq!(
        tokenize(json!({"prompt": "</s>", "add_special_tokens": false}))["tokens"],
        json!([2])
    );
    assert_eq!(
        tokenize(json!({"prompt": "", "add_special_tokens": false}))["tokens"],
        json!([])
    );
    let messages = json!({"messages": [{"role": "user", "content": "Hi"}]});
    assert_eq!(
        tokenize(messages.clone())["tokens"],
        json!(talk(&messages.to_string()).unwrap().texts[0].ids)
    );

    // What does not fit the context is counted all the same.
    let size = model().context_size();
    let long = "a ".repeat(8 * size);
    let chat = json!({"messages": [{"role": "user", "content": long}]});
    let count = tokenize(chat)["count"].as_u64().unwrap() as usize;
    assert!(
        count
            >= tokenize(json!({"content": long}))["count"]
                .as_u64()
                .unwrap() as usize
    );
    assert!(count > size);
    let many = vec![json!({"role": "user", "content": "a"}); size + 1];
    let count = tokenize(json!({"messages": many}))["count"]
        .as_u64()
        .unwrap() as usize;
    assert!(count > size);

    let detokenize = |body: Value| openai::detokenize(body.to_string().as_bytes(), &context);
    let both: Value = serde_json::from_str(&detokenize(json!({"tokens": king})).unwrap()).unwrap();
    assert_eq!(both, json!({"prompt": "<s>A king", "content": "<s>A king"}));
    for wrong in [
        json!({}),
        json!({"tokens": [4096]}),
        json!({"tokens": [-1]}),
        json!({"tokens": "a"}),
    ] {
        assert_eq!(
            refused(detokenize(wrong).unwrap_err()),
            (400, Some("tokens".into()))
        );
    }
    for (wrong, param) in [
        (json!({}), "prompt"),
        (json!({"prompt": ["a"]}), "prompt"),
        (json!({"content": 1}), "content"),
        (json!({"prompt": "a".repeat((1 << 20) + 1)}), "prompt"),
        (
            json!({"messages": [{"role": "user", "content": "a".repeat((1 << 20) + 1)}]}),
            "messages",
        ),
    ] {
        let error = openai::tokenize(wrong.to_string().as_bytes(), &context).unwrap_err();
        assert_eq!(refused(error), (400, Some(param.into())));
    }
    let info: Value = serde_json::from_str(&openai::tokenizer_info(&context).unwrap()).unwrap();
    assert_eq!(
        info,
        json!({"bos_token": "<s>", "eos_token": "</s>", "pad_token": null, "chat_template": null})
    );
}

//! A text is what Hugging Face's `generate` writes for the same settings: greedy, with every processor and every end, on the fixtures and
//! the demo model; settings are checked; several texts come from one prompt.

#![allow(
    clippy::field_reassign_with_default,
    reason = "options are filled as users of the library fill them"
)]

mod common;

use std::collections::HashMap;
use std::time::Duration;

use openelm::{Dtype, Error, Finish, GenerateOptions, GenerationConfig, Model, Session};
use serde_json::{Value, json};

/// A model of these tests, exact.
fn exact(name: &str) -> Model {
    let mut options = common::options(None, true);
    options.dtype = Some(Dtype::F32);
    let path = match name {
        "demo" => name.to_owned(),
        _ => common::fixture(name).to_string_lossy().into_owned(),
    };
    Model::load(&path, &options).unwrap()
}

fn config(kwargs: &Value) -> GenerationConfig {
    let pairs = kwargs.as_object().unwrap().iter();
    GenerationConfig::from_pairs(pairs.map(|(key, value)| (key.as_str(), value))).unwrap()
}

fn run(session: &mut Session, prompt: &[u32], options: &GenerateOptions) -> (Vec<u32>, String) {
    let mut generation = session.generate(prompt, options).unwrap();
    let tokens: Vec<_> = generation.by_ref().map(Result::unwrap).collect();
    let text = tokens.iter().map(|token| token.text.as_str()).collect();
    (generation.ids().to_vec(), text)
}

/// With `kwargs`, which say nothing about the model's own end of text; the ids, and why they ended.
fn generate(session: &mut Session, prompt: &[u32], kwargs: &Value) -> (Vec<u32>, Option<Finish>) {
    let mut options = config(kwargs).options(prompt.len()).unwrap();
    options.eos_token_ids.get_or_insert_default();
    let mut generation = session.generate(prompt, &options).unwrap();
    assert!(generation.by_ref().all(|token| token.is_ok()));
    (generation.ids().to_vec(), generation.finish())
}

#[test]
fn texts_are_those_of_hugging_face() {
    let cases = std::fs::read(common::fixture("generate.json")).unwrap();
    let cases: Vec<Value> = serde_json::from_slice(&cases).unwrap();
    assert_eq!(cases.len(), 189);
    let mut models = HashMap::new();
    let mut kinds = std::collections::BTreeSet::new();
    for case in &cases {
        let name = case["model"].as_str().unwrap();
        let session = models
            .entry(name)
            .or_insert_with(|| exact(name).session().unwrap());
        let (prompt, kwargs) = (common::ids(&case["prompt"]), &case["kwargs"]);
        let (found, _) = generate(session, &prompt, kwargs);
        // Up to the first id that was too close to call.
        let expected = common::ids(&case["ids"]);
        let sure = match case["whole"] == true {
            true => found.len(),
            false => expected.len().min(found.len()),
        };
        assert_eq!(found[..sure], expected, "{name} {kwargs}");
        kinds.extend(kwargs.as_object().unwrap().keys());
    }
    assert!(kinds.len() >= 13, "{kinds:?}");
}

#[test]
fn a_text_ends_for_the_reason_that_came_first() {
    let mut session = exact("openelm-f16").session().unwrap();
    let prompt = [1, 213, 309, 232, 323];
    let plain = generate(&mut session, &prompt, &json!({"max_new_tokens": 8})).0;
    let mut ends = |kwargs: Value| {
        let (ids, finish) = generate(&mut session, &prompt, &kwargs);
        (ids.len(), finish.unwrap())
    };
    assert_eq!(ends(json!({"max_length": 6})), (1, Finish::Length));
    let both = json!({"max_length": 6, "max_new_tokens": 3});
    assert_eq!(ends(both), (3, Finish::Length));
    let several =
        json!({"max_new_tokens": 8, "eos_token_id": [511, plain[2], plain[4], -1, 99999]});
    assert_eq!(ends(several), (3, Finish::Eos));
    // The end belongs to the text, also where it is the last that fits.
    let last = json!({"max_new_tokens": 3, "eos_token_id": plain[2]});
    assert_eq!(ends(last), (3, Finish::Eos));
    let none = json!({"max_new_tokens": 8, "eos_token_id": null});
    assert_eq!(ends(none), (8, Finish::Length));
    assert_eq!(ends(json!({"max_time": 0.0})), (1, Finish::Time));
    assert_eq!(
        ends(json!({"max_time": 1e300, "max_new_tokens": 2})).1,
        Finish::Length
    );
    assert_eq!(ends(json!({})), (256 - 5, Finish::Context));
    let forced = json!({"max_new_tokens": 2, "forced_eos_token_id": [7, 5], "eos_token_id": 9});
    assert_eq!(generate(&mut session, &prompt, &forced).0, [plain[0], 5]);
}

#[test]
fn time_ends_a_long_prompt_too() {
    let model = exact("demo");
    let mut session = model.session().unwrap();
    let prompt = vec![5; 500];
    let mut options = GenerateOptions::default();
    options.max_time = Some(Duration::ZERO);
    let mut steps = 0;
    let mut generation = session.generate(&prompt, &options).unwrap();
    generation.prefill(|_, _| steps += 1).unwrap();
    assert_eq!(generation.next().map(Result::unwrap), None);
    assert_eq!(generation.finish(), Some(Finish::Time));
    drop(generation);
    let held = session.tokens().len();
    assert!((1..500).contains(&held), "{held}");
    // What was computed is kept.
    options.max_time = None;
    options.max_tokens = Some(1);
    let mut generation = session.generate(&prompt, &options).unwrap();
    assert!(generation.next().is_some_and(|token| token.is_ok()));
    assert_eq!(generation.timing().prefill_tokens, 500 - held);
}

#[test]
fn stop_strings_belong_to_the_text() {
    let model = exact("demo");
    let mut session = model.session().unwrap();
    let prompt = model.encode("Once upon a time").unwrap();
    let mut options = GenerateOptions::default();
    options.max_tokens = Some(12);
    let (ids, text) = run(&mut session, &prompt, &options);
    // In the middle of a token, and across tokens.
    let words: Vec<&str> = text.split_inclusive(' ').collect();
    let half = words[2].trim().split_at(1).0;
    let across = format!("{}{half}", words[1]);
    options.stop_strings = vec![across.clone(), "nowhere".into()];
    let mut generation = session.generate(&prompt, &options).unwrap();
    let shown: String = generation
        .by_ref()
        .map(|token| token.unwrap().text)
        .collect();
    assert_eq!(generation.finish(), Some(Finish::Stop));
    let stopped = generation.ids().to_vec();
    drop(generation);
    assert_eq!(stopped, ids[..stopped.len()]);
    assert!(stopped.len() < ids.len());
    assert!(
        text.starts_with(&shown) && shown.contains(&across),
        "{shown:?}"
    );
    // One that begins in the prompt, and one that ends there.
    options.stop_strings = vec![format!("time{}", &text[..2]), "upon a".into()];
    assert_eq!(run(&mut session, &prompt, &options).0, ids[..1]);
    options.stop_strings = vec!["upon a".into()];
    assert_eq!(run(&mut session, &prompt, &options).0, ids);
    // The other kind is cut off.
    options.stop_strings.clear();
    options.stop = vec![across.clone()];
    assert!(!run(&mut session, &prompt, &options).1.contains(&across));
}

#[test]
fn several_texts_come_from_one_prompt_and_each_can_be_repeated() {
    let model = exact("demo");
    let mut session = model.session().unwrap();
    let prompt = model.encode("There was once").unwrap();
    let kwargs = json!({"do_sample": true, "temperature": 1.1, "max_new_tokens": 6, "no_repeat_ngram_size": 2});
    let mut options = config(&kwargs).options(prompt.len()).unwrap();
    options.sampling.seed = 41;
    let count = 19;
    let mut told = vec![Vec::new(); count];
    let texts = session
        .generate_several(&prompt, &options, count, |index, token| {
            told[index].push(token.id);
            true
        })
        .unwrap();
    assert_eq!(texts.len(), count);
    assert_eq!(session.tokens(), &prompt[..prompt.len() - 1]);
    assert_eq!(texts[0].timing.prefill_tokens, prompt.len());
    let mut distinct: Vec<&[u32]> = texts.iter().map(|text| &text.ids[..]).collect();
    distinct.sort_unstable();
    distinct.dedup();
    assert!(distinct.len() > count / 2);
    for (index, (text, told)) in texts.iter().zip(&told).enumerate() {
        assert_eq!((text.seed, &text.ids), (41 + index as u64, told));
        assert_eq!(text.logprobs.len(), text.ids.len());
        if index % 6 == 0 {
            options.sampling.seed = text.seed;
            let mut alone = model.session().unwrap();
            let (ids, words) = run(&mut alone, &prompt, &options);
            assert_eq!((&ids, &words), (&text.ids, &text.text));
        }
    }
    // Ended by whoever listens, or by the clock.
    let ended = session
        .generate_several(&prompt, &options, 3, |_, _| false)
        .unwrap();
    assert!(
        ended
            .iter()
            .all(|text| text.finish == Some(Finish::Cancelled))
    );
    options.max_time = Some(Duration::ZERO);
    let late = session
        .generate_several(&[5; 480], &options, 2, |_, _| true)
        .unwrap();
    assert!(late.iter().all(|text| text.finish == Some(Finish::Time)));
}

#[test]
fn texts_that_would_be_the_same_are_refused() {
    let mut config = config(&json!({"num_return_sequences": 2}));
    let error = config.options(3).unwrap_err();
    assert!(matches!(error, Error::SequencesNeedSampling { count: 2 }));
    config.do_sample = true;
    assert!(config.options(3).is_ok());
    config.prompt_lookup_num_tokens = Some(3);
    assert!(config.options(3).is_err());
}

#[test]
fn a_model_that_computes_no_numbers_is_not_believed() {
    const CONFIG: &str = r#"{"model_type": "openelm", "num_transformer_layers": 1, "model_dim": 32, "head_dim": 16, "vocab_size": 40,
        "num_query_heads": [2], "num_kv_heads": [1], "ffn_multipliers": [1.0], "ffn_dim_divisor": 16, "ffn_with_glu": true,
        "share_input_output_layers": true, "max_context_length": 32}"#;
    let mut tensors = common::synthetic_tensors(CONFIG, &[Dtype::F32]);
    let norm = tensors.get_mut("transformer.norm.weight").unwrap();
    norm.2[..4].copy_from_slice(&f32::NAN.to_le_bytes());
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config.json"), CONFIG).unwrap();
    let file = common::safetensors(&tensors);
    std::fs::write(folder.path().join("model.safetensors"), file).unwrap();
    let Ok(model) = Model::load(
        &folder.path().to_string_lossy(),
        &common::options(None, true),
    ) else {
        panic!("loading is not the place");
    };
    for sampled in [false, true] {
        let mut session = model.session().unwrap();
        let kwargs = json!({"do_sample": sampled});
        let mut options = config(&kwargs).options(2).unwrap();
        let mut generation = session.generate(&[1, 5], &options).unwrap();
        let error = generation.next().unwrap().unwrap_err();
        assert!(matches!(error, Error::NotANumber { .. }), "{error}");
        assert_eq!(generation.finish(), Some(Finish::Error));
        assert!(generation.next().is_none());
        drop(generation);
        options.sampling.processors.remove_invalid_values = true;
        options.max_tokens = Some(2);
        let tokens = session.generate(&[1, 5], &options).unwrap();
        assert_eq!(tokens.filter(|token| token.is_ok()).count(), 2);
    }
}

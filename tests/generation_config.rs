//! Settings are what they say, wherever they come from: those of a request are checked, those of a model's file are no reason to refuse it.

mod common;

use openelm::{AssistantSchedule, Error, GenerationConfig, LoadOptions, Model, ModelFiles};
use serde_json::{Value, json};

fn set(key: &str, value: &Value) -> Result<GenerationConfig, Error> {
    GenerationConfig::from_pairs([(key, value)])
}

#[test]
fn every_key_is_set() {
    type Check = fn(&GenerationConfig) -> bool;
    let cases: &[(&str, Value, Check)] = &[
        ("max_length", json!(7), |c| c.max_length == Some(7)),
        ("max_length", json!(null), |c| c.max_length.is_none()),
        ("do_sample", json!(1), |c| c.do_sample),
        ("do_sample", json!(0), |c| !c.do_sample),
        ("top_k", json!(null), |c| c.without_effect().is_empty()),
        ("forced_decoder_ids", json!([]), |c| {
            *c == Default::default()
        }),
        ("max_new_tokens", json!(7), |c| c.max_new_tokens == Some(7)),
        ("max_new_tokens", json!(null), |c| {
            c.max_new_tokens.is_none()
        }),
        ("min_length", json!(7), |c| c.processors.min_length == 7),
        ("min_length", json!(-7), |c| c.processors.min_length == 0),
        ("min_new_tokens", json!(0), |c| {
            c.processors.min_new_tokens == Some(0)
        }),
        ("max_time", json!(1.5), |c| {
            c.max_time.unwrap().as_millis() == 1500
        }),
        ("max_time", json!(-1), |c| c.max_time.unwrap().is_zero()),
        ("max_time", json!(null), |c| c.max_time.is_none()),
        ("stop_strings", json!("a"), |c| c.stop_strings == ["a"]),
        ("stop_strings", json!(["a", "b"]), |c| {
            c.stop_strings == ["a", "b"]
        }),
        ("eos_token_id", json!(5), |c| {
            c.eos_token_ids == Some(vec![5])
        }),
        ("eos_token_id", json!([5, -1]), |c| {
            c.eos_token_ids == Some(vec![5])
        }),
        ("eos_token_id", json!(null), |c| {
            c.eos_token_ids == Some(vec![])
        }),
        ("do_sample", json!(true), |c| c.do_sample),
        ("temperature", json!(2), |c| c.temperature == 2.0),
        ("temperature", json!(null), |c| c.temperature == 1.0),
        ("top_k", json!(3), |c| c.top_k == 3),
        ("top_k", json!(null), |c| c.top_k == 0),
        ("top_p", json!(0.5), |c| c.top_p == 0.5),
        ("min_p", json!(0.5), |c| c.min_p == 0.5),
        ("typical_p", json!(0.5), |c| c.typical_p == 0.5),
        // What cuts nothing is off.
        ("typical_p", json!(2), |c| c.typical_p == 1.0),
        ("top_p", json!(1.5), |c| c.top_p == 1.0),
        ("epsilon_cutoff", json!(1), |c| c.epsilon_cutoff == 0.0),
        ("eta_cutoff", json!(-0.1), |c| c.eta_cutoff == 0.0),
        ("eta_cutoff", json!(3e-7), |c| c.eta_cutoff == 3e-7),
        ("temperature", json!(200), |c| c.temperature == 200.0),
        ("epsilon_cutoff", json!(0.5), |c| c.epsilon_cutoff == 0.5),
        ("eta_cutoff", json!(0.5), |c| c.eta_cutoff == 0.5),
        ("repetition_penalty", json!(2), |c| {
            c.repetition_penalty == 2.0
        }),
        ("no_repeat_ngram_size", json!(2), |c| {
            c.processors.no_repeat_ngram_size == 2
        }),
        ("no_repeat_ngram_size", json!(-2), |c| {
            c.processors.no_repeat_ngram_size == 0
        }),
        ("bad_words_ids", json!([[1, 2], [3]]), |c| {
            c.processors.bad_words_ids == [vec![1, 2], vec![3]]
        }),
        ("sequence_bias", json!([[[1], -2], [[3, 4], 0.5]]), |c| {
            c.processors.sequence_bias == [(vec![1], -2.0), (vec![3, 4], 0.5)]
        }),
        ("forced_bos_token_id", json!(5), |c| {
            c.processors.forced_bos_token_id == Some(5)
        }),
        ("forced_eos_token_id", json!([5, 6]), |c| {
            c.processors.forced_eos_token_ids == [5, 6]
        }),
        ("remove_invalid_values", json!(true), |c| {
            c.processors.remove_invalid_values
        }),
        ("exponential_decay_length_penalty", json!([4, 1.6]), |c| {
            c.processors.exponential_decay_length_penalty == Some((4, 1.6))
        }),
        ("suppress_tokens", json!([5, -1]), |c| {
            c.processors.suppress_tokens == [5]
        }),
        ("suppress_tokens", json!([]), |c| {
            c.processors.suppress_tokens.is_empty()
        }),
        ("begin_suppress_tokens", json!([5]), |c| {
            c.processors.begin_suppress_tokens == [5]
        }),
        ("renormalize_logits", json!(true), |c| {
            c.processors.renormalize_logits
        }),
        ("num_return_sequences", json!(3), |c| {
            c.num_return_sequences == 3
        }),
        ("prompt_lookup_num_tokens", json!(10), |c| {
            c.prompt_lookup_num_tokens == Some(10)
        }),
        ("max_matching_ngram_size", json!(3), |c| {
            c.max_matching_ngram_size == 3
        }),
        ("max_matching_ngram_size", json!(null), |c| {
            c.max_matching_ngram_size == 2
        }),
        ("num_assistant_tokens", json!(9), |c| {
            c.num_assistant_tokens == 9
        }),
        ("num_assistant_tokens_schedule", json!("constant"), |c| {
            c.num_assistant_tokens_schedule == AssistantSchedule::Constant
        }),
    ];
    for (key, value, check) in cases {
        let config = set(key, value).unwrap();
        assert!(check(&config), "{key} {value}: {config:?}");
    }
}

#[test]
fn what_makes_no_sense_is_refused_by_key_and_value() {
    for (key, value) in [
        ("max_length", json!("long")),
        ("max_new_tokens", json!(0)),
        ("max_new_tokens", json!(-3)),
        ("max_new_tokens", json!(3.5)),
        ("max_new_tokens", json!(true)),
        ("min_length", json!("x")),
        ("max_time", json!("soon")),
        ("stop_strings", json!([])),
        ("stop_strings", json!([""])),
        ("stop_strings", json!(5)),
        ("eos_token_id", json!([])),
        ("eos_token_id", json!(2.5)),
        ("eos_token_id", json!([[2]])),
        ("do_sample", json!("yes")),
        ("do_sample", json!(2)),
        ("temperature", json!(-0.5)),
        ("temperature", json!("nan")),
        ("temperature", json!(1e9)),
        ("top_k", json!(-1)),
        ("top_k", json!(50.0)),
        ("top_p", json!(-0.1)),
        ("top_p", json!([0.5])),
        ("min_p", json!(-0.1)),
        ("min_p", json!(1.1)),
        ("typical_p", json!(0)),
        ("epsilon_cutoff", json!("x")),
        ("eta_cutoff", json!([0.1])),
        ("repetition_penalty", json!(0)),
        ("repetition_penalty", json!(-1)),
        ("bad_words_ids", json!([])),
        ("bad_words_ids", json!([[]])),
        ("bad_words_ids", json!([5])),
        ("bad_words_ids", json!([[-5]])),
        ("sequence_bias", json!([])),
        ("sequence_bias", json!({"5": 1})),
        ("sequence_bias", json!([[[5]]])),
        ("sequence_bias", json!([[[], 1]])),
        ("sequence_bias", json!([[[5], "x"]])),
        ("forced_bos_token_id", json!(-1)),
        ("forced_eos_token_id", json!([])),
        ("forced_eos_token_id", json!([3, -1])),
        ("exponential_decay_length_penalty", json!([4])),
        ("exponential_decay_length_penalty", json!([0.5, 1.6])),
        ("suppress_tokens", json!(5)),
        ("num_return_sequences", json!(0)),
        ("num_return_sequences", json!(1_000_000_000)),
        ("prompt_lookup_num_tokens", json!(0)),
        ("max_matching_ngram_size", json!(-1)),
        ("num_assistant_tokens", json!(0)),
        ("num_assistant_tokens_schedule", json!("sometimes")),
    ] {
        let error = set(key, &value).unwrap_err();
        assert!(matches!(error, Error::OptionValue { .. }), "{key} {value}");
        let text = error.to_string();
        assert!(text.contains(&format!("`{key}` is ")), "{text}");
        assert!(
            text.ends_with("expected") || text.contains("possible") || text.contains("; "),
            "{text}"
        );
    }
    // Nobody wants to read a long list again.
    let long = json!(vec!["x"; 10_000]);
    assert!(set("bad_words_ids", &long).unwrap_err().to_string().len() < 300);
}

#[test]
fn what_hugging_face_has_is_told_from_what_nobody_has() {
    for (key, value) in [
        ("num_beams", json!(1)),
        ("num_beams", json!(null)),
        ("use_cache", json!(true)),
        ("pad_token_id", json!(0)),
        ("return_dict_in_generate", json!(true)),
        ("length_penalty", json!(1.0)),
        ("penalty_alpha", json!(null)),
        ("guidance_scale", json!(1)),
        ("output_scores", json!(false)),
        ("synced_gpus", json!(false)),
        ("constraints", json!(null)),
        ("transformers_version", json!("4.44.2")),
    ] {
        assert_eq!(
            set(key, &value).unwrap(),
            GenerationConfig::default(),
            "{key}"
        );
    }
    for (key, value) in [
        ("num_beams", json!(4)),
        ("num_beam_groups", json!(2)),
        ("penalty_alpha", json!(0.6)),
        ("guidance_scale", json!(1.5)),
        ("diversity_penalty", json!(0.5)),
        ("encoder_repetition_penalty", json!(1.5)),
        ("encoder_no_repeat_ngram_size", json!(2)),
        ("constraints", json!([1])),
        ("force_words_ids", json!([[1]])),
        ("forced_decoder_ids", json!([[1, 2]])),
        ("dola_layers", json!("low")),
        ("watermarking_config", json!({})),
        ("token_healing", json!(true)),
        ("cache_implementation", json!("quantized")),
        ("output_scores", json!(true)),
        ("streamer", json!("x")),
    ] {
        let error = set(key, &value).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, Error::OptionNotHere { .. }), "{text}");
        assert!(
            text.contains(key) && text.contains(&value.to_string()),
            "{text}"
        );
    }
    for (key, nearest) in [
        ("temprature", Some("temperature")),
        ("topk", Some("top_k")),
        ("max_token", Some("max_new_tokens")),
        ("no_repeat_ngrams_size", Some("no_repeat_ngram_size")),
        ("TEMPERATURE_", None),
        ("something_else_entirely", None),
        ("", None),
    ] {
        match set(key, &json!(1)).unwrap_err() {
            Error::UnknownOption { nearest: found, .. } => assert_eq!(found, nearest, "{key}"),
            other => panic!("{other}"),
        }
    }
}

#[test]
fn settings_together_are_checked() {
    let config = |pairs: Value| {
        let pairs = pairs.as_object().unwrap().clone();
        GenerationConfig::from_pairs(pairs.iter().map(|(key, value)| (key.as_str(), value)))
            .unwrap()
    };
    let cold = config(json!({"do_sample": true, "temperature": 0}));
    assert!(matches!(cold.options(3), Err(Error::OptionValue { key, .. }) if key == "temperature"));
    assert!(config(json!({"temperature": 0})).options(3).is_ok());
    let short = config(json!({"max_length": 3}));
    assert!(matches!(
        short.options(3),
        Err(Error::MaxLength {
            max_length: 3,
            tokens: 3
        })
    ));
    assert_eq!(short.options(2).unwrap().max_tokens, Some(1));
    let both = config(json!({"max_length": 3, "max_new_tokens": 9}));
    assert_eq!(both.options(3).unwrap().max_tokens, Some(9));
    let idle =
        config(json!({"temperature": 0.5, "top_p": 0.5, "top_k": 50, "repetition_penalty": 2}));
    assert_eq!(idle.without_effect(), ["temperature", "top_p"]);
    assert_eq!(idle.options(3).unwrap().sampling.temperature, 0.0);
    let warm = config(json!({"do_sample": true, "temperature": 0.5}));
    assert!(warm.without_effect().is_empty());
    let sampling = warm.options(3).unwrap().sampling;
    assert_eq!((sampling.temperature, sampling.top_k), (0.5, 50));
}

#[test]
fn ids_that_the_model_has_not_are_refused() {
    let model = common::load("demo", None, false);
    let mut session = model.session().unwrap();
    for (key, value) in [
        ("bad_words_ids", json!([[5], [4096]])),
        ("sequence_bias", json!([[[5, 4096], 1.0]])),
        ("forced_eos_token_id", json!(4096)),
        ("forced_bos_token_id", json!(4096)),
    ] {
        let options = set(key, &value).unwrap().options(1).unwrap();
        let text = common::message(session.generate(&[1], &options).map(drop));
        assert!(
            text.contains(key) && text.contains("4096; this model has ids from 0 to 4095"),
            "{text}"
        );
    }
    // What ends a text is no bad word, and whoever suppresses what never comes has nothing to fear.
    let mut config = set("bad_words_ids", &json!([[4096]])).unwrap();
    config.eos_token_ids = Some(vec![4096]);
    assert!(session.generate(&[1], &config.options(1).unwrap()).is_ok());
    for key in ["suppress_tokens", "begin_suppress_tokens"] {
        let options = set(key, &json!([4096])).unwrap().options(1).unwrap();
        assert!(session.generate(&[1], &options).is_ok());
    }
    let mut endless = set("exponential_decay_length_penalty", &json!([1, 2.0])).unwrap();
    endless.eos_token_ids = Some(vec![]);
    let text = common::message(
        session
            .generate(&[1], &endless.options(1).unwrap())
            .map(drop),
    );
    assert!(text.contains("eos_token_id"), "{text}");
}

const CONFIG: &str = r#"{"model_type": "openelm", "num_transformer_layers": 1, "model_dim": 32, "head_dim": 16, "vocab_size": 32,
    "num_query_heads": [2], "num_kv_heads": [1], "ffn_multipliers": [1.0], "ffn_dim_divisor": 16, "ffn_with_glu": true,
    "share_input_output_layers": true, "max_context_length": 32, "eos_token_id": [2, 9]}"#;

#[test]
fn a_file_of_settings_is_no_reason_to_refuse_a_model() {
    let folder = common::synthetic(CONFIG, &[openelm::Dtype::F16]);
    let path = folder.path().to_string_lossy().into_owned();
    let file = folder.path().join("generation_config.json");
    // What is taken, and how many warnings there are.
    type Check = fn(&GenerationConfig) -> bool;
    let default: Check = |c| c.top_k == 50 && !c.do_sample && c.processors == Default::default();
    let cases: &[(&str, Check, usize)] = &[
        ("{}", default, 0),
        ("", default, 1),
        ("[1, 2]", default, 1),
        ("{\"top_k\": ", default, 1),
        ("\u{0}\u{1}", default, 1),
        (
            r#"{"temperature": "hot", "top_k": -1, "num_beams": 4, "top_p": -2}"#,
            default,
            4,
        ),
        (
            r#"{"unknown": 1, "num_beams": 1, "_from_model_config": true}"#,
            default,
            0,
        ),
        (
            r#"{"bad_words_ids": [[99]], "forced_eos_token_id": 99}"#,
            default,
            2,
        ),
        (
            r#"{"num_return_sequences": 5}"#,
            |c| c.num_return_sequences == 1,
            1,
        ),
        (
            r#"{"do_sample": true, "temperature": 0.0}"#,
            |c| !c.do_sample,
            1,
        ),
        (
            r#"{"do_sample": true, "num_return_sequences": 3, "prompt_lookup_num_tokens": 10}"#,
            |c| c.num_return_sequences == 1 && c.prompt_lookup_num_tokens == Some(10),
            1,
        ),
        // There is no tokenizer.
        (
            r#"{"stop_strings": ["wolf"]}"#,
            |c| c.stop_strings.is_empty(),
            1,
        ),
        (
            r#"{"do_sample": "true", "temperature": "0.5", "top_k": 50.0, "top_p": null}"#,
            |c| c.do_sample && c.temperature == 0.5 && c.top_k == 50 && c.top_p == 1.0,
            3,
        ),
        (
            r#"{"no_repeat_ngram_size": 3, "exponential_decay_length_penalty": [3, 1.5]}"#,
            |c| {
                c.processors.no_repeat_ngram_size == 3
                    && c.processors.exponential_decay_length_penalty.is_some()
            },
            0,
        ),
    ];
    for (json, check, warnings) in cases {
        std::fs::write(&file, json).unwrap();
        let model = Model::load(&path, &LoadOptions::default()).unwrap();
        assert!(
            check(model.generation_config()),
            "{json}: {:?}",
            model.generation_config()
        );
        let found: Vec<&String> = model
            .warnings()
            .iter()
            .filter(|w| w.contains("generation_config.json"))
            .collect();
        assert_eq!(found.len(), *warnings, "{json}: {found:?}");
        assert!(found.iter().all(|warning| !warning.contains('\n')));
        let mut session = model.session().unwrap();
        let options = model.generation_config().options(1).unwrap();
        assert!(
            session
                .generate(&[1], &options)
                .unwrap()
                .next()
                .unwrap()
                .is_ok()
        );
    }
    // A tokenizer may come later.
    std::fs::write(&file, r#"{"stop_strings": ["wolf"]}"#).unwrap();
    let mut files = ModelFiles::open(&path).unwrap();
    assert!(files.generation_config().stop_strings.is_empty());
    let words = r#"{"version": "1.0", "model": {"type": "WordLevel", "vocab": {"wolf": 0}, "unk_token": "wolf"}}"#;
    let small = folder.path().join("words.json");
    std::fs::write(&small, words).unwrap();
    files.set_tokenizer(&small).unwrap();
    assert_eq!(files.generation_config().stop_strings, ["wolf"]);
    // Not even where it is none.
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    let files = ModelFiles::open(&path).unwrap();
    assert!(default(files.generation_config()));
}

/// Where older models have their settings; as transformers 4.44 decides which file counts.
#[test]
fn settings_may_stand_in_the_configuration() {
    let folder = common::synthetic(CONFIG, &[openelm::Dtype::F16]);
    let path = folder.path().to_string_lossy().into_owned();
    let penalty = r#""repetition_penalty": 1.3"#;
    let made = r#""_from_model_config": true"#;
    for (of_config, of_file, expected) in [
        (penalty.to_owned(), None, 1.3),
        (penalty.into(), Some(format!("{{{made}}}")), 1.3),
        (
            penalty.into(),
            Some(format!(r#"{{{made}, "repetition_penalty": 1.5}}"#)),
            1.3,
        ),
        (penalty.into(), Some("{}".into()), 1.0),
        // What is nothing but a default is no setting.
        (
            r#""top_k": 50, "do_sample": false"#.into(),
            Some(format!(r#"{{{made}, "repetition_penalty": 1.5}}"#)),
            1.5,
        ),
        (
            r#""num_beams": 4, "repetition_penalty": "much""#.into(),
            None,
            1.0,
        ),
    ] {
        let config = CONFIG.replacen('{', &format!("{{{of_config}, "), 1);
        std::fs::write(folder.path().join("config.json"), config).unwrap();
        let file = folder.path().join("generation_config.json");
        match &of_file {
            Some(text) => std::fs::write(&file, text).unwrap(),
            None => _ = std::fs::remove_file(&file),
        }
        let model = Model::load(&path, &LoadOptions::default()).unwrap();
        let found = model.generation_config();
        assert_eq!(
            found.repetition_penalty, expected,
            "{of_config} {of_file:?}"
        );
        assert_eq!(found.eos_token_ids.as_deref(), Some(&[2, 9][..]));
        let told = model
            .warnings()
            .iter()
            .filter(|text| text.starts_with("config.json: "));
        assert_eq!(told.count(), if of_config.contains("much") { 2 } else { 0 });
    }
}

#[test]
fn ends_of_texts_come_from_both_files() {
    let folder = common::synthetic(CONFIG, &[openelm::Dtype::F16]);
    let path = folder.path().to_string_lossy().into_owned();
    for (json, ids) in [
        ("{}", &[2, 9][..]),
        (r#"{"eos_token_id": 7}"#, &[2, 9, 7]),
        (r#"{"eos_token_id": [9, 5]}"#, &[2, 9, 9, 5]),
        (r#"{"eos_token_id": null}"#, &[2, 9]),
    ] {
        std::fs::write(folder.path().join("generation_config.json"), json).unwrap();
        let files = ModelFiles::open(&path).unwrap();
        let found = files.generation_config().eos_token_ids.clone();
        assert_eq!(found.as_deref(), Some(ids), "{json}");
    }
    for wrong in ["[2, 99]", "\"2\"", "[]", "[[2]]"] {
        let config = CONFIG.replace("[2, 9]", wrong);
        std::fs::write(folder.path().join("config.json"), config).unwrap();
        let text = common::message(ModelFiles::open(&path).map(drop));
        assert!(text.contains("eos_token_id"), "{text}");
    }
}

//! `openelm generate` takes what Hugging Face's `generate` takes, spelled as on Apple's model cards; what contradicts itself or does not
//! exist is refused with the name of what was wrong.
#![cfg(feature = "cli")]

mod common;

use std::process::{Command, Output};

use serde_json::Value;

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_openelm"))
        // Measurements of the person who runs the tests are none of their business.
        .env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR"))
        .args(["generate", "--no-tune"])
        .args(arguments)
        .output()
        .unwrap()
}

/// The JSON object, and what was said on stderr.
fn json(arguments: &[&str]) -> (Value, String) {
    let output = run(&[arguments, &["--json"]].concat());
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{arguments:?}: {errors}");
    (serde_json::from_slice(&output.stdout).unwrap(), errors)
}

fn ids(arguments: &[&str]) -> Vec<u32> {
    common::ids(&json(arguments).0["ids"])
}

fn failure(arguments: &[&str]) -> String {
    let output = run(arguments);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {errors}");
    assert!(
        output.stdout.is_empty() && !errors.contains("panicked"),
        "{errors}"
    );
    errors
}

/// A case of the goldens, as a script would run it.
#[test]
fn kwargs_are_those_of_hugging_face() {
    let cases = std::fs::read(common::fixture("generate.json")).unwrap();
    let cases: Vec<Value> = serde_json::from_slice(&cases).unwrap();
    let of_many_keys = |case: &&Value| {
        case["kwargs"].as_object().unwrap().len() > 4
            && case["model"] != "demo"
            && case["whole"] == true
    };
    let case = cases.iter().find(of_many_keys).unwrap();
    let folder = common::fixture(case["model"].as_str().unwrap());
    let prompt: Vec<String> = common::ids(&case["prompt"])
        .iter()
        .map(u32::to_string)
        .collect();
    let (folder, prompt) = (folder.to_string_lossy(), prompt.join(","));
    let pairs = case["kwargs"].as_object().unwrap().iter();
    let pairs: Vec<String> = pairs.map(|(key, value)| format!("{key}={value}")).collect();
    let mut arguments = vec!["-m", &folder, "--token-ids", &prompt];
    arguments.extend(["--dtype", "f32", "--kv-dtype", "f32", "--generate-kwargs"]);
    arguments.extend(pairs.iter().map(String::as_str));
    assert_eq!(ids(&arguments), common::ids(&case["ids"]));
}

#[test]
fn the_model_cards_command_line_works() {
    let card = [
        "--model",
        "demo",
        "--prompt",
        "Once upon a time there was",
        "--max_length",
        "20",
        "--generate_kwargs",
        "repetition_penalty=1.2",
        "do_sample=False",
        "--device",
        "cuda:0",
    ];
    let (object, _) = json(&card);
    let prompt = object["prompt_ids"].as_array().unwrap().len();
    assert_eq!(prompt + object["ids"].as_array().unwrap().len(), 20);
    assert_eq!(object["finish_reason"], "length");
    // As Python writes them, several after a flag and the flag several times.
    let mut again = card.to_vec();
    again.splice(
        7..9,
        [
            "repetition_penalty=1.2",
            "--generate-kwargs",
            "do_sample=False",
        ],
    );
    again.extend(["--generate-kwargs", "bad_words_ids=[[4095], (4094, 4093)]"]);
    again.extend([
        "--generate-kwargs",
        "sequence_bias={(4095,): -3.0}",
        "eos_token_id=None",
    ]);
    assert_eq!(ids(&again), common::ids(&object["ids"]));
}

#[test]
fn without_sampling_its_settings_have_no_effect_and_that_is_said_once() {
    let plain = ["-n", "6", "--generate-kwargs", "do_sample=false"];
    let idle = [&plain[..], &["temperature=0.3", "top_k=5", "min_p=0.1"]].concat();
    let (object, errors) = json(&idle);
    assert_eq!(common::ids(&object["ids"]), ids(&plain));
    let warnings: Vec<&str> = errors
        .lines()
        .filter(|line| line.contains("no effect"))
        .collect();
    assert_eq!(warnings.len(), 1, "{errors}");
    assert!(
        warnings[0].contains("temperature, top_k, top_p, min_p"),
        "{errors}"
    );
    let greedy = [
        "-n",
        "2",
        "--temperature",
        "0",
        "--top-k",
        "5",
        "--top-p",
        "1",
    ];
    let (_, errors) = json(&greedy);
    assert!(errors.contains("no effect comes from top_k\n"), "{errors}");
    // The demo's own top_p is nobody's mistake.
    assert!(
        !json(&["-n", "2", "--temperature", "0"])
            .1
            .contains("no effect")
    );
}

#[test]
fn what_a_person_says_wins_over_the_file() {
    // The demo's file has max_new_tokens 256, and samples.
    let short = ["--generate-kwargs", "max_length=9", "do_sample=false"];
    assert_eq!(ids(&short).len(), 4);
    assert_eq!(ids(&["--max-length", "9"]).len(), 4);
    let both = [
        "--max-length",
        "9",
        "-n",
        "2",
        "--generate-kwargs",
        "max_length=9",
    ];
    assert_eq!(ids(&both).len(), 2);
    let same = ["--temperature", "0.5", "--seed", "3", "-n", "8"];
    let kwargs = [
        "--generate-kwargs",
        "do_sample=True",
        "temperature=0.5",
        "max_new_tokens=8",
    ];
    assert_eq!(ids(&same), ids(&[&same[..], &kwargs].concat()));
}

#[test]
fn several_texts_come_one_after_the_other() {
    let arguments = [
        "--temperature",
        "1",
        "--seed",
        "5",
        "-n",
        "6",
        "--num-return-sequences",
        "3",
    ];
    let (object, _) = json(&arguments);
    let sequences = object["sequences"].as_array().unwrap();
    assert_eq!(sequences.len(), 3);
    assert_eq!(object["ids"], sequences[0]["ids"]);
    assert_eq!(object["timing"]["prefill_tokens"], 5);
    let mut keys: Vec<&String> = sequences[1].as_object().unwrap().keys().collect();
    keys.sort();
    assert_eq!(keys, ["finish_reason", "ids", "logprobs", "seed", "text"]);
    let seed = sequences[2]["seed"].to_string();
    let alone = ["--temperature", "1", "--seed", &seed, "-n", "6"];
    assert_eq!(ids(&alone), common::ids(&sequences[2]["ids"]));
    let output = run(&[
        &arguments[..6],
        &["--generate-kwargs", "num_return_sequences=3"],
    ]
    .concat());
    let text = String::from_utf8(output.stdout).unwrap();
    let expected: String = sequences
        .iter()
        .map(|one| format!("Once upon a time{}\n", one["text"].as_str().unwrap()))
        .collect();
    assert_eq!(text, expected);
}

#[test]
fn what_is_wrong_is_named() {
    let kwargs = |pair: &str| failure(&["--generate-kwargs", pair]);
    for (pair, words) in [
        ("top_p=-1", &["`top_p` is -1", "from 1 on it is off"][..]),
        ("temperature=-1", &["`temperature` is -1"]),
        (
            "temprature=1",
            &["`temprature`", "did you mean `temperature`"],
        ),
        ("num_beams=4", &["`num_beams` 4", "Hugging Face"]),
        (
            "bad_words_ids=[[4096]]",
            &["`bad_words_ids` is 4096", "0 to 4095"],
        ),
        ("num_return_sequences=2", &["`num_return_sequences`"]),
        (
            "max_length=3",
            &["5 tokens", "`max_length`", "--max-tokens"],
        ),
        ("oops", &["KEY=VALUE", "`oops`"]),
        ("=3", &["KEY=VALUE"]),
    ] {
        // The demo samples by itself, which several texts need.
        let errors = match pair.starts_with("num_return") {
            true => failure(&["--temperature", "0", "--generate-kwargs", pair]),
            false => kwargs(pair),
        };
        for word in words {
            assert!(errors.contains(word), "{pair}: {errors}");
        }
    }
    for (flag, value, pair) in [
        ("--top-k", "5", "top_k=6"),
        ("-n", "5", "max_new_tokens=6"),
        ("--max-length", "50", "max_length=60"),
        ("--temperature", "0.5", "do_sample=false"),
        ("--temperature", "0", "do_sample=true"),
        ("--repetition-penalty", "1.5", "repetition_penalty=1.2"),
        ("--num-return-sequences", "2", "num_return_sequences=3"),
    ] {
        let errors = failure(&[flag, value, "--generate-kwargs", pair]);
        assert!(
            errors.contains("contradicts") && errors.contains(pair),
            "{errors}"
        );
    }
    let errors = failure(&["--ignore-eos", "--generate-kwargs", "eos_token_id=5"]);
    assert!(errors.contains("contradicts"), "{errors}");
    // Texts are looked for in text.
    let folder = common::fixture("openelm-f16");
    let model = [
        "-m",
        &folder.to_string_lossy(),
        "--token-ids",
        "1",
        "--generate-kwargs",
    ];
    let errors = failure(&[&model[..], &["stop_strings=a"]].concat());
    assert!(errors.contains("has no tokenizer"), "{errors}");
}

#[test]
fn an_assistant_and_lookup_change_nothing_but_say_what_they_did() {
    let folder = common::fixture("openelm-f16");
    let folder = folder.to_string_lossy();
    let prompt = "1,213,309,232,323,17,80,213,309,232,323,17";
    let plain = [
        "-m",
        &folder,
        "--token-ids",
        prompt,
        "--dtype",
        "f32",
        "--kv-dtype",
        "f32",
        "--temperature",
        "0",
        "-n",
        "40",
    ];
    let (expected, _) = json(&plain);
    assert_eq!(expected.get("speculation"), None);
    for speculation in [
        ["--assistant-model", &folder],
        ["--generate-kwargs", "prompt_lookup_num_tokens=10"],
    ] {
        let (found, _) = json(&[&plain[..], &speculation].concat());
        assert_eq!(found["ids"], expected["ids"], "{speculation:?}");
        let summary = &found["speculation"];
        assert!(summary["proposed"].as_u64() >= summary["accepted"].as_u64());
        assert!(summary["proposed"].as_u64() > Some(0), "{summary}");
    }
    let others = failure(&["--assistant-model", &folder, "-p", "hi"]);
    assert!(
        others.contains("vocabulary (of 512 and 4096 ids)"),
        "{others}"
    );
    let both = [
        "--assistant-model",
        "no/such/model",
        "-p",
        "hi",
        "-n",
        "2",
        "--generate-kwargs",
        "prompt_lookup_num_tokens=3",
    ];
    assert!(json(&both).1.contains("is not loaded"));
}

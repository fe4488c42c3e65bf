//! `openelm generate --prompts`: a line of results for each prompt, in order, each as it would be alone; bad lines are told one by one, and
//! a run that was ended goes on where it was.
#![cfg(feature = "cli")]

mod common;

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};

fn openelm() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_openelm"));
    command
        // Measurements of the person who runs the tests are none of their business.
        .env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR"))
        .args(["generate", "--no-tune"]);
    command
}

/// Prompts in a folder of their own, with what becomes of them.
struct Scene {
    folder: tempfile::TempDir,
}

struct Done {
    code: Option<i32>,
    errors: String,
    results: Vec<Value>,
}

fn values(bytes: &[u8]) -> Vec<Value> {
    assert!(bytes.is_empty() || bytes.ends_with(b"\n"));
    let lines = bytes.split(|byte| *byte == b'\n');
    let lines = lines.filter(|line| !line.is_empty());
    lines
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect()
}

fn done(output: Output, results: &[u8]) -> Done {
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(!errors.contains("panicked"), "{errors}");
    Done {
        code: output.status.code(),
        errors,
        results: values(results),
    }
}

impl Scene {
    fn new(prompts: impl AsRef<[u8]>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let scene = Self { folder };
        scene.set_prompts(prompts);
        scene
    }

    fn set_prompts(&self, prompts: impl AsRef<[u8]>) {
        std::fs::write(self.prompts(), prompts).unwrap();
    }

    fn prompts(&self) -> PathBuf {
        self.folder.path().join("in.jsonl")
    }

    fn out(&self) -> PathBuf {
        self.folder.path().join("out.jsonl")
    }

    fn bytes(&self) -> Vec<u8> {
        std::fs::read(self.out()).unwrap()
    }

    fn run(&self, arguments: &[&str]) -> Done {
        let output = self.command(arguments).output().unwrap();
        let written = std::fs::read(self.out()).unwrap_or_default();
        done(output, &written)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = openelm();
        command.arg("--prompts").arg(self.prompts());
        command.arg("--out").arg(self.out()).args(arguments);
        command
    }
}

/// Through standard input and output.
fn piped(prompts: &[u8], arguments: &[&str]) -> Done {
    let mut child = begin(arguments);
    child.stdin.take().unwrap().write_all(prompts).unwrap();
    let output = child.wait_with_output().unwrap();
    let results = output.stdout.clone();
    done(output, &results)
}

fn begin(arguments: &[&str]) -> Child {
    openelm()
        .args(["--prompts", "-", "--out", "-"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn alone(arguments: &[&str]) -> Value {
    let output = openelm().args(arguments).arg("--json").output().unwrap();
    assert!(output.status.success(), "{arguments:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn numbers(results: &[Value]) -> Vec<u64> {
    let number = |result: &Value| result["line"].as_u64().unwrap();
    results.iter().map(number).collect()
}

fn text(result: &Value) -> &str {
    result["text"]
        .as_str()
        .unwrap_or_else(|| panic!("{result}"))
}

/// So many prompts, the first of which takes longest.
fn many(count: usize) -> String {
    (0..count)
        .map(|i| {
            let tokens = if i == 0 { 60 } else { 1 + i % 5 };
            let prompt = format!("There were {i} kings");
            json!({"prompt": prompt, "id": i, "max_tokens": tokens}).to_string() + "\n"
        })
        .collect()
}

#[test]
fn results_come_in_order_unless_they_need_not() {
    let scene = Scene::new(many(40));
    let ordered = scene.run(&["--temperature", "0"]);
    assert_eq!(ordered.code, Some(0), "{}", ordered.errors);
    assert_eq!(numbers(&ordered.results), Vec::from_iter(1..=40));
    for result in &ordered.results {
        assert_eq!(
            result["id"].as_u64().unwrap() + 1,
            result["line"].as_u64().unwrap()
        );
    }
    let mut keys: Vec<&String> = ordered.results[0].as_object().unwrap().keys().collect();
    keys.sort();
    assert_eq!(
        keys,
        ["finish_reason", "id", "ids", "line", "request", "text"]
    );
    assert!(ordered.errors.contains("40 texts"), "{}", ordered.errors);
    let mut unordered = piped(many(40).as_bytes(), &["--temperature", "0", "--unordered"]);
    assert_ne!(numbers(&unordered.results)[0], 1);
    unordered
        .results
        .sort_by_key(|result| result["line"].as_u64());
    assert_eq!(unordered.results, ordered.results);
}

#[test]
fn each_line_is_as_it_would_be_alone() {
    let lines = [
        json!("Once upon a time"),
        json!({"prompt": "The wolf", "seed": 5, "max_tokens": 7}),
        json!({"token_ids": [1, 300, 301], "seed": 6, "stop": "e"}),
        json!({"prompt": "The wolf", "seed": 5, "stop": ["k", "and"]}),
        json!({"prompt": "A cat", "generate_kwargs": {"temperature": 0.5, "top_k": 7}, "seed": 8}),
        json!({"prompt": "A cat", "generate_kwargs": {"do_sample": false, "no_repeat_ngram_size": 2}}),
        json!({"prompt": "A cat", "generate_kwargs": {"do-sample": false, "max_length": 9}}),
        json!({"prompt": "A cat", "generate_kwargs": {"max_new_tokens": 3, "repetition_penalty": 1.3}}),
    ];
    let input: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let flags = ["--temperature", "0.9", "--seed", "3", "-n", "12"];
    let found = piped(input.as_bytes(), &[&flags[..], &["--logprobs"]].concat());
    assert_eq!(found.code, Some(0), "{}", found.errors);
    let same = |index: usize, arguments: &[&str]| {
        let (one, expected) = (&found.results[index], alone(arguments));
        for key in ["ids", "text", "finish_reason"] {
            assert_eq!(one[key], expected[key], "{key} of {}", lines[index]);
        }
        let logprobs = common::numbers(&expected["logprobs"]);
        for (found, expected) in common::numbers(&one["logprobs"]).iter().zip(logprobs) {
            assert_eq!(*found as f32, expected as f32);
        }
    };
    let with = |more: &[&str], seed: &str| {
        let flags = ["--temperature", "0.9", "-n", "12", "--seed", seed];
        let all = flags.iter().chain(more);
        all.map(|word| (*word).to_owned()).collect::<Vec<String>>()
    };
    let run = |index: usize, arguments: Vec<String>| {
        same(
            index,
            &arguments.iter().map(String::as_str).collect::<Vec<_>>(),
        );
    };
    run(0, with(&["-p", "Once upon a time"], "3"));
    same(
        1,
        &[
            "--temperature",
            "0.9",
            "-n",
            "7",
            "-p",
            "The wolf",
            "--seed",
            "5",
        ],
    );
    run(2, with(&["--token-ids", "1,300,301", "--stop", "e"], "6"));
    run(
        3,
        with(&["-p", "The wolf", "--stop", "k", "--stop", "and"], "5"),
    );
    same(
        4,
        &[
            "--temperature",
            "0.5",
            "-p",
            "A cat",
            "-n",
            "12",
            "--seed",
            "8",
            "--generate-kwargs",
            "top_k=7",
        ],
    );
    let greedy = ["-p", "A cat", "--generate-kwargs", "do_sample=false"];
    same(
        5,
        &[
            &greedy[..],
            &["no_repeat_ngram_size=2", "max_new_tokens=12"],
        ]
        .concat(),
    );
    same(6, &[&greedy[..], &["max_length=9"]].concat());
    same(
        7,
        &[
            "--temperature",
            "0.9",
            "-p",
            "A cat",
            "--seed",
            "3",
            "-n",
            "3",
            "--generate-kwargs",
            "repetition_penalty=1.3",
        ],
    );
    assert_eq!(found.results[0]["seed"], 3);
    assert_eq!(found.results[5]["seed"], Value::Null);
    // Without a seed no two texts are the same, and each can be repeated.
    let found = piped(
        &b"\"The wolf\"\n".repeat(4),
        &["--temperature", "1.2", "-n", "9"],
    );
    let seed = found.results[2]["seed"].to_string();
    assert_ne!(text(&found.results[1]), text(&found.results[2]));
    let again = alone(&[
        "--temperature",
        "1.2",
        "-n",
        "9",
        "-p",
        "The wolf",
        "--seed",
        &seed,
    ]);
    assert_eq!(again["ids"], found.results[2]["ids"]);
}

#[test]
fn bad_lines_are_told_and_the_rest_goes_on() {
    let mut input = b"\xef\xbb\xbf\"The king\"\r\n".to_vec();
    let long_prompt = format!("{{\"id\": 10, \"prompt\": \"{}\"}}", "wolf ".repeat(600));
    let lines: [(&[u8], &str); 17] = [
        (b"", ""),
        (b"  \r", ""),
        (b"{\"prompt\": \"The", "not JSON"),
        (b"5", "neither a JSON object"),
        (b"{\"id\": {\"a\": [1.0]}}", "no `prompt`"),
        (b"{\"prompt\": [1]}", "`prompt` is [1]"),
        (b"{\"token_ids\": [1, 4096]}", "4096 is out of range"),
        (b"{\"token_ids\": []}", "the prompt is empty"),
        (b"{\"prompt\": \"\"}", "the prompt is empty"),
        (long_prompt.as_bytes(), "the context 512"),
        (b"\"\xff\xfe\"", "UTF-8"),
        (b"{\"prompt\": \"a\", \"max_token\": 1}", "there is no `max_token`"),
        (b"{\"prompt\": \"a\", \"generate_kwargs\": {\"top_p\": -2}}", "`top_p` is -2"),
        (b"{\"prompt\": \"a\", \"generate_kwargs\": {\"num_beams\": 2}}", "num_beams"),
        (b"{\"prompt\": \"a\", \"generate_kwargs\": {\"num_return_sequences\": 2, \"do_sample\": true}}", "num_return_sequences"),
        (b"{\"prompt\": \"a\", \"max_tokens\": 2, \"generate_kwargs\": {\"max_new_tokens\": 3}}", "contradicts"),
        (b"{\"prompt\": \"a\", \"stop\": 5}", "`stop` is 5"),
    ];
    for (line, _) in &lines {
        input.extend_from_slice(line);
        input.push(b'\n');
    }
    input.extend(b"{\"id\": \"last\", \"prompt\": \"The king\"}");
    let found = Scene::new(&input).run(&["--temperature", "0", "-n", "4"]);
    assert_eq!(found.code, Some(1));
    assert!(
        found.errors.contains("15 lines failed") && found.errors.contains("line 4"),
        "{}",
        found.errors
    );
    let (first, last) = (&found.results[0], &found.results[16]);
    assert_eq!(text(first), text(last));
    assert_eq!(
        (&first["line"], &last["line"], &last["id"]),
        (&json!(1), &json!(19), &json!("last"))
    );
    let bad = (2..)
        .zip(&lines)
        .filter(|(_, (_, words))| !words.is_empty());
    for (result, (number, (_, words))) in found.results[1..].iter().zip(bad) {
        assert_eq!(result["line"], number);
        let error = result["error"].as_str().unwrap();
        assert!(error.contains(words), "{error}");
        assert!(result.get("ids").is_none());
    }
    assert_eq!(found.results[3]["id"], json!({"a": [1.0]}));
    assert_eq!(found.results[8]["id"], 10);
}

#[test]
fn what_is_there_is_not_written_again() {
    let scene = Scene::new(many(6));
    let arguments = ["--temperature", "0"];
    assert_eq!(scene.run(&arguments).code, Some(0));
    let whole = scene.bytes();
    let ends: Vec<usize> = (0..whole.len()).filter(|at| whole[*at] == b'\n').collect();
    // Ended within the fourth result, or right before its end, or at its beginning.
    for end in [ends[2] + 1 + 9, ends[3], ends[2] + 3, ends[2] + 1] {
        std::fs::write(scene.out(), &whole[..end]).unwrap();
        let again = scene.run(&arguments);
        assert_eq!(again.code, Some(0), "{}", again.errors);
        assert!(
            again.errors.contains("3 were there already"),
            "{}",
            again.errors
        );
        assert_eq!(scene.bytes(), whole);
    }
    // In another order, as it is after a run that was ended: it is put in order.
    let mut lines: Vec<&[u8]> = whole.split_inclusive(|byte| *byte == b'\n').collect();
    lines.swap(1, 3);
    std::fs::write(scene.out(), lines[1..].concat()).unwrap();
    assert!(
        scene
            .run(&arguments)
            .errors
            .contains("5 were there already")
    );
    assert_eq!(scene.bytes(), whole);
    // More prompts at the end.
    scene.set_prompts(many(8));
    let more = scene.run(&arguments);
    assert!(
        more.errors.contains("2 texts") && more.errors.contains("6 were"),
        "{}",
        more.errors
    );
    assert!(scene.bytes().starts_with(&whole));
}

#[test]
fn other_prompts_settings_and_files_are_refused() {
    let scene = Scene::new("\"one\"\n{\"prompt\": 2}\n\"three\"\n");
    let arguments = ["--temperature", "0", "-n", "3"];
    assert_eq!(scene.run(&arguments).code, Some(1));
    let before = scene.bytes();
    let refused = |arguments: &[&str], words: &str| {
        let found = scene.run(arguments);
        assert_eq!(found.code, Some(1));
        assert!(found.errors.contains(words), "{}", found.errors);
        assert_eq!(scene.bytes(), before);
    };
    refused(
        &["--temperature", "0", "-n", "4"],
        "text for line 1 already",
    );
    refused(
        &["--temperature", "0", "-n", "3", "--dtype", "q8"],
        "text for line 1 already",
    );
    refused(
        &["--temperature", "0", "-n", "3", "--tokenizer-repo", "a/b"],
        "text for line 1 already",
    );
    scene.set_prompts("\"one\"\n{\"prompt\": 2}\n\"four\"\n");
    let found = scene.run(&arguments);
    assert!(
        found.errors.contains("text for line 3 already"),
        "{}",
        found.errors
    );
    // What had failed is tried again, and may have been mended.
    scene.set_prompts("\"one\"\n{\"prompt\": \"two\"}\n\"three\"\n");
    let mended = scene.run(&arguments);
    assert_eq!(mended.code, Some(0), "{}", mended.errors);
    assert!(mended.errors.contains("2 were there already"));
    assert_eq!(numbers(&mended.results), [1, 2, 3]);
    assert!(
        mended
            .results
            .iter()
            .all(|result| result["text"].is_string())
    );
    // A file of somebody else's stays as it is, whole lines or not.
    for foreign in [
        "my notes",
        "my notes\n",
        "{\"line\": 1}\nnotes",
        "{\"a\": 1}\n",
        "\n",
    ] {
        std::fs::write(scene.out(), foreign).unwrap();
        let output = scene.command(&arguments).output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(errors.contains("something else than results"), "{errors}");
        assert_eq!(scene.bytes(), foreign.as_bytes());
    }
}

#[test]
fn mistakes_are_found_before_the_model_is_loaded() {
    let scene = Scene::new("\"one\"\n");
    let code = |arguments: &[&str]| {
        let output = scene.command(arguments).output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        (output.status.code(), errors)
    };
    for arguments in [
        &["--prompt", "a"][..],
        &["--token-ids", "1"],
        &["--json"],
        &["--no-echo"],
        &["--trace", "a.csv"],
        &["--num-return-sequences", "2"],
        &["--assistant-model", "demo"],
    ] {
        let (code, errors) = code(arguments);
        assert_eq!(code, Some(2), "{errors}");
        assert!(errors.contains("--prompts"), "{errors}");
    }
    for flag in [&["--unordered"][..], &["--logprobs"], &["--out", "a.jsonl"]] {
        assert_eq!(
            openelm().args(flag).output().unwrap().status.code(),
            Some(2)
        );
    }
    for (arguments, words) in [
        (&["--top-p", "3"][..], "`top_p` is 3"),
        (
            &[
                "--generate-kwargs",
                "num_return_sequences=2",
                "do_sample=true",
            ],
            "num_return_sequences is 2",
        ),
        (&["--generate-kwargs", "oops=1"], "oops"),
    ] {
        let (code, errors) = code(arguments);
        assert_eq!(code, Some(1));
        assert!(errors.contains(words) && !scene.out().exists(), "{errors}");
    }
    let same = openelm()
        .arg("--prompts")
        .arg(scene.prompts())
        .arg("--out")
        .arg(scene.prompts())
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&same.stderr).contains("the same file"));
    assert_eq!(std::fs::read(scene.prompts()).unwrap(), b"\"one\"\n");
    let missing = openelm()
        .args(["--prompts", "nowhere.jsonl"])
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&missing.stderr).contains("cannot read nowhere.jsonl"));
    let folder = openelm()
        .arg("--prompts")
        .arg(scene.folder.path())
        .output()
        .unwrap();
    assert_eq!(folder.status.code(), Some(1));
    let empty = piped(b"", &[]);
    assert_eq!((empty.code, empty.results.len()), (Some(0), 0));
}

#[test]
fn prompt_lookup_is_passed_over_with_a_note() {
    let lookup = [
        "--generate-kwargs",
        "prompt_lookup_num_tokens=3",
        "do_sample=false",
    ];
    let found = piped(many(3).as_bytes(), &lookup);
    assert_eq!(
        found.errors.matches("prompt_lookup_num_tokens").count(),
        1,
        "{}",
        found.errors
    );
    let plain = piped(
        many(3).as_bytes(),
        &["--generate-kwargs", "do_sample=false"],
    );
    for (one, other) in found.results.iter().zip(&plain.results) {
        assert_eq!(one["ids"], other["ids"]);
    }
}

/// The most memory that a process has had, in KiB.
#[cfg(target_os = "linux")]
fn peak(child: &Child) -> u64 {
    let path = Path::new("/proc")
        .join(child.id().to_string())
        .join("status");
    let status = std::fs::read_to_string(path).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[cfg(target_os = "linux")]
#[test]
fn a_line_of_a_hundred_megabytes_takes_no_memory() {
    let mut child = begin(&["-n", "2"]);
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || -> Value { serde_json::from_str(&stdout.next().unwrap().unwrap()).unwrap() };
    stdin.write_all(b"\"The king\"\n").unwrap();
    assert!(next()["text"].is_string());
    let before = peak(&child);
    stdin.write_all(b"{\"prompt\": \"").unwrap();
    let piece = vec![b'a'; 1 << 20];
    for _ in 0..100 {
        stdin.write_all(&piece).unwrap();
    }
    stdin.write_all(b"\"}\n\"The king\"\n").unwrap();
    assert!(next()["error"].as_str().unwrap().contains("16 MiB"));
    assert!(next()["text"].is_string());
    let grown = peak(&child).saturating_sub(before);
    assert!(grown < 48 << 10, "{grown} KiB");
    drop(stdin);
    assert_eq!(child.wait().unwrap().code(), Some(1));
}

#[cfg(unix)]
#[test]
fn ctrl_c_loses_nothing_that_is_done() {
    let mut lines = vec![json!({"prompt": "Once", "max_tokens": 480}).to_string()];
    lines.extend(
        (0..5).map(|i| json!({"prompt": format!("There were {i}"), "max_tokens": 2}).to_string()),
    );
    let scene = Scene::new(lines.join("\n"));
    let arguments = ["--temperature", "0", "--ignore-eos"];
    // As they end, so that it shows when the short ones are done.
    let mut child = scene
        .command(&[&arguments[..], &["--unordered"]].concat())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let is_begun = || std::fs::read(scene.out()).is_ok_and(|bytes| bytes.ends_with(b"\n"));
    while !is_begun() {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    let pid = child.id().to_string();
    Command::new("kill").args(["-INT", &pid]).status().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let kept = values(&scene.bytes());
    assert!(!kept.is_empty() && kept.iter().all(|result| !text(result).is_empty()));
    let rest = scene.run(&arguments);
    assert_eq!(rest.code, Some(0), "{}", rest.errors);
    assert_eq!(numbers(&rest.results), [1, 2, 3, 4, 5, 6]);
    let fresh = Scene::new(lines.join("\n")).run(&arguments);
    assert_eq!(rest.results, fresh.results);
    // While nothing comes, too.
    let mut idle = begin(&[]);
    let mut stdin = idle.stdin.take().unwrap();
    stdin.write_all(b"\"The\"\n").unwrap();
    let mut line = String::new();
    let mut stdout = BufReader::new(idle.stdout.take().unwrap());
    stdout.read_line(&mut line).unwrap();
    let pid = idle.id().to_string();
    Command::new("kill").args(["-INT", &pid]).status().unwrap();
    assert_eq!(idle.wait().unwrap().code(), Some(130));
    drop(stdin);
}

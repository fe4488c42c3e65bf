//! `openelm generate --jsonl -`, what a program talks to: one line in, one line out, at once; scores come back to the same bits; whatever a
//! line holds, its answer is a line, and the process goes on until its input ends.
#![cfg(feature = "cli")]

mod common;

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::{Value, json};

/// Nothing here takes as long.
const LONG: Duration = Duration::from_secs(300);

/// A worker, and what it has written.
struct Worker {
    child: Child,
    input: ChildStdin,
    results: Receiver<String>,
}

impl Worker {
    fn begin(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_openelm"))
            // Measurements of the person who runs the tests are none of their business.
            .env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR"))
            .args(["generate", "--no-tune", "--jsonl", "-"])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, results) = channel();
        std::thread::spawn(move || {
            let lines = output.lines().map_while(Result::ok);
            lines.for_each(|line| drop(sender.send(line)));
        });
        Self {
            child,
            input,
            results,
        }
    }

    fn ask(&mut self, line: impl AsRef<[u8]>) {
        self.input.write_all(line.as_ref()).unwrap();
        self.input.write_all(b"\n").unwrap();
    }

    /// The next result, as it is written.
    fn line(&self) -> String {
        self.results.recv_timeout(LONG).unwrap()
    }

    fn result(&self) -> Value {
        serde_json::from_str(&self.line()).unwrap()
    }

    /// Ends its input. What it writes after that, and how it ends.
    fn end(self) -> (Vec<Value>, Output) {
        drop(self.input);
        let output = self.child.wait_with_output().unwrap();
        let lines = self.results.iter();
        let results = lines.map(|line| serde_json::from_str(&line).unwrap());
        (results.collect(), output)
    }
}

fn ends_well(output: &Output) {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    assert!(!errors.contains("panicked"), "{errors}");
}

/// So many ids of the demo model's.
fn ids(count: u32) -> Vec<u32> {
    (0..count).map(|i| 1 + i * 37 % 4000).collect()
}

#[test]
fn each_line_is_answered_before_there_is_another() {
    let mut worker = Worker::begin(&["--temperature", "0", "-n", "4"]);
    worker.ask(r#"{"id": "a", "prompt": "The wolf"}"#);
    let first = worker.result();
    assert_eq!((&first["line"], &first["id"]), (&json!(1), &json!("a")));
    worker.ask(r#"{"id": "b", "token_ids": [1, 2, 3], "score_from": 2}"#);
    let mut keys: Vec<String> = worker
        .result()
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect();
    keys.sort();
    assert_eq!(keys, ["greedy", "id", "line", "logprobs"]);
    worker.ask("broken");
    let broken = worker.result();
    assert_eq!((&broken["line"], &broken["id"]), (&json!(3), &Value::Null));
    assert!(broken["error"].as_str().unwrap().contains("JSON"));
    // A long text does not hold up a short one, nor does a line without an end.
    worker.ask(r#"{"id": "long", "prompt": "The wolf", "max_tokens": 300, "generate_kwargs": {"min_new_tokens": 300}}"#);
    worker.ask(r#"{"id": "short", "prompt": "The wolf"}"#);
    let short = worker.result();
    assert_eq!(short["id"], "short");
    assert_eq!(short["ids"], first["ids"]);
    worker
        .input
        .write_all(br#"{"id": "last", "prompt": "The wolf"}"#)
        .unwrap();
    assert_eq!(worker.result()["id"], "long");
    let (rest, output) = worker.end();
    ends_well(&output);
    assert_eq!(rest.len(), 1);
    assert_eq!(
        (&rest[0]["id"], &rest[0]["ids"]),
        (&json!("last"), &first["ids"])
    );
}

#[test]
fn scores_are_those_of_the_library_to_the_bit() {
    let model = common::load("demo", None, false);
    let all = ids(513);
    // To what the first 20, 21 ... are followed by; and all that fits, which is an id more than the context.
    let asked: Vec<(&[u32], usize)> = (20..30)
        .map(|end| (&all[..end], 1 + end % 4))
        .chain([(&all[..], 500), (&all[..7], 7)])
        .collect();
    let mut worker = Worker::begin(&["-n", "40", "--temperature", "1"]);
    for (index, (ids, from)) in asked.iter().enumerate() {
        worker.ask(json!({"id": index, "token_ids": ids, "score_from": from}).to_string());
    }
    let (results, output) = worker.end();
    ends_well(&output);
    assert_eq!(results.len(), asked.len());
    let mut session = model.session().unwrap();
    for result in results {
        let (ids, from) = asked[result["id"].as_u64().unwrap() as usize];
        let fed = ids.len().min(512);
        let expected = session.score(&ids[..fed], 1).unwrap().logprobs;
        let found = common::numbers(&result["logprobs"]);
        assert_eq!(found.len(), ids.len() - from);
        assert_eq!(result["greedy"].as_array().unwrap().len(), found.len());
        for (found, expected) in found.iter().zip(&expected[from..]) {
            assert_eq!((*found as f32).to_bits(), expected.unwrap().to_bits());
        }
    }
}

/// What greedy decoding writes is what scoring calls greedy, with the same probabilities.
#[test]
fn scores_agree_with_what_is_generated() {
    let mut worker = Worker::begin(&["--temperature", "0", "-n", "12", "--logprobs"]);
    worker.ask(json!({"token_ids": [1, 300, 301]}).to_string());
    let text = worker.result();
    let mut whole = vec![1, 300, 301];
    whole.extend(common::ids(&text["ids"]));
    worker.ask(json!({"token_ids": whole, "score_from": 3}).to_string());
    let scores = worker.result();
    assert_eq!(scores["greedy"], json!(vec![true; 12]));
    let pairs = common::numbers(&scores["logprobs"]).into_iter();
    for (scored, written) in pairs.zip(common::numbers(&text["logprobs"])) {
        assert!((scored - written).abs() < 2e-3, "{scored} {written}");
    }
    whole[8] = (whole[8] + 1) % 4096;
    worker.ask(json!({"token_ids": whole, "score_from": 3}).to_string());
    assert_eq!(worker.result()["greedy"][5], false);
    ends_well(&worker.end().1);
}

#[test]
fn whatever_a_line_holds_its_answer_is_a_line() {
    let deep = format!("{{\"id\": 1, \"prompt\": {}", "[".repeat(100_000));
    let long_id = format!("{{\"id\": \"{}\", \"prompt\": \"a\"}}", "i".repeat(70_000));
    let too_many = json!({"token_ids": ids(514), "score_from": 1}).to_string();
    let lines: [(&[u8], &str); 17] = [
        (b"\x00\x01\xfe\xff\x80", "UTF-8"),
        (b"\x00\x01\x02", "neither a JSON object"),
        (deep.as_bytes(), "not JSON"),
        (long_id.as_bytes(), "`id` is longer"),
        (too_many.as_bytes(), "514"),
        (br#"{"token_ids": [1, 4096], "score_from": 1}"#, "4096"),
        (br#"{"token_ids": [], "score_from": 1}"#, "only 0"),
        (br#"{"token_ids": [1e999], "score_from": 1}"#, "`token_ids`"),
        (
            br#"{"token_ids": [1, 2], "score_from": 99999999999999999999}"#,
            "`score_from`",
        ),
        (
            br#"{"token_ids": [1, 2], "score_from": 18446744073709551615}"#,
            "only 2",
        ),
        (
            br#"{"token_ids": [1, 2], "score_from": 1, "stop": "a"}"#,
            "`stop`",
        ),
        (br#"{"prompt": "a", "score_from": 1}"#, "`prompt`"),
        (br#"{"prompt": "a", "max_tokens": 1e400}"#, "`max_tokens`"),
        (
            br#"{"prompt": "a", "seed": 18446744073709551616}"#,
            "`seed`",
        ),
        (
            br#"{"prompt": "a", "generate_kwargs": {"temperature": 1e39, "do_sample": true}}"#,
            "temperature",
        ),
        (br#"{"prompt": "\ud800"}"#, "a text is expected"),
        (br#"{"prompt": "a", "id": 1e400}"#, ""),
    ];
    let mut worker = Worker::begin(&["--temperature", "0", "-n", "2"]);
    for (number, (line, words)) in (1..).zip(&lines) {
        worker.ask(line);
        let result = worker.line();
        let shown = String::from_utf8_lossy(line);
        assert!(
            result.starts_with(&format!("{{\"line\":{number},\"id\":")),
            "{result}"
        );
        assert!(
            result.contains("\"error\":") != words.is_empty(),
            "{shown}: {result}"
        );
        assert!(result.contains(words), "{shown}: {result}");
    }
    // More than a line may have, of which nothing is kept.
    let piece = [b'x'; 1 << 16];
    (0..320).for_each(|_| worker.input.write_all(&piece).unwrap());
    worker.ask("");
    assert!(worker.line().contains("longer than 16 MiB"));
    // Ids come back as they were spelled, however often.
    for id in [
        "null",
        "1.50",
        r#"{"a" : [1e2]}"#,
        "\"\\u00e9\"",
        "false",
        "1",
        "1",
    ] {
        worker.ask(format!("{{\"id\": {id}, \"prompt\": \"a\"}}"));
        assert!(worker.line().contains(&format!("\"id\":{id},\"ids\":")));
    }
    let (rest, output) = worker.end();
    assert!(rest.is_empty());
    ends_well(&output);
}

/// Several lines at a time share steps; each is as it is alone, and none gets lost.
#[test]
fn a_crowd_gets_the_same_answers() {
    let lines: Vec<String> = (0..90)
        .map(|i| match i % 3 {
            0 => json!({"id": i, "prompt": format!("There were {i} kings"), "max_tokens": 1 + i % 7}),
            1 => json!({"id": i, "token_ids": ids(5 + i), "score_from": 1 + i % 4}),
            _ => json!({"id": i, "prompt": "A cat", "seed": i, "generate_kwargs": {"do_sample": true}, "max_tokens": 5}),
        })
        .map(|line| line.to_string())
        .collect();
    let mut crowd = Worker::begin(&["--temperature", "0"]);
    lines.iter().for_each(|line| crowd.ask(line));
    let (mut together, output) = crowd.end();
    ends_well(&output);
    together.sort_by_key(|result| result["line"].as_u64());
    let mut worker = Worker::begin(&["--temperature", "0"]);
    for (line, result) in lines.iter().zip(&together) {
        worker.ask(line);
        assert_eq!(&worker.result(), result);
    }
    assert_eq!(together.len(), lines.len());
    ends_well(&worker.end().1);
}

#[test]
fn flags_of_one_prompt_or_a_batch_are_refused() {
    for flags in [
        &["--prompts", "-"][..],
        &["--out", "a.jsonl"],
        &["--unordered"],
        &["-p", "a"],
        &["--json"],
    ] {
        let (results, output) = Worker::begin(flags).end();
        assert_eq!(output.status.code(), Some(2), "{flags:?}");
        assert!(results.is_empty());
    }
    let (_, output) = Worker::begin(&["--model", "no/such/folder/here"]).end();
    assert_eq!(output.status.code(), Some(1));
}

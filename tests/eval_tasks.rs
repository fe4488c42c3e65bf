//! Evaluation's prompts, examples and data: what is asked is byte for byte what lm-evaluation-harness asks (a program of its own wrote the
//! expected hashes, from the description alone), from JSON lines and parquet alike, and what is wrong in data is told by file and row.
#![cfg(feature = "eval")]

use std::path::{Path, PathBuf};

use openelm::Error;
use openelm::eval::{Like, Selection, Settings, Task, notes};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/eval")
}

fn settings(data: &Path, num_fewshot: usize) -> Settings {
    Settings {
        data: data.to_owned(),
        num_fewshot: Some(num_fewshot),
        ..Settings::default()
    }
}

/// The task of a name, which is one.
fn open(name: &str, settings: &Settings) -> Task {
    let mut tasks = Task::open(name, settings).unwrap();
    assert_eq!(tasks.len(), 1, "{name}");
    tasks.remove(0)
}

fn short_sha256(text: &str) -> String {
    let bytes = Sha256::digest(text.as_bytes());
    bytes
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[test]
fn prompts_and_examples_are_those_of_the_harness() {
    let text = std::fs::read_to_string(fixtures().join("expected.json")).unwrap();
    let expected: Value = serde_json::from_str(&text).unwrap();
    let mut checked = 0;
    for run in expected["runs"].as_array().unwrap() {
        let name = run["task"].as_str().unwrap();
        let like = Like::named(run["like"].as_str().unwrap()).unwrap();
        let num_fewshot = run["num_fewshot"].as_u64().unwrap() as usize;
        let task = open(
            name,
            &Settings {
                like,
                ..settings(&fixtures(), num_fewshot)
            },
        );
        let items = run["items"].as_array().unwrap();
        assert_eq!(task.len(), items.len(), "{name}");
        for (doc, expected) in items.iter().enumerate() {
            let place = format!(
                "{name}, {num_fewshot} examples, item {doc}, {}",
                like.name()
            );
            let item = task.item(doc).unwrap();
            assert_eq!(json!(item.fewshot), expected["fewshot"], "{place}");
            assert_eq!(json!(item.gold), expected["gold"], "{place}");
            let contexts = expected["contexts"].as_array().unwrap();
            for (index, choice) in item.choices.iter().enumerate() {
                let context = contexts.get(index).unwrap_or(&contexts[0]);
                assert_eq!(
                    json!(short_sha256(&choice.context)),
                    *context,
                    "{place}: {:?}",
                    choice.context
                );
                checked += 1;
            }
            let continuations: Vec<&str> = item
                .choices
                .iter()
                .map(|choice| choice.continuation.as_str())
                .collect();
            let continuations = short_sha256(&continuations.join("|"));
            assert_eq!(json!(continuations), expected["continuations"], "{place}");
        }
    }
    assert!(checked > 900, "only {checked} choices");
}

#[test]
fn a_limit_is_a_prefix() {
    let whole = open("winogrande", &settings(&fixtures(), 5));
    let limited = open(
        "winogrande",
        &Settings {
            limit: Some(2),
            ..settings(&fixtures(), 5)
        },
    );
    assert_eq!((whole.len(), limited.len()), (3, 2));
    for doc in 0..2 {
        assert_eq!(limited.item(doc), whole.item(doc));
    }
    assert_eq!(limited.item(2), None);
    assert_eq!(limited.data_hash(), whole.data_hash());
    assert_eq!(limited.version(), 1.0);
}

#[test]
fn truthfulqa_has_its_own_questions_and_no_examples() {
    let task = open("truthfulqa_mc2", &settings(&fixtures(), 5));
    assert_eq!(task.num_fewshot(), 0);
    let item = task.item(0).unwrap();
    assert!(item.fewshot.is_empty());
    assert!(
        item.choices[0]
            .context
            .ends_with("I have no comment.\n\nQ: What happens to a wet stone?\nA:")
    );
}

#[test]
fn parquet_is_read_as_json_lines_are() {
    let hub = fixtures().join("hub");
    for (name, num_fewshot) in [
        ("arc_challenge", 25),
        ("arc_easy", 0),
        ("truthfulqa_mc2", 0),
    ] {
        let lines = open(name, &settings(&fixtures(), num_fewshot));
        let parquet = open(name, &settings(&hub, num_fewshot));
        assert_eq!(parquet.data_hash(), lines.data_hash(), "{name}");
        for doc in 0..lines.len() {
            assert_eq!(parquet.item(doc), lines.item(doc), "{name}");
        }
    }
    let lines = Task::open("mmlu", &settings(&fixtures(), 5)).unwrap();
    let parquet = Task::open("mmlu", &settings(&hub, 5)).unwrap();
    let names: Vec<&str> = parquet.iter().map(Task::name).collect();
    let expected = [
        "mmlu_astronomy",
        "mmlu_high_school_physics",
        "mmlu_marketing",
        "mmlu_philosophy",
    ];
    assert_eq!(names, expected);
    // One of its categories.
    let stem = Task::open("mmlu_stem", &settings(&fixtures(), 5)).unwrap();
    let names: Vec<&str> = stem.iter().map(Task::name).collect();
    assert_eq!(names, &expected[..2]);
    for (lines, parquet) in lines.iter().zip(&parquet) {
        for doc in 0..lines.len() {
            assert_eq!(parquet.item(doc), lines.item(doc));
        }
    }
}

/// A folder with files, which are copies of fixtures.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, fixture) in files {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::copy(fixtures().join(fixture), path).unwrap();
    }
    folder
}

#[test]
fn files_are_found_by_task_and_split() {
    let boolq = ["boolq.jsonl", "boolq.fewshot.jsonl"];
    for layout in [
        ["boolq/validation.jsonl", "boolq/train.jsonl"],
        ["boolq.jsonl", "boolq/train-0.jsonl"],
        ["super_glue/boolq/val.jsonl", "super_glue/boolq/train.jsonl"],
        [
            "aps/super_glue/boolq/validation/0000.jsonl",
            "aps/super_glue/boolq/train/0000.jsonl",
        ],
        [
            "datasets--aps--super_glue/snapshots/1a/boolq/validation-00000-of-00001.jsonl",
            "datasets--aps--super_glue/snapshots/1a/boolq/train-00000-of-00001.jsonl",
        ],
        [
            "BoolQ/data/validation_all.jsonl",
            "BoolQ/data/train_all.jsonl",
        ],
    ] {
        let other = ("super_glue/copa/train.jsonl", "sciq.jsonl");
        let folder = folder(&[(layout[0], boolq[0]), (layout[1], boolq[1]), other]);
        let task = open("boolq", &settings(folder.path(), 2));
        let expected = open("boolq", &settings(&fixtures(), 2));
        assert_eq!(task.item(2), expected.item(2), "{layout:?}");
    }
    // Another language is not English, nor are one school's texts another's.
    for (name, folders, config) in [
        (
            "crows_pairs_english",
            "crows_pairs_multilingual/french",
            "english",
        ),
        ("race", "race/middle", "high"),
    ] {
        let (file, other) = (format!("{name}.jsonl"), format!("{folders}/test.jsonl"));
        let of_other = folder(&[(&other, &file)]);
        let message = error(name, &settings(of_other.path(), 0));
        assert!(
            message.contains(&format!("with `{config}` in the path")),
            "{message}"
        );
        let place = of_other.path().join(&other);
        let beside = place.parent().unwrap().with_file_name("test.jsonl");
        std::fs::rename(place, beside).unwrap();
        assert!(!open(name, &settings(of_other.path(), 0)).is_empty());
    }
    // One folder a subject, which names it.
    let physics = folder(&[
        ("mmlu/high_school_physics/test.jsonl", "mmlu.jsonl"),
        ("mmlu/high_school_physics/dev.jsonl", "mmlu.fewshot.jsonl"),
        ("mmlu/auxiliary_train/train.jsonl", "sciq.jsonl"),
    ]);
    assert_eq!(
        Task::open("mmlu", &settings(physics.path(), 5))
            .unwrap()
            .len(),
        4
    );
    // PIQA's authors publish labels apart.
    let piqa = tempfile::tempdir().unwrap();
    let line = r#"{"goal": "g", "sol1": "a", "sol2": "b"}"#;
    std::fs::create_dir(piqa.path().join("piqa")).unwrap();
    std::fs::write(
        piqa.path().join("piqa/valid.jsonl"),
        format!("{line}\n{line}\n"),
    )
    .unwrap();
    std::fs::write(piqa.path().join("piqa/valid-labels.lst"), "1\n0\n").unwrap();
    let task = open("piqa", &settings(piqa.path(), 0));
    assert_eq!([0, 1].map(|doc| task.item(doc).unwrap().gold), [1, 0]);
}

#[test]
fn numbered_files_come_in_the_order_of_their_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let split = folder.path().join("boolq/validation");
    std::fs::create_dir_all(&split).unwrap();
    for number in 0..12 {
        let row = json!({"passage": format!("p{number}."), "question": "q", "label": 0});
        std::fs::write(split.join(format!("{number}.jsonl")), row.to_string()).unwrap();
    }
    let task = open("boolq", &settings(folder.path(), 0));
    for doc in 0..12 {
        let item = format!("{:?}", task.item(doc).unwrap());
        assert!(item.contains(&format!("p{doc}.")), "{item}");
    }
    std::fs::remove_file(split.join("10.jsonl")).unwrap();
    let message = error("boolq", &settings(folder.path(), 0));
    assert!(message.contains("part 10 is missing"), "{message}");
}

fn error(name: &str, settings: &Settings) -> String {
    match Task::open(name, settings) {
        Ok(tasks) => panic!("{name}: {} tasks", tasks.len()),
        Err(error) => error.to_string(),
    }
}

#[test]
fn what_cannot_be_found_is_told() {
    let unknown = Task::open("arc", &settings(&fixtures(), 0));
    assert!(matches!(unknown, Err(Error::UnknownTask { .. })));
    let empty = tempfile::tempdir().unwrap();
    let message = error("boolq", &settings(empty.path(), 0));
    assert!(
        message.contains("no boolq.jsonl") && message.contains("aps/super_glue"),
        "{message}"
    );
    let message = error("boolq", &settings(&empty.path().join("none"), 0));
    assert!(message.starts_with("cannot read "), "{message}");
    let message = error("mmlu_alchemy", &settings(&fixtures(), 0));
    assert!(message.contains("no subject `alchemy`"), "{message}");
    let message = error("piqa", &settings(&fixtures(), 6));
    assert!(
        message.contains("needs 7 rows to take examples from; there are 6"),
        "{message}"
    );
    let message = error("piqa", &settings(&fixtures(), usize::MAX));
    assert!(message.contains("0 to 1000"), "{message}");
    for (files, expected) in [
        (
            ["boolq/validation.jsonl", "boolq/other/validation.jsonl"],
            "more than one file could be meant",
        ),
        (
            ["boolq/val_a.jsonl", "boolq/val_b.jsonl"],
            "more than one file could be meant",
        ),
        (
            [
                "boolq/validation-00000-of-00003.jsonl",
                "boolq/validation-00002-of-00003.jsonl",
            ],
            "part 1 of the 3",
        ),
    ] {
        let folder = folder(&files.map(|file| (file, "boolq.jsonl")));
        let message = error("boolq", &settings(folder.path(), 0));
        assert!(message.contains(expected), "{message}");
    }
    let message = error(
        "truthfulqa_mc2",
        &settings(
            folder(&[("truthfulqa_mc2.jsonl", "truthfulqa_mc2.jsonl")]).path(),
            0,
        ),
    );
    assert!(
        message.contains("no truthfulqa_mc2.prompt.txt"),
        "{message}"
    );
}

#[test]
fn a_bad_row_is_named() {
    let race = |problems: &str| json!({"article": "a", "problems": problems}).to_string();
    let arc = r#"{"question": "q", "choices": {"text": ["a", "b"], "label": ["A", "B"]}, "answerKey": "C"}"#;
    let cases: Vec<(&str, String, &str)> = vec![
        ("boolq", "{".into(), "not a JSON object"),
        ("boolq", "[1]".into(), "not a JSON object"),
        ("boolq", "\u{0}".into(), "not a JSON object"),
        ("boolq", "[".repeat(100_000), "not a JSON object"),
        ("boolq", "{}".into(), "no field `passage`"),
        (
            "boolq",
            r#"{"passage": 1}"#.into(),
            "`passage` is 1; a string was expected",
        ),
        (
            "boolq",
            r#"{"passage": "p", "question": "q"}"#.into(),
            "no field `label`; there are passage, question",
        ),
        (
            "boolq",
            r#"{"passage": "p", "question": "q", "label": 2}"#.into(),
            "`label` is 2; a number from 0 to 1",
        ),
        (
            "boolq",
            r#"{"passage": "p", "question": "q", "label": -1e300}"#.into(),
            "a number from 0 to 1",
        ),
        ("arc_easy", arc.into(), "`answerKey` is \"C\""),
        (
            "arc_easy",
            r#"{"question": "q", "choices": ["a"], "answerKey": "A"}"#.into(),
            "no field `choices.text`",
        ),
        (
            "hellaswag",
            r#"{"activity_label": "", "ctx_a": "", "ctx_b": "", "endings": [], "label": "0"}"#
                .into(),
            "`label` is \"0\"",
        ),
        (
            "mmlu",
            r#"{"subject": "anatomy", "question": "q", "choices": ["a"], "answer": 0}"#.into(),
            "4 were expected",
        ),
        (
            "winogrande",
            r#"{"sentence": "none", "option1": "a", "option2": "b", "answer": "1"}"#.into(),
            "no blank",
        ),
        (
            "winogrande",
            r#"{"sentence": "a _", "option1": "a", "option2": "b", "answer": ""}"#.into(),
            "`answer` is \"\"",
        ),
        ("race", race("[]"), "`problems` is empty"),
        (
            "race",
            race("[{'question': 'q'"),
            "character 18 is the end where a comma",
        ),
        (
            "race",
            race("[{'question': 'q'}]"),
            "problem 1 of `problems` has no four texts `options`",
        ),
        ("race", race("__import__('os')"), "character 1 is '_'"),
        (
            "race",
            race(&"[".repeat(1_000_000)),
            "lie within each other",
        ),
        (
            "truthfulqa_mc2",
            r#"{"question": "q", "mc2_targets": {"choices": ["a"], "labels": [1]}}"#.into(),
            "no label of `mc2_targets` is 0",
        ),
        (
            "truthfulqa_mc2",
            r#"{"question": "q", "mc2_targets": {"choices": ["a"], "labels": []}}"#.into(),
            "1 choices and 0 labels",
        ),
    ];
    for (name, line, expected) in cases {
        let folder = folder(&[("truthfulqa_mc2.prompt.txt", "truthfulqa_mc2.prompt.txt")]);
        let path = folder.path().join(format!("{name}.jsonl"));
        std::fs::write(&path, format!("\n{line}\n")).unwrap();
        let message = error(name, &settings(folder.path(), 0));
        let begin = format!("{}, row 2: ", path.display());
        assert!(
            message.starts_with(&begin) && message.contains(expected),
            "{expected}: {message}"
        );
        assert!(message.len() < 600, "{message}");
    }
}

#[test]
fn a_line_or_a_file_without_end_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("boolq.jsonl");
    std::fs::write(&path, vec![b' '; 17 << 20]).unwrap();
    let message = error("boolq", &settings(folder.path(), 0));
    assert!(
        message.contains("row 1: the line has more than 16 MiB"),
        "{message}"
    );
    std::fs::File::create(&path)
        .unwrap()
        .set_len(2 << 30)
        .unwrap();
    let message = error("boolq", &settings(folder.path(), 0));
    assert!(
        message.contains("2147483648 bytes are more than"),
        "{message}"
    );
    std::fs::write(&path, "\n\n").unwrap();
    let message = error("boolq", &settings(folder.path(), 0));
    assert!(message.contains("holds no rows"), "{message}");
}

/// Whatever is wrong in a parquet file, it is an error with the file's name, or rows.
#[test]
fn a_damaged_parquet_file_is_an_error() {
    let whole =
        std::fs::read(fixtures().join("hub/ai2_arc/ARC-Challenge/test-00000-of-00001.parquet"))
            .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("arc_challenge.parquet");
    let check = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        match Task::open("arc_challenge", &settings(folder.path(), 0)) {
            Ok(_) => false,
            Err(error) => {
                assert!(
                    error.to_string().contains("arc_challenge.parquet"),
                    "{error}"
                );
                true
            }
        }
    };
    for length in (0..whole.len()).step_by(7) {
        assert!(check(&whole[..length]), "{length} bytes");
    }
    let mut errors = 0;
    for at in 0..whole.len() {
        for bits in [0xff, 1 << (at % 8)] {
            let mut bytes = whole.clone();
            bytes[at] ^= bits;
            errors += usize::from(check(&bytes));
        }
    }
    assert!(errors > 200, "{errors}");
}

/// What other programs write by default is named, with what to do about it.
#[test]
fn other_encodings_and_compressions_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("boolq.jsonl");
    let line = "{\"passage\": \"p\", \"question\": \"caf\u{e9}\", \"label\": 1}\n";
    for (bytes, words) in [
        (
            line.encode_utf16().flat_map(u16::to_le_bytes).collect(),
            "is UTF-16 text, not UTF-8",
        ),
        (
            line.chars().map(|c| c as u8).collect::<Vec<u8>>(),
            "is not UTF-8 text: byte",
        ),
    ] {
        std::fs::write(&path, bytes).unwrap();
        let message = error("boolq", &settings(folder.path(), 0));
        assert!(
            message.contains("row 1: the line ") && message.contains(words),
            "{message}"
        );
    }
    std::fs::write(&path, format!("\u{feff}{line}")).unwrap();
    assert_eq!(open("boolq", &settings(folder.path(), 0)).len(), 1);
    // A column's compression is a number in the file's last part: Snappy is 1, Zstandard 6, each twice.
    let hub = fixtures().join("hub/ai2_arc/ARC-Challenge/test-00000-of-00001.parquet");
    let whole = std::fs::read(hub).unwrap();
    let path = folder.path().join("arc_challenge.parquet");
    let messages = (1..whole.len()).filter(|at| whole[at - 1..=*at] == [0x15, 2]);
    let is_named = messages.map(|at| {
        let mut bytes = whole.clone();
        bytes[at] = 12;
        std::fs::write(&path, bytes).unwrap();
        let opened = Task::open("arc_challenge", &settings(folder.path(), 0));
        let message = opened.err().map(|error| error.to_string());
        let words = "compressed with ZSTD; write it again with Snappy";
        message.is_some_and(|message| message.contains(words))
    });
    assert!(is_named.filter(|is_named| *is_named).count() > 0);
}

#[test]
fn what_is_not_as_published_is_noted() {
    let tasks = Task::open(
        "winogrande",
        &Settings {
            limit: Some(1),
            ..settings(&fixtures(), 5)
        },
    );
    let found = notes(&tasks.unwrap());
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(
        found[0].contains("1 of 3 items")
            && found[1].contains("the published ones 1267")
            && found[2].contains("40398"),
        "{found:?}"
    );
}

/// Several tables ask the same data with other numbers of examples; some subjects of MMLU are not all of it.
#[test]
fn notes_count_nothing_twice_and_compare_no_part_with_the_whole() {
    let found = |names: &[&str], num_fewshot: usize| {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut tasks = Vec::new();
        for number in [0, num_fewshot] {
            let settings = settings(&fixtures(), number);
            tasks.extend(Selection::open(&names, &settings).unwrap().tasks);
        }
        notes(&tasks)
    };
    let of_tables = found(&["winogrande"], 5);
    assert_eq!(of_tables.len(), 2, "{of_tables:?}");
    assert!(
        of_tables[0].contains("the data have 3 items") && of_tables[1].contains("40398"),
        "{of_tables:?}"
    );
    for part in [&["mmlu_stem"][..], &["mmlu_astronomy", "mmlu_marketing"]] {
        assert_eq!(found(part, 5), [""; 0]);
    }
    for whole in [
        &["mmlu"][..],
        &["mmlu_stem", "mmlu"],
        &["mmlu", "mmlu_stem"],
    ] {
        let of_whole = found(whole, 5);
        assert!(
            of_whole.len() == 2 && of_whole[0].contains("14042") && of_whole[1].contains("285"),
            "{of_whole:?}"
        );
    }
}

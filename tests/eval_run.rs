//! `openelm eval`: results do not depend on how requests were asked, whether together, alone, elsewhere, or in a run that was ended.
#![cfg(all(feature = "cli", feature = "eval"))]
#![allow(
    clippy::field_reassign_with_default,
    reason = "options are filled as users of the library fill them"
)]

mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use openelm::{GenerateOptions, Model, PromptLogprobs};
use serde_json::{Value, json};

/// Questions about tales, of several lengths and with several numbers of choices.
fn arc() -> Vec<Value> {
    let who = [
        "wolf",
        "king",
        "miller",
        "youngest daughter",
        "old woman with the geese",
    ];
    let places = ["forest", "castle", "mill", "garden"];
    let mut items = Vec::new();
    for (i, name) in who.iter().enumerate() {
        for (j, place) in places.iter().enumerate() {
            let why = "who had gone far away and was very tired ".repeat((i * j) % 4);
            let texts: Vec<String> = places[..2 + (i + j) % 3]
                .iter()
                .map(|place| format!("in the {place}"))
                .collect();
            let labels: Vec<String> = ["A", "B", "C", "D"][..texts.len()]
                .iter()
                .map(|label| (*label).to_owned())
                .collect();
            items.push(json!({
                "id": format!("own-{i}-{j}"),
                "question": format!("Where did the {name} {why}sleep, if not in the {place}?"),
                "answerKey": labels[(i * j) % labels.len()],
                "choices": { "text": texts, "label": labels },
            }));
        }
    }
    items
}

fn piqa() -> Vec<Value> {
    let goals = [
        (
            "To light a fire,",
            "gather dry wood.",
            "gather wet stones and leaves.",
        ),
        (
            "How is bread kept soft?",
            "Wrap it in a cloth.",
            "Leave it in the sun.",
        ),
        (
            "To find the way home,",
            "follow the stones.",
            "close your eyes.",
        ),
    ];
    let item = |(goal, a, b): &(&str, &str, &str)| json!({ "goal": goal, "sol1": a, "sol2": b, "label": 0 });
    goals.iter().map(item).collect()
}

fn winogrande() -> Vec<Value> {
    let sentences = [
        "The fox told the goose a tale because _ was sleepy.",
        "Hans gave Gretel the bread, and then _ ate it.",
        "The road was long, so _ took a rest.",
    ];
    let item = |sentence: &&str| json!({ "sentence": sentence, "option1": "the fox", "option2": "the goose", "answer": "1" });
    sentences.iter().map(item).collect()
}

/// A folder with data of our own.
fn data() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, items: Vec<Value>| {
        let lines: String = items.iter().map(|item| format!("{item}\n")).collect();
        std::fs::write(folder.path().join(name), lines).unwrap();
    };
    write("arc_easy.jsonl", arc());
    write("arc_easy.fewshot.jsonl", arc().split_off(5));
    write("piqa.jsonl", piqa());
    write("piqa.fewshot.jsonl", piqa());
    write("winogrande.jsonl", winogrande());
    write("winogrande.fewshot.jsonl", winogrande());
    folder
}

fn eval(data: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_openelm"));
    command
        // Measurements of the person who runs the tests are none of their business.
        .env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR"))
        .args(["eval", "--no-tune", "--data"])
        .arg(data)
        .args(arguments);
    command
}

fn succeeds(output: &Output) -> (String, String) {
    let errors = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(output.status.success(), "{errors}");
    (String::from_utf8(output.stdout.clone()).unwrap(), errors)
}

/// What is said where it does not work; nothing may be on standard output.
fn fails(output: &Output) -> String {
    let errors = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(!output.status.success() && output.stdout.is_empty());
    assert!(!errors.contains("panicked"), "{errors}");
    errors
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Results, groups and samples: what must be the same.
fn numbers(path: &Path) -> [Value; 3] {
    let all = read(path);
    ["results", "groups", "samples"].map(|part| all[part].clone())
}

const TASKS: [&str; 4] = ["--tasks", "arc_easy,piqa,winogrande", "--num-fewshot", "2"];

/// The tasks with more arguments, in f16 unless these say otherwise.
fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let dtype: &[&str] = match more.contains(&"--dtype") {
        true => &[],
        false => &["--dtype", "f16"],
    };
    [&TASKS, dtype, more].concat()
}

/// Results of requests, each of which is asked alone, from nothing.
fn asked_alone(requests: &str) -> Vec<Value> {
    let model = common::load("demo", None, false);
    requests
        .lines()
        .map(|line| {
            let request: Value = serde_json::from_str(line).unwrap();
            let mut options = GenerateOptions::default();
            options.max_tokens = Some(0);
            options.prompt_logprobs = Some(PromptLogprobs {
                from: request["score_from"].as_u64().unwrap() as usize,
                top: 0,
            });
            let (logprobs, greedy) = scores(&model, &common::ids(&request["token_ids"]), &options);
            json!({ "id": request["id"], "logprobs": logprobs, "greedy": greedy })
        })
        .collect()
}

fn scores(model: &Model, ids: &[u32], options: &GenerateOptions) -> (Vec<f32>, Vec<bool>) {
    let mut session = model.session().unwrap();
    let mut generation = session.generate(ids, options).unwrap();
    assert!(generation.next().is_none());
    let scores = generation.prompt_logprobs().iter();
    scores.map(|token| (token.logprob, token.is_greedy)).unzip()
}

fn lines(results: &[Value]) -> String {
    results.iter().map(|line| format!("{line}\n")).collect()
}

fn dumped(data: &Path) -> String {
    let output = eval(data, &with(&["--dump-requests", "-"]))
        .output()
        .unwrap();
    succeeds(&output).0
}

#[test]
fn together_alone_or_elsewhere_gives_the_same_bits() {
    let data = data();
    let folder = tempfile::tempdir().unwrap();
    let [here, elsewhere, file] =
        ["here.json", "elsewhere.json", "results.jsonl"].map(|name| folder.path().join(name));
    let out = here.to_string_lossy();
    let command = with(&["--out", &out, "--log-samples"]);
    let (table, _) = succeeds(&eval(data.path(), &command).output().unwrap());
    assert!(table.contains("acc_norm*"), "{table}");
    assert!(
        table.contains("note: arc_easy: the data have 20 items"),
        "{table}"
    );

    let mut results = asked_alone(&dumped(data.path()));
    assert!(results.len() > 60);
    results.reverse();
    std::fs::write(&file, lines(&results)).unwrap();
    let [file, out] = [&file, &elsewhere].map(|path| path.to_string_lossy());
    let command = with(&["--from-results", &file, "--out", &out, "--log-samples"]);
    let (same_table, _) = succeeds(&eval(data.path(), &command).output().unwrap());
    assert_eq!(table, same_table);
    assert_eq!(numbers(&here), numbers(&elsewhere));

    let command = with(&["--from-results", &file, "--json", "--log-samples"]);
    let (json, _) = succeeds(&eval(data.path(), &command).output().unwrap());
    assert_eq!(json, std::fs::read_to_string(&elsewhere).unwrap());

    let [results, groups, samples] = numbers(&here);
    assert_eq!(results["arc_easy"]["num_fewshot"], 2);
    assert_eq!(results["arc_easy"]["n"], 20);
    assert!(results["piqa"]["acc_norm_stderr"].is_f64());
    assert_eq!(groups, json!({}));
    let sample = &samples["arc_easy"][3];
    assert_eq!(sample["doc"], 3);
    let mean = samples["arc_easy"].as_array().unwrap().iter();
    let mean = mean
        .map(|item| item["metrics"]["acc"].as_f64().unwrap())
        .sum::<f64>()
        / 20.0;
    assert_eq!(results["arc_easy"]["acc"], json!(mean));
    let choice = &samples["winogrande"][0]["choices"][1];
    assert_eq!(choice["context_sha256"].as_str().unwrap().len(), 16);
    assert!(choice["ll"].as_f64().unwrap() < 0.0 && choice["greedy"] == false);
}

#[test]
fn what_results_lack_is_said() {
    let data = data();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("results.jsonl");
    let requests = dumped(data.path());
    let mut all: Vec<Value> = requests
        .lines()
        .map(|line| {
            let request: Value = serde_json::from_str(line).unwrap();
            let scored = common::ids(&request["token_ids"]).len()
                - request["score_from"].as_u64().unwrap() as usize;
            let (logprobs, greedy) = (vec![-0.5; scored], vec![true; scored]);
            json!({ "id": request["id"], "logprobs": logprobs, "greedy": greedy })
        })
        .collect();
    let first = all[0]["id"].as_str().unwrap().to_owned();
    let from = |results: &[Value]| {
        std::fs::write(&file, lines(results)).unwrap();
        let path = file.to_string_lossy();
        eval(data.path(), &with(&["--from-results", &path]))
            .output()
            .unwrap()
    };
    succeeds(&from(&all));
    let count = all.len();
    let errors = fails(&from(&all[2..]));
    assert!(
        errors.contains(&format!(
            "2 of {count} requests have no result, the first is `{first}`"
        )),
        "{errors}"
    );
    let failed = json!({ "id": first, "error": "out of memory" });
    let errors = fails(&from(&[&all[1..], std::slice::from_ref(&failed)].concat()));
    assert!(
        errors.contains(&format!(
            "1 of {count} requests failed, the first is `{first}`: out of memory"
        )),
        "{errors}"
    );
    // Tried again, and it worked.
    succeeds(&from(&[std::slice::from_ref(&failed), &all[..]].concat()));
    let (_, notes) = succeeds(&from(&[&all[..], &all[..3]].concat()));
    assert!(notes.contains("3 results came more than once"), "{notes}");
    let other = json!({ "id": "other/0/0/0/00000000", "logprobs": [-1.0], "greedy": [true] });
    all.push(other);
    let (_, notes) = succeeds(&from(&all));
    assert!(notes.contains("1 results are of other requests"), "{notes}");
    all[0]["greedy"] = json!([]);
    let errors = fails(&from(&all));
    assert!(
        errors.contains("row 1") && errors.contains("not of the same length"),
        "{errors}"
    );
}

/// How many lines are whole, and of items.
fn items(path: &Path) -> usize {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let whole = text
        .split_inclusive('\n')
        .filter(|line| line.ends_with('\n'));
    whole.filter(|line| line.contains("\"task\":")).count()
}

#[test]
fn a_run_that_was_ended_goes_on() {
    let data = data();
    let folder = tempfile::tempdir().unwrap();
    let paths = |name: &str| -> [PathBuf; 2] {
        ["json", "items.jsonl"].map(|end| folder.path().join(name).with_extension(end))
    };
    let run = |out: &Path, more: &[&str]| {
        let out = out.to_string_lossy().into_owned();
        eval(
            data.path(),
            &with(&[&["--out", &out, "--log-samples"], more].concat()),
        )
    };
    let [whole, whole_items] = paths("whole");
    succeeds(&run(&whole, &[]).output().unwrap());
    assert_eq!(items(&whole_items), 26);

    // Killed in the midst of it.
    let [ended, ended_items] = paths("ended");
    let mut child = run(&ended, &[])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let begin = Instant::now();
    while items(&ended_items) < 3 && begin.elapsed() < Duration::from_secs(300) {
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(items(&ended_items) >= 3, "it has not begun");
    child.kill().unwrap();
    child.wait().unwrap();
    // And in the midst of a line.
    let text = std::fs::read_to_string(&ended_items).unwrap();
    let cut = text.trim_end().len() - 7;
    std::fs::write(&ended_items, &text[..cut]).unwrap();
    let kept = items(&ended_items);
    assert!(kept > 0);
    let (_, notes) = succeeds(&run(&ended, &[]).output().unwrap());
    assert!(
        notes.contains(&format!("{kept} items are answered already")),
        "{notes}"
    );
    assert_eq!(numbers(&whole), numbers(&ended));
    assert_eq!(items(&ended_items), 26);

    // All is there: nothing is asked again, also of a part.
    succeeds(&run(&ended, &["--limit", "2"]).output().unwrap());
    assert_eq!(items(&ended_items), 26);
    // Answers of other weights are told apart and kept, and so are those to other questions.
    let (_, notes) = succeeds(&run(&ended, &["--dtype", "q8"]).output().unwrap());
    assert!(notes.contains("26 items of other models"), "{notes}");
    assert_eq!(items(&ended_items), 52);
    assert_ne!(numbers(&whole), numbers(&ended));
    succeeds(&run(&ended, &[]).output().unwrap());
    assert_eq!(numbers(&whole), numbers(&ended));
    assert_eq!(items(&ended_items), 52);

    std::fs::write(&ended_items, "my diary\n").unwrap();
    let errors = fails(&run(&ended, &[]).output().unwrap());
    assert!(errors.contains("row 1: this is no answer"), "{errors}");
    assert_eq!(std::fs::read(&ended_items).unwrap(), b"my diary\n");
}

#[test]
fn tables_and_mistakes() {
    let data = data();
    let fails = |arguments: &[&str]| fails(&eval(data.path(), arguments).output().unwrap());
    for (arguments, words) in [
        (&["--tasks", "arc"][..], "no task `arc`"),
        (
            &["--tasks", "zero-shot", "--num-fewshot", "5"],
            "--num-fewshot is for tasks",
        ),
        (&["--tasks", "zero-shot"], "no arc_challenge.jsonl"),
        (&["--tasks", "piqa", "--like", "0.4"], "apple, 0.4.13"),
        (&["--tasks", "piqa", "--limit", "0"], "no items"),
        (&["--tasks", "piqa", "--log-samples"], "--out"),
        (
            &["--tasks", "piqa", "--json", "--dump-requests", "-"],
            "--dump-requests",
        ),
        (
            &["--tasks", "piqa", "--from-results", "/nowhere"],
            "cannot read /nowhere",
        ),
        (
            &["--tasks", "piqa", "--out", "/nowhere/x.json"],
            "cannot write /nowhere",
        ),
        (&["--tasks", "piqa", "-m", "shape:270M"], "tokenizer"),
    ] {
        let errors = fails(arguments);
        assert!(errors.contains(words), "{arguments:?}: {errors}");
    }
    let nowhere = eval(Path::new("/nowhere"), &["--tasks", "piqa"])
        .output()
        .unwrap();
    assert!(self::fails(&nowhere).contains("/nowhere"));
}

/// A folder with a question of each of two subjects.
fn mmlu() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let item = |subject: &str| {
        let item = json!({
            "subject": subject,
            "question": "What does the moon do at night?",
            "choices": ["It shines.", "It sings.", "It sleeps.", "It sinks."],
            "answer": 0,
        });
        format!("{item}\n")
    };
    let items = item("astronomy") + &item("philosophy");
    for name in ["mmlu.jsonl", "mmlu.fewshot.jsonl"] {
        std::fs::write(folder.path().join(name), &items).unwrap();
    }
    folder
}

/// Two versions ask MMLU otherwise: answers to one do not take the place of those to the other.
#[test]
fn runs_that_take_turns_find_all_of_their_answers() {
    let folder = mmlu();
    let out = folder.path().join("out.json");
    let out = out.to_string_lossy();
    for (turn, like) in ["apple", "0.4.13", "apple", "0.4.13"]
        .into_iter()
        .enumerate()
    {
        let arguments = ["--tasks", "mmlu", "--like", like, "--out", &out];
        let (_, notes) = succeeds(&eval(folder.path(), &arguments).output().unwrap());
        assert_eq!(
            notes.contains("2 items are answered already"),
            turn > 1,
            "{notes}"
        );
    }
    assert_eq!(items(&folder.path().join("out.items.jsonl")), 4);
}

/// One subject is no group, all of them are.
#[test]
fn only_all_subjects_make_a_group() {
    let folder = mmlu();
    for (task, groups) in [
        ("mmlu_astronomy", &[][..]),
        ("mmlu_stem", &["mmlu_stem"]),
        ("mmlu", &["mmlu", "mmlu_humanities", "mmlu_stem"]),
        (
            "mmlu,mmlu_astronomy",
            &["mmlu", "mmlu_humanities", "mmlu_stem"],
        ),
    ] {
        let out = folder.path().join("out.json");
        let arguments = ["--tasks", task, "--out", &out.to_string_lossy()];
        succeeds(&eval(folder.path(), &arguments).output().unwrap());
        let [results, found, _] = numbers(&out);
        let names: Vec<&String> = found.as_object().unwrap().keys().collect();
        assert_eq!(names, groups, "{task}");
        assert_eq!(results["mmlu_astronomy"]["n"], 1);
    }
}

/// The demo model by a name of the card's, in a folder, and an adapter for it.
fn as_apples() -> [tempfile::TempDir; 2] {
    let [parent, adapter] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let demo = openelm::Checkpoint::open("demo").unwrap();
    demo.write_quantized(
        &parent.path().join("OpenELM-270M"),
        openelm::Dtype::Q8,
        |_, _| {},
    )
    .unwrap();
    let module = "transformer.layers.0.attn.qkv_proj";
    let specs = demo.config.tensors();
    let name = format!("{module}.weight");
    let [rows, columns] = specs.iter().find(|spec| spec.name == name).unwrap().shape[..] else {
        panic!("no matrix")
    };
    let tensors = [("lora_A", vec![1, columns]), ("lora_B", vec![rows, 1])];
    let tensors = tensors.map(|(part, shape)| {
        let values = common::noise(1, shape.iter().product());
        let bytes = common::encode(&values, openelm::Dtype::F32);
        let name = format!("base_model.model.{module}.{part}.weight");
        (name, ("F32".to_owned(), shape, bytes))
    });
    let config =
        json!({ "peft_type": "LORA", "r": 1, "lora_alpha": 1, "target_modules": ["qkv_proj"] });
    let write = |name: &str, bytes: &[u8]| {
        std::fs::write(adapter.path().join(name), bytes).unwrap();
    };
    write("adapter_config.json", config.to_string().as_bytes());
    let tensors = common::safetensors(&tensors.into_iter().collect());
    write("adapter_model.safetensors", &tensors);
    [parent, adapter]
}

#[test]
fn what_sets_a_table_apart_from_the_card_is_told() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/eval");
    let [parent, adapter] = as_apples();
    let model = parent.path().join("OpenELM-270M");
    let (model, adapter) = (model.to_string_lossy(), adapter.path().to_string_lossy());
    let told = |more: &[&str]| -> (String, Value) {
        let out = parent.path().join("out.json");
        let arguments = ["--tasks", "zero-shot", "--limit", "1", "-m", &model];
        let arguments = [&arguments[..], &["--out", out.to_str().unwrap()], more].concat();
        let (table, _) = succeeds(&eval(&data, &arguments).output().unwrap());
        (table, read(&out)["config"].clone())
    };
    let (table, config) = told(&[]);
    for words in [
        "expect the card's numbers",
        "context has 512 tokens, that of the model card 2048",
    ] {
        assert!(table.contains(words), "{words}: {table}");
    }
    for words in ["LoRA", "prompts were cut", "0.4.13"] {
        assert!(!table.contains(words), "{words}: {table}");
    }
    assert_eq!(config["lora"], json!([]));
    assert!(config["compute_path"].is_string() && config["activations"].is_string());

    let (table, config) = told(&["--lora", &adapter, "--like", "0.4.13", "--ctx-size", "32"]);
    for words in [
        "+ LoRA",
        "changed by a LoRA adapter",
        "asked as lm-evaluation-harness 0.4.13",
        "of 7 prompts were cut at their beginning",
    ] {
        assert!(table.contains(words), "{words}: {table}");
    }
    assert!(!table.contains("expect the card's numbers"), "{table}");
    assert_eq!(config["lora"], json!([adapter]));
}

//! The command line as a person or a script uses it: text on stdout, all else on stderr, JSON of a fixed shape, exit codes.
#![cfg(feature = "cli")]

mod common;

use std::io::{Read, Write};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn openelm() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_openelm"));
    // Measurements of the person who runs the tests are none of their business.
    command.env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR"));
    command
}

fn run(arguments: &[&str]) -> Output {
    openelm().args(arguments).output().unwrap()
}

fn ok(arguments: &[&str]) -> String {
    let output = run(arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

fn json(arguments: &[&str]) -> Value {
    serde_json::from_str(&ok(arguments)).unwrap()
}

/// The exit code and what was said on stderr; nothing may be on stdout.
fn failure(arguments: &[&str]) -> (i32, String) {
    let output = run(arguments);
    assert!(output.stdout.is_empty(), "{arguments:?}");
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(!errors.contains("panicked"), "{errors}");
    (output.status.code().unwrap(), errors)
}

fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    keys.sort_unstable();
    keys
}

#[test]
fn generate_prints_one_json_object() {
    let object = json(&[
        "generate",
        "-p",
        "Once upon a time",
        "-n",
        "6",
        "--temperature",
        "0",
        "--repetition-penalty",
        "1",
        "--json",
    ]);
    let expected = [
        "adapter",
        "dtype",
        "finish_reason",
        "ids",
        "logprobs",
        "model",
        "prompt_ids",
        "text",
        "timing",
    ];
    assert_eq!(keys(&object), expected);
    assert_eq!(
        keys(&object["adapter"]),
        ["backend", "device_type", "driver", "name"]
    );
    let timing = [
        "decode_s",
        "decode_tokens",
        "first_token_s",
        "load_s",
        "prefill_s",
        "prefill_tokens",
    ];
    assert_eq!(keys(&object["timing"]), timing);
    assert_eq!(object["model"], "demo");
    assert_eq!(object["dtype"], "f16");
    assert_eq!(object["finish_reason"], "length");
    let goldens = common::goldens();
    let case = &goldens.iter().find(|(name, _)| name == "demo").unwrap().1["cases"][0];
    assert_eq!(object["prompt_ids"], case["ids"]);
    assert_eq!(
        object["ids"].as_array().unwrap()[..],
        case["greedy"].as_array().unwrap()[..6]
    );
    assert_eq!(object["logprobs"].as_array().unwrap().len(), 6);
    assert!(object["text"].as_str().unwrap().starts_with(" there"));
    assert_eq!(object["timing"]["prefill_tokens"], 5);
    assert_eq!(object["timing"]["decode_tokens"], 5);
}

#[test]
fn score_prints_one_json_object() {
    let object = json(&[
        "score",
        "--token-ids",
        "1,1946,761,261,507",
        "--top",
        "3",
        "--json",
        "--kv-dtype",
        "f32",
    ]);
    assert_eq!(keys(&object), ["ids", "logprobs", "next"]);
    let goldens = common::goldens();
    let case = &goldens.iter().find(|(name, _)| name == "demo").unwrap().1["cases"][0];
    assert_eq!(object["logprobs"][0], Value::Null);
    let expected = common::numbers(&case["token_logprobs"]);
    for (actual, expected) in object["logprobs"].as_array().unwrap()[1..]
        .iter()
        .zip(expected)
    {
        assert!((actual.as_f64().unwrap() - expected).abs() < 2e-3);
    }
    let next = object["next"].as_array().unwrap();
    assert_eq!(next.len(), 3);
    assert_eq!(keys(&next[0]), ["id", "logit", "logprob"]);
    assert_eq!(next[0]["id"], case["top"][0][0]);
}

#[test]
fn text_goes_to_stdout_and_all_else_to_stderr() {
    let output = run(&["-p", "Once upon a time", "-n", "4", "--seed", "1"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("Once upon a time") && text.ends_with('\n'));
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(
        errors.contains("tok/s") && errors.contains("seed 1"),
        "{errors}"
    );
    let without = ok(&[
        "-p",
        "Once upon a time",
        "-n",
        "4",
        "--seed",
        "1",
        "--no-echo",
    ]);
    assert_eq!(format!("Once upon a time{without}"), text);
}

#[test]
fn without_a_verb_or_a_prompt_the_demo_tells_a_story() {
    let text = ok(&["-n", "3"]);
    assert!(text.starts_with("Once upon a time"), "{text}");
}

#[test]
fn the_same_seed_gives_the_same_text_and_another_another() {
    let story = |seed| ok(&["-n", "24", "--temperature", "1", "--seed", seed]);
    let first = story("7");
    assert_eq!(first, story("7"));
    assert_ne!(first, story("8"));
}

#[test]
fn stop_strings_end_the_text_before_them() {
    let arguments = [
        "--temperature",
        "0",
        "--repetition-penalty",
        "1",
        "-n",
        "20",
        "--json",
    ];
    let whole = json(&arguments)["text"].as_str().unwrap().to_owned();
    let word = whole.split_whitespace().nth(4).unwrap().to_owned();
    let stopped = json(&[&arguments[..], &["--stop", &word]].concat());
    assert_eq!(stopped["finish_reason"], "stop");
    let text = stopped["text"].as_str().unwrap();
    assert!(!text.contains(&word) && whole.starts_with(text));
    assert_eq!(whole.find(&word), Some(text.len()));
}

#[test]
fn a_prompt_from_standard_input() {
    let mut child = openelm()
        .args(["tokenize", "-p", "-", "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(b"Once upon a time")
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let object: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(common::ids(&object["ids"]), [1, 1946, 761, 261, 507]);
    assert_eq!(object["tokens"][0], "<s>");
}

#[test]
fn a_reader_that_leaves_is_a_clean_end() {
    let mut child = openelm()
        .args(["-n", "400", "--ignore-eos"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0; 4];
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut first).unwrap();
    drop(stdout);
    let output = child.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    assert!(!errors.contains("panicked"), "{errors}");
}

/// Whatever a verb prints: nobody there to read it is no mistake of anybody's.
#[test]
fn no_verb_minds_a_reader_that_has_left() {
    for arguments in [
        "devices",
        "devices --json",
        "show",
        "show --json",
        "tokenize -p king",
        "tokenize -p king --json",
        "score -p king",
        "score -p king --json",
        "bench -p 4 -n 2 -r 1 -d 0",
        "bench -p 4 -n 2 -r 1 -d 0 --json",
        "profile -p 4 -n 2",
        "profile -p 4 -n 2 --json",
        "generate -n 2",
        "generate -n 2 --json",
        "chat -n 2",
        "completions bash",
        "--help",
        "--version",
    ] {
        let mut child = openelm()
            .args(arguments.split(' '))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        // The others have ended, or do not listen.
        let _ = child.stdin.take().unwrap().write_all(b"The old king\n");
        let output = child.wait_with_output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{arguments}: {errors}");
        assert!(!errors.contains("panicked"), "{arguments}: {errors}");
        assert!(!errors.contains("openelm: "), "{arguments}: {errors}");
    }
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_generation_and_keeps_the_text() {
    let mut child = openelm()
        .args(["-n", "400", "--ignore-eos"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let mut text = vec![0; 20];
    stdout.read_exact(&mut text).unwrap();
    let pid = child.id().to_string();
    Command::new("kill").args(["-INT", &pid]).status().unwrap();
    stdout.read_to_end(&mut text).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert!(text.ends_with(b"\n"));
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("tok/s"),
        "the speed line still comes"
    );
}

#[test]
fn show_describes_models_without_a_device() {
    let text = ok(&["show", "shape:270M"]);
    for word in [
        "271527168 parameters",
        "bf16",
        "KV cache",
        "derived",
        "num_query_heads",
    ] {
        assert!(text.contains(word), "{word}: {text}");
    }
    let object = json(&["show", "--json"]);
    assert_eq!(object["parameters"], 2_835_264);
    assert_eq!(object["layers"].as_array().unwrap().len(), 6);
    assert_eq!(object["layers"][3]["q_heads"], 8);
    assert!(object["weight_bytes"]["f32"].as_u64() > object["weight_bytes"]["f16"].as_u64());
    let folder = common::fixture("openelm-bf16-sharded");
    assert!(ok(&["show", &folder.to_string_lossy()]).contains("tokenizer: no"));
}

#[test]
fn devices_lists_the_adapter_that_generation_uses() {
    let list = json(&["devices", "--json"]);
    let object = json(&["-n", "1", "--json"]);
    assert_eq!(list[0]["name"], object["adapter"]["name"]);
    assert!(ok(&["devices"]).contains(list[0]["name"].as_str().unwrap()));
}

#[test]
fn shapes_run_without_files_and_without_a_tokenizer() {
    let object = json(&[
        "-m",
        "shape:270M",
        "--token-ids",
        "1,2,3",
        "-n",
        "2",
        "-c",
        "16",
        "--ignore-eos",
        "--json",
    ]);
    assert_eq!(object["ids"].as_array().unwrap().len(), 2);
    assert_eq!(object["text"], Value::Null);
    assert_eq!(object["dtype"], "bf16");
}

#[test]
fn bench_measures_at_several_depths() {
    let object = json(&[
        "bench", "-p", "20", "-n", "3", "--depth", "0,100", "-r", "2", "--json",
    ]);
    let expected = [
        "adapter",
        "compute_path",
        "device_bytes",
        "dtype",
        "load_s",
        "model",
        "peak_host_bytes",
        "read_bandwidth",
        "results",
        "tuning",
    ];
    assert_eq!(keys(&object), expected);
    assert!(object["read_bandwidth"]["gpu"].as_f64().unwrap() > 1e6);
    let results = object["results"].as_array().unwrap();
    assert_eq!(results.len(), 2);
    for (result, depth) in results.iter().zip([0, 100]) {
        assert_eq!(result["depth"], depth);
        for rate in ["prefill_tokens_per_s", "decode_tokens_per_s"] {
            let of = |which: &str| result[rate][which].as_f64().unwrap();
            assert!(0.0 < of("min") && of("min") <= of("median") && of("median") <= of("max"));
        }
        assert!(result["bandwidth_share"].as_f64().unwrap() > 0.0);
    }
    let more = |result: &Value| result["bytes_per_token"].as_u64().unwrap();
    assert!(more(&results[1]) > more(&results[0]));
    assert!(ok(&["bench", "-p", "8", "-n", "2", "-r", "1"]).contains("bandwidth"));
    let (code, errors) = failure(&["bench", "--depth", "500"]);
    assert_eq!(code, 1);
    assert!(errors.contains("do not fit the context of 512"), "{errors}");
}

#[test]
fn reports_of_timings_are_one_html_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report.html");
    std::fs::write(&file, "what was there before").unwrap();
    let path = file.to_str().unwrap();
    let text = ok(&["profile", "-p", "8", "-n", "3", "--html", path]);
    assert!(text.contains("decode, microseconds a token"), "{text}");
    let html = std::fs::read_to_string(&file).unwrap();
    assert!(html.starts_with("<!doctype html>") && html.ends_with("</html>\n"));
    for part in [
        "<h1><bdi>demo</bdi></h1>",
        "<h2>Decode</h2>",
        "proj_1",
        "timing costs",
        "wgpu 3",
    ] {
        assert!(html.contains(part), "{part}");
    }
    // By its ending, a trace of a text is one too.
    ok(&["-n", "4", "--trace", path]);
    let html = std::fs::read_to_string(&file).unwrap();
    assert!(html.contains("3 tokens in 3 steps") && !html.contains("timing costs"));
    let both = ["profile", "-n", "2", "--html", path, "--trace", path];
    assert!(failure(&both).1.contains("name the same file"));
    let nowhere = folder.path().join("no/such.html");
    let nowhere = nowhere.to_str().unwrap();
    assert!(
        failure(&["profile", "-n", "2", "--html", nowhere])
            .1
            .contains("cannot write")
    );
}

#[test]
fn profile_shows_every_layer_and_traces_go_to_files() {
    let text = ok(&["profile", "-p", "8", "-n", "3"]);
    for word in ["q heads", "attention", "proj_1", "timing costs", "GB/s"] {
        assert!(text.contains(word), "{word}: {text}");
    }
    let object = json(&["profile", "-p", "8", "-n", "3", "--json"]);
    assert_eq!(object["decode"]["steps"], 3);
    assert_eq!(object["decode"]["layers"].as_array().unwrap().len(), 7);
    assert!(object["decode"]["wall_s"].as_f64().unwrap() > 0.0);
    assert!(object["decode_with_trace_s"].as_f64().unwrap() > 0.0);
    let folder = tempfile::tempdir().unwrap();
    for (name, begins) in [
        ("a.csv", "step,phase"),
        ("a.json", "{\"metadata\""),
        ("a.trace", "{\"displayTimeUnit\""),
    ] {
        let path = folder.path().join(name);
        let text = ok(&["-n", "2", "--trace", path.to_str().unwrap()]);
        assert!(text.starts_with("Once upon a time"));
        let trace = std::fs::read_to_string(path).unwrap();
        assert!(trace.starts_with(begins), "{}", &trace[..60]);
    }
    // What came to nothing leaves nothing.
    let path = folder.path().join("none.csv");
    let output = run(&["--max-memory", "1", "--trace", path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(!path.exists());
    let output = run(&["-n", "1", "--trace", "/no/such/folder/a.csv"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("/no/such/folder/a.csv"));
}

/// A chat of piped lines: what the model said, and what was said about it.
fn chat(lines: impl AsRef<[u8]>, more: &[&str]) -> (String, String) {
    let arguments = ["chat", "-n", "8", "--temperature", "0"];
    let mut child = openelm()
        .args(arguments.iter().chain(more))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // One that ends early reads no more.
    let _ = stdin.write_all(lines.as_ref());
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let errors = text(&output.stderr);
    assert!(output.status.success(), "{errors}");
    assert!(!errors.contains("panicked"), "{errors}");
    (text(&output.stdout), errors)
}

#[test]
fn a_chat_keeps_what_was_said_and_takes_it_back() {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("chat.json");
    let trace = trace.to_str().unwrap();
    let (once, errors) = chat("The old king\n", &["--trace", trace]);
    assert!(!once.trim().is_empty() && errors.contains("tok/s"));
    assert!(errors.contains("[template: Plain]"), "{errors}");
    let file: Value = serde_json::from_slice(&std::fs::read(trace).unwrap()).unwrap();
    assert_eq!(file["steps"][0]["phase"], "prefill");
    // Greedy: again is the same, and after it was taken back the same as never said.
    let (again, _) = chat("The old king\n/again\n", &[]);
    assert_eq!(again, once.repeat(2));
    let (undone, _) = chat("A fox\n/undo\nThe old king\n/quit\nnever read\n", &[]);
    assert!(undone.ends_with(&once));
    // Too much is told, and the conversation goes on.
    let (text, errors) = chat(format!("{}\nThe old king\n", "word ".repeat(600)), &[]);
    assert!(
        errors.contains("the context 512") && errors.contains("/new"),
        "{errors}"
    );
    assert_eq!(text, once);
}

/// A slip is no question, a path is one, and bytes that are no text cost only their line.
#[test]
fn a_line_is_a_command_only_if_it_is_exactly_one() {
    let (text, errors) = chat("/quti\n/help\n", &[]);
    assert!(
        text.is_empty() && errors.contains("is that /quit?") && errors.contains("/undo"),
        "{errors}"
    );
    let (_, errors) = chat("/etc/passwd is what?\n /quti\n", &["--show-prompt"]);
    assert!(
        errors.contains("\n/etc/passwd is what?\n") || errors.contains(">/etc/passwd is what?\n"),
        "{errors}"
    );
    assert!(errors.contains("\n/quti\n"), "{errors}");
    let (once, _) = chat("The old king\n", &[]);
    let (text, errors) = chat(b"\xff\xfe\nThe old king\n", &[]);
    assert!(errors.contains("not UTF-8"), "{errors}");
    assert_eq!(text, once);
}

/// The oldest turns make room; both that and an answer that fills the context are said.
#[test]
fn a_chat_goes_on_at_the_end_of_the_context() {
    let question = format!("{}\n", "the king ".repeat(10));
    let (_, errors) = chat(
        question.repeat(6),
        &["-c", "96", "--system", "Be brief.", "--show-prompt"],
    );
    assert!(
        errors.contains("longer than the context of 96")
            && errors.contains("without the oldest 2 turns"),
        "{errors}"
    );
    assert_eq!(
        errors.matches("Be brief.").count(),
        6,
        "what was told stays: {errors}"
    );
    assert!(!errors.contains("not asked"), "{errors}");
    let (_, errors) = chat("The king\n", &["-c", "10"]);
    assert!(errors.contains("has filled the context of 10"), "{errors}");
}

#[test]
fn a_session_is_continued_and_never_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("talk.json");
    let file = path.to_str().unwrap();
    let read = || serde_json::from_slice::<Value>(&std::fs::read(&path).unwrap()).unwrap();
    let session = ["--session", file];
    let (first, _) = chat(
        "The old king\n",
        &[&session[..], &["--system", "Be brief."]].concat(),
    );
    let saved = read();
    assert_eq!(
        (&saved["format"], &saved["version"]),
        (&"openelm-chat".into(), &1.into())
    );
    assert_eq!(saved["chat"]["system"], "Be brief.");
    assert_eq!(saved["chat"]["turns"][1]["text"], first.trim());
    let (_, errors) = chat("And then?\n", &[&session[..], &["--show-prompt"]].concat());
    assert!(
        errors.contains("1 questions and answers") && errors.contains("Be brief."),
        "{errors}"
    );
    assert!(errors.contains("The old king"), "{errors}");
    assert_eq!(read()["chat"]["turns"].as_array().unwrap().len(), 4);
    // The same as if there had been no end in between.
    let (whole, _) = chat("The old king\nAnd then?\n", &["--system", "Be brief."]);
    assert_eq!(
        read()["chat"]["turns"][3]["text"],
        whole.strip_prefix(&first).unwrap().trim()
    );

    let copy = folder.path().join("copy.json");
    let lines = format!(
        "/load {file}\n/save {file}\n/new\nA fox\n/load {file}\n/save {}\n",
        copy.display()
    );
    let (_, errors) = chat(lines, &[]);
    assert!(
        errors.contains("there already") && errors.contains("in no file"),
        "{errors}"
    );
    assert_eq!(read()["chat"]["turns"].as_array().unwrap().len(), 4);
    let copy: Value = serde_json::from_slice(&std::fs::read(copy).unwrap()).unwrap();
    assert_eq!(copy["chat"]["turns"][0]["text"], "A fox");

    for (text, word) in [
        ("", "not a conversation"),
        (
            "{\"format\": \"openelm-chat\", \"version\": 9, \"chat\": {}}",
            "version 9",
        ),
    ] {
        std::fs::write(&path, text).unwrap();
        let (code, errors) = failure(&["chat", "--session", file]);
        assert!(
            code == 1 && errors.contains(word) && errors.contains(file),
            "{errors}"
        );
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    }
    let (_, errors) = failure(&["chat", "--session", "/no/such/folder/a.json"]);
    assert!(errors.contains("/no/such/folder/a.json"), "{errors}");
}

/// A model's own template is found and used, one of the person's too, and what is wrong with either is told before anything is loaded.
#[test]
fn a_chat_uses_the_template_that_there_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    for name in [
        "config.json",
        "generation_config.json",
        "tokenizer.json",
        "model.safetensors",
    ] {
        let from = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("assets/demo")
            .join(name);
        std::fs::copy(from, path(name)).unwrap();
    }
    let model = folder.path().to_str().unwrap();
    let config = |template: &str| {
        let json = serde_json::json!({ "bos_token": "<s>", "eos_token": {"content": "</s>"}, "chat_template": template });
        std::fs::write(path("tokenizer_config.json"), json.to_string()).unwrap();
    };
    config(
        "{% for m in messages %}{{ bos_token ~ m.role ~ ': ' ~ m.content ~ eos_token }}{% endfor %}assistant:",
    );
    let (_, errors) = chat("Hi </s>\n", &["-m", model, "--show-prompt"]);
    assert!(errors.contains("tokenizer_config.json]"), "{errors}");
    assert!(
        errors.contains("<s>user: Hi </s></s>assistant:"),
        "{errors}"
    );
    let ids = errors
        .split("[ids ")
        .nth(1)
        .unwrap()
        .split(']')
        .next()
        .unwrap();
    assert_eq!(
        ids.split(',').filter(|id| *id == "2").count(),
        1,
        "only the template's own: {ids}"
    );

    let own = path("own.jinja");
    std::fs::write(&own, "U{{ messages[0].content | trim }}").unwrap();
    let (_, errors) = chat("Hi\n", &["-m", model, "--template", &own, "--show-prompt"]);
    assert!(errors.contains("<s>UHi\n"), "{errors}");
    let (_, errors) = chat(
        "Hi\n",
        &["-m", model, "--template", "inst", "--show-prompt"],
    );
    assert!(errors.contains("<s>[INST] Hi [/INST]"), "{errors}");

    // Its stop strings are its own, too.
    let usual = std::fs::read_to_string(path("generation_config.json")).unwrap();
    let (whole, _) = chat("Hi\n", &["-m", model]);
    let first = whole.find(['a', 'e', 'i', 'o', 'u']).unwrap();
    let vowels = r#"{"stop_strings": ["a", "e", "i", "o", "u"]}"#;
    std::fs::write(path("generation_config.json"), vowels).unwrap();
    let (short, _) = chat("Hi\n", &["-m", model]);
    assert!(
        short.len() < whole.len() && short.len() > first,
        "{short} {whole}"
    );
    std::fs::write(path("generation_config.json"), usual).unwrap();

    // What was copied with the quantised model still counts.
    let quantized = path("q8");
    ok(&["quantize", model, &quantized]);
    let (_, errors) = chat("Hi\n", &["-m", &quantized, "--show-prompt"]);
    assert!(errors.contains("<s>user: Hi</s>"), "{errors}");

    for (template, words) in [
        (
            "a\n{% if %}",
            ["tokenizer_config.json, line 2: syntax error", "--template"],
        ),
        (
            "{{ raise_exception('no chats') }}",
            [
                "line 1: the template refuses this conversation: no chats",
                "--template",
            ],
        ),
        (
            "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
            ["does too much", "--template"],
        ),
    ] {
        config(template);
        let (code, errors) = failure(&["chat", "-m", model]);
        assert_eq!(code, 1);
        assert!(words.iter().all(|word| errors.contains(word)), "{errors}");
        // Whoever needs no template is not bothered.
        ok(&["generate", "-m", model, "-p", "Once", "-n", "1"]);
    }
    // Another template does not depend on a file that cannot be read.
    std::fs::write(path("tokenizer_config.json"), "{").unwrap();
    let (_, errors) = chat("Hi\n", &["-m", model, "--template", &own, "--show-prompt"]);
    assert!(errors.contains("<s>UHi\n"), "{errors}");
    std::fs::write(&own, "\n\n{{ nothing() }}").unwrap();
    let (_, errors) = failure(&["chat", "--template", &own]);
    assert!(errors.contains("own.jinja, line 3"), "{errors}");
    let (code, errors) = failure(&["chat", "--template", "qustions"]);
    assert!(code == 2 && errors.contains("questions"), "{errors}");
    let (code, errors) = failure(&["chat", "--template", "model"]);
    assert!(
        code == 1 && errors.contains("brings no chat template"),
        "{errors}"
    );
}

#[test]
fn the_prompt_is_shown_as_the_model_gets_it() {
    let output = run(&["-p", "Once upon a time", "-n", "1", "--show-prompt"]);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(
        errors.contains("\n<s>Once upon a time\n[ids 1,"),
        "{errors}"
    );
    let folder = common::fixture("openelm-f16");
    let output = run(&[
        "-m",
        &folder.to_string_lossy(),
        "--token-ids",
        "1,5,9",
        "-n",
        "1",
        "--show-prompt",
    ]);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(
        errors.contains("[the model is given 3 tokens]\n[ids 1,5,9]"),
        "{errors}"
    );
}

/// What is pasted into a terminal is one question, however many lines it has.
#[cfg(target_os = "linux")]
#[test]
fn a_paste_of_several_lines_is_one_question() {
    let terminal = nix::pty::openpty(None, None).unwrap();
    let end = || Stdio::from(terminal.slave.try_clone().unwrap());
    let mut child = openelm()
        .args(["chat", "-n", "4", "--temperature", "0", "--show-prompt"])
        .env("TERM", "xterm")
        .stdin(end())
        .stdout(end())
        .stderr(end())
        .spawn()
        .unwrap();
    let mut screen = std::fs::File::from(terminal.master.try_clone().unwrap());
    let mut keys = std::fs::File::from(terminal.master);
    drop(terminal.slave);
    let mut shown = String::new();
    let mut until = |word: &str| {
        let mut bytes = [0; 4096];
        while !shown.contains(word) {
            match screen.read(&mut bytes) {
                Ok(count) if count > 0 => shown += &String::from_utf8_lossy(&bytes[..count]),
                // The other end is closed.
                _ => break,
            }
        }
        std::mem::take(&mut shown)
    };
    until("> ");
    keys.write_all(b"\x1b[200~The old king\rand his son\x1b[201~\r")
        .unwrap();
    let answered = until("tok/s");
    keys.write_all(b"/quit\r").unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(
        answered.matches("[the model is given").count(),
        1,
        "{answered}"
    );
    assert!(
        answered.contains("<s>The old king\r\nand his son"),
        "{answered}"
    );
}

#[test]
fn quantize_writes_a_folder_that_runs_and_never_overwrites() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("demo-q4");
    let folder = folder.to_str().unwrap();
    ok(&["quantize", "demo", folder, "--dtype", "q4"]);
    let object = json(&["-m", folder, "-p", "Once upon a time", "-n", "3", "--json"]);
    assert_eq!(object["dtype"], "q4");
    assert_eq!(object["ids"].as_array().unwrap().len(), 3);
    // Whoever may read one of its files may read all.
    let permissions = |name: &str| {
        let file = std::path::Path::new(folder).join(name);
        std::fs::metadata(file).unwrap().permissions()
    };
    assert_eq!(permissions("model.safetensors"), permissions("config.json"));
    let (code, errors) = failure(&["quantize", "demo", folder]);
    assert_eq!(code, 1);
    assert!(
        errors.contains(folder) && errors.contains("exists") && errors.contains("not there yet"),
        "{errors}"
    );
}

#[test]
fn a_program_says_what_it_is() {
    let short = ok(&["-V"]);
    assert!(short.starts_with(concat!("openelm ", env!("CARGO_PKG_VERSION"))));
    let long = ok(&["--version"]);
    assert!(long.starts_with(short.trim_end()), "{long}");
    let has_window = long.contains("window");
    assert_eq!(has_window, cfg!(feature = "window"), "{long}");
    assert!(long.contains("wgpu: 30."), "{long}");
}

#[test]
fn each_verb_has_a_manual_page() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("man1");
    ok(&["man", path.to_str().unwrap()]);
    for (name, says) in [("openelm", "OPTIONS"), ("openelm-generate", "temperature")] {
        let page = std::fs::read_to_string(path.join(format!("{name}.1"))).unwrap();
        assert!(page.contains(says), "{page}");
    }
    assert!(ok(&["man"]).contains(".TH openelm 1"));
    let (code, errors) = failure(&["man", "/dev/null/man1"]);
    assert_eq!(code, 1);
    assert!(errors.contains("/dev/null/man1"), "{errors}");
}

#[test]
fn completions_are_scripts() {
    assert!(ok(&["completions", "bash"]).contains("--token-ids"));
}

#[test]
fn failures_exit_with_1_and_misuse_with_2() {
    let folder = common::fixture("openelm-f16");
    let folder = folder.to_string_lossy();
    for (arguments, words) in [
        (vec!["-m", "/no/such/model"], vec!["/no/such/model"]),
        (vec!["-p", ""], vec!["prompt is empty", "--token-ids"]),
        (vec!["-m", &folder], vec!["no prompt", "--prompt"]),
        (
            vec!["-m", &folder, "-p", "hi"],
            vec!["no tokenizer", "Llama", "--tokenizer", "--token-ids"],
        ),
        (
            vec!["-m", &folder, "--token-ids", "1", "--stop", "x"],
            vec!["no tokenizer"],
        ),
        (vec!["--token-ids", "4096"], vec!["4096", "out of range"]),
        (
            vec!["--token-ids", "1", "--temperature=-1"],
            vec!["`temperature` is -1; 0 to 1000000 is possible"],
        ),
        (
            vec!["--device", "no such card"],
            vec!["no such card", "0: ", "--device"],
        ),
        (
            vec!["--ctx-size", "4"],
            vec![
                "the context 4",
                "shorten the prompt",
                "--ctx-size of up to 512",
            ],
        ),
        (
            vec!["--ctx-size", "4096"],
            vec!["4096", "--ctx-size 512 or less"],
        ),
        (
            vec!["--max-memory", "1", "--dtype", "f32", "--kv-dtype", "f32"],
            vec![
                "does not fit",
                "1 MiB are allowed",
                "--dtype f16",
                "--ctx-size",
                "--kv-dtype f16",
            ],
        ),
        (
            vec!["--max-memory", "1"],
            vec!["1 MiB are allowed", "--dtype q8", "--ctx-size"],
        ),
        (
            vec!["--max-memory", "1", "--dtype", "q8"],
            vec!["1 MiB are allowed", "--dtype q4", "--ctx-size"],
        ),
        (
            vec!["--no-tune", "--activations", "int8", "--dtype", "f16"],
            vec!["in f16", "add --dtype q8"],
        ),
        (
            vec!["--prefill-dtype", "f16", "--compute-path", "software"],
            vec!["cannot compute prompts in f16", "leave out --prefill-dtype"],
        ),
        (vec!["score"], vec!["no prompt"]),
        (
            vec!["show", "apple/OpenELM-270M-of-nobody", "--offline"],
            vec!["not in the cache", "without --offline"],
        ),
        (
            vec!["tokenize", "-p", "x", "--tokenizer", "/no/such.json"],
            vec!["/no/such.json"],
        ),
    ] {
        let (code, errors) = failure(&arguments);
        assert_eq!(code, 1, "{arguments:?}: {errors}");
        for word in words {
            assert!(errors.contains(word), "{arguments:?}: {errors}");
        }
    }
    for arguments in [
        vec!["--no-such-flag"],
        vec!["fly"],
        vec!["--dtype", "f8"],
        vec!["--token-ids", "1,x"],
        vec!["-p", "a", "--token-ids", "1"],
        vec!["-n", "-3"],
    ] {
        assert_eq!(failure(&arguments).0, 2, "{arguments:?}");
    }
}

/// Whatever number is typed for a count: an answer or a message, at once and with no panic.
#[test]
fn no_count_is_too_large_to_be_told() {
    let most = u64::MAX.to_string();
    for (arguments, code, words) in [
        ("-c 16 -n MOST", 0, vec![]),
        ("-n 1 --seed MOST", 0, vec![]),
        ("-n 1 --max-memory MOST", 0, vec![]),
        ("-n 2 --top-k 4294967295 --temperature 1", 0, vec![]),
        ("-n 1 --top-k MOST", 2, vec![&*most, "--top-k"]),
        ("-n 1 -c MOST", 1, vec![&most, "1 to 512"]),
        ("-n 1 -c 0", 1, vec!["context 0"]),
        ("--token-ids 1,MOST", 2, vec![&most, "--token-ids"]),
        ("-n 1MOST", 2, vec!["--max-tokens"]),
        ("chat -n MOST -c 16", 0, vec![]),
        ("chat -c MOST", 1, vec![&most, "1 to 512"]),
        ("score -p king --top MOST", 0, vec![]),
        ("score -p king -c MOST", 1, vec![&most, "1 to 512"]),
        ("bench -p MOST -n 5", 1, vec![&most, "512", "511"]),
        ("bench -p 5 -n MOST", 1, vec![&most, "512"]),
        ("bench -p MOST -n MOST", 1, vec![&most, "512"]),
        ("bench -p 5 -n 5 -d MOST", 1, vec![&most, "512"]),
        ("bench -p MOST -n MOST -d MOST", 1, vec![&most, "512"]),
        ("bench -p 5 -n 5 -c 8", 1, vec!["context of 8"]),
        ("bench -p 5 -n 5 -c MOST", 1, vec![&most, "1 to 512"]),
        ("bench -r MOST", 2, vec![&most, "1..=1000"]),
        ("bench -r 0", 2, vec!["1..=1000"]),
        ("bench -p 0 -n 0", 1, vec!["-p and -n"]),
        ("profile -p MOST", 1, vec![&most, "512"]),
        ("profile -p MOST -n MOST", 1, vec![&most, "512"]),
        ("profile -n MOST", 1, vec![&most, "512"]),
        ("profile -n 0", 1, vec!["-n at least 1"]),
        ("profile -c MOST", 1, vec![&most, "1 to 512"]),
    ] {
        let output = openelm()
            .args(arguments.replace("MOST", &most).split(' '))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments}: {errors}");
        assert!(!errors.contains("panicked"), "{arguments}: {errors}");
        for word in words {
            assert!(errors.contains(word), "{arguments}: {errors}");
        }
    }
}

/// Mistakes in what was typed come to light before a device is opened, let alone gigabytes loaded.
#[test]
fn mistakes_do_not_wait_for_the_model() {
    for (arguments, word) in [
        (vec!["-m", "shape:3B", "-p", "hi"], "no tokenizer"),
        (
            vec!["-m", "shape:3B", "--token-ids", "99999"],
            "out of range",
        ),
        (
            vec!["-m", "shape:3B", "--token-ids", "1", "--stop", "x"],
            "no tokenizer",
        ),
        (vec!["--tokenizer", "/no/such"], "/no/such"),
        (vec!["--top-p", "-1"], "top_p"),
        (
            vec!["--trace", "/no/such/folder/x.json"],
            "/no/such/folder/x.json",
        ),
        (
            vec!["-c", "4", "-p", "one two three four five six"],
            "shorten the prompt",
        ),
        (
            vec!["score", "-m", "shape:3B", "--token-ids", "1, 99999"],
            "out of range",
        ),
        (
            vec!["bench", "-m", "shape:3B", "-p", "3000"],
            "do not fit the context of 2048",
        ),
        (
            vec!["profile", "-m", "shape:3B", "-n", "3000"],
            "do not fit the context of 2048",
        ),
    ] {
        let output = openelm()
            .args(&arguments)
            .env("VK_DRIVER_FILES", "/nonexistent.json")
            .env("VK_ICD_FILENAMES", "/nonexistent.json")
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {errors}");
        assert!(errors.contains(word), "{arguments:?}: {errors}");
    }
}

/// Why a text ended is said to people too, not only in JSON.
#[test]
fn the_end_has_a_reason() {
    for (arguments, reason) in [
        (
            vec!["-c", "12", "--ignore-eos"],
            "the context of 12 is full",
        ),
        (vec!["-n", "3"], "as many tokens as asked for"),
        (vec!["--stop", " ", "--ignore-eos"], "stop string"),
    ] {
        let output = run(&arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(errors.contains(reason), "{errors}");
    }
    let errors = String::from_utf8(run(&["-n", "1"]).stderr).unwrap();
    assert!(
        errors.contains("text 1 tokens,"),
        "no made-up rate: {errors}"
    );
}

/// Nobody listens on standard error: no reason to panic.
#[cfg(target_os = "linux")]
#[test]
fn a_closed_standard_error_is_no_panic() {
    let full = || {
        std::fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .unwrap()
    };
    let status = openelm()
        .args(["-n", "2"])
        .stderr(full())
        .stdout(Stdio::null())
        .status();
    assert_eq!(status.unwrap().code(), Some(0));
    let status = openelm().args(["-m", "/no/such"]).stderr(full()).status();
    assert_eq!(status.unwrap().code(), Some(1));
}

/// Where no driver is found, the message says which package to install.
#[cfg(target_os = "linux")]
#[test]
fn no_adapter_names_the_packages() {
    let output = openelm()
        .args(["-n", "1"])
        .env("VK_DRIVER_FILES", "/nonexistent.json")
        .env("VK_ICD_FILENAMES", "/nonexistent.json")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8_lossy(&output.stderr);
    for word in ["mesa-vulkan-drivers", "dnf", "pacman"] {
        assert!(errors.contains(word), "{errors}");
    }
}

/// Without a display the window says so, and what works without one.
#[cfg(all(feature = "window", target_os = "linux"))]
#[test]
fn a_window_without_a_display_is_a_clear_error() {
    let folder = tempfile::tempdir().unwrap();
    let output = openelm()
        .args(["window", "--data-dir"])
        .arg(folder.path())
        .env_remove("DISPLAY")
        .env_remove("WAYLAND_DISPLAY")
        .output()
        .unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("there is no display"), "{errors}");
    assert!(errors.contains("`openelm profile`"), "{errors}");
    assert!(!errors.contains("panicked"), "{errors}");
}

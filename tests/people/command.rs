//! The command line with what people type, pipe and set.
#![cfg(feature = "cli")]

use std::io::Write;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use super::common;

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_openelm"));
    command.env("OPENELM_CACHE_DIR", env!("CARGO_TARGET_TMPDIR"));
    command.env_remove("OPENELM_MODEL").args(arguments);
    command
}

fn piped(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = command(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Whoever refuses what comes need not read all of it.
    let _ = child.stdin.take().unwrap().write_all(input);
    let output = child.wait_with_output().unwrap();
    assert!(!errors(&output).contains("panicked"), "{}", errors(&output));
    output
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn ids(input: &[u8]) -> Value {
    let output = piped(&["tokenize", "-p", "-", "--json"], input);
    assert!(output.status.success(), "{}", errors(&output));
    serde_json::from_slice::<Value>(&output.stdout).unwrap()["ids"].clone()
}

#[test]
fn values_may_begin_with_dashes() {
    for arguments in [
        ["tokenize", "-p", "- a list item"],
        ["tokenize", "-p", "--- a_rule of_dashes"],
        ["tokenize", "--prompt", "-5 is a number"],
    ] {
        let output = piped(&arguments, b"");
        assert!(output.status.success(), "{}", errors(&output));
    }
    // An underscore in a text stays one.
    let output = piped(&["tokenize", "-p", "--snake_case", "--json"], b"");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("<0x5F>"), "{text}");
    let output = piped(
        &[
            "generate",
            "--max_tokens",
            "1",
            "--no-tune",
            "--stop",
            "---",
            "-p",
            "-",
        ],
        b"a",
    );
    assert!(output.status.success(), "{}", errors(&output));
    let output = piped(
        &["chat", "--system", "- be brief", "-n", "1", "--no-tune"],
        b"Hi\n",
    );
    assert!(output.status.success(), "{}", errors(&output));
}

#[test]
fn prompts_as_other_programs_write_them() {
    let plain = ids(b"Once upon a time");
    assert_eq!(ids(b"\xef\xbb\xbfOnce upon a time"), plain);
    assert_eq!(ids(b"Once upon\r\na time\r\n"), ids(b"Once upon\na time\n"));
    let newline = piped(&["tokenize", "-p", "-"], b"Once\n");
    assert!(errors(&newline).contains("ends with a newline"));
    for (input, word) in [
        (&b"\xff\xfeO\0n\0c\0e\0"[..], "UTF-16"),
        (b"O\0n\0c\0e\0 \0u\0p\0", "UTF-16"),
        (b"Caf\xe9", "UTF-8"),
    ] {
        let output = piped(&["tokenize", "-p", "-"], input);
        assert_eq!(output.status.code(), Some(1));
        assert!(errors(&output).contains(word), "{}", errors(&output));
    }
    let huge = b"once upon a time ".repeat(1 << 20);
    let output = piped(&["-p", "-"], &huge);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        errors(&output).contains("far too long"),
        "{}",
        errors(&output)
    );
}

#[test]
fn the_environment_stands_for_flags() {
    let fixture = common::fixture("openelm-f16");
    let arguments = ["--token-ids", "1,5,9", "-n", "2", "--json"];
    let model = |variables: &[(&str, &str)], arguments: &[&str]| {
        let output = command(arguments)
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", errors(&output));
        let object: Value = serde_json::from_slice(&output.stdout).unwrap();
        (
            object["model"].as_str().unwrap().to_owned(),
            object["dtype"].as_str().unwrap().to_owned(),
        )
    };
    let folder = fixture.to_str().unwrap();
    let of_fixture = |dtype: &str| (folder.to_owned(), dtype.to_owned());
    assert_eq!(
        model(
            &[("OPENELM_MODEL", folder), ("OPENELM_DEVICE", "")],
            &arguments
        ),
        of_fixture("f16")
    );
    assert_eq!(model(&[("OPENELM_MODEL", "")], &arguments).0, "demo");
    let with_flag = [&["-m", folder], &arguments[..]].concat();
    assert_eq!(
        model(
            &[("OPENELM_MODEL", "/gone"), ("OPENELM_DTYPE", "q8")],
            &with_flag
        ),
        of_fixture("q8")
    );
    // Also where a verb is named.
    let verb = [&["generate"], &arguments[..]].concat();
    assert_eq!(
        model(&[("OPENELM_MODEL", folder)], &verb),
        of_fixture("f16")
    );
}

#[test]
fn a_device_that_is_not_there_is_told_from_those_that_are() {
    let output = piped(&["--device", "no such card"], b"");
    assert_eq!(output.status.code(), Some(1));
    assert!(
        errors(&output).contains("this machine has 0: "),
        "{}",
        errors(&output)
    );
    let output = piped(&["--device", ""], b"");
    assert_eq!(output.status.code(), Some(2));
    assert!(errors(&output).contains("--device"));
    assert!(openelm::Gpu::open(Some(" ")).is_err());
}

#[test]
fn the_doctor_says_what_there_is_and_tries_it() {
    let output = piped(&["doctor", "--no-tune"], b"");
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(output.status.success(), "{text}{}", errors(&output));
    for word in [
        env!("CARGO_PKG_VERSION"),
        "adapter 0",
        "storage binding",
        "tuning",
        "token",
        "all is well",
    ] {
        assert!(text.contains(word), "`{word}` is not in: {text}");
    }
    // Where it ends, the last step says how far it came.
    let output = piped(&["doctor", "-m", "/no/such/folder"], b"");
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.ends_with("reading the model's files ... failed\n"),
        "{text}"
    );
}

#[test]
fn quantising_takes_along_what_belongs_to_a_model() {
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().join("base");
    std::fs::create_dir(&base).unwrap();
    for entry in std::fs::read_dir(common::fixture("openelm-f16")).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, base.join(path.file_name().unwrap())).unwrap();
    }
    let side = [
        "LICENSE",
        "NOTICE.txt",
        "chat_template.jinja",
        "special_tokens_map.json",
        "tokenizer_config.json",
    ];
    for name in side {
        std::fs::write(base.join(name), "{}").unwrap();
    }
    std::fs::write(base.join("training.log"), "").unwrap();
    let (once, twice) = (folder.path().join("once"), folder.path().join("twice"));
    let quantise = |from: &std::path::Path, to: &std::path::Path, dtype: &str| {
        let (from, to) = (from.to_str().unwrap(), to.to_str().unwrap());
        let output = piped(&["quantize", from, to, "--dtype", dtype], b"");
        assert!(output.status.success(), "{}", errors(&output));
        errors(&output)
    };
    assert!(!quantise(&base, &once, "q8").contains("warning"));
    for name in side {
        assert!(once.join(name).exists(), "{name}");
    }
    assert!(!once.join("training.log").exists());
    assert!(quantise(&once, &twice, "q4").contains("warning: this model is in q8 already"));
}

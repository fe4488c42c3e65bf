//! The command line, and the files that only the command reads: compiled into the command's unit tests.

#[path = "harness.rs"]
mod harness;

use std::ffi::OsString;

use clap::Parser;

use crate::batch::prompt;
use crate::literal;
use crate::transcript::TranscriptFile;
use crate::verbs::{Arguments, with_dashes};
use harness::{Rng, change_bytes, change_text, fuzz};

#[global_allocator]
static COUNTING: harness::Counting = harness::Counting;

fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// Arguments as bytes, with zeros between; of any bytes where the system's arguments are.
fn arguments(bytes: &[u8]) -> Vec<OsString> {
    let parts = bytes.split(|byte| *byte == 0);
    #[cfg(unix)]
    let one = |part: &[u8]| std::os::unix::ffi::OsStringExt::from_vec(part.to_vec());
    #[cfg(not(unix))]
    let one = |part: &[u8]| String::from_utf8_lossy(part).into_owned().into();
    parts.map(one).collect()
}

#[test]
fn command_line() {
    let good = texts(&[
        "openelm\0-m\0demo\0-p\0- a list item\0-n\x0020\0--temperature\x000.5\0--stop\0---\0--seed=7\0--json",
        "openelm\0generate\0--prompts\0in.jsonl\0--out\0out.jsonl\0--generate-kwargs\0top_k=20\0do_sample=True\0bad_words_ids=[[3],(4,5)]",
        "openelm\0chat\0--session\0talk.json\0--template\0inst\0--system\0- be brief\0--max_tokens\x00100",
        "openelm\0serve\0--host\x000.0.0.0\0--port\x008000\0--api-key-file\0key\0--max-body\x001048576",
        "openelm\0score\0--token-ids\x001,5,9\0--top\x003\0--dtype\0q8\0--lora\0a\0--lora\0b",
        "openelm\0eval\0--tasks\0zero-shot\0--data\0d\0--num-fewshot\x005",
    ]);
    fn change(input: &mut Vec<u8>, others: &[Vec<u8>], rng: &mut Rng) {
        const FLAGS: [&str; 12] = [
            "\0-p",
            "\0--",
            "\0--help\0",
            "\0-",
            "\0--model\0",
            "\0--no-such",
            "\0-n\x00-1",
            "\0--prompt=",
            "\0--top_p\0nan",
            "\0--stop\0",
            "\0--revision\0..",
            "\0bench\0",
        ];
        let at = rng.below(input.len() + 1);
        match rng.below(3) {
            0 => drop(input.splice(at..at, rng.pick(&FLAGS).bytes())),
            1 => change_text(input, others, rng),
            _ => change_bytes(input, rng),
        }
    }
    fuzz("command line", &good, change, |bytes| {
        Arguments::try_parse_from(with_dashes(arguments(bytes).into_iter()))
    });
}

#[test]
fn lines_of_prompts() {
    let good = texts(&[
        "\"Once upon a time\"",
        r#"{"id": 7, "prompt": "The wolf", "max_tokens": 40, "stop": ["."]}"#,
        r#"{"token_ids": [1, 300], "seed": 3, "generate_kwargs": {"do_sample": true, "top_k": 20, "bad_words_ids": [[3]]}}"#,
        r#"{"id": {"a": []}, "token_ids": [1, 300, 301, 302], "score_from": 2}"#,
    ]);
    fuzz("lines of prompts", &good, change_text, |line| {
        prompt::parse(&String::from_utf8_lossy(line)).1
    });
}

#[test]
fn values() {
    let good = texts(&[
        "{'a': (1, 2.5e3), (7, 8): None, \"b\": [True, 'x\\n\\u00e9']}",
        "((1,),)",
        "0.5",
        "[[3], [4, 5]]",
    ]);
    fuzz("values", &good, change_text, |text| {
        let value = literal::value(&String::from_utf8_lossy(text));
        Ok::<_, ()>(value)
    });
}

#[test]
fn conversations() {
    let good = r#"{"format":"openelm-chat","version":1,"chat":{"model":"demo","template":"plain","system":null,
        "turns":[{"role":"user","text":"Hello"},{"role":"assistant","text":"Yes."}]}}"#;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("talk.json");
    fuzz("conversations", &texts(&[good]), change_text, |json| {
        std::fs::write(&path, json).unwrap();
        TranscriptFile::open(&path)
    });
}

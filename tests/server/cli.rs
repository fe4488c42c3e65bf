//! `openelm serve` as a person starts it.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use super::client::{Client, get, post_with};

fn serve(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_openelm"));
    command
        .args(["serve", "--no-tune", "--port", "0"])
        .args(arguments);
    command
        .env_remove("OPENELM_API_KEY")
        .env("NODEVICE_SELECT", "1");
    command.stderr(Stdio::piped()).stdout(Stdio::piped());
    command
}

/// The line that says where it listens, and where that is.
fn begun(child: &mut Child) -> (String, SocketAddr) {
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let line = loop {
        let line = lines.next().expect("a line").unwrap();
        if line.contains("curl") {
            break line;
        }
    };
    // Whatever it says later is read, so that it can say it.
    std::thread::spawn(move || lines.for_each(drop));
    let (_, rest) = line.split_once("http://").unwrap();
    let address = rest.split_once('/').unwrap().0.parse().unwrap();
    (line, address)
}

fn refused(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(!output.status.success());
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn it_says_where_it_listens_and_with_which_key_it_answers() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys");
    std::fs::write(&keys, "one\n\n two \n").unwrap();
    let mut child = serve(&[
        "--api-key-file",
        keys.to_str().unwrap(),
        "--served-model-name",
        "tales",
    ])
    .spawn()
    .unwrap();
    let (line, address) = begun(&mut child);
    assert!(
        line.contains("tales at http://127.0.0.1:") && line.contains("Bearer KEY"),
        "{line}"
    );
    let mut client = Client::new(address);
    for (key, status) in [("one", 200), ("two", 200), ("three", 401)] {
        let header = format!("Authorization: Bearer {key}\r\n");
        client.send(post_with(
            "/v1/completions",
            &header,
            r#"{"prompt": "A king", "max_tokens": 2}"#,
        ));
        let answer = client.answer().unwrap();
        assert_eq!(answer.status, status);
        assert!(status != 200 || answer.json()["model"] == "tales");
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[cfg(unix)]
#[test]
fn it_ends_when_it_is_told_to() {
    let mut child = serve(&[]).env("OPENELM_API_KEY", "secret").spawn().unwrap();
    let (_, address) = begun(&mut child);
    let mut client = Client::new(address);
    client.send(get("/v1/models"));
    assert_eq!(client.answer().unwrap().status, 401);
    let kill = Command::new("kill")
        .args(["-TERM", &child.id().to_string()])
        .status();
    assert!(kill.unwrap().success());
    assert!(child.wait().unwrap().success());
    let mut text = String::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    assert_eq!(text, "");
}

#[test]
fn mistakes_are_told_before_anything_is_loaded() {
    for (arguments, words) in [
        (
            &["--host", "0.0.0.0"][..],
            &["everybody", "--api-key-file", "--no-auth"][..],
        ),
        (
            &["--no-auth", "--api-key", "x"],
            &["--no-auth", "leave one of them out"],
        ),
        (&["--api-key", ""], &["--api-key is empty"]),
        (&["--api-key", "a b"], &["ASCII"]),
        (
            &["--api-key-file", "no-such-file"],
            &["--api-key-file", "no-such-file"],
        ),
        (
            &["--cors-origin", "chat.example"],
            &["--cors-origin", "https://chat.example"],
        ),
        (&["--host", "no such host"], &["cannot listen", "--port"]),
        (&["--queue-timeout", "-1"], &["seconds"]),
        (&["--queue-timeout", "soon"], &["seconds"]),
        (&["--chat-template", "model"], &["brings no chat template"]),
        (&["-m", "no-such-model"], &["no folder `no-such-model`"]),
    ] {
        let said = refused(&mut serve(arguments));
        for word in words {
            assert!(said.contains(word), "{arguments:?}: {said}");
        }
    }
}

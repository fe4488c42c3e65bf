//! `openelm serve` as a person starts it.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use super::client::{Client, get, post_with};
use super::scene::PATIENCE;

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

/// Texts whose reader does not read keep nobody busy.
#[cfg(target_os = "linux")]
#[test]
fn waiting_for_a_reader_takes_no_time() {
    let mut child = serve(&["--stall-timeout", "300"]).spawn().unwrap();
    let (_, address) = begun(&mut child);
    let figure = |name: &str| -> f64 {
        let mut client = Client::new(address);
        client.send(get("/metrics"));
        let page = client.answer().unwrap().body;
        let line = page.lines().find(|line| line.starts_with(name)).unwrap();
        line.rsplit_once(' ').unwrap().1.parse().unwrap()
    };
    // In clock ticks, of which there are a hundred a second.
    let used = |id: u32| -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
        let (_, fields) = stat.rsplit_once(") ").unwrap();
        let times = fields.split(' ').skip(11).take(2);
        times.map(|ticks| ticks.parse::<u64>().unwrap()).sum()
    };
    let mut silent = Client::with_room(address, 4096);
    let body = json!({"prompt": "A king", "max_tokens": 200, "ignore_eos": true, "n": 200, "temperature": 1, "stream": true,
        "logprobs": 20});
    silent.send(post_with("/v1/completions", "", &body.to_string()));
    let begin = Instant::now();
    while figure("openelm_num_requests_running") > 0.0
        || figure("openelm_generation_tokens_total") == 0.0
    {
        assert!(begin.elapsed() < PATIENCE, "all texts begin");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(figure("openelm_num_requests_waiting") > 0.0);
    let before = used(child.id());
    std::thread::sleep(Duration::from_secs(2));
    let ticks = used(child.id()) - before;
    // Where there is a core for it, whoever does not wait uses it all.
    assert!(ticks < 30, "{ticks} ticks");
    // As soon as it reads, they go on.
    let tokens = figure("openelm_generation_tokens_total");
    while figure("openelm_generation_tokens_total") == tokens {
        assert!((0..100).all(|_| silent.more()));
    }
    child.kill().unwrap();
    child.wait().unwrap();
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

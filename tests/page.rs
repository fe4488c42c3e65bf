//! The page of `openelm serve` in a browser, as a person uses it. Needs Chromium; where there is none, the tests say that they are left out.

#![cfg(all(unix, feature = "server"))]

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Nothing takes longer, whatever else the machine does.
const PATIENCE: Duration = Duration::from_secs(60);

/// A process that does not outlive its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `openelm serve` with the demo model, and its address.
fn serve(arguments: &[&str]) -> (Running, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_openelm"))
        .env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR"))
        .args(["serve", "--no-tune", "--port", "0"])
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let out = child.stderr.take().unwrap();
    let server = Running(child);
    let mut lines = BufReader::new(out).lines().map_while(Result::ok);
    let line = lines.find(|line| line.contains("http://"));
    let line = line.expect("the server says where it listens");
    // What it says later must find a reader.
    std::thread::spawn(move || lines.for_each(drop));
    let address = &line[line.find("http://").unwrap()..];
    let end = address.find("/v1").unwrap();
    (server, address[..end].to_owned())
}

/// A headless Chromium with one page, spoken to by its DevTools protocol: JSON that ends with a zero.
struct Browser {
    _child: Running,
    _profile: tempfile::TempDir,
    to: ChildStdin,
    from: Receiver<Value>,
    session: Option<String>,
    calls: u64,
    /// What went wrong on the page.
    problems: Vec<String>,
}

impl Browser {
    /// `None` where there is no browser.
    fn open(address: &str, (width, height): (u32, u32), scheme: &str) -> Option<Self> {
        let names = ["chromium", "chromium-browser", "google-chrome"];
        let is_there = |name: &&str| {
            let version = Command::new(name).arg("--version").output();
            version.is_ok_and(|output| output.status.success())
        };
        let Some(name) = names.into_iter().find(is_there) else {
            // Past the harness, which hides what a test that passes prints.
            let _ = writeln!(
                std::io::stderr(),
                "page: LEFT OUT, not tested: no Chromium here"
            );
            return None;
        };
        let profile = tempfile::tempdir().unwrap();
        // Its pipe is at 3 and 4.
        let mut child = Command::new("sh")
            .args([
                "-c",
                "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >/dev/null",
                name,
            ])
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--no-first-run",
            ])
            .arg("--remote-debugging-pipe")
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (sender, from) = channel();
        let out = child.stdout.take().unwrap();
        std::thread::spawn(move || {
            for message in BufReader::new(out).split(0).map_while(Result::ok) {
                let message = serde_json::from_slice(&message).unwrap();
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        let mut browser = Self {
            to: child.stdin.take().unwrap(),
            _child: Running(child),
            _profile: profile,
            from,
            session: None,
            calls: 0,
            problems: Vec::new(),
        };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" }));
        let target = json!({ "targetId": target["targetId"], "flatten": true });
        let session = browser.call("Target.attachToTarget", target);
        browser.session = session["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page.enable", "Runtime.enable", "Log.enable"] {
            browser.call(domain, json!({}));
        }
        let size =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        browser.call("Emulation.setDeviceMetricsOverride", size);
        let feature = json!({ "name": "prefers-color-scheme", "value": scheme });
        browser.call(
            "Emulation.setEmulatedMedia",
            json!({ "features": [feature] }),
        );
        browser.call("Page.navigate", json!({ "url": format!("{address}/") }));
        browser.until(
            "document.readyState === 'complete' && document.querySelector('textarea') !== null",
        );
        Some(browser)
    }

    fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.calls += 1;
        let mut call = json!({ "id": self.calls, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            call["sessionId"] = json!(session);
        }
        self.to.write_all(format!("{call}\0").as_bytes()).unwrap();
        loop {
            let mut message = self
                .from
                .recv_timeout(PATIENCE)
                .expect("the browser answers");
            if message["id"] == self.calls {
                assert!(message["error"].is_null(), "{method}: {message}");
                return message["result"].take();
            }
            let is_problem = match message["method"].as_str() {
                Some("Runtime.exceptionThrown") => true,
                Some("Log.entryAdded") => message["params"]["entry"]["level"] == "error",
                Some("Runtime.consoleAPICalled") => message["params"]["type"] == "error",
                _ => false,
            };
            if is_problem {
                self.problems.push(message["params"].to_string());
            }
        }
    }

    fn evaluate(&mut self, expression: &str) -> Value {
        let parameters =
            json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        self.call("Runtime.evaluate", parameters)["result"]["value"].take()
    }

    fn until(&mut self, condition: &str) {
        let begin = Instant::now();
        while self.evaluate(condition) != true {
            assert!(begin.elapsed() < PATIENCE, "never came: {condition}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn enter(&mut self, text: &str) {
        self.call("Input.insertText", json!({ "text": text }));
        self.key("Enter", 13);
    }

    fn key(&mut self, key: &str, code: u32) {
        for kind in ["keyDown", "keyUp"] {
            let mut event = json!({ "type": kind, "key": key, "windowsVirtualKeyCode": code });
            // Without it a form is not sent.
            if key == "Enter" && kind == "keyDown" {
                event["text"] = json!("\r");
            }
            self.call("Input.dispatchKeyEvent", event);
        }
    }
}

const LOG: &str = "document.getElementById('log').textContent";

#[test]
fn a_text_streams_stops_and_stays_text_and_layers_are_shown() {
    let (_server, address) = serve(&[]);
    let Some(mut browser) = Browser::open(&address, (1280, 800), "light") else {
        return;
    };
    browser.enter("Once upon a time <img src=x onerror=document.title='caught'>");
    browser.until("!document.getElementById('stop').hidden");
    browser.until(&format!("{LOG}.length > 120"));
    browser.key("Escape", 27);
    // It says so, and not that the text ended by itself.
    browser.until(&format!(
        "document.getElementById('stop').hidden && {LOG}.includes('stopped')"
    ));
    assert_eq!(
        browser.evaluate("document.querySelectorAll('#log img').length"),
        0
    );
    assert_ne!(browser.evaluate("document.title"), "caught");
    assert_eq!(
        browser.evaluate(&format!("{LOG}.includes('<img src=x')")),
        true
    );
    // A cell for each of six kernels of six layers at least.
    browser.until("document.querySelectorAll('#heat td').length >= 36");
    assert_eq!(browser.problems, [""; 0]);
}

#[test]
fn a_small_dark_window_shows_all_of_its_width() {
    let (_server, address) = serve(&[]);
    let Some(mut browser) = Browser::open(&address, (800, 600), "dark") else {
        return;
    };
    browser.enter("The king");
    browser.until(&format!("{LOG}.length > 60"));
    let fits = "document.documentElement.scrollWidth <= window.innerWidth";
    assert_eq!(browser.evaluate(fits), true);
    let light = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).every(x => x < 64)";
    assert_eq!(browser.evaluate(light), true);
    assert_eq!(browser.problems, [""; 0]);
}

/// The page itself is open, what it asks for is not.
#[test]
fn a_server_with_a_key_asks_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    std::fs::write(&key, "sesame\n").unwrap();
    let (_server, address) = serve(&["--api-key-file", &key.to_string_lossy()]);
    let address_of = address.trim_start_matches("http://");
    let mut plain = std::net::TcpStream::connect(address_of).unwrap();
    write!(
        plain,
        "GET /api/live HTTP/1.1\r\nHost: {address_of}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    plain.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    let Some(mut browser) = Browser::open(&address, (1280, 800), "light") else {
        return;
    };
    let shown = "[...document.querySelectorAll('input[type=password]')].some(field => field.offsetParent !== null)";
    browser.until(shown);
    browser.evaluate(
        "[...document.querySelectorAll('input[type=password]')].find(field => field.offsetParent !== null).focus()",
    );
    browser.enter("sesame");
    browser.until(&format!("!{shown}"));
    browser.until("document.getElementById('input').offsetParent !== null");
    browser.evaluate("document.getElementById('input').focus()");
    browser.enter("The king");
    browser.until(&format!("{LOG}.length > 60"));
}

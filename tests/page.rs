//! The page of `openelm serve` in a browser, as a person uses it. Needs Chromium; where there is none, the tests say that they are left out.

#![cfg(all(unix, feature = "server"))]

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Nothing takes longer, whatever else the machine does.
const PATIENCE: Duration = Duration::from_secs(300);

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
    // A text that goes on until it is stopped, however slow the page is.
    browser.evaluate(
        "const send = window.fetch; \
         window.fetch = async (url, options) => { \
             const answer = await send(url, options); \
             if (!options?.body) return answer; \
             const reader = answer.body.getReader(); \
             const pull = async (stream) => { \
                 const { done, value } = await reader.read(); \
                 if (!done) return stream.enqueue(new TextDecoder().decode(value).split('data: [DONE]')[0]); \
                 await new Promise((_, fail) => options.signal.addEventListener('abort', () => fail(options.signal.reason))); \
             }; \
             const held = new ReadableStream({ pull }).pipeThrough(new TextEncoderStream()); \
             return new Response(held, { status: answer.status, headers: answer.headers }); \
         }; 0",
    );
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

/// Turns of a chat: the second answer follows from both messages, and a setting is sent.
#[test]
fn a_chat_goes_on() {
    let (_server, address) = serve(&["--template", "inst"]);
    let Some(mut browser) = Browser::open(&address, (1280, 800), "light") else {
        return;
    };
    browser.until("document.querySelector('input[value=chat]').checked");
    // What is asked for, as it leaves the page.
    browser.evaluate(
        "window.asked = []; const send = window.fetch; \
         window.fetch = (url, options) => { if (options?.body) asked.push([String(url), JSON.parse(options.body)]); return send(url, options); }; 0",
    );
    let ask = |browser: &mut Browser, text: &str, turns: usize| {
        browser.evaluate("document.getElementById('input').focus()");
        browser.enter(text);
        browser.until(&format!(
            "asked.length === {turns} && document.getElementById('stop').hidden"
        ));
    };
    browser.evaluate(
        "const field = document.querySelector('[data-setting=max_tokens]'); field.value = 9; field.dispatchEvent(new Event('input')); 0",
    );
    ask(&mut browser, "Tell me of a king.", 1);
    ask(&mut browser, "And of a queen.", 2);
    let asked = browser.evaluate("asked");
    let (url, second) = (&asked[1][0], &asked[1][1]);
    assert!(url.as_str().unwrap().ends_with("/v1/chat/completions"));
    assert_eq!(second["max_tokens"], 9);
    let turns = second["messages"].as_array().unwrap();
    let roles: Vec<_> = turns.iter().map(|turn| turn["role"].clone()).collect();
    assert_eq!(roles, ["user", "assistant", "user"]);
    assert_eq!(turns[2]["content"], "And of a queen.");
    // What the model said is what is shown of it.
    let answer = turns[1]["content"].as_str().unwrap().trim();
    assert!(!answer.is_empty());
    let log = browser.evaluate(LOG);
    assert!(log.as_str().unwrap().contains(answer), "{log}");
    assert_eq!(browser.problems, [""; 0]);
}

/// Where there is no room for both, the server's work is shown in place of the text, and gives it back.
#[test]
fn a_small_window_shows_one_after_the_other() {
    let (_server, address) = serve(&[]);
    let Some(mut browser) = Browser::open(&address, (800, 600), "light") else {
        return;
    };
    let shown = |id: &str| format!("document.getElementById('{id}').offsetParent !== null");
    let (live, input) = (shown("live"), shown("input"));
    browser.until(&format!("!({live}) && {input}"));
    browser.enter("The king");
    browser.until(&format!("{LOG}.length > 60"));
    browser.evaluate("document.getElementById('live-toggle').click()");
    browser.until(&format!("{live} && !({input})"));
    browser.until("document.querySelectorAll('#heat td').length >= 36");
    let fits = "document.documentElement.scrollWidth <= window.innerWidth";
    assert_eq!(browser.evaluate(fits), true);
    browser.evaluate("document.getElementById('live-toggle').click()");
    browser.until(&format!("!({live}) && {input} && {LOG}.length > 60"));
    assert_eq!(browser.problems, [""; 0]);
}

//! A server at work in a thread of the test's.

use std::net::SocketAddr;
use std::sync::OnceLock;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use openelm::server::{Limits, Server, Settings, Stop};
use openelm::text::ChatTemplate;
use openelm::{Error, Model, Result};
use serde_json::Value;

use super::client::{Answer, Client, get, post};
use super::common;

/// How long anything may take on a machine that has much else to do.
pub const PATIENCE: Duration = Duration::from_secs(300);

/// The demo model, loaded once for all tests.
pub fn model() -> &'static Model {
    static MODEL: OnceLock<Model> = OnceLock::new();
    MODEL.get_or_init(|| common::load("demo", None, false))
}

/// As by default, on any port; what takes its time is not given up by the server either, unless a test says so.
fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.port = 0;
    let limits = &mut settings.limits;
    limits.body_time = PATIENCE;
    limits.header_time = PATIENCE;
    limits.waiting_time = PATIENCE;
    limits.stalled_time = PATIENCE;
    limits.drain_time = PATIENCE;
    settings
}

pub struct Scene {
    pub address: SocketAddr,
    pub stop: Stop,
    thread: Option<JoinHandle<()>>,
}

impl Scene {
    /// A server as it is by default, with chats.
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    pub fn with_limits(change: impl FnOnce(&mut Limits)) -> Self {
        Self::with(|settings| change(&mut settings.limits))
    }

    pub fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = settings();
        settings.chat_template = Some(ChatTemplate::inst());
        change(&mut settings);
        Self::run(Server::bind(settings).unwrap(), model().clone())
    }

    /// A server with a model of its own, which is loaded again by `reload`.
    pub fn reloading(
        model: Model,
        reload: impl FnMut(Option<&str>) -> Result<Model> + Send + 'static,
    ) -> Self {
        let mut server = Server::bind(settings()).unwrap();
        server.reload_with(Box::new(reload));
        Self::run(server, model)
    }

    /// A server with a key, which is asked by `ask` while its model is loaded.
    pub fn loading(key: &str, ask: impl FnOnce(SocketAddr)) -> Self {
        let mut settings = settings();
        settings.api_keys.push(key.into());
        let server = Server::bind(settings).unwrap();
        let address = server.address().unwrap();
        let loaded = server.load(|| {
            ask(address);
            Ok::<_, Error>(model().clone())
        });
        Self::run(server, loaded.unwrap())
    }

    fn run(server: Server, model: Model) -> Self {
        let (address, stop) = (server.address().unwrap(), server.stop());
        let thread = std::thread::spawn(move || server.run(model).unwrap());
        Self {
            address,
            stop,
            thread: Some(thread),
        }
    }

    pub fn client(&self) -> Client {
        Client::new(self.address)
    }

    /// Asks once, over a connection of its own.
    pub fn ask(&self, request: impl AsRef<[u8]>) -> Answer {
        let mut client = self.client();
        client.send(request);
        client.answer().expect("an answer")
    }

    pub fn complete(&self, body: &Value) -> Answer {
        self.ask(post("/v1/completions", &body.to_string()))
    }

    /// A figure of the metrics, by its name with labels other than the model's.
    pub fn figure(&self, name: &str) -> f64 {
        let page = self.ask(get("/metrics")).body;
        let (name, labels) = name.split_once('{').unwrap_or((name, "}"));
        let labels = labels.trim_end_matches('}');
        let line = page.lines().find(|line| {
            line.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with('{'))
                && line.contains(labels)
        });
        let line = line.unwrap_or_else(|| panic!("no {name} in {page}"));
        line.rsplit_once(' ').unwrap().1.parse().unwrap()
    }

    /// Waits until a figure is as it should be.
    pub fn await_figure(&self, name: &str, is_right: impl Fn(f64) -> bool) {
        let begin = Instant::now();
        while !is_right(self.figure(name)) {
            assert!(
                begin.elapsed() < PATIENCE,
                "{name} is {}",
                self.figure(name)
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until nothing is going on.
    pub fn await_rest(&self) {
        self.await_figure("openelm_num_requests_running", |count| count == 0.0);
        self.await_figure("openelm_num_requests_waiting", |count| count == 0.0);
        self.await_figure("openelm_kv_cache_usage_perc", |share| share == 0.0);
    }

    /// Whether the server still answers as it should.
    pub fn check_health(&self) {
        let answer = self.ask(get("/health"));
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (200, r#"{"status":"ok"}"#)
        );
    }

    /// Waits until the server says this of its health.
    pub fn await_health(&self, body: &str) {
        self.await_health_while(body, || ());
    }

    /// The same, doing something before each look.
    pub fn await_health_while(&self, body: &str, act: impl Fn()) {
        let begin = Instant::now();
        loop {
            act();
            let health = self.ask(get("/health")).body;
            if health == body {
                return;
            }
            assert!(begin.elapsed() < PATIENCE, "health is {health}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until the server has ended.
    pub fn ended(mut self) {
        self.thread.take().unwrap().join().unwrap();
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.stop.drain();
        if let Some(thread) = self.thread.take()
            && !std::thread::panicking()
        {
            thread.join().unwrap();
        }
    }
}

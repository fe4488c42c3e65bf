//! What can be chosen about a server: where it listens, who may use it, and how much it takes.

use std::time::Duration;

use crate::text::ChatTemplate;

/// What can be chosen about a server.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Settings {
    /// Name or address of the interface to listen on.
    pub host: String,
    /// 0: one that is free.
    pub port: u16,
    /// Who shows one of these may use the server; without any, everybody who reaches it.
    pub api_keys: Vec<String>,
    /// Without keys, listen beyond this machine all the same.
    pub allow_everybody: bool,
    /// Names by which the server may be called, beside those of this machine.
    pub allowed_hosts: Vec<String>,
    /// Sites whose pages may use the server from a browser, such as `https://chat.example`; `*`: any.
    pub cors_origins: Vec<String>,
    /// What the model is called; `None`: as it was loaded.
    pub served_name: Option<String>,
    /// Refuse requests that name another model.
    pub strict_model: bool,
    /// Say which special tokens there are. lm-eval then tokenises through the server, without begin-of-text tokens, and scores come out
    /// otherwise.
    pub tokenizer_info: bool,
    /// How conversations are written.
    pub chat_template: Option<ChatTemplate>,
    pub limits: Limits,
}

/// How much a server takes. Sizes are in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Of a request's body; more is answered with 413.
    pub body_bytes: usize,
    /// From the head of a request to the end of its body; later is 408.
    pub body_time: Duration,
    /// Of a request's head; more is 431.
    pub header_bytes: usize,
    /// From the first byte of a head to its last; later is 408.
    pub header_time: Duration,
    /// How long a connection may do nothing between requests.
    pub keep_alive: Duration,
    /// Where there are as many, those that wait for a request are closed for new ones, and new ones wait where all have one.
    pub connections: usize,
    /// Prompts times choices of a request; more is 400.
    pub texts: usize,
    /// Of an answer that is not streamed; more is 400.
    pub answer_bytes: usize,
    /// Stop strings of a request; more is 400.
    pub stop_strings: usize,
    /// Of a stop string.
    pub stop_bytes: usize,
    /// Requests that wait for their turn, first in, first out; more are answered with 503.
    pub waiting: usize,
    /// How long a request may wait; longer is 503.
    pub waiting_time: Duration,
    /// How long a text may take; then it ends with what there is.
    pub running_time: Option<Duration>,
    /// How long a client may take in nothing of what is sent to it; then it counts as gone.
    pub stalled_time: Duration,
    /// Texts that no client has taken in yet, together; beyond it whoever has left most lying is cut off.
    pub unread_bytes: usize,
    /// What running requests get when the server is told to end.
    pub drain_time: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            host: "127.0.0.1".into(),
            port: 8000,
            api_keys: Vec::new(),
            allow_everybody: false,
            allowed_hosts: Vec::new(),
            cors_origins: Vec::new(),
            served_name: None,
            strict_model: false,
            tokenizer_info: false,
            chat_template: None,
            limits: Limits::default(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 8 << 20,
            body_time: Duration::from_secs(30),
            header_bytes: 32 << 10,
            header_time: Duration::from_secs(10),
            keep_alive: Duration::from_secs(75),
            connections: 256,
            texts: 256,
            answer_bytes: 256 << 20,
            stop_strings: 16,
            stop_bytes: 256,
            waiting: 128,
            waiting_time: Duration::from_secs(300),
            running_time: None,
            stalled_time: Duration::from_secs(30),
            unread_bytes: 64 << 20,
            drain_time: Duration::from_secs(30),
        }
    }
}

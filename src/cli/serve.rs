//! `openelm serve`: OpenAI's API over HTTP.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use openelm::ModelFiles;
use openelm::hub::TokenizerNeed;
use openelm::server::{Limits, Server, Settings, Stop};
use openelm::text::{ChatTemplate, is_instruct};

use super::args::ModelArgs;
use super::files::read_text_file;
use super::output;
use super::template::TemplateChoice;

/// No file of keys is this long.
const MOST_BYTES: u64 = 1 << 20;

/// The name of the environment's key.
const KEY: &str = "OPENELM_API_KEY";

#[derive(Args, Clone)]
pub struct Serve {
    #[command(flatten)]
    pub model: ModelArgs,
    /// Name or address of the interface to listen on; 0.0.0.0: all
    #[arg(long, default_value = "127.0.0.1", value_name = "HOST")]
    pub host: String,
    /// Port to listen on; 0: one that is free
    #[arg(long, default_value_t = 8000, value_name = "PORT")]
    pub port: u16,
    /// Serve only who shows this key; may be given several times. Others on this machine can see it here: OPENELM_API_KEY and
    /// --api-key-file are better places
    #[arg(long, value_name = "KEY")]
    pub api_key: Vec<String>,
    /// A file of keys, one a line
    #[arg(long, value_name = "FILE")]
    pub api_key_file: Option<PathBuf>,
    /// Serve everybody who reaches this machine
    #[arg(long)]
    pub no_auth: bool,
    /// Another name that the server is called by, beside this machine's own; may be given several times
    #[arg(long, value_name = "HOST")]
    pub allow_host: Vec<String>,
    /// A site whose pages may use the server from a browser, such as https://chat.example; `*`: any; may be given several times
    #[arg(long, value_name = "ORIGIN")]
    pub cors_origin: Vec<String>,
    /// What clients know the model by [default: as it is named by --model]
    #[arg(long, value_name = "NAME")]
    pub served_model_name: Option<String>,
    /// Refuse requests for a model of another name
    #[arg(long)]
    pub strict_model: bool,
    /// How chats are written: as --template of `openelm chat` [default: model where it brings one, instruct where its name says so, else
    /// no chats]
    #[arg(long, alias = "template", value_name = "NAME|FILE.jinja")]
    pub chat_template: Option<TemplateChoice>,
    /// Answer /tokenizer_info. lm-eval then tokenises through the server, without begin-of-text tokens, and scores come out otherwise
    #[arg(long)]
    pub tokenizer_info: bool,
    #[command(flatten)]
    pub limits: LimitArgs,
}

/// How much is taken on.
#[derive(Args, Clone)]
pub struct LimitArgs {
    /// Largest body of a request, in bytes; more is answered with 413
    #[arg(long, default_value_t = Limits::default().body_bytes, value_name = "BYTES", help_heading = "Limits")]
    pub max_body: usize,
    /// Seconds for the body of a request to come; more is 408
    #[arg(long, default_value = "30", value_parser = seconds, allow_negative_numbers = true, value_name = "S", help_heading = "Limits")]
    pub body_timeout: Duration,
    /// Largest head of a request, in bytes, at least 8192; more is 431
    #[arg(long, default_value_t = Limits::default().header_bytes, value_name = "BYTES", help_heading = "Limits")]
    pub max_header: usize,
    /// Seconds for the head of a request to come; more is 408
    #[arg(long, default_value = "10", value_parser = seconds, allow_negative_numbers = true, value_name = "S", help_heading = "Limits")]
    pub header_timeout: Duration,
    /// Seconds that a connection may do nothing between requests
    #[arg(long, default_value = "75", value_parser = seconds, allow_negative_numbers = true, value_name = "S", help_heading = "Limits")]
    pub keep_alive: Duration,
    /// Connections at a time; for more, those leave that only wait, and new ones wait where all are busy
    #[arg(long, default_value_t = Limits::default().connections, value_name = "N", help_heading = "Limits")]
    pub max_connections: usize,
    /// Prompts times choices of a request; more is 400
    #[arg(long, default_value_t = Limits::default().texts, value_name = "N", help_heading = "Limits")]
    pub max_texts: usize,
    /// Stop strings of a request; more is 400
    #[arg(long, default_value_t = Limits::default().stop_strings, value_name = "N", help_heading = "Limits")]
    pub max_stops: usize,
    /// Longest stop string, in bytes; more is 400
    #[arg(long, default_value_t = Limits::default().stop_bytes, value_name = "BYTES", help_heading = "Limits")]
    pub max_stop_length: usize,
    /// Requests that may wait for their turn; more are answered with 503
    #[arg(long, default_value_t = Limits::default().waiting, value_name = "N", help_heading = "Limits")]
    pub max_queue: usize,
    /// Seconds that a request may wait for its turn; more is 503
    #[arg(long, default_value = "300", value_parser = seconds, allow_negative_numbers = true, value_name = "S", help_heading = "Limits")]
    pub queue_timeout: Duration,
    /// Seconds that a text may take; then it ends with what there is [default: no limit]
    #[arg(long, value_parser = seconds, allow_negative_numbers = true, value_name = "S", help_heading = "Limits")]
    pub max_time: Option<Duration>,
    /// Seconds that a client may take in nothing of its answer; then it counts as gone
    #[arg(long, default_value = "30", value_parser = seconds, allow_negative_numbers = true, value_name = "S", help_heading = "Limits")]
    pub stall_timeout: Duration,
    /// Seconds that running requests get when the server is told to end
    #[arg(long, default_value = "30", value_parser = seconds, allow_negative_numbers = true, value_name = "S", help_heading = "Limits")]
    pub drain_timeout: Duration,
}

pub fn run(arguments: &Serve) -> Result<()> {
    // All that can be a mistake first: loading takes long.
    let mut settings = arguments.settings()?;
    let files = open(&arguments.model)?;
    settings.chat_template = arguments.template(&files)?;
    let name = settings.served_name.clone();
    let mut server = Server::bind(settings)?;
    let model = arguments.model.load(files)?;
    let name = name.unwrap_or_else(|| model.name().to_owned());
    let again = arguments.clone();
    server.reload_with(Box::new(move || reload(&again.model)));
    end_on_ctrl_c(server.stop());
    let url = format!("http://{}", server.address()?);
    let key = match server.needs_key() {
        true => " -H 'Authorization: Bearer KEY'",
        false => "",
    };
    output::note(&format!(
        "{name} at {url}/v1; try: curl {url}/v1/completions{key} -H 'Content-Type: application/json' \
         -d '{{\"prompt\": \"Once upon a time\", \"max_tokens\": 32}}'"
    ));
    Ok(server.run(model)?)
}

fn open(model: &ModelArgs) -> Result<ModelFiles> {
    model.open_with(TokenizerNeed::Wanted)
}

/// Loads the model once more, after its device was lost.
fn reload(arguments: &ModelArgs) -> openelm::Result<openelm::Model> {
    output::note("openelm: the device was lost; the model is loaded again");
    let loaded = open(arguments).and_then(|files| arguments.load(files));
    let loaded = loaded.map_err(|error| match error.downcast::<openelm::Error>() {
        Ok(error) => error,
        Err(error) => openelm::Error::Misuse(format!("{error:#}")),
    });
    if let Err(error) = &loaded {
        output::note(&format!("openelm: {error}"));
    }
    loaded
}

/// The first Ctrl-C (or SIGTERM) has the server answer what it was asked, the second ends the program.
fn end_on_ctrl_c(stop: Stop) {
    let is_second = Arc::new(AtomicBool::new(false));
    let handler = move || {
        if is_second.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
        output::note("openelm: ending when what was asked for is answered; once more ends at once");
        stop.drain();
    };
    // Without a handler Ctrl-C ends the program, as it always did.
    let _ = ctrlc::set_handler(handler);
}

impl Serve {
    fn settings(&self) -> Result<Settings> {
        let mut settings = Settings::default();
        settings.host.clone_from(&self.host);
        settings.port = self.port;
        settings.api_keys = self.keys()?;
        settings.allow_everybody = self.no_auth;
        settings.allowed_hosts.clone_from(&self.allow_host);
        settings.cors_origins = self.origins()?;
        settings.served_name.clone_from(&self.served_model_name);
        settings.strict_model = self.strict_model;
        settings.tokenizer_info = self.tokenizer_info;
        settings.limits = self.limits.limits();
        Ok(settings)
    }

    fn keys(&self) -> Result<Vec<String>> {
        let mut keys = self.api_key.clone();
        if let Some(path) = &self.api_key_file {
            keys.extend(keys_of(path)?);
        }
        if keys.is_empty() && !self.no_auth {
            keys.extend(std::env::var(KEY).ok().filter(|key| !key.is_empty()));
        }
        if keys.iter().any(|key| key.trim().is_empty()) {
            bail!("a key of --api-key is empty; leave it out to serve without a key");
        }
        let is_visible = |key: &String| key.bytes().all(|byte| byte.is_ascii_graphic());
        if !keys.iter().all(is_visible) {
            bail!(
                "keys are letters, digits and signs of ASCII, without spaces: HTTP carries nothing else"
            );
        }
        if self.no_auth && !keys.is_empty() {
            bail!(
                "--no-auth serves everybody, and a key only those who have it: leave one of them out"
            );
        }
        Ok(keys)
    }

    fn origins(&self) -> Result<Vec<String>> {
        let is_origin = |origin: &&String| {
            let host = origin.split_once("://").map(|(_, host)| host);
            *origin == "*" || host.is_some_and(|host| !host.is_empty() && !host.contains('/'))
        };
        match self.cors_origin.iter().find(|origin| !is_origin(origin)) {
            Some(wrong) => bail!(
                "--cors-origin is `{wrong}`; it takes what a browser calls a site's origin, such as https://chat.example or http://localhost:3000"
            ),
            None => Ok(self.cors_origin.clone()),
        }
    }

    /// How chats are written, if they can be.
    fn template(&self, files: &ModelFiles) -> Result<Option<ChatTemplate>> {
        let choice = match &self.chat_template {
            Some(choice) => choice.clone(),
            None => match files.chat_template()? {
                Some(_) => TemplateChoice::Model,
                None if is_instruct(
                    &std::path::absolute(&self.model.model).unwrap_or_default(),
                ) =>
                {
                    TemplateChoice::Instruct
                }
                None => return Ok(None),
            },
        };
        choice.template(files).map(Some)
    }
}

fn keys_of(path: &Path) -> Result<Vec<String>> {
    let text = read_text_file(path, MOST_BYTES).context("cannot use --api-key-file")?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let keys: Vec<String> = lines.map(str::to_owned).collect();
    match keys.is_empty() {
        true => bail!(
            "there is no key in {}, which --api-key-file names",
            path.display()
        ),
        false => Ok(keys),
    }
}

impl LimitArgs {
    fn limits(&self) -> Limits {
        let mut limits = Limits::default();
        limits.body_bytes = self.max_body;
        limits.body_time = self.body_timeout;
        limits.header_bytes = self.max_header;
        limits.header_time = self.header_timeout;
        limits.keep_alive = self.keep_alive;
        limits.connections = self.max_connections;
        limits.texts = self.max_texts;
        limits.stop_strings = self.max_stops;
        limits.stop_bytes = self.max_stop_length;
        limits.waiting = self.max_queue;
        limits.waiting_time = self.queue_timeout;
        limits.running_time = self.max_time;
        limits.stalled_time = self.stall_timeout;
        limits.drain_time = self.drain_timeout;
        limits
    }
}

/// Seconds, with or without parts of them.
fn seconds(text: &str) -> Result<Duration, String> {
    let number: f64 = text
        .parse()
        .map_err(|_| "not a number of seconds".to_owned())?;
    // Longer than that is for ever.
    const MOST: f64 = 1e9;
    match number > 0.0 && number <= MOST {
        true => Ok(Duration::from_secs_f64(number)),
        false => Err("0.001 to 1e9 seconds are possible".into()),
    }
}

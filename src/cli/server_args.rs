//! Flags of `openelm serve`: where it listens, whom it serves, and how much it takes.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use openelm::server::Limits;

use super::template::TemplateChoice;

/// Where the server listens, and whom it serves.
#[derive(Args, Clone)]
pub struct ServerArgs {
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
    /// Largest answer that is not streamed, in bytes; more is 400
    #[arg(long, default_value_t = Limits::default().answer_bytes, value_name = "BYTES", help_heading = "Limits")]
    pub max_answer: usize,
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

impl LimitArgs {
    pub fn limits(&self) -> Limits {
        let mut limits = Limits::default();
        limits.body_bytes = self.max_body;
        limits.body_time = self.body_timeout;
        limits.header_bytes = self.max_header;
        limits.header_time = self.header_timeout;
        limits.keep_alive = self.keep_alive;
        limits.connections = self.max_connections;
        limits.texts = self.max_texts;
        limits.answer_bytes = self.max_answer;
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

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        limits: LimitArgs,
    }

    #[test]
    fn what_is_not_said_is_the_librarys() {
        assert_eq!(
            Line::parse_from(["serve"]).limits.limits(),
            Limits::default()
        );
    }
}

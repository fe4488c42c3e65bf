//! What a server has done and does, in numbers, and as text for Prometheus.
//!
//! A text counts, not an HTTP request: a request for two choices after each of two prompts is four.

use std::fmt::Write;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use crate::generate::{Finish, Text};

/// The reasons that texts end for, as clients are told.
const REASONS: [&str; 3] = ["stop", "length", "error"];

/// How many observations there are up to each bound, and their sum.
#[derive(Debug, Clone)]
struct Histogram {
    /// Seconds, ascending; everything beyond the last counts as well.
    bounds: &'static [f64],
    /// Those above the bound before and not above this one; one more than bounds.
    counts: Vec<u64>,
    sum: f64,
}

impl Histogram {
    fn new(bounds: &'static [f64]) -> Self {
        Self {
            bounds,
            counts: vec![0; bounds.len() + 1],
            sum: 0.0,
        }
    }

    fn observe(&mut self, time: Duration) {
        let seconds = time.as_secs_f64();
        let bucket = self.bounds.partition_point(|bound| *bound < seconds);
        if let Some(count) = self.counts.get_mut(bucket) {
            *count += 1;
        }
        self.sum += seconds;
    }

    fn write(&self, page: &mut Page, name: &str, help: &str) {
        page.head(name, "histogram", help);
        let mut count = 0;
        let bounds = self.bounds.iter().map(f64::to_string);
        for (bound, new) in bounds.chain(["+Inf".into()]).zip(&self.counts) {
            count += new;
            page.line(&format!("{name}_bucket"), &[("le", &bound)], count);
        }
        page.line(&format!("{name}_sum"), &[], self.sum);
        page.line(&format!("{name}_count"), &[], count);
    }
}

/// Bounds of what takes a part of a second to minutes.
const SECONDS: &[f64] = &[
    0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0,
];

/// Bounds of what a token takes.
const TOKEN_SECONDS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.5,
];

/// What was counted.
#[derive(Debug, Clone)]
pub struct Figures {
    /// Texts that are being written.
    pub running: usize,
    /// Texts whose turn has not come.
    pub waiting: usize,
    pub prompt_tokens: u64,
    pub generated_tokens: u64,
    /// By reason, as [`REASONS`].
    ended: [u64; 3],
    pub cancelled: u64,
    /// Requests that were turned away because too many waited.
    pub refused: u64,
    first_token: Histogram,
    between_tokens: Histogram,
    whole: Histogram,
    queued: Histogram,
    /// Prompt tokens that were computed, and seconds.
    prefill: (u64, f64),
    /// Tokens after the first of each text, and seconds.
    decode: (u64, f64),
    /// Of the cache's rows, the share that is in use.
    pub kv_usage: f64,
}

/// What a server counts.
#[derive(Debug)]
pub struct Metrics(Mutex<Figures>);

impl Default for Metrics {
    fn default() -> Self {
        Self(Mutex::new(Figures {
            running: 0,
            waiting: 0,
            prompt_tokens: 0,
            generated_tokens: 0,
            ended: [0; 3],
            cancelled: 0,
            refused: 0,
            first_token: Histogram::new(SECONDS),
            between_tokens: Histogram::new(TOKEN_SECONDS),
            whole: Histogram::new(SECONDS),
            queued: Histogram::new(SECONDS),
            prefill: (0, 0.0),
            decode: (0, 0.0),
            kv_usage: 0.0,
        }))
    }
}

impl Metrics {
    fn figures(&self) -> MutexGuard<'_, Figures> {
        self.0.lock().unwrap_or_else(|poison| poison.into_inner())
    }

    /// All figures as they are now.
    pub fn now(&self) -> Figures {
        self.figures().clone()
    }

    /// How full the server is.
    pub fn note_load(&self, running: usize, waiting: usize, kv_usage: f64) {
        let mut figures = self.figures();
        (figures.running, figures.waiting, figures.kv_usage) = (running, waiting, kv_usage);
    }

    pub fn refused(&self) {
        self.figures().refused += 1;
    }

    /// The turn of a text has come, so long after it was asked for.
    pub fn begun(&self, queued: Duration) {
        self.figures().queued.observe(queued);
    }

    /// A text has its first token, so long after it was asked for.
    pub fn first_token(&self, since_asked: Duration) {
        let mut figures = self.figures();
        figures.generated_tokens += 1;
        figures.first_token.observe(since_asked);
    }

    /// A text has another token, so long after the one before.
    pub fn next_token(&self, time: Duration) {
        let mut figures = self.figures();
        figures.generated_tokens += 1;
        figures.between_tokens.observe(time);
    }

    /// A text that follows `prompt` tokens has ended, so long after it was asked for.
    pub fn ended(&self, prompt: usize, text: &Text, since_asked: Duration) {
        let mut figures = self.figures();
        figures.prompt_tokens += prompt as u64;
        let timing = &text.timing;
        figures.prefill.0 += timing.prefill_tokens as u64;
        figures.prefill.1 += timing.prefill.as_secs_f64();
        figures.decode.0 += timing.decode_tokens as u64;
        figures.decode.1 += timing.decode.as_secs_f64();
        let reason = match text.finish {
            Some(Finish::Eos | Finish::Stop) => 0,
            Some(Finish::Length | Finish::Context | Finish::Time) => 1,
            Some(Finish::Cancelled) => {
                figures.cancelled += 1;
                return;
            }
            Some(Finish::Error) | None => 2,
        };
        figures.ended[reason] += 1;
        figures.whole.observe(since_asked);
    }

    /// Texts were not wanted any more before their turn came.
    pub fn cancelled(&self, texts: usize) {
        self.figures().cancelled += texts as u64;
    }

    /// A text could not be written.
    pub fn failed(&self) {
        self.figures().ended[2] += 1;
    }

    /// All figures in Prometheus' text format 0.0.4, with the model's name on each.
    pub fn text(&self, model: &str) -> String {
        self.now().text(model)
    }
}

impl Figures {
    fn text(&self, model: &str) -> String {
        let mut page = Page::new(model);
        page.gauge(
            "num_requests_running",
            "Texts that are being written.",
            self.running,
        );
        page.gauge(
            "num_requests_waiting",
            "Texts whose turn has not come.",
            self.waiting,
        );
        page.counter(
            "prompt_tokens_total",
            "Tokens of prompts that were dealt with.",
            self.prompt_tokens,
        );
        page.counter(
            "generation_tokens_total",
            "Tokens that were generated.",
            self.generated_tokens,
        );
        let name = "openelm_request_success_total";
        page.head(name, "counter", "Texts that have ended, by reason.");
        for (reason, count) in REASONS.iter().zip(self.ended) {
            page.line(name, &[("finished_reason", reason)], count);
        }
        page.counter(
            "requests_cancelled_total",
            "Texts that nobody wanted any more.",
            self.cancelled,
        );
        page.counter(
            "requests_refused_total",
            "Requests that were turned away because too many waited.",
            self.refused,
        );
        let named = [
            (
                &self.first_token,
                "time_to_first_token_seconds",
                "From asking for a text to its first token.",
            ),
            (
                &self.between_tokens,
                "inter_token_latency_seconds",
                "From a token to the next one.",
            ),
            (
                &self.whole,
                "e2e_request_latency_seconds",
                "From asking for a text to its end.",
            ),
            (
                &self.queued,
                "request_queue_time_seconds",
                "From asking for a text to its turn.",
            ),
        ];
        for (histogram, name, help) in named {
            histogram.write(&mut page, &format!("openelm_{name}"), help);
        }
        page.gauge(
            "kv_cache_usage_perc",
            "Of the rows of keys and values, the share in use; 1: all.",
            self.kv_usage,
        );
        // What llama-server calls the same.
        page.counter(
            "tokens_predicted_total",
            "Tokens that were generated.",
            self.generated_tokens,
        );
        let rate = |(tokens, seconds): (u64, f64)| match seconds > 0.0 {
            true => tokens as f64 / seconds,
            false => 0.0,
        };
        page.gauge(
            "prompt_tokens_seconds",
            "Prompt tokens computed a second, mean of all texts.",
            rate(self.prefill),
        );
        page.gauge(
            "predicted_tokens_seconds",
            "Tokens a second of a text, mean of all.",
            rate(self.decode),
        );
        page.gauge(
            "requests_processing",
            "Texts that are being written.",
            self.running,
        );
        page.gauge(
            "requests_deferred",
            "Texts whose turn has not come.",
            self.waiting,
        );
        page.text
    }
}

/// Lines of Prometheus' text format.
struct Page {
    /// What every line is labelled with.
    model: String,
    text: String,
}

impl Page {
    fn new(model: &str) -> Self {
        let model = model
            .replace('\\', "\\\\")
            .replace('"', "\\\"")
            .replace('\n', "\\n");
        Self {
            model,
            text: String::new(),
        }
    }

    fn head(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string does not fail.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn line(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        let labels: String = labels
            .iter()
            .map(|(label, value)| format!(",{label}=\"{value}\""))
            .collect();
        let _ = writeln!(
            self.text,
            "{name}{{model_name=\"{}\"{labels}}} {value}",
            self.model
        );
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl std::fmt::Display) {
        self.figure(name, "gauge", help, value);
    }

    fn counter(&mut self, name: &str, help: &str, value: impl std::fmt::Display) {
        self.figure(name, "counter", help, value);
    }

    fn figure(&mut self, name: &str, kind: &str, help: &str, value: impl std::fmt::Display) {
        let name = format!("openelm_{name}");
        self.head(&name, kind, help);
        self.line(&name, &[], value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_counts_up_to_each_bound() {
        let mut histogram = Histogram::new(&[0.5, 1.0]);
        for seconds in [0.25, 0.5, 0.75, 1.0, 7.0] {
            histogram.observe(Duration::from_secs_f64(seconds));
        }
        let mut page = Page::new("a \"model\" \\ of mine");
        histogram.write(&mut page, "time", "Of something.");
        let name = r#"model_name="a \"model\" \\ of mine""#;
        let expected = format!(
            "# HELP time Of something.\n# TYPE time histogram\ntime_bucket{{{name},le=\"0.5\"}} 2\ntime_bucket{{{name},le=\"1\"}} 4\n\
             time_bucket{{{name},le=\"+Inf\"}} 5\ntime_sum{{{name}}} 9.5\ntime_count{{{name}}} 5\n"
        );
        assert_eq!(page.text, expected);
    }

    #[test]
    fn every_line_is_a_comment_or_a_figure() {
        let metrics = Metrics::default();
        metrics.note_load(3, 4, 0.5);
        metrics.first_token(Duration::from_millis(20));
        metrics.next_token(Duration::from_millis(2));
        let text = metrics.text("demo");
        for line in text.lines() {
            let is_figure = line.starts_with("openelm_")
                && line.contains("{model_name=\"demo\"")
                && line.rsplit_once(' ').unwrap().1.parse::<f64>().is_ok();
            assert!(
                is_figure || line.starts_with("# HELP ") || line.starts_with("# TYPE "),
                "{line}"
            );
        }
        assert!(text.contains("openelm_num_requests_running{model_name=\"demo\"} 3\n"));
        assert!(text.contains("openelm_generation_tokens_total{model_name=\"demo\"} 2\n"));
    }
}

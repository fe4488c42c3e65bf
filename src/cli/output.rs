//! What several verbs need: standard output that survives a closed pipe, progress bars on standard error, traces to files, and the
//! time that a token takes.

use std::borrow::Cow;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use openelm::text::Tokenizer;
use openelm::trace::{self, Step};
use openelm::{Dtype, GenerateOptions, Model, SampleOn, Session};
use serde_json::json;

use super::report;

/// Bars appear only for what takes longer than this.
const PATIENCE: Duration = Duration::from_secs(1);

/// Writes to standard output at once, without a buffer in between: text streams. A terminal gets it as [`shown`].
pub fn write(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    let text = for_terminal(text, out.is_terminal());
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.context("cannot write to standard output")
}

/// Writes a line to standard error. Nobody can be told that nobody listens there.
pub fn note(text: &str) {
    let mut out = std::io::stderr().lock();
    let text = for_terminal(text, out.is_terminal());
    let _ = writeln!(out, "{text}");
}

fn for_terminal(text: &str, is_terminal: bool) -> Cow<'_, str> {
    match is_terminal {
        true => shown(text),
        false => text.into(),
    }
}

/// A text as a terminal may get it: models and files may contain whatever they like, also what a terminal would obey. Such characters are
/// spelled as `cat -v` does.
fn shown(text: &str) -> Cow<'_, str> {
    let is_obeyed = |c: char| c.is_control() && c != '\n' && c != '\t';
    if !text.contains(is_obeyed) {
        return text.into();
    }
    let mut shown = String::with_capacity(text.len() + 8);
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match u32::from(c) {
            0x0d if characters.peek() == Some(&'\n') => {}
            _ if !is_obeyed(c) => shown.push(c),
            code @ 0..0x20 => shown.extend(['^', char::from(code as u8 + b'@')]),
            0x7f => shown += "^?",
            code => shown.extend(['M', '-', '^', char::from((code as u8 & 0x1f) + b'@')]),
        }
    }
    shown.into()
}

/// Prints exactly what a model is given: its text, where there is a tokenizer, and its ids.
pub fn show_prompt(tokenizer: Option<&Tokenizer>, ids: &[u32]) -> Result<()> {
    note(&format!("[the model is given {} tokens]", ids.len()));
    if let Some(tokenizer) = tokenizer {
        note(&tokenizer.decode_all(ids)?);
    }
    let ids: Vec<String> = ids.iter().map(u32::to_string).collect();
    note(&format!("[ids {}]", ids.join(",")));
    Ok(())
}

/// Says what has become known of a model since it was loaded, once.
pub fn notices(model: &Model) {
    if model.network().take_widened() {
        note(&format!("openelm: warning: {}", Model::WIDENED));
    }
}

/// What stands behind figures that the host's clock measured.
pub fn estimated(is_estimated: bool) -> &'static str {
    match is_estimated {
        true => " (estimated: the adapter has no timestamps)",
        false => "",
    }
}

/// Model and adapter, two lines.
pub fn heading(model: &Model) -> String {
    let adapter = model.adapter();
    let network = model.network();
    let activations = match network.tuning().int8 && model.dtype() == Dtype::Q8 {
        true => " and int8 activations",
        false => "",
    };
    let prefill = match network.has_f16_prefill() {
        true => " and prompts in f16",
        false => "",
    };
    format!(
        "{}, {}{activations}{prefill}, {} kernels\n{} ({}, {})\n",
        model.name(),
        model.dtype(),
        network.path().name(),
        adapter.name,
        adapter.backend,
        adapter.driver
    )
}

/// The first Ctrl-C ends generation, the second the program.
pub fn cancel_on_ctrl_c() -> Arc<AtomicBool> {
    let cancel = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&cancel);
    let handler = move || {
        if flag.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    };
    // Without a handler Ctrl-C ends the program, as it always did.
    let _ = ctrlc::set_handler(handler);
    cancel
}

/// Seconds that a token takes after `prompt`, mean of `tokens`, the way `generate` makes them.
pub fn decode_seconds(
    session: &mut Session,
    prompt: &[u32],
    tokens: usize,
    sample_on: Option<SampleOn>,
) -> Result<f64> {
    let mut options = GenerateOptions::default();
    options.sample_on = sample_on;
    options.max_tokens = Some(tokens + 1);
    options.ignore_eos = true;
    let mut generation = session.generate(prompt, &options)?;
    for token in generation.by_ref() {
        token?;
    }
    let timing = generation.timing();
    Ok(timing.decode.as_secs_f64() / timing.decode_tokens.max(1) as f64)
}

/// A file for what becomes known late. What is there stays until there is something new, and a new file goes if there is nothing.
pub struct LateFile<'a> {
    path: &'a Path,
    is_empty: bool,
}

impl<'a> LateFile<'a> {
    /// Finds out early whether it can be written, by opening it.
    pub fn open(path: &'a Path) -> Result<Self> {
        let is_empty = !path.exists();
        std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self { path, is_empty })
    }

    pub fn write(mut self, text: &str) -> Result<()> {
        std::fs::write(self.path, text)
            .with_context(|| format!("cannot write {}", self.path.display()))?;
        self.is_empty = false;
        Ok(())
    }
}

impl Drop for LateFile<'_> {
    fn drop(&mut self) {
        if self.is_empty {
            let _ = std::fs::remove_file(self.path);
        }
    }
}

/// A file for a trace.
pub struct TraceFile<'a>(LateFile<'a>);

impl<'a> TraceFile<'a> {
    /// As [`LateFile::open`].
    pub fn open(path: &'a Path) -> Result<Self> {
        LateFile::open(path).map(Self)
    }

    /// Writes a trace in the format that the file's ending names.
    pub fn write(self, steps: &[Step], model: &Model) -> Result<()> {
        let mut metadata = json!({
            "model": model.name(),
            "dtype": model.dtype().name(),
            "adapter": model.adapter(),
        });
        // Without them it says less.
        let peaks = || {
            model
                .network()
                .adapter_rates()
                .ok()
                .map(|rates| rates.peaks())
        };
        let ending = self.0.path.extension().unwrap_or_default();
        let text = match ending.to_ascii_lowercase().to_str() {
            Some("csv") => trace::csv(steps, &metadata),
            Some("json") => {
                // For the window, which reads it back.
                metadata["layers"] = json!(report::shapes(model));
                metadata["peaks"] = json!(peaks());
                trace::json(steps, &metadata)
            }
            Some("html" | "htm") => trace::html(steps, &report::about(model, peaks())),
            _ => trace::chrome(steps, &metadata),
        };
        self.0.write(&text)
    }
}

/// Somebody ended it before it was done.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Interrupted(pub String);

/// Whether an error says that nobody reads our output any more.
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<std::io::Error>()
        .is_some_and(reader_is_gone)
}

/// Whether an error of writing says that nobody reads any more.
pub fn reader_is_gone(error: &std::io::Error) -> bool {
    // Pipes with a name say so on Windows, and all pipes under Wine.
    const ERROR_PIPE_NOT_CONNECTED: i32 = 233;
    error.kind() == std::io::ErrorKind::BrokenPipe
        || cfg!(windows) && error.raw_os_error() == Some(ERROR_PIPE_NOT_CONNECTED)
}

/// Whether standard error can take back what it shows, if it is a terminal: the dumb ones cannot.
pub fn can_draw() -> bool {
    std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// A progress bar on standard error, if that is a terminal and the work takes a while.
pub struct Bar {
    bar: ProgressBar,
    begin: Instant,
}

impl Bar {
    pub fn new(what: &'static str, bytes: bool) -> Self {
        let counts = if bytes {
            "{bytes}/{total_bytes}"
        } else {
            "{pos}/{len} tokens"
        };
        let bar = Self::with_template(&format!("{{msg}} {{wide_bar}} {counts} {{eta}}"));
        bar.say(what);
        bar
    }

    /// Of items.
    pub fn of_items(what: &'static str) -> Self {
        let bar = Self::with_template("{msg} {wide_bar} {pos}/{len} items {eta}");
        bar.say(what);
        bar
    }

    /// Of lines, whose number may not be known.
    pub fn of_lines(is_known: bool) -> Self {
        Self::with_template(match is_known {
            true => "{wide_bar} {pos}/{len} lines, {msg} {eta}",
            false => "{spinner} {pos} lines, {msg}",
        })
    }

    fn with_template(template: &str) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self {
            bar,
            begin: Instant::now(),
        }
    }

    pub fn set(&self, done: u64, total: u64) {
        if self.begin.elapsed() > PATIENCE && self.bar.is_hidden() && can_draw() {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        self.bar.set_length(total);
        self.bar.set_position(done);
    }

    pub fn say(&self, what: impl Into<Cow<'static, str>>) {
        self.bar.set_message(what);
    }

    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_gets_nothing_to_obey() {
        for plain in ["", "a\tb\nc", "\u{e9}\u{1f600} \u{202e}"] {
            assert!(matches!(shown(plain), Cow::Borrowed(text) if text == plain));
        }
        for (text, expected) in [
            ("\x1b[31mred", "^[[31mred"),
            ("a\x07\x08\x00", "a^G^H^@"),
            ("one\r\ntwo\rthree", "one\ntwo^Mthree"),
            ("\x7f\u{9b}2J", "^?M-^[2J"),
        ] {
            assert_eq!(shown(text), expected);
            assert_eq!(for_terminal(text, false), text);
        }
    }
}

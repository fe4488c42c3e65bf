//! Standard output that survives a closed pipe, and progress bars on standard error.

use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::Result;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Bars appear only for what takes longer than this.
const PATIENCE: Duration = Duration::from_secs(1);

/// Writes to standard output at once, without a buffer in between: text streams.
pub fn write(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(())
}

/// Whether an error says that nobody reads our output any more.
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

/// A progress bar on standard error, if that is a terminal and the work takes a while.
pub struct Bar {
    bar: ProgressBar,
    begin: Instant,
}

impl Bar {
    pub fn new(what: &'static str, bytes: bool) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        let counts = if bytes {
            "{bytes}/{total_bytes}"
        } else {
            "{pos}/{len} tokens"
        };
        let template = format!("{{msg}} {{wide_bar}} {counts} {{eta}}");
        if let Ok(style) = ProgressStyle::with_template(&template) {
            bar.set_style(style);
        }
        bar.set_message(what);
        Self {
            bar,
            begin: Instant::now(),
        }
    }

    pub fn set(&self, done: u64, total: u64) {
        if self.begin.elapsed() > PATIENCE && self.bar.is_hidden() {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        self.bar.set_length(total);
        self.bar.set_position(done);
    }

    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

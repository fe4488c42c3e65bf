//! What is written for other programs, and for people who do not have this one.

use std::collections::HashMap;

use crate::trace::{About, Peaks, Step, html};
use crate::version;
use crate::window::action::Export;
use crate::window::conversation::Conversation;
use crate::window::page;
use crate::window::state::State;
use crate::window::store::{MOST_BYTES, Reader};
use crate::window::timings::Run;

/// Letters of a title that a suggested name keeps.
const MOST_LETTERS: usize = 60;

/// Makes a file's text. It may take long, so it is done off the window's thread.
pub(super) type Content = Box<dyn FnOnce() -> std::io::Result<String> + Send>;

/// The name to suggest for a file.
pub(super) fn file_name(state: &State, export: Export) -> String {
    let conversation = || named_after(state.conversation().name());
    match export {
        Export::ConversationMarkdown => conversation() + ".md",
        Export::ConversationJson => conversation() + ".json",
        Export::ConversationHtml => conversation() + ".html",
        Export::AllJson => "conversations.json".into(),
        Export::TraceHtml => "timings.html".into(),
        Export::TraceChrome => "openelm.trace".into(),
        Export::TraceCsv => "trace.csv".into(),
        Export::TraceJson => "trace.json".into(),
    }
}

/// A title as a file can be called on every system.
fn named_after(title: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_');
    let letters = title.chars().take(MOST_LETTERS);
    let spaced: String = letters.map(|c| if plain(c) { c } else { ' ' }).collect();
    let words: Vec<&str> = spaced.split_whitespace().collect();
    match words.join(" ") {
        name if name.is_empty() => "conversation".into(),
        // Windows opens devices by these, whatever stands behind a dot.
        name if is_device(&name) => format!("{name} conversation"),
        name => name,
    }
}

/// Whether Windows takes a file's name for that of a device.
fn is_device(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let numbered = |of| {
        let digit = name.strip_prefix(of).unwrap_or_default();
        matches!(
            digit,
            "0" | "1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9" | "¹" | "²" | "³"
        )
    };
    matches!(name.as_str(), "con" | "prn" | "aux" | "nul") || numbered("com") || numbered("lpt")
}

/// The conversation in sight, or all steps of the run that is shown.
pub(super) fn content(state: &State, reader: &Reader, export: Export) -> Content {
    let conversation = state.conversation();
    let shown = || Report::new(state, &state.timings.run);
    match export {
        Export::ConversationMarkdown => {
            let text = conversation.markdown();
            Box::new(move || Ok(text))
        }
        Export::ConversationJson => {
            let kept = conversation.kept();
            Box::new(move || Ok(serde_json::to_string_pretty(&kept)?))
        }
        Export::AllJson => all(state, reader.clone()),
        Export::ConversationHtml => {
            let title = conversation.name().to_owned();
            let mut introduction = page::html(conversation);
            let nothing = Run::default();
            let run = state.timings.last_of(&conversation.id);
            let report = Report::new(state, run.unwrap_or(&nothing));
            if run.is_some() {
                introduction += "<h2>The last run that was timed</h2>";
            }
            Box::new(move || {
                let mut about = report.about();
                about.title = &title;
                about.introduction = introduction;
                Ok(html(&report.steps, &about))
            })
        }
        Export::TraceHtml => {
            let report = shown();
            Box::new(move || Ok(html(&report.steps, &report.about())))
        }
        Export::TraceChrome => trace(shown(), crate::trace::chrome),
        Export::TraceCsv => trace(shown(), crate::trace::csv),
        // With what only this program can read back: which texts shared each step.
        Export::TraceJson => {
            let (report, requests) = (shown(), state.timings.run.requests.clone());
            Box::new(move || {
                let mut metadata = report.metadata();
                if metadata.is_object() && requests.iter().any(|shared| shared.len() > 1) {
                    metadata["requests"] = serde_json::json!(requests);
                }
                Ok(crate::trace::json(&report.steps, &metadata))
            })
        }
    }
}

fn trace(report: Report, write: fn(&[Step], &serde_json::Value) -> String) -> Content {
    Box::new(move || Ok(write(&report.steps, &report.metadata())))
}

/// All conversations that are listed: those that have changed as they are now, others as they lie in the folder. One that cannot be read is left
/// out; its file stays.
fn all(state: &State, reader: Reader) -> Content {
    let changed = state.unwritten();
    let changed = changed.map(|one| (one.id.clone(), one.kept()));
    let mut changed: HashMap<String, Conversation> = changed.collect();
    let entries = state.history.entries().iter();
    let ids: Vec<String> = entries.map(|entry| entry.id.clone()).collect();
    Box::new(move || {
        let mut text = String::from("[");
        for id in ids {
            let kept = changed.remove(&id);
            let Some(conversation) = kept.or_else(|| reader.conversation(&id).ok()) else {
                continue;
            };
            if text.len() > 1 {
                text.push(',');
            }
            text.push('\n');
            text += &serde_json::to_string(&conversation)?;
            if text.len() as u64 > MOST_BYTES {
                return Err(std::io::Error::other(format!(
                    "together they have more than {} MiB, which could not be imported again: export them one by one, or copy the folder",
                    MOST_BYTES >> 20
                )));
            }
        }
        text += "\n]\n";
        Ok(text)
    })
}

/// What is written of a run, apart from the window.
struct Report {
    /// Of the run, but for its steps.
    run: Run,
    steps: Vec<Step>,
    peaks: Option<Peaks>,
    facts: Vec<(&'static str, String)>,
}

impl Report {
    fn new(state: &State, run: &Run) -> Self {
        Self {
            steps: run.steps.iter().cloned().collect(),
            peaks: state.timings.peaks_of_run(run),
            facts: facts(state, run),
            run: run.without_steps(),
        }
    }

    /// What a trace says of its run, if anything is known of it.
    fn metadata(&self) -> serde_json::Value {
        let subject = &self.run.subject;
        if subject.is_unknown() {
            return serde_json::Value::Null;
        }
        serde_json::json!({
            "model": subject.model,
            "dtype": subject.dtype,
            "adapter": {
                "name": subject.adapter,
                "backend": subject.backend,
                "driver": subject.driver,
                "device_type": subject.device_type,
            },
            "peaks": self.peaks,
            "layers": subject.layers,
            "left_out": self.run.dropped,
        })
    }

    /// What a report says beside its timings.
    fn about(&self) -> About<'_> {
        let (run, subject) = (&self.run, &self.run.subject);
        About {
            model: &subject.model,
            dtype: &subject.dtype,
            adapter: &subject.adapter,
            facts: self.facts.clone(),
            layers: subject.layers.clone(),
            peaks: self.peaks,
            cost: run.untraced.mean().zip(run.traced.mean()),
            left_out: run.dropped,
            ..About::default()
        }
    }
}

fn facts(state: &State, run: &Run) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    let subject = &run.subject;
    // Not what the run is called: that is what was written.
    if !subject.is_unknown() {
        let driver = format!("{} ({})", subject.driver, subject.backend);
        facts = vec![("Driver", driver), ("Kind", subject.device_type.clone())];
    }
    if let Some(info) = &run.info {
        let context = format!("{} positions", info.context_size);
        facts.extend([
            ("Context", context),
            ("Sampling as set now", sampling(state)),
        ]);
    }
    if let Some(file) = &run.file {
        facts.push(("Read from", file.name.clone()));
    }
    let program = format!("openelm {}, its window", version::line());
    let now = jiff::ZonedDateTime::now();
    let date = now.strftime("%Y-%m-%d %H:%M %Z").to_string();
    facts.extend([("Program", program), ("Date", date)]);
    facts
}

fn sampling(state: &State) -> String {
    let sampling = &state.settings.sampling;
    let seed = match sampling.seed {
        Some(seed) => format!(", seed {seed}"),
        None => String::new(),
    };
    format!(
        "temperature {}, top-k {}, top-p {}, min-p {}, repetition penalty {}{seed}",
        sampling.temperature,
        sampling.top_k,
        sampling.top_p,
        sampling.min_p,
        sampling.repetition_penalty
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_called_by_titles_that_every_system_takes() {
        for (title, name) in [
            ("Once upon a time", "Once upon a time"),
            ("a/b: \"c\" <d>|?*\\", "a b c d"),
            ("Über Größe — 東京", "Über Größe 東京"),
            ("../../etc", "etc"),
            ("…", "conversation"),
            ("Con!", "Con conversation"),
            ("lpt1", "lpt1 conversation"),
            ("com port", "com port"),
            ("", "conversation"),
        ] {
            assert_eq!(named_after(title), name);
        }
        assert_eq!(named_after(&"x".repeat(500)).len(), MOST_LETTERS);
    }
}

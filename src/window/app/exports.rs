//! What is written for other programs, and for people who do not have this one.

use crate::trace::{About, Step, html};
use crate::version;
use crate::window::action::Export;
use crate::window::page;
use crate::window::state::State;

/// The name to suggest for a file.
pub(super) fn file_name(export: Export) -> &'static str {
    match export {
        Export::ConversationMarkdown => "conversation.md",
        Export::ConversationJson => "conversation.json",
        Export::ConversationHtml => "conversation.html",
        Export::TraceHtml => "timings.html",
        Export::TraceChrome => "openelm.trace",
        Export::TraceCsv => "trace.csv",
        Export::TraceJson => "trace.json",
    }
}

/// The conversation in sight, or all steps of the run that is shown.
pub(super) fn text(state: &State, export: Export) -> String {
    let conversation = state.conversation();
    match export {
        Export::ConversationMarkdown => conversation.markdown(),
        Export::ConversationJson => {
            serde_json::to_string_pretty(&conversation.kept()).unwrap_or_default()
        }
        Export::ConversationHtml => {
            let mut about = about(state);
            about.title = conversation.name();
            about.introduction = page::html(conversation);
            let steps = steps(state);
            if !steps.is_empty() {
                about.introduction += "<h2>The last run that was timed</h2>";
            }
            html(&steps, &about)
        }
        Export::TraceHtml => html(&steps(state), &about(state)),
        Export::TraceChrome => trace(state, crate::trace::chrome),
        Export::TraceCsv => trace(state, crate::trace::csv),
        Export::TraceJson => whole_trace(state),
    }
}

fn steps(state: &State) -> Vec<Step> {
    state.timings.run.steps.iter().cloned().collect()
}

fn trace(state: &State, write: fn(&[Step], &serde_json::Value) -> String) -> String {
    write(&steps(state), &metadata(state))
}

/// What a trace says of its run, if anything is known of it.
fn metadata(state: &State) -> serde_json::Value {
    let run = &state.timings.run;
    let subject = &run.subject;
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
        "peaks": state.timings.run_peaks(),
        "layers": subject.layers,
        "left_out": run.dropped,
    })
}

/// As [`trace`], with what only this program can read back: which texts shared each step.
fn whole_trace(state: &State) -> String {
    let mut metadata = metadata(state);
    let requests = &state.timings.run.requests;
    if metadata.is_object() && requests.iter().any(|shared| shared.len() > 1) {
        metadata["requests"] = serde_json::json!(requests);
    }
    crate::trace::json(&steps(state), &metadata)
}

/// What a report of the run that is shown says beside its timings.
fn about(state: &State) -> About<'_> {
    let run = &state.timings.run;
    let mut about = About {
        peaks: state.timings.run_peaks(),
        cost: run.untraced.mean().zip(run.traced.mean()),
        left_out: run.dropped,
        ..About::default()
    };
    let subject = &run.subject;
    about.model = &subject.model;
    about.dtype = &subject.dtype;
    about.adapter = &subject.adapter;
    about.layers.clone_from(&subject.layers);
    // Not what the run is called: that is what was written.
    if !subject.is_unknown() {
        let driver = format!("{} ({})", subject.driver, subject.backend);
        about.facts = vec![("Driver", driver), ("Kind", subject.device_type.clone())];
    }
    if let Some(info) = &run.info {
        let context = format!("{} positions", info.context_size);
        let own = [
            ("Context", context),
            ("Sampling as set now", sampling(state)),
        ];
        about.facts.extend(own);
    }
    if let Some(file) = &run.file {
        about.facts.push(("Read from", file.name.clone()));
    }
    let program = format!("openelm {}, its window", version::line());
    about.facts.push(("Program", program));
    let now = jiff::ZonedDateTime::now();
    let date = now.strftime("%Y-%m-%d %H:%M %Z").to_string();
    about.facts.push(("Date", date));
    about
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

//! What is written for other programs.

use crate::trace::Step;
use crate::window::action::Export;
use crate::window::state::State;

/// The name to suggest for a file.
pub(super) fn file_name(export: Export) -> &'static str {
    match export {
        Export::ConversationMarkdown => "conversation.md",
        Export::ConversationJson => "conversation.json",
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
        Export::TraceChrome => trace(state, crate::trace::chrome),
        Export::TraceCsv => trace(state, crate::trace::csv),
        Export::TraceJson => trace(state, crate::trace::json),
    }
}

fn trace(state: &State, write: fn(&[Step], &serde_json::Value) -> String) -> String {
    let run = &state.timings.run;
    let steps: Vec<Step> = run.steps.iter().cloned().collect();
    let metadata = match &run.info {
        Some(info) => serde_json::json!({
            "model": info.name,
            "dtype": info.dtype.name(),
            "adapter": info.adapter,
            "peaks": state.timings.run_peaks(),
        }),
        None => serde_json::Value::Null,
    };
    write(&steps, &metadata)
}

//! What can be done about an error, in the window's words: its settings and buttons.

use crate::dtype::Dtype;
use crate::error::{Error, Feature, HubError, MemoryNeed};

const ANOTHER_ADAPTER: &str = "Take another adapter under \"Choose a model\".";

/// Whole sentences; `None` where the message says all there is to say.
pub fn advice(error: &Error) -> Option<String> {
    Some(match error.root() {
        Error::Hub(error) => return of_hub(error),
        Error::ModelNotFound { .. } | Error::NoModel => {
            "\"Choose a model\" has the demo and those loaded before, and opens folders.".into()
        }
        Error::NoTokenizer { .. } => {
            "If it lies elsewhere, \"Find…\" under \"Choose a model\" takes it.".into()
        }
        Error::Tokenizer { .. } => {
            "\"Find…\" and \"The model's own\" under \"Choose a model\" take another one.".into()
        }
        Error::ChatTemplate { .. } => {
            "Choose another template in the settings of the conversation.".into()
        }
        Error::EmptyPrompt => "Write something first.".into(),
        Error::PromptTooLong {
            context_size,
            max_context_size,
            ..
        } => longer(*context_size, *max_context_size),
        Error::ContextSize { possible: 0, .. }
        | Error::NoDevice { .. }
        | Error::ComputesWrongly { .. }
        | Error::Unsupported {
            feature: Feature::Model,
            ..
        } => ANOTHER_ADAPTER.into(),
        Error::NoAdapter { found, .. } if !found.is_empty() => ANOTHER_ADAPTER.into(),
        Error::ContextSize { possible, .. } => {
            format!("Set the context under \"Choose a model\" to at most {possible} positions.")
        }
        Error::OutOfMemory { need, .. } => less_memory(need.as_ref()),
        _ => return None,
    })
}

fn of_hub(error: &HubError) -> Option<String> {
    Some(match error {
        HubError::Gated { .. } | HubError::TokenRefused { .. } => {
            "Set HF_TOKEN, or log in with Hugging Face's own program, and open the window again."
                .into()
        }
        HubError::RepoNotFound { repo, .. } => {
            format!(
                "There is no folder `{repo}` here either: \"Choose a model\" has names that are there."
            )
        }
        HubError::Connection { .. } => "What has come so far is kept.".into(),
        HubError::Offline { .. } => {
            "It can be downloaded once more, unless HF_HUB_OFFLINE is set.".into()
        }
        _ => return None,
    })
}

fn longer(context_size: usize, max_context_size: usize) -> String {
    let mut text = "Delete or shorten earlier messages, or begin something new.".to_owned();
    if context_size < max_context_size {
        text += &format!(
            " A context of up to {max_context_size} positions can be set under \"Choose a model\"."
        );
    }
    text
}

/// What takes less memory, most effective first.
fn less_memory(need: Option<&MemoryNeed>) -> String {
    let formats = match need.map(|need| need.dtype) {
        Some(Dtype::F32) => "f16, q8 or q4 as the weights' format, ",
        Some(Dtype::F16 | Dtype::Bf16) => "q8 or q4 as the weights' format, ",
        Some(Dtype::Q8) => "q4 as the weights' format, ",
        Some(Dtype::Q4) | None => "",
    };
    format!(
        "\"Choose a model\" has what takes less: {formats}a smaller context, a smaller model; or another adapter has more."
    )
}

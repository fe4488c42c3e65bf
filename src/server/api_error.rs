//! Errors as OpenAI's API has them.

use serde_json::json;

use crate::error::Error;
use crate::excerpt::excerpt;

/// An error for a client: an HTTP status, and what its JSON says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    pub status: u16,
    /// What was wrong, for a person.
    pub message: String,
    /// The field of the request that was wrong.
    pub param: Option<String>,
    /// What was wrong, for a program.
    pub code: Option<&'static str>,
    /// What the header `x-should-retry` says, if it is needed. Clients retry 408, 409, 429 and 500 on without it.
    pub should_retry: Option<bool>,
    /// Seconds of the header `retry-after`.
    pub retry_after: Option<u32>,
}

impl ApiError {
    pub fn new(status: u16, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            param: None,
            code: None,
            should_retry: None,
            retry_after: None,
        }
    }

    /// A request that cannot be: 400, for the field `param`.
    pub fn invalid(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            param: Some(param.into()),
            ..Self::new(400, message)
        }
    }

    /// The server has no room now.
    pub fn busy(message: impl Into<String>) -> Self {
        Self {
            retry_after: Some(1),
            ..Self::new(503, message)
        }
    }

    /// The server cannot do it, now or later.
    pub fn broken(message: impl Into<String>) -> Self {
        Self {
            should_retry: Some(false),
            ..Self::new(500, message)
        }
    }

    /// A model that is not served here.
    pub fn model_not_found(asked: &str, served: &str) -> Self {
        let asked = excerpt(asked);
        Self {
            param: Some("model".into()),
            code: Some("model_not_found"),
            ..Self::new(
                404,
                format!("there is no model `{asked}` here; this server has `{served}`"),
            )
        }
    }

    /// With `param`, unless it has one.
    #[must_use]
    pub fn or_param(mut self, param: &str) -> Self {
        self.param.get_or_insert_with(|| param.to_owned());
        self
    }

    /// What OpenAI calls its type.
    pub fn kind(&self) -> &'static str {
        match self.status {
            401 => "authentication_error",
            404 => "not_found_error",
            429 => "rate_limit_error",
            500.. => "server_error",
            _ => "invalid_request_error",
        }
    }

    /// The body of a response, or what is sent in a stream that cannot go on.
    pub fn to_json(&self) -> String {
        let Self {
            message,
            param,
            code,
            ..
        } = self;
        json!({"error": {"message": message, "type": self.kind(), "param": param, "code": code}})
            .to_string()
    }
}

impl From<&Error> for ApiError {
    fn from(error: &Error) -> Self {
        let message = error.to_string();
        // The number of the status, and whether it is worth while to ask again.
        let (status, should_retry) = match error.root() {
            Error::PromptTooLong {
                tokens,
                context_size,
                ..
            } => return Self::too_long(*context_size, &tokens.to_string()),
            Error::OptionOutOfRange { name, .. } => {
                return Self::invalid(*name, message);
            }
            Error::OptionValue { key, .. } => return Self::invalid(key.as_str(), message),
            Error::ChatTemplate { what, .. } => {
                // The path of the template is none of a client's business.
                let message = format!("the model's chat template cannot write this: {what}");
                return Self::invalid("messages", message);
            }
            Error::EmptyPrompt
            | Error::TokenOutOfRange { .. }
            | Error::NoTokenizer { .. }
            | Error::TokenBeyondVocabulary { .. }
            | Error::Text(_)
            | Error::NothingToChoose
            | Error::NothingToWeigh => (400, None),
            Error::Cancelled => (503, None),
            Error::OutOfMemory { .. } => return Self::busy(message),
            // The model is loaded again meanwhile.
            Error::DeviceLost(_) => {
                return Self::busy("the device was lost while this was computed; ask again soon");
            }
            // What is damaged stays so.
            _ => (500, Some(false)),
        };
        Self {
            should_retry,
            ..Self::new(status, message)
        }
    }
}

impl ApiError {
    /// A prompt that the context has no room for. Clients look for these words.
    pub(super) fn too_long(context_size: usize, tokens: &str) -> Self {
        Self {
            code: Some("context_length_exceeded"),
            ..Self::new(
                400,
                format!(
                    "This model's maximum context length is {context_size} tokens. However, your prompt has {tokens} tokens, \
                     and at least one has to follow them. Please shorten it."
                ),
            )
        }
    }
}

//! `POST /v1/chat/completions`.

use super::super::api_error::ApiError;
use super::asked::Asked;
use super::context::Context;
use super::fields::Fields;
use super::messages::{self, Most};
use super::reply::{Extras, Form};
use super::settings::Settings;
use crate::generate::PromptLogprobs;

/// What a body asks for.
///
/// # Errors
/// 400 or 404 for a body that makes no sense, naming the field.
pub fn chat(body: &[u8], context: &Context) -> Result<Asked, ApiError> {
    let fields = Fields::of_body(body)?;
    let mut settings = Settings::read(&fields, context)?;
    let logprobs = logprobs(&fields)?;
    let prompt = messages::prompt(&fields, context, Most::Context)?;
    let options = &mut settings.options;
    options.top_logprobs = logprobs.unwrap_or(0);
    if let Some(template) = &context.template {
        options.stop.extend_from_slice(template.stop());
    }
    let extras = Extras {
        form: Form::Chat,
        logprobs,
        echo: false,
    };
    Asked::new(context, &settings, vec![prompt], &extras, "messages")
}

/// How many of the most probable tokens are to be named at each place; `None`: no log-probabilities.
fn logprobs(fields: &Fields<'_>) -> Result<Option<usize>, ApiError> {
    let is_wanted = fields.flag("logprobs")?.unwrap_or(false);
    let top = fields.count("top_logprobs")?.unwrap_or(0);
    let most = PromptLogprobs::MOST_TOP;
    if top > most {
        let message = format!("`top_logprobs` is {top}; 0 to {most} are possible");
        return Err(ApiError::invalid("top_logprobs", message));
    }
    match (is_wanted, top) {
        (true, top) => Ok(Some(top)),
        (false, 0) => Ok(None),
        (false, _) => {
            let message = "`top_logprobs` needs `logprobs` to be true";
            Err(ApiError::invalid("top_logprobs", message))
        }
    }
}

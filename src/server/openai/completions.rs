//! `POST /v1/completions`.

use super::super::api_error::ApiError;
use super::asked::Asked;
use super::context::Context;
use super::fields::Fields;
use super::prompt::ReadPrompts;
use super::reply::{Extras, Form};
use super::settings::Settings;
use crate::generate::PromptLogprobs;

/// OpenAI's default.
const MAX_TOKENS: usize = 16;

/// What a body asks for.
///
/// # Errors
/// 400 or 404 for a body that makes no sense, naming the field.
pub fn completions(body: &[u8], context: &Context) -> Result<Asked, ApiError> {
    let fields = Fields::of_body(body)?;
    let mut settings = Settings::read(&fields, context)?;
    let echo = fields.flag("echo")?.unwrap_or(false);
    let logprobs = fields.count("logprobs")?;
    let most = PromptLogprobs::MOST_TOP;
    if let Some(top) = logprobs.filter(|top| *top > most) {
        let message = format!("`logprobs` is {top}; 0 to {most} are possible");
        return Err(ApiError::invalid("logprobs", message));
    }
    let gets_bos = fields.flag("add_special_tokens")?.unwrap_or(true);
    let most = context.limits.texts;
    let given = fields.get_by("prompt", ReadPrompts { most })?;
    let given = given.ok_or_else(|| ApiError::invalid("prompt", "`prompt` is missing"))?;
    let prompts = given.encode(context, gets_bos);
    let prompts = prompts.map_err(|error| error.or_param("prompt"))?;

    let options = &mut settings.options;
    options.max_tokens.get_or_insert(MAX_TOKENS);
    options.top_logprobs = logprobs.unwrap_or(0);
    options.prompt_logprobs = match logprobs {
        Some(top) if echo => Some(PromptLogprobs { from: 1, top }),
        _ => None,
    };
    let extras = Extras {
        form: Form::Completion,
        logprobs,
        echo,
    };
    Asked::new(context, &settings, prompts, &extras, "prompt")
}

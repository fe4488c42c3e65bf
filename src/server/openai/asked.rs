//! What a request asks for.

use super::super::api_error::ApiError;
use super::context::Context;
use super::prompt::Prompt;
use super::reply::{Extras, Reply};
use super::settings::Settings;
use crate::generate::GenerateOptions;

/// What a request asks for. Everything about it was checked.
pub struct Asked {
    /// All continuations of the first prompt, then those of the second, and so on. The number of a text is its place.
    pub texts: Vec<AskedText>,
    /// What makes an answer of them.
    pub reply: Reply,
    /// Whether the answer is to come in pieces, as events.
    pub is_stream: bool,
}

/// A text that is asked for.
#[derive(Debug, Clone)]
pub struct AskedText {
    /// Its prompt.
    pub ids: Vec<u32>,
    pub options: GenerateOptions,
}

impl Asked {
    /// Each of `prompts`, which came in the field `param`, continued as `settings` say.
    ///
    /// # Errors
    /// 400 for a prompt that cannot be continued so, and for settings that contradict each other.
    pub fn new(
        context: &Context,
        settings: &Settings,
        prompts: Vec<Prompt>,
        extras: &Extras,
        param: &str,
    ) -> Result<Self, ApiError> {
        let (least, longest) = (settings.options.stop_after, settings.options.max_tokens);
        if let Some(longest) = longest.filter(|longest| *longest < least) {
            let message = format!("`min_tokens` is {least}, and `max_tokens` only {longest}");
            return Err(ApiError::invalid("min_tokens", message));
        }
        let (n, most) = (settings.n, context.limits.texts);
        if prompts.len() * n > most {
            let asked = prompts.len() * n;
            let message = format!(
                "{} prompts with {n} texts each are {asked} texts; at most {most} are possible in a request",
                prompts.len()
            );
            return Err(ApiError::invalid("n", message));
        }
        let mut texts = Vec::new();
        for (number, prompt) in prompts.iter().enumerate() {
            let checked = context.model.check_request(&prompt.ids, &settings.options);
            checked.map_err(|error| ApiError::from(&error).or_param(param))?;
            texts.extend((0..n).map(|choice| {
                let mut options = settings.options.clone();
                options.sampling.seed = settings.seed.of(number, choice, n);
                AskedText {
                    ids: prompt.ids.clone(),
                    options,
                }
            }));
        }
        Ok(Self {
            texts,
            reply: Reply::new(context, settings, prompts, extras),
            is_stream: settings.is_stream,
        })
    }
}

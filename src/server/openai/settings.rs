//! What both endpoints have alike: how to generate, how often, and in which form to answer.

use super::super::api_error::ApiError;
use super::context::Context;
use super::fields::{Fields, is_empty};
use crate::error::Error;
use crate::generate::{GenerateOptions, GenerationConfig, Model, SamplingParams, clock_seed};

/// More ids than anybody lets end a text.
const MOST_STOP_IDS: usize = 256;

/// What both endpoints have alike.
pub struct Settings {
    /// Texts for each prompt.
    pub n: usize,
    pub is_stream: bool,
    /// Whether the last piece of a stream says how many tokens there were.
    pub has_usage: bool,
    /// Whether ids are answered beside texts.
    pub has_ids: bool,
    pub seed: Seed,
    /// Of every text, but for its seed.
    pub options: GenerateOptions,
}

/// Where random numbers begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seed {
    /// As it was asked for: a prompt's texts are the same whatever else is in the request.
    Given(u64),
    /// From the clock.
    Clock(u64),
}

impl Seed {
    /// That of the text `choice`, of `n`, of the prompt `prompt`.
    pub fn of(self, prompt: usize, choice: usize, n: usize) -> u64 {
        match self {
            Self::Given(seed) => seed.wrapping_add(choice as u64),
            Self::Clock(seed) => seed.wrapping_add((prompt * n + choice) as u64),
        }
    }
}

impl Settings {
    /// Reads them.
    ///
    /// # Errors
    /// 400 for the field that makes no sense or that cannot be had, 404 for another model.
    pub fn read(fields: &Fields<'_>, context: &Context) -> Result<Self, ApiError> {
        check_model(fields, context)?;
        refuse(fields)?;
        let n = fields.count("n")?.unwrap_or(1);
        let most = context.limits.texts;
        if !(1..=most).contains(&n) {
            let message = format!("`n` is {n}; 1 to {most} texts are possible");
            return Err(ApiError::invalid("n", message));
        }
        if let Some(best_of) = fields.count("best_of")?
            && best_of > n.max(1)
        {
            let message = format!(
                "`best_of` is {best_of} and `n` is {n}: this server gives out all texts that it writes"
            );
            return Err(ApiError::invalid("best_of", message));
        }
        let seed = fields.get::<i64>("seed", "a whole number")?;
        let stream_options = fields.object("stream_options")?;
        let has_usage = stream_options.map(|options| options.flag("include_usage"));
        let settings = Self {
            n,
            is_stream: fields.flag("stream")?.unwrap_or(false),
            has_usage: has_usage.transpose()?.flatten().unwrap_or(false),
            has_ids: fields.flag("return_token_ids")?.unwrap_or(false),
            seed: seed.map_or_else(
                || Seed::Clock(clock_seed()),
                |seed| Seed::Given(seed.cast_unsigned()),
            ),
            options: options(fields, context)?,
        };
        let checked = context.model.check_options(&settings.options);
        checked.map_err(|error| ApiError::from(&error))?;
        Ok(settings)
    }
}

/// # Errors
/// 404 for another model, if names are looked at.
pub fn check_model(fields: &Fields<'_>, context: &Context) -> Result<(), ApiError> {
    match fields.text("model")? {
        Some(asked) if context.is_strict && asked != context.name => {
            Err(ApiError::model_not_found(&asked, &context.name))
        }
        _ => Ok(()),
    }
}

fn options(fields: &Fields<'_>, context: &Context) -> Result<GenerateOptions, ApiError> {
    let model = &context.model;
    let max_tokens = match fields.count("max_completion_tokens")? {
        Some(tokens) => Some(tokens),
        None => fields.count("max_tokens")?,
    };
    let mut sampling = usual(model.generation_config());
    for (name, setting) in [
        ("temperature", &mut sampling.temperature),
        ("top_p", &mut sampling.top_p),
        ("min_p", &mut sampling.min_p),
        ("repetition_penalty", &mut sampling.repetition_penalty),
    ] {
        if let Some(number) = fields.number(name)? {
            *setting = number as f32;
        }
    }
    const TOP_K: &str = "a whole number from 0; 0 and -1 keep all";
    match fields.get::<i64>("top_k", TOP_K)? {
        Some(..-1) => return Err(fields.wrong("top_k", TOP_K)),
        Some(top_k) => sampling.top_k = u32::try_from(top_k.max(0)).unwrap_or(u32::MAX),
        None => {}
    }
    let min_tokens = fields.count("min_tokens")?;
    let own = &mut sampling.processors.min_new_tokens;
    *own = min_tokens.or(*own);
    let ignore_eos = fields.flag("ignore_eos")?.unwrap_or(false);
    let (eos_token_ids, ignore_eos) = ends(fields, model, ignore_eos)?;
    Ok(GenerateOptions {
        max_tokens,
        sampling,
        stop: stops(fields, context)?,
        // As vLLM has it; with Hugging Face only ids have to wait.
        stop_after: min_tokens.unwrap_or(0),
        stop_strings: model.generation_config().stop_strings.clone(),
        eos_token_ids,
        hides_end: true,
        ignore_eos,
        ..GenerateOptions::default()
    })
}

/// How to sample where nothing is asked for: OpenAI's way, with that of the model's author over it.
pub fn usual(config: &GenerationConfig) -> SamplingParams {
    let mut config = config.clone();
    // Hugging Face's own default says nothing about what the author wants.
    if config.top_k == GenerationConfig::default().top_k {
        config.top_k = 0;
    }
    config.do_sample = true;
    SamplingParams::from(&config)
}

/// The ids that end a text, if others than the model's own, and whether none do.
fn ends(
    fields: &Fields<'_>,
    model: &Model,
    ignore_eos: bool,
) -> Result<(Option<Vec<u32>>, bool), ApiError> {
    let stop = fields.list::<u32>("stop_token_ids", MOST_STOP_IDS, "a list of ids")?;
    let Some(mut ids) = stop.filter(|ids| !ids.is_empty()) else {
        return Ok((None, ignore_eos));
    };
    let vocab_size = model.config().vocab_size;
    if let Some(id) = ids.iter().find(|id| **id as usize >= vocab_size) {
        let error = Error::TokenOutOfRange {
            id: *id,
            vocab_size,
        };
        return Err(ApiError::from(&error).or_param("stop_token_ids"));
    }
    if !ignore_eos {
        ids.extend(model.eos_token_ids());
        ids.sort_unstable();
        ids.dedup();
    }
    Ok((Some(ids), false))
}

/// Stop strings. Those that spell a special token never occur in a text, and do no harm.
fn stops(fields: &Fields<'_>, context: &Context) -> Result<Vec<String>, ApiError> {
    let limits = &context.limits;
    let stops = match fields.raw("stop") {
        Some(value) if value.get().starts_with('"') => Vec::from_iter(fields.text("stop")?),
        _ => {
            let stops = fields.list("stop", limits.stop_strings, "a text or a list of texts")?;
            stops.unwrap_or_default()
        }
    };
    if let Some(long) = stops.iter().find(|stop| stop.len() > limits.stop_bytes) {
        let message = format!(
            "a stop string has {} bytes; at most {} are possible",
            long.len(),
            limits.stop_bytes
        );
        return Err(ApiError::invalid("stop", message));
    }
    Ok(stops)
}

/// What a field can be without meaning anything.
#[derive(Clone, Copy)]
enum Neutral {
    Zero,
    Empty,
    Never,
}

/// Fields that would change a text, and that this server does nothing about.
const NOT_HERE: [(&str, Neutral); 22] = [
    ("presence_penalty", Neutral::Zero),
    ("frequency_penalty", Neutral::Zero),
    ("logit_bias", Neutral::Empty),
    ("suffix", Neutral::Empty),
    ("tools", Neutral::Empty),
    ("functions", Neutral::Empty),
    ("images", Neutral::Empty),
    ("audio", Neutral::Never),
    ("use_beam_search", Neutral::Never),
    ("prompt_embeds", Neutral::Empty),
    ("json_schema", Neutral::Empty),
    ("grammar", Neutral::Empty),
    ("guided_json", Neutral::Empty),
    ("guided_regex", Neutral::Empty),
    ("guided_choice", Neutral::Empty),
    ("guided_grammar", Neutral::Empty),
    ("structured_outputs", Neutral::Empty),
    ("bad_words", Neutral::Empty),
    ("allowed_token_ids", Neutral::Empty),
    ("logits_processors", Neutral::Empty),
    ("image_url", Neutral::Never),
    ("web_search_options", Neutral::Never),
];

fn not_here(name: &str) -> ApiError {
    let message = format!("this server cannot do what `{name}` asks for");
    ApiError::invalid(name, message)
}

fn refuse(fields: &Fields<'_>) -> Result<(), ApiError> {
    for (name, neutral) in NOT_HERE {
        let Some(value) = fields.raw(name) else {
            continue;
        };
        let is_neutral = value.get() == "false"
            || match neutral {
                Neutral::Zero => fields.number(name)? == Some(0.0),
                Neutral::Empty => is_empty(value),
                Neutral::Never => false,
            };
        if !is_neutral {
            return Err(not_here(name));
        }
    }
    for name in ["tool_choice", "function_call"] {
        let choice = fields.raw(name).map(|value| value.get());
        if !matches!(choice, None | Some("null" | "\"none\"" | "\"auto\"")) {
            return Err(not_here(name));
        }
    }
    if let Some(format) = fields.object("response_format")?
        && format.text("type")?.is_some_and(|kind| kind != "text")
    {
        let message = "this server writes text; it cannot keep to JSON or a schema";
        return Err(ApiError::invalid("response_format", message));
    }
    if let Some(modalities) = fields.list::<String>("modalities", 16, "a list of texts")?
        && modalities.iter().any(|modality| modality != "text")
    {
        return Err(ApiError::invalid(
            "modalities",
            "this server writes text only",
        ));
    }
    Ok(())
}

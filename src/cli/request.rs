//! What `openelm generate` is asked for: flags and `--generate-kwargs` over the model's own settings.

use anyhow::{Result, bail};
use openelm::{AssistantSchedule, GenerateOptions, GenerationConfig, ModelFiles, SamplingParams};
use serde_json::Value;

use super::args::Generate;
use super::literal;
use super::output;

/// Tokens of a text where nobody says how many.
const MAX_TOKENS: usize = 256;
/// The same with those of the prompt: what the script on Apple's model cards has.
const MAX_LENGTH: usize = 256;

/// What `--generate-kwargs` was given.
struct Kwargs(Vec<(String, Value)>);

/// What is to be generated.
pub struct Request {
    pub options: GenerateOptions,
    /// How many texts.
    pub count: usize,
    /// How many tokens an assistant model proposes at first, and then.
    pub assistant: (usize, AssistantSchedule),
}

impl Generate {
    /// What to generate after a prompt of `prompt` ids. Says what has no effect.
    pub fn request(&self, files: &ModelFiles, prompt: usize) -> Result<Request> {
        let kwargs = Kwargs::parse(&self.generate_kwargs)?;
        self.refuse_contradictions(&kwargs)?;
        let mut config = files.generation_config().clone();
        for (key, value) in &kwargs.0 {
            config.set(key, value)?;
        }
        self.set_lengths(&mut config, &kwargs, prompt);
        if let (Some(temperature), false) = (self.sampling.temperature, kwargs.0.is_empty()) {
            config.do_sample = temperature > 0.0;
        }
        let without_effect = config.without_effect();
        if !kwargs.0.is_empty() && !without_effect.is_empty() {
            output::note(&format!(
                "openelm: warning: without do_sample=true no effect comes from {}",
                without_effect.join(", ")
            ));
        }
        // Flags alone change single settings of a model that samples; over one that does not all others are off.
        let sampling = self.sampling.over(SamplingParams::from(&config));
        if self.sampling.temperature.is_some() {
            config.do_sample = sampling.temperature > 0.0;
            config.temperature = sampling.temperature;
        }
        if let Some(count) = self.num_return_sequences {
            config.set("num_return_sequences", &count.into())?;
        } else if !config.do_sample && kwargs.get("num_return_sequences").is_none() {
            config.num_return_sequences = 1;
        }
        let mut options = config.options(prompt)?;
        options.sampling = sampling;
        options.stop.clone_from(&self.stop);
        options.ignore_eos = self.ignore_eos;
        files.check_options(&options)?;
        let count = config.num_return_sequences;
        if count > 1 && self.assistant_model.is_some() {
            bail!("--assistant-model proposes tokens for one text, not for {count}");
        }
        Ok(Request {
            options,
            count,
            assistant: (
                config.num_assistant_tokens,
                config.num_assistant_tokens_schedule,
            ),
        })
    }

    /// How long a text may and must be. What a person says wins over what the model's file says in other terms, and the file alone is no
    /// reason to refuse a prompt.
    fn set_lengths(&self, config: &mut GenerationConfig, kwargs: &Kwargs, prompt: usize) {
        let is_given = |key: &str| kwargs.get(key).is_some();
        let has_length = self.max_length.is_some() || is_given("max_length");
        if !has_length && config.max_length.is_some_and(|length| length <= prompt) {
            config.max_length = None;
        }
        if has_length && !is_given("max_new_tokens") {
            config.max_new_tokens = None;
        }
        if is_given("min_length") && !is_given("min_new_tokens") {
            config.processors.min_new_tokens = None;
        }
        config.max_length = self.max_length.or(config.max_length);
        config.max_new_tokens = self.max_tokens.or(config.max_new_tokens);
        if config.max_length.is_none() && config.max_new_tokens.is_none() {
            match kwargs.0.is_empty() {
                true => config.max_new_tokens = Some(MAX_TOKENS),
                false => config.max_length = Some(MAX_LENGTH),
            }
        }
    }

    /// The same thing may be said twice, but not differently.
    fn refuse_contradictions(&self, kwargs: &Kwargs) -> Result<()> {
        let count = |count: Option<usize>| count.map(|count| count as f32);
        let sampling = &self.sampling;
        let flags = [
            ("--max-tokens", "max_new_tokens", count(self.max_tokens)),
            ("--max-length", "max_length", count(self.max_length)),
            ("--temperature", "temperature", sampling.temperature),
            ("--top-k", "top_k", sampling.top_k.map(|k| k as f32)),
            ("--top-p", "top_p", sampling.top_p),
            ("--min-p", "min_p", sampling.min_p),
            (
                "--repetition-penalty",
                "repetition_penalty",
                sampling.repetition_penalty,
            ),
            (
                "--num-return-sequences",
                "num_return_sequences",
                count(self.num_return_sequences),
            ),
        ];
        for (flag, key, value) in flags {
            if let (Some(value), Some(other)) = (value, kwargs.get(key))
                && other.as_f64().map(|other| other as f32) != Some(value)
            {
                return contradiction(&format!("{flag} {value}"), key, other);
            }
        }
        if let (Some(temperature), Some(other)) = (sampling.temperature, kwargs.get("do_sample"))
            && other.as_bool() != Some(temperature > 0.0)
        {
            return contradiction(&format!("--temperature {temperature}"), "do_sample", other);
        }
        match kwargs.get("eos_token_id") {
            Some(other) if self.ignore_eos && !other.is_null() => {
                contradiction("--ignore-eos", "eos_token_id", other)
            }
            _ => Ok(()),
        }
    }
}

fn contradiction(flag: &str, key: &str, value: &Value) -> Result<()> {
    bail!("{flag} contradicts {key}={value} of --generate-kwargs; give one of them")
}

impl Kwargs {
    /// The last of several values of a key counts.
    fn parse(arguments: &[String]) -> Result<Self> {
        let pair = |argument: &String| match argument.split_once('=') {
            Some((key, text)) if !key.trim().is_empty() => {
                Ok((key.trim().replace('-', "_"), literal::value(text)))
            }
            _ => {
                bail!("--generate-kwargs takes KEY=VALUE, such as top_p=0.9; this is `{argument}`")
            }
        };
        Ok(Self(arguments.iter().map(pair).collect::<Result<_>>()?))
    }

    fn get(&self, key: &str) -> Option<&Value> {
        let pair = self.0.iter().rfind(|(other, _)| other == key);
        pair.map(|(_, value)| value)
    }
}

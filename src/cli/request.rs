//! What `openelm generate` is asked for: flags and `--generate-kwargs` over the model's own settings.

use anyhow::{Result, bail};
use openelm::{AssistantSchedule, GenerateOptions, GenerationConfig, ModelFiles, SamplingParams};
use serde_json::{Map, Value};

use super::args::{Generate, GenerationArgs};
use super::literal;
use super::output;

/// Tokens of a text where nobody says how many.
const MAX_TOKENS: usize = 256;
/// The same with those of the prompt: what the script on Apple's model cards has.
const MAX_LENGTH: usize = 256;

/// What `--generate-kwargs` was given.
#[derive(Clone)]
struct Kwargs(Vec<(String, Value)>);

/// What is to be generated.
pub struct Request {
    pub options: GenerateOptions,
    /// How many texts.
    pub count: usize,
    /// How many tokens an assistant model proposes at first, and then, where that is said.
    pub assistant: (Option<usize>, Option<AssistantSchedule>),
    /// Settings that were asked for and have no effect, because nothing is sampled.
    without_effect: Vec<&'static str>,
}

impl Request {
    /// Says what has no effect; returns whether there is anything.
    pub fn warn(&self) -> bool {
        let names = self.without_effect.join(", ");
        if !names.is_empty() {
            output::note(&format!(
                "openelm: warning: without do_sample=true, or a temperature, no effect comes from {names}"
            ));
        }
        !names.is_empty()
    }
}

impl Generate {
    /// What to generate after a prompt of `prompt` ids. Says what has no effect.
    pub fn request(&self, files: &ModelFiles, prompt: usize) -> Result<Request> {
        let settings = Settings::new(&self.generation)?;
        let request = settings.request(files.generation_config(), prompt)?;
        request.warn();
        files.check_options(&request.options)?;
        if request.count > 1 && self.assistant_model.is_some() {
            bail!(
                "--assistant-model proposes tokens for one text, not for {}",
                request.count
            );
        }
        Ok(request)
    }
}

/// Flags, with `--generate-kwargs` taken apart.
#[derive(Clone)]
pub struct Settings {
    flags: GenerationArgs,
    kwargs: Kwargs,
}

/// What one of many prompts asks for itself.
#[derive(Default)]
pub struct Own {
    pub max_tokens: Option<usize>,
    pub seed: Option<u64>,
    pub stop: Option<Vec<String>>,
    pub kwargs: Map<String, Value>,
}

impl Settings {
    pub fn new(flags: &GenerationArgs) -> Result<Self> {
        Ok(Self {
            flags: flags.clone(),
            kwargs: Kwargs::parse(&flags.generate_kwargs)?,
        })
    }

    /// These for one text, whatever the model's file says, unless several are asked for.
    pub fn of_one_text(mut self) -> Self {
        if self.kwargs.get("num_return_sequences").is_none() {
            self.flags.num_return_sequences = Some(1);
        }
        self
    }

    /// These for another seed where none is given.
    pub fn or_seed(mut self, seed: u64) -> Self {
        self.flags.sampling.seed.get_or_insert(seed);
        self
    }

    /// These, with what a prompt asks for itself over them: in whatever words it does, flags and kwargs that say otherwise give way.
    pub fn with(mut self, own: Own) -> Self {
        let flags = &mut self.flags;
        let has_tokens = own.max_tokens.is_some() || own.kwargs.contains_key("max_new_tokens");
        if has_tokens || own.kwargs.contains_key("max_length") {
            flags.max_tokens = own.max_tokens;
            self.kwargs.remove("max_new_tokens");
        }
        flags.sampling.seed = own.seed.or(flags.sampling.seed);
        flags.stop = own.stop.unwrap_or(std::mem::take(&mut flags.stop));
        for (key, value) in own.kwargs {
            let (count, number) = (value.as_u64(), value.as_f64().map(|number| number as f32));
            let count = count.and_then(|count| usize::try_from(count).ok());
            let sampling = &mut flags.sampling;
            match key.as_str() {
                "max_length" => replace(&mut flags.max_length, count),
                "num_return_sequences" => replace(&mut flags.num_return_sequences, count),
                "temperature" => replace(&mut sampling.temperature, number),
                "top_k" => {
                    let count = count.and_then(|count| u32::try_from(count).ok());
                    replace(&mut sampling.top_k, count);
                }
                "top_p" => replace(&mut sampling.top_p, number),
                "min_p" => replace(&mut sampling.min_p, number),
                "repetition_penalty" => replace(&mut sampling.repetition_penalty, number),
                "do_sample" => {
                    let is_other = |of: &mut f32| value.as_bool() != Some(*of > 0.0);
                    sampling.temperature.take_if(is_other);
                }
                "eos_token_id" => flags.ignore_eos = false,
                _ => {}
            }
            self.kwargs.0.push((key, value));
        }
        self
    }

    /// What to generate after a prompt of `prompt` ids, with a model's own settings below these.
    pub fn request(&self, own: &GenerationConfig, prompt: usize) -> Result<Request> {
        let Self { flags, kwargs } = self;
        self.refuse_contradictions()?;
        let mut config = own.clone();
        for (key, value) in &kwargs.0 {
            config.set(key, value)?;
        }
        self.set_lengths(&mut config, prompt);
        if let (Some(temperature), false) = (flags.sampling.temperature, kwargs.0.is_empty()) {
            config.do_sample = temperature > 0.0;
        }
        let mut without_effect = match kwargs.0.is_empty() {
            true => Vec::new(),
            false => config.without_effect(),
        };
        // Flags alone change single settings of a model that samples; over one that does not all others are off.
        let sampling = flags.sampling.over(SamplingParams::from(&config));
        if sampling.temperature == 0.0 {
            for cut in flags.sampling.cuts() {
                if !without_effect.contains(&cut) {
                    without_effect.push(cut);
                }
            }
        }
        if flags.sampling.temperature.is_some() {
            config.do_sample = sampling.temperature > 0.0;
            config.temperature = sampling.temperature;
        }
        if let Some(count) = flags.num_return_sequences {
            config.set("num_return_sequences", &count.into())?;
        } else if !config.do_sample && kwargs.get("num_return_sequences").is_none() {
            config.num_return_sequences = 1;
        }
        let is_said = |key: &str| kwargs.get(key).is_some();
        let mut options = config.options(prompt)?;
        options.sampling = sampling;
        options.stop.clone_from(&flags.stop);
        options.ignore_eos = flags.ignore_eos;
        Ok(Request {
            options,
            count: config.num_return_sequences,
            without_effect,
            assistant: (
                is_said("num_assistant_tokens").then_some(config.num_assistant_tokens),
                is_said("num_assistant_tokens_schedule")
                    .then_some(config.num_assistant_tokens_schedule),
            ),
        })
    }

    /// How long a text may and must be. What a person says wins over what the model's file says in other terms, and the file alone is no
    /// reason to refuse a prompt.
    fn set_lengths(&self, config: &mut GenerationConfig, prompt: usize) {
        let Self { flags, kwargs } = self;
        let is_given = |key: &str| kwargs.get(key).is_some();
        let has_length = flags.max_length.is_some() || is_given("max_length");
        if !has_length && config.max_length.is_some_and(|length| length <= prompt) {
            config.max_length = None;
        }
        if has_length && !is_given("max_new_tokens") {
            config.max_new_tokens = None;
        }
        if is_given("min_length") && !is_given("min_new_tokens") {
            config.processors.min_new_tokens = None;
        }
        config.max_length = flags.max_length.or(config.max_length);
        config.max_new_tokens = flags.max_tokens.or(config.max_new_tokens);
        if config.max_length.is_none() && config.max_new_tokens.is_none() {
            match kwargs.0.is_empty() {
                true => config.max_new_tokens = Some(MAX_TOKENS),
                false => config.max_length = Some(MAX_LENGTH),
            }
        }
    }

    /// The same thing may be said twice, but not differently.
    fn refuse_contradictions(&self) -> Result<()> {
        let Self { flags, kwargs } = self;
        let count = |count: Option<usize>| count.map(|count| count as f32);
        let sampling = &flags.sampling;
        let pairs = [
            ("--max-tokens", "max_new_tokens", count(flags.max_tokens)),
            ("--max-length", "max_length", count(flags.max_length)),
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
                count(flags.num_return_sequences),
            ),
        ];
        for (flag, key, value) in pairs {
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
            Some(other) if flags.ignore_eos && !other.is_null() => {
                contradiction("--ignore-eos", "eos_token_id", other)
            }
            _ => Ok(()),
        }
    }
}

/// Has a flag say what somebody says elsewhere, where it says anything.
fn replace<T>(flag: &mut Option<T>, value: Option<T>) {
    if flag.is_some() {
        *flag = value;
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

    fn remove(&mut self, key: &str) {
        self.0.retain(|(other, _)| other != key);
    }

    fn get(&self, key: &str) -> Option<&Value> {
        let pair = self.0.iter().rfind(|(other, _)| other == key);
        pair.map(|(_, value)| value)
    }
}

//! A generation configuration as Hugging Face's `generate` takes it: typed, with the same defaults, from `generation_config.json` and from
//! pairs of key and value.

use std::time::Duration;

use serde_json::{Map, Value};

use super::assistant::AssistantSchedule;
use super::lookup::PromptLookup;
use super::options::GenerateOptions;
use super::params::{ProcessorParams, SamplingParams};
use super::speculation::Speculation;
use crate::error::{Error, Result};

/// How a text is generated. The default is that of Hugging Face's `GenerationConfig` (transformers 4.44), but for `max_length`, which that
/// has at 20.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct GenerationConfig {
    /// Ids that prompt and text have together at most.
    pub max_length: Option<usize>,
    /// Ids that the text has at most; wins over `max_length`.
    pub max_new_tokens: Option<usize>,
    /// What it may take, prompt included.
    pub max_time: Option<Duration>,
    /// Texts that end the text, and belong to it.
    pub stop_strings: Vec<String>,
    /// Ids that end a text; `None`: the model's own.
    pub eos_token_ids: Option<Vec<u32>>,
    /// False: the most probable token, always; what follows, down to `eta_cutoff`, then has no effect.
    pub do_sample: bool,
    pub temperature: f32,
    pub top_k: u32,
    pub top_p: f32,
    pub min_p: f32,
    pub typical_p: f32,
    pub epsilon_cutoff: f32,
    pub eta_cutoff: f32,
    pub repetition_penalty: f32,
    pub processors: ProcessorParams,
    pub num_return_sequences: usize,
    /// Ids that are proposed at once from what prompt and text have already; `None`: none.
    pub prompt_lookup_num_tokens: Option<usize>,
    /// The most ids that are looked up there.
    pub max_matching_ngram_size: usize,
    /// Ids that an assistant model proposes at once.
    pub num_assistant_tokens: usize,
    pub num_assistant_tokens_schedule: AssistantSchedule,
}

impl Default for GenerationConfig {
    fn default() -> Self {
        Self {
            max_length: None,
            max_new_tokens: None,
            max_time: None,
            stop_strings: Vec::new(),
            eos_token_ids: None,
            do_sample: false,
            temperature: 1.0,
            top_k: 50,
            top_p: 1.0,
            min_p: 0.0,
            typical_p: 1.0,
            epsilon_cutoff: 0.0,
            eta_cutoff: 0.0,
            repetition_penalty: 1.0,
            processors: ProcessorParams::default(),
            num_return_sequences: 1,
            prompt_lookup_num_tokens: None,
            max_matching_ngram_size: 2,
            num_assistant_tokens: 5,
            num_assistant_tokens_schedule: AssistantSchedule::default(),
        }
    }
}

impl GenerationConfig {
    /// The default with `pairs` set, in their order.
    ///
    /// # Errors
    /// As [`GenerationConfig::set`](Self::set).
    pub fn from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a Value)>) -> Result<Self> {
        let mut config = Self::default();
        for (key, value) in pairs {
            config.set(key, value)?;
        }
        Ok(config)
    }

    /// What the entries of a model's `generation_config.json`, or another `file` of it, make of the default, for a model with `vocab_size` ids of
    /// which `eos` end a text beside those that the file names. Returns a warning for each entry that makes no sense: settings are no reason to refuse a
    /// model. Entries that mean nothing to generation are passed over.
    pub fn from_file(
        file: &str,
        entries: &Map<String, Value>,
        vocab_size: usize,
        eos: &[u32],
    ) -> (Self, Vec<String>) {
        let (mut config, mut warnings) = (Self::default(), Vec::new());
        let mut warn = |what: String| warnings.push(format!("{file}: {what}"));
        for (key, value) in entries {
            let error = match config.set(key, value) {
                Ok(()) | Err(Error::UnknownOption { .. }) => continue,
                Err(error) => error,
            };
            match meant(value) {
                Some(meant) if config.set(key, &meant).is_ok() => {
                    warn(format!("`{key}` is {value}; {meant} is taken"));
                }
                _ => warn(format!("{error}; it is ignored")),
            }
        }
        let mut eos = eos.to_vec();
        eos.extend(config.eos_token_ids.take().unwrap_or_default());
        while let Err(Error::OptionValue { key, .. }) = config.processors.check(vocab_size, &eos) {
            warn(format!("`{key}` does not suit the model; it is ignored"));
            if config.set(&key, &Value::Null).is_err() {
                break;
            }
        }
        if config.do_sample && config.temperature == 0.0 {
            warn("a `temperature` of 0 is taken for no `do_sample`".into());
            config.do_sample = false;
        }
        if config.num_return_sequences > 1 && !config.do_sample {
            warn("`num_return_sequences` needs `do_sample`; it is ignored".into());
            config.num_return_sequences = 1;
        }
        if config.num_return_sequences > 1 && config.prompt_lookup_num_tokens.is_some() {
            warn("with `prompt_lookup_num_tokens` `num_return_sequences` is 1".into());
            config.num_return_sequences = 1;
        }
        config.eos_token_ids = Some(eos);
        (config, warnings)
    }

    /// Names of settings that have no effect, because they are of sampling and nothing is sampled.
    pub fn without_effect(&self) -> Vec<&'static str> {
        if self.do_sample {
            return Vec::new();
        }
        let default = Self::default();
        let settings = [
            ("temperature", self.temperature != default.temperature),
            // 0 is what `null` is, with which people turn the default off.
            ("top_k", ![0, default.top_k].contains(&self.top_k)),
            ("top_p", self.top_p != default.top_p),
            ("min_p", self.min_p != default.min_p),
            ("typical_p", self.typical_p != default.typical_p),
            (
                "epsilon_cutoff",
                self.epsilon_cutoff != default.epsilon_cutoff,
            ),
            ("eta_cutoff", self.eta_cutoff != default.eta_cutoff),
        ];
        let changed = settings.into_iter().filter(|(_, is_changed)| *is_changed);
        changed.map(|(name, _)| name).collect()
    }

    /// Checks what follows from several settings together.
    ///
    /// # Errors
    /// [`Error::OptionValue`], [`Error::SequencesNeedSampling`].
    pub fn check(&self) -> Result<()> {
        let wrong = |key: &str, value: String, expected: &str| Error::OptionValue {
            key: key.into(),
            value,
            expected: expected.into(),
        };
        if self.do_sample && self.temperature == 0.0 {
            let expected = "with `do_sample` it is a number above 0";
            return Err(wrong("temperature", "0".into(), expected));
        }
        let count = self.num_return_sequences;
        if count > 1 && !self.do_sample {
            return Err(Error::SequencesNeedSampling { count });
        }
        if count > 1 && self.prompt_lookup_num_tokens.is_some() {
            let expected = "with `prompt_lookup_num_tokens` it is 1";
            return Err(wrong("num_return_sequences", count.to_string(), expected));
        }
        Ok(())
    }

    /// How proposed tokens are looked up in the text, if they are.
    pub fn prompt_lookup(&self) -> Option<PromptLookup> {
        Some(PromptLookup {
            tokens: self.prompt_lookup_num_tokens?,
            max_ngram: self.max_matching_ngram_size,
        })
    }

    /// What to generate after a prompt of `prompt` ids.
    ///
    /// # Errors
    /// Those of [`check`](Self::check); [`Error::MaxLength`] where the prompt leaves no room.
    pub fn options(&self, prompt: usize) -> Result<GenerateOptions> {
        self.check()?;
        let max_tokens = match (self.max_new_tokens, self.max_length) {
            (Some(tokens), _) => Some(tokens),
            (None, Some(length)) if length > prompt => Some(length - prompt),
            (None, Some(max_length)) => {
                return Err(Error::MaxLength {
                    max_length,
                    tokens: prompt,
                });
            }
            (None, None) => None,
        };
        Ok(GenerateOptions {
            max_tokens,
            max_time: self.max_time,
            stop_strings: self.stop_strings.clone(),
            eos_token_ids: self.eos_token_ids.clone(),
            sampling: SamplingParams::from(self),
            speculation: self.prompt_lookup().map(Speculation::PromptLookup),
            ..GenerateOptions::default()
        })
    }
}

impl From<&GenerationConfig> for SamplingParams {
    /// Greedy unless it says `do_sample`.
    fn from(config: &GenerationConfig) -> Self {
        let greedy = Self {
            repetition_penalty: config.repetition_penalty,
            processors: config.processors.clone(),
            ..Self::default()
        };
        match config.do_sample {
            false => greedy,
            true => Self {
                temperature: config.temperature,
                top_k: config.top_k,
                top_p: config.top_p,
                min_p: config.min_p,
                typical_p: config.typical_p,
                epsilon_cutoff: config.epsilon_cutoff,
                eta_cutoff: config.eta_cutoff,
                ..greedy
            },
        }
    }
}

/// What somebody may have meant with a value of the wrong type: a number written as text, a whole number with a fraction of nothing.
fn meant(value: &Value) -> Option<Value> {
    let number = match value {
        Value::String(text) => serde_json::from_str(text.trim()).ok()?,
        other => other.clone(),
    };
    match number.as_f64() {
        Some(x) if number.is_f64() && x.fract() == 0.0 && x.abs() < 1e15 => Some((x as i64).into()),
        Some(_) if value.is_string() => Some(number),
        _ => number.is_boolean().then_some(number),
    }
}

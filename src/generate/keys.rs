//! The keys of a generation configuration: what each may be, which exist in Hugging Face's only, and which do not exist.

use std::time::Duration;

use serde_json::Value;

use super::assistant::AssistantSchedule;
use super::config::GenerationConfig;
use super::params::{LEAST, MOST};
use crate::error::{Error, Result};
use crate::excerpt::excerpt;

/// The keys that [`GenerationConfig::set`] takes; `use_cache` and `pad_token_id` change nothing here.
pub const KEYS: [&str; 33] = [
    "bad_words_ids",
    "begin_suppress_tokens",
    "do_sample",
    "eos_token_id",
    "epsilon_cutoff",
    "eta_cutoff",
    "exponential_decay_length_penalty",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "max_length",
    "max_matching_ngram_size",
    "max_new_tokens",
    "max_time",
    "min_length",
    "min_new_tokens",
    "min_p",
    "no_repeat_ngram_size",
    "num_assistant_tokens",
    "num_assistant_tokens_schedule",
    "num_return_sequences",
    "prompt_lookup_num_tokens",
    "remove_invalid_values",
    "renormalize_logits",
    "repetition_penalty",
    "sequence_bias",
    "stop_strings",
    "suppress_tokens",
    "temperature",
    "top_k",
    "top_p",
    "typical_p",
    "use_cache",
    "pad_token_id",
];

/// Texts that a request may have, which is more than anybody reads.
const MOST_SEQUENCES: i64 = 1000;

impl GenerationConfig {
    /// Sets one setting. `null` turns it off, where it can be off.
    ///
    /// # Errors
    /// [`Error::OptionValue`] where the value makes no sense; [`Error::OptionNotHere`] for what only Hugging Face has;
    /// [`Error::UnknownOption`].
    pub fn set(&mut self, key: &str, value: &Value) -> Result<()> {
        let entry = Entry { key, value };
        let processors = &mut self.processors;
        match key {
            "max_length" => {
                let length = entry.or(None, |entry| entry.integer().map(Some))?;
                self.max_length = length.map(at_least_0);
            }
            "max_new_tokens" => self.max_new_tokens = entry.count()?,
            "min_length" => processors.min_length = at_least_0(entry.integer_or(0)?),
            "min_new_tokens" => {
                let tokens = entry.or(None, |entry| entry.integer().map(Some))?;
                processors.min_new_tokens = tokens.map(at_least_0);
            }
            "max_time" => {
                // Too long to be a duration is as good as no limit.
                let seconds = entry.or(None, |entry| entry.number().map(Some))?;
                let time = |seconds: f64| Duration::try_from_secs_f64(seconds.max(0.0)).ok();
                self.max_time = seconds.and_then(time);
            }
            "stop_strings" => self.stop_strings = entry.or(Vec::new(), Entry::texts)?,
            "eos_token_id" => {
                let ids = entry.or(Vec::new(), Entry::id_or_ids)?;
                self.eos_token_ids = Some(known(&ids));
            }
            "do_sample" => self.do_sample = entry.flag()?,
            "temperature" => {
                let expected = "a number from 0 to 1000000 is possible, above 0 with `do_sample`";
                self.temperature = entry.float(1.0, 0.0..=MOST, expected)?;
            }
            "top_k" => {
                let expected = "a whole number from 0 is possible; 0 keeps all";
                let top_k = entry.integer_or(0)?;
                let top_k = u32::try_from(top_k.min(i64::from(u32::MAX)));
                self.top_k = top_k.map_err(|_| entry.wrong(expected))?;
            }
            // Of these, numbers that cut nothing are off, as in Hugging Face's `_get_logits_warper`.
            "top_p" => {
                let expected = "a number from 0 is possible; from 1 on it is off";
                self.top_p = entry.float(1.0, 0.0..=f32::MAX, expected)?.min(1.0);
            }
            "min_p" => self.min_p = entry.float(0.0, 0.0..=1.0, "0 to 1 is possible")?,
            "typical_p" => {
                let expected = "a number above 0 is possible; from 1 on it is off";
                self.typical_p = entry.float(1.0, LEAST..=f32::MAX, expected)?.min(1.0);
            }
            "epsilon_cutoff" => self.epsilon_cutoff = entry.cutoff()?,
            "eta_cutoff" => self.eta_cutoff = entry.cutoff()?,
            "repetition_penalty" => {
                let expected = "a number above 0 is possible, up to 1000000";
                self.repetition_penalty = entry.float(1.0, LEAST..=MOST, expected)?;
            }
            "no_repeat_ngram_size" => {
                processors.no_repeat_ngram_size = at_least_0(entry.integer_or(0)?);
            }
            "sequence_bias" => processors.sequence_bias = entry.or(Vec::new(), Entry::biases)?,
            "bad_words_ids" => processors.bad_words_ids = entry.or(Vec::new(), Entry::sequences)?,
            "forced_bos_token_id" => {
                processors.forced_bos_token_id = entry.or(None, |entry| entry.id().map(Some))?;
            }
            "forced_eos_token_id" => {
                let ids = entry.or(Vec::new(), Entry::id_or_ids)?;
                if ids.iter().any(|id| *id < 0) {
                    return Err(entry.wrong("ids from 0 are possible"));
                }
                processors.forced_eos_token_ids = known(&ids);
            }
            "remove_invalid_values" => processors.remove_invalid_values = entry.flag()?,
            "exponential_decay_length_penalty" => {
                processors.exponential_decay_length_penalty =
                    entry.or(None, |entry| entry.decay().map(Some))?;
            }
            "suppress_tokens" => {
                processors.suppress_tokens = known(&entry.or(Vec::new(), Entry::integers)?);
            }
            "begin_suppress_tokens" => {
                processors.begin_suppress_tokens = known(&entry.or(Vec::new(), Entry::integers)?);
            }
            "renormalize_logits" => processors.renormalize_logits = entry.flag()?,
            "num_return_sequences" => {
                let count = entry.integer_or(1)?;
                if !(1..=MOST_SEQUENCES).contains(&count) {
                    return Err(entry.wrong("1 to 1000 texts are possible"));
                }
                self.num_return_sequences = at_least_0(count);
            }
            "prompt_lookup_num_tokens" => self.prompt_lookup_num_tokens = entry.count()?,
            "max_matching_ngram_size" => {
                let size = entry.integer_or(0)?;
                // 0 is Hugging Face's default too.
                self.max_matching_ngram_size = match size {
                    0 => 2,
                    1.. => at_least_0(size),
                    _ => return Err(entry.wrong(ABOVE_0)),
                };
            }
            "num_assistant_tokens" => {
                let count = entry.count()?;
                self.num_assistant_tokens = count.ok_or_else(|| entry.wrong(ABOVE_0))?;
            }
            "num_assistant_tokens_schedule" => {
                self.num_assistant_tokens_schedule = match value.as_str() {
                    Some("heuristic") => AssistantSchedule::Heuristic,
                    Some("heuristic_transient") => AssistantSchedule::HeuristicTransient,
                    Some("constant") => AssistantSchedule::Constant,
                    _ => {
                        let expected = "heuristic, heuristic_transient and constant are possible";
                        return Err(entry.wrong(expected));
                    }
                };
            }
            _ => return entry.elsewhere(),
        }
        Ok(())
    }
}

const ABOVE_0: &str = "a whole number above 0 is possible";

/// Negative counts mean what 0 does.
fn at_least_0(count: i64) -> usize {
    usize::try_from(count.max(0)).unwrap_or(usize::MAX)
}

/// Ids that could be those of a model: others are never met, and then nothing is to be done about them.
fn known(ids: &[i64]) -> Vec<u32> {
    ids.iter()
        .filter_map(|id| u32::try_from(*id).ok())
        .collect()
}

/// A key with its value.
#[derive(Clone, Copy)]
struct Entry<'a> {
    key: &'a str,
    value: &'a Value,
}

impl<'a> Entry<'a> {
    fn wrong(&self, expected: &str) -> Error {
        Error::OptionValue {
            key: self.key.into(),
            value: excerpt(self.value),
            expected: expected.into(),
        }
    }

    /// `off` for null.
    fn or<T>(&self, off: T, read: impl FnOnce(&Self) -> Result<T>) -> Result<T> {
        match self.value.is_null() {
            true => Ok(off),
            false => read(self),
        }
    }

    fn integer(&self) -> Result<i64> {
        let integer = self.value.as_i64();
        let integer = integer.or(self.value.as_u64().map(|_| i64::MAX));
        integer.ok_or_else(|| self.wrong("a whole number is expected"))
    }

    fn integer_or(&self, off: i64) -> Result<i64> {
        self.or(off, Self::integer)
    }

    /// A number of something, at least one; `None` for null.
    fn count(&self) -> Result<Option<usize>> {
        match self.or(None, |entry| entry.integer().map(Some))? {
            Some(..=0) => Err(self.wrong(ABOVE_0)),
            count => Ok(count.map(at_least_0)),
        }
    }

    fn number(&self) -> Result<f64> {
        let number = self.value.as_f64();
        number.ok_or_else(|| self.wrong("a number is expected"))
    }

    fn float(&self, off: f32, range: std::ops::RangeInclusive<f32>, expected: &str) -> Result<f32> {
        let value = self.or(f64::from(off), Self::number)? as f32;
        match range.contains(&value) {
            true => Ok(value),
            false => Err(self.wrong(expected)),
        }
    }

    /// A probability below which tokens are cut; 0, which is off, for what is none.
    fn cutoff(&self) -> Result<f32> {
        let cutoff = self.or(0.0, Self::number)? as f32;
        match (f32::MIN_POSITIVE..=1.0 - LEAST).contains(&cutoff) {
            true => Ok(cutoff),
            false => Ok(0.0),
        }
    }

    /// False for null. 1 and 0 are what they are to Python.
    fn flag(&self) -> Result<bool> {
        match (self.value, self.value.as_i64()) {
            (Value::Bool(flag), _) => Ok(*flag),
            (Value::Null, _) | (_, Some(0)) => Ok(false),
            (_, Some(1)) => Ok(true),
            _ => Err(self.wrong("true or false is expected")),
        }
    }

    fn id(&self) -> Result<u32> {
        let id = self.value.as_u64().and_then(|id| u32::try_from(id).ok());
        id.ok_or_else(|| self.wrong("an id is expected"))
    }

    /// The values of a list as entries of the same key.
    fn list(&self, expected: &str) -> Result<impl Iterator<Item = Self> + use<'a>> {
        let key = self.key;
        let list = self.value.as_array();
        let list = list.ok_or_else(|| self.wrong(expected))?;
        Ok(list.iter().map(move |value| Self { key, value }))
    }

    fn integers(&self) -> Result<Vec<i64>> {
        self.list("a list of ids is expected")?
            .map(|entry| entry.integer())
            .collect()
    }

    fn id_or_ids(&self) -> Result<Vec<i64>> {
        match self.value {
            Value::Number(_) => Ok(vec![self.integer()?]),
            Value::Array(list) if list.is_empty() => {
                Err(self.wrong("an id or a list of ids is expected; null is none"))
            }
            _ => self.integers(),
        }
    }

    fn ids(&self) -> Result<Vec<u32>> {
        let ids: Vec<u32> = self
            .list("a list of ids is expected")?
            .map(|entry| entry.id())
            .collect::<Result<_>>()?;
        match ids.is_empty() {
            true => Err(self.wrong("a sequence has at least one id")),
            false => Ok(ids),
        }
    }

    fn sequences(&self) -> Result<Vec<Vec<u32>>> {
        let expected = "a list of lists of ids is expected, such as [[5], [7, 8]]; null is none";
        let sequences: Vec<_> = self
            .list(expected)?
            .map(|entry| entry.ids())
            .collect::<Result<_>>()?;
        match sequences.is_empty() {
            true => Err(self.wrong(expected)),
            false => Ok(sequences),
        }
    }

    fn biases(&self) -> Result<Vec<(Vec<u32>, f32)>> {
        let expected = "a list of ids with their biases is expected, such as [[[5], -1.5], [[7, 8], 2]]; null is none";
        let biases: Vec<_> = self
            .list(expected)?
            .map(|entry| {
                let pair: Vec<Self> = entry.list(expected)?.collect();
                match pair[..] {
                    [ids, bias] => Ok((ids.ids()?, bias.number()? as f32)),
                    _ => Err(entry.wrong(expected)),
                }
            })
            .collect::<Result<_>>()?;
        match biases.is_empty() {
            true => Err(self.wrong(expected)),
            false => Ok(biases),
        }
    }

    fn decay(&self) -> Result<(i64, f64)> {
        let expected = "begin and factor are expected, such as [30, 1.05]";
        let pair: Vec<Self> = self.list(expected)?.collect();
        match pair[..] {
            [start, factor] => Ok((start.integer()?, factor.number()?)),
            _ => Err(self.wrong(expected)),
        }
    }

    fn texts(&self) -> Result<Vec<String>> {
        let expected = "a text or a list of texts is expected, none of them empty; null is none";
        let texts: Option<Vec<String>> = match self.value {
            Value::String(text) => Some(vec![text.clone()]),
            Value::Array(list) => list
                .iter()
                .map(|text| text.as_str().map(str::to_owned))
                .collect(),
            _ => None,
        };
        match texts {
            Some(texts) if !texts.is_empty() && !texts.iter().any(String::is_empty) => Ok(texts),
            _ => Err(self.wrong(expected)),
        }
    }

    /// A key that nothing is to be done about: where its value is one that changes no text, that is fine.
    fn elsewhere(&self) -> Result<()> {
        let is = |number: f64| self.value.is_null() || self.value.as_f64() == Some(number);
        let is_without_effect = match self.key {
            "use_cache"
            | "pad_token_id"
            | "bos_token_id"
            | "decoder_start_token_id"
            | "early_stopping"
            | "length_penalty"
            | "low_memory"
            | "return_dict_in_generate"
            | "return_legacy_cache"
            | "generation_kwargs"
            | "transformers_version"
            | "_from_model_config"
            | "_commit_hash" => true,
            "num_beams" | "num_beam_groups" | "guidance_scale" | "encoder_repetition_penalty" => {
                is(1.0)
            }
            "diversity_penalty" | "penalty_alpha" | "encoder_no_repeat_ngram_size" => is(0.0),
            "forced_decoder_ids" => {
                self.value.is_null() || self.value.as_array().is_some_and(Vec::is_empty)
            }
            // Ways to keep keys and values that change no number.
            "cache_implementation" => {
                self.value.is_null()
                    || ["dynamic", "static"].contains(&self.value.as_str().unwrap_or_default())
            }
            "token_healing"
            | "output_attentions"
            | "output_hidden_states"
            | "output_scores"
            | "output_logits"
            | "synced_gpus" => self.value.is_null() || *self.value == Value::Bool(false),
            "constraints"
            | "force_words_ids"
            | "watermarking_config"
            | "dola_layers"
            | "cache_config"
            | "assistant_model"
            | "attention_mask"
            | "inputs_embeds"
            | "logits_processor"
            | "negative_prompt_attention_mask"
            | "negative_prompt_ids"
            | "prefix_allowed_tokens_fn"
            | "stopping_criteria"
            | "streamer" => self.value.is_null(),
            _ => {
                return Err(Error::UnknownOption {
                    key: self.key.into(),
                    nearest: nearest(self.key),
                });
            }
        };
        match is_without_effect {
            true => Ok(()),
            false => Err(Error::OptionNotHere {
                key: self.key.into(),
                value: self.value.to_string(),
            }),
        }
    }
}

/// The key that is most like `key`, if any is.
fn nearest(key: &str) -> Option<&'static str> {
    let with_distance = KEYS.map(|other| (distance(key, other), other));
    let (distance, nearest) = with_distance.into_iter().min()?;
    (distance * 2 <= nearest.len()).then_some(nearest)
}

/// How many letters have to be added and left out to make one word of the other.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut corner = i;
        row[0] = i + 1;
        for (j, y) in b.chars().enumerate() {
            let kept = if x == y { corner } else { usize::MAX };
            corner = row[j + 1];
            row[j + 1] = kept.min(row[j] + 1).min(corner + 1);
        }
    }
    row[b.chars().count()]
}

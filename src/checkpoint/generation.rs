//! `generation_config.json`, or what older models have in `config.json` in its place: its entries as they are. Which of them make sense, and what
//! they mean, is the business of `generate`.

use std::path::Path;

use serde_json::{Map, Value};

use super::read::read_bounded;
use crate::error::Result;

/// How to generate where nobody says otherwise: the entries of a file, unchecked.
#[derive(Debug, Clone, PartialEq)]
pub struct GenerationDefaults {
    pub entries: Map<String, Value>,
    /// Which file they are of.
    pub file: &'static str,
}

const GENERATION: &str = "generation_config.json";
const CONFIG: &str = "config.json";

impl Default for GenerationDefaults {
    fn default() -> Self {
        Self {
            entries: Map::new(),
            file: GENERATION,
        }
    }
}

impl GenerationDefaults {
    /// Those of a model: of `config.json`, which may have other entries as well, where there is no `generation_config.json` or where that says that
    /// it was made of the other, which has settings (as transformers 4.44 decides, `_prepare_generation_config`).
    pub(super) fn of(
        config: &[u8],
        generation: Option<&[u8]>,
        folder: &Path,
    ) -> (Self, Option<String>) {
        let mut of_config = Self {
            entries: serde_json::from_slice(config).unwrap_or_default(),
            file: CONFIG,
        };
        // That one the configuration reads itself.
        of_config.entries.remove("eos_token_id");
        let Some(generation) = generation else {
            return (of_config, None);
        };
        let (of_file, warning) = Self::parse(generation, &folder.join(GENERATION));
        let was_made = of_file.entries.get("_from_model_config") == Some(&Value::Bool(true));
        match was_made && of_config.has_settings() {
            true => (of_config, None),
            false => (of_file, warning),
        }
    }

    /// Whether an entry of `config.json` is a setting that is not transformers' own default (`_get_generation_defaults` there).
    fn has_settings(&self) -> bool {
        let is_number = |name: &str, usual: f64| {
            let value = self.entries.get(name);
            value.is_none_or(|value| value.as_f64() == Some(usual))
        };
        let is_off = |name: &str| {
            let value = self.entries.get(name);
            matches!(value, None | Some(Value::Null | Value::Bool(false)))
        };
        let usual = [
            ("max_length", 20.0),
            ("min_length", 0.0),
            ("num_beams", 1.0),
            ("num_beam_groups", 1.0),
            ("diversity_penalty", 0.0),
            ("temperature", 1.0),
            ("top_k", 50.0),
            ("top_p", 1.0),
            ("typical_p", 1.0),
            ("repetition_penalty", 1.0),
            ("length_penalty", 1.0),
            ("no_repeat_ngram_size", 0.0),
            ("encoder_no_repeat_ngram_size", 0.0),
            ("num_return_sequences", 1.0),
        ];
        let off = [
            "do_sample",
            "early_stopping",
            "bad_words_ids",
            "output_scores",
            "return_dict_in_generate",
            "forced_bos_token_id",
            "forced_eos_token_id",
            "remove_invalid_values",
            "exponential_decay_length_penalty",
            "suppress_tokens",
            "begin_suppress_tokens",
        ];
        !(usual.iter().all(|(name, usual)| is_number(name, *usual)) && off.into_iter().all(is_off))
    }

    /// Parses the file's text. Settings are no reason to refuse a model: where it is no JSON object there are none, and a warning.
    fn parse(json: &[u8], path: &Path) -> (Self, Option<String>) {
        let file = GENERATION;
        let what = match serde_json::from_slice(json) {
            Ok(Value::Object(entries)) => return (Self { entries, file }, None),
            Ok(_) => "is not a JSON object".to_owned(),
            Err(_) if json.trim_ascii().is_empty() => "is empty".to_owned(),
            Err(error) => format!("is not valid JSON ({error})"),
        };
        let warning = format!("{}: {what}; it is ignored", path.display());
        (Self::default(), Some(warning))
    }
}

/// The file's bytes, if it is there; what is wrong with it otherwise.
pub(super) fn read(path: &Path) -> (Option<Vec<u8>>, Option<String>) {
    let bytes: Result<Option<Vec<u8>>> = match path.exists() {
        true => read_bounded(path, 1 << 20).map(Some),
        false => Ok(None),
    };
    match bytes {
        Ok(bytes) => (bytes, None),
        Err(error) => (None, Some(format!("{error}; it is ignored"))),
    }
}

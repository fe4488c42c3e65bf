//! `adapter_config.json`, as PEFT writes it: how much of its matrices a LoRA adapter adds, to which modules, and what it does beyond that.

use std::collections::HashMap;
use std::path::Path;

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::entries::Entries;
use crate::error::{Error, Result};
use crate::excerpt::excerpt;

/// The ranks and scales of a LoRA adapter, and the modules that it is for.
#[derive(Debug, PartialEq)]
pub struct LoraConfig {
    rank: Setting,
    alpha: Setting,
    /// Names of modules, or ends of them; `None`: not said in a way that could be held against names.
    target_modules: Option<Vec<String>>,
    /// Whether the scale is alpha over the root of the rank.
    is_rank_stabilized: bool,
}

/// PEFT's own, for `r` and for `lora_alpha`.
const DEFAULT: f64 = 8.0;

/// A number for all modules, and others for some: the first whose pattern fits counts.
#[derive(Debug, PartialEq)]
struct Setting {
    of_all: f64,
    of_some: Vec<(Module, f64)>,
}

impl LoraConfig {
    /// Parses an adapter's configuration; `path` is only for messages.
    ///
    /// # Errors
    /// [`Error::Adapter`] that names what cannot be merged.
    pub fn parse(json: &[u8], path: &Path) -> Result<Self> {
        let fail = |what: String| Error::adapter(path, what);
        // Patterns count in the order of the file, which a map of values does not keep.
        let fields: HashMap<String, &RawValue> = serde_json::from_slice(json)
            .map_err(|error| fail(format!("not the configuration of an adapter: {error}")))?;
        let values: Map<String, Value> = serde_json::from_slice(json)
            .map_err(|error| fail(format!("not the configuration of an adapter: {error}")))?;
        let get = |field: &str| values.get(field).filter(|value| !value.is_null());
        match get("peft_type") {
            Some(Value::String(kind)) if kind == "LORA" => {}
            Some(kind) => {
                return Err(fail(format!(
                    "`peft_type` is {}; only adapters of the type LORA can be merged",
                    excerpt(kind)
                )));
            }
            None if get("fine_tune_type").is_some() => {
                let what = "is an adapter of MLX's, not of PEFT's: merge it with mlx_lm.fuse, and take the whole model";
                return Err(fail(what.into()));
            }
            None => return Err(fail("`peft_type` is missing; LORA is expected".into())),
        }
        refuse_more(&values).map_err(fail)?;
        let setting = |of_all: &str, of_some: &str| {
            let number = |field: &str, value: &Value| match value.as_f64() {
                Some(number) if number.is_finite() && number.abs() <= 1e6 => Ok(number),
                _ => Err(format!(
                    "`{field}` is {}; a number is expected",
                    excerpt(value)
                )),
            };
            let patterns = match get(of_some).and(fields.get(of_some)) {
                None => Vec::new(),
                Some(json) => {
                    let Entries::<Value>(entries) =
                        serde_json::from_str(json.get()).map_err(|_| {
                            format!(
                                "`{of_some}` is {}; an object of numbers is expected",
                                excerpt(json)
                            )
                        })?;
                    entries
                }
            };
            let pattern = |(key, value): &(String, Value)| {
                let module = Module::parse(key).ok_or_else(|| {
                    format!(
                        "`{of_some}` has `{}`, a regular expression; names of modules, or ends of them, can be read",
                        excerpt(key)
                    )
                })?;
                Ok((module, number(of_some, value)?))
            };
            Ok(Setting {
                of_all: get(of_all).map_or(Ok(DEFAULT), |value| number(of_all, value))?,
                of_some: patterns
                    .iter()
                    .map(pattern)
                    .collect::<std::result::Result<_, String>>()?,
            })
        };
        let target_modules = match get("target_modules") {
            Some(Value::Array(list)) => {
                let names = list.iter().map(|name| name.as_str().map(str::to_owned));
                names.collect()
            }
            _ => None,
        };
        Ok(Self {
            rank: setting("r", "rank_pattern").map_err(fail)?,
            alpha: setting("lora_alpha", "alpha_pattern").map_err(fail)?,
            target_modules,
            is_rank_stabilized: get("use_rslora").is_some_and(|value| *value == Value::Bool(true)),
        })
    }

    /// What the product of a module's two matrices of `rank` is multiplied with.
    ///
    /// # Errors
    /// Says so where the configuration has another rank for the module.
    pub fn scale(&self, module: &str, rank: usize) -> std::result::Result<f32, String> {
        let said = self.rank.of(module);
        let rank = rank as f64;
        if said != rank {
            return Err(format!(
                "A and B have the rank {rank}, and adapter_config.json says {said} (`r`, `rank_pattern`): they are not of one adapter"
            ));
        }
        let by = match self.is_rank_stabilized {
            true => rank.sqrt(),
            false => rank,
        };
        Ok((self.alpha.of(module) / by) as f32)
    }

    /// Whether `target_modules` names a module: PEFT leaves the matrices of others unused.
    pub fn is_for(&self, module: &str) -> bool {
        let names = self.target_modules.as_ref();
        names.is_none_or(|names| names.iter().any(|name| ends_with(module, name)))
    }
}

impl Setting {
    fn of(&self, module: &str) -> f64 {
        let own = self.of_some.iter().find(|(of, _)| of.fits(module));
        own.map_or(self.of_all, |(_, number)| *number)
    }
}

/// A key of a pattern, which PEFT reads as `(.*\.)?KEY$`.
#[derive(Debug, PartialEq)]
struct Module {
    name: String,
    is_whole: bool,
}

impl Module {
    /// Without what quotes dots; `None` for one that is more than a name.
    fn parse(key: &str) -> Option<Self> {
        let (key, is_whole) = match key.strip_prefix('^') {
            Some(key) => (key, true),
            None => (key, false),
        };
        let name = key.trim_end_matches('$').replace("\\.", ".");
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        name.chars()
            .all(is_plain)
            .then_some(Self { name, is_whole })
    }

    fn fits(&self, module: &str) -> bool {
        match self.is_whole {
            true => module == self.name,
            false => ends_with(module, &self.name),
        }
    }
}

/// Whether the last parts of a module's name are `end`.
fn ends_with(module: &str, end: &str) -> bool {
    let before = module.strip_suffix(end);
    before.is_some_and(|before| before.is_empty() || before.ends_with('.'))
}

/// Refuses what is more than adding `B A` to matrices. A message says what it is.
fn refuse_more(fields: &Map<String, Value>) -> std::result::Result<(), String> {
    let is_set = |value: &Value| match value {
        Value::Null | Value::Bool(false) => false,
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
        Value::String(text) => text != "none",
        _ => true,
    };
    let flags = [
        (
            "use_dora",
            "it is a DoRA adapter, which also scales the matrices that it adds to",
        ),
        (
            "lora_bias",
            "it has learned biases, which OpenELM has none of",
        ),
        (
            "modules_to_save",
            "it replaces whole modules of the base model",
        ),
        (
            "trainable_token_indices",
            "it replaces single rows of the embedding",
        ),
        ("layer_replication", "it repeats layers of the base model"),
        ("use_qalora", "its matrices are pooled (QA-LoRA)"),
        (
            "alora_invocation_tokens",
            "it works only behind certain tokens (aLoRA)",
        ),
        (
            "target_parameters",
            "it changes parameters that are no modules",
        ),
    ];
    for (field, what) in flags {
        if let Some(value) = fields.get(field).filter(|value| is_set(value)) {
            return Err(format!(
                "`{field}` is {}: {what}. That cannot be merged here; merge it with PEFT (merge_and_unload) and take the whole model",
                excerpt(value)
            ));
        }
    }
    // These begin by taking something out of the base model, which then has to be another one.
    let changes_base = ["pissa", "olora", "corda", "loftq", "lora_ga"];
    match fields.get("init_lora_weights") {
        Some(Value::String(how)) if changes_base.iter().any(|name| how.starts_with(name)) => {
            Err(format!(
                "`init_lora_weights` is `{how}`, which changes the base model too; have PEFT save it as a plain LoRA adapter"
            ))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(more: &str) -> Result<LoraConfig> {
        let json = format!(r#"{{"peft_type": "LORA", "r": 4, "lora_alpha": 16{more}}}"#);
        LoraConfig::parse(json.as_bytes(), Path::new("adapter_config.json"))
    }

    #[test]
    fn scales_are_those_of_peft() {
        let scale = |more: &str, module: &str, rank| parse(more).unwrap().scale(module, rank);
        let plain = "";
        let first = "transformer.layers.0.attn.qkv_proj";
        assert_eq!(scale(plain, first, 4), Ok(4.0));
        assert_eq!(scale(r#", "use_rslora": true"#, "x", 4), Ok(8.0));
        let own = r#", "alpha_pattern": {"layers\\.1.ffn.proj_1": 2, "qkv_proj": 1}, "rank_pattern": {"qkv_proj": 8}"#;
        assert_eq!(scale(own, "transformer.layers.1.ffn.proj_1", 4), Ok(0.5));
        assert_eq!(scale(own, "transformer.layers.11.ffn.proj_1", 4), Ok(4.0));
        assert_eq!(scale(own, first, 8), Ok(0.125));
        assert_eq!(
            scale(own, "transformer.layers.0.attn.my_qkv_proj", 4),
            Ok(4.0)
        );
        // The first in the file counts, however it is spelt, and `^` means the beginning.
        let ordered =
            r#", "alpha_pattern": {"transformer.layers.0.attn.qkv_proj": 32, "qkv_proj": 8}"#;
        assert_eq!(scale(ordered, first, 4), Ok(8.0));
        let anchored = r#", "alpha_pattern": {"^layers.0.attn.qkv_proj": 32}"#;
        assert_eq!(scale(anchored, first, 4), Ok(4.0));
        assert_eq!(scale(anchored, "layers.0.attn.qkv_proj", 4), Ok(8.0));
        // What is not said is PEFT's default.
        let least = LoraConfig::parse(br#"{"peft_type": "LORA"}"#, Path::new("a")).unwrap();
        assert_eq!(least.scale("x", 8), Ok(1.0));
        let other = scale(plain, first, 8).unwrap_err();
        assert!(
            other.contains("rank 8") && other.contains("says 4"),
            "{other}"
        );
    }

    #[test]
    fn modules_that_nobody_asked_for_are_told() {
        let some = parse(r#", "target_modules": ["attn.qkv_proj", "proj_1"]"#).unwrap();
        assert!(some.is_for("transformer.layers.0.attn.qkv_proj"));
        assert!(some.is_for("transformer.layers.0.ffn.proj_1"));
        assert!(!some.is_for("transformer.layers.0.ffn.my_proj_1"));
        assert!(!some.is_for("transformer.layers.0.attn.out_proj"));
        for any in [
            "",
            r#", "target_modules": "all-linear""#,
            r#", "target_modules": [1]"#,
        ] {
            assert!(parse(any).unwrap().is_for("anything"));
        }
    }

    #[test]
    fn what_cannot_be_merged_is_named() {
        for (more, word) in [
            (r#", "use_dora": true"#, "DoRA"),
            (r#", "modules_to_save": ["lm_head"]"#, "modules_to_save"),
            (r#", "init_lora_weights": "pissa_niter_4""#, "pissa"),
            (r#", "alpha_pattern": {"a|b": 1}"#, "regular expression"),
            (r#", "alpha_pattern": {"a": "b"}"#, "alpha_pattern"),
            (r#", "rank_pattern": [1]"#, "rank_pattern"),
            (r#", "r": "x""#, "`r`"),
            (r#", "lora_alpha": 1e99"#, "lora_alpha"),
            (r#", "peft_type": "IA3""#, "IA3"),
        ] {
            let text = parse(more).unwrap_err().to_string();
            assert!(
                text.contains(word) && text.starts_with("adapter_config.json: "),
                "{text}"
            );
        }
        for fine in [
            r#", "bias": "none", "modules_to_save": null, "use_dora": false, "alpha_pattern": {}, "init_lora_weights": true"#,
            // OpenELM has none that could be learned.
            r#", "bias": "all""#,
            r#", "modules_to_save": [], "layer_replication": null, "fan_in_fan_out": true, "something_new": 1"#,
        ] {
            assert!(parse(fine).is_ok());
        }
        let mlx = br#"{"fine_tune_type": "lora", "lora_parameters": {"rank": 8}}"#;
        let error = LoraConfig::parse(mlx, Path::new("a")).unwrap_err();
        assert!(error.to_string().contains("mlx_lm.fuse"), "{error}");
        for none in ["", "[]", "{}"] {
            assert!(LoraConfig::parse(none.as_bytes(), Path::new("a")).is_err());
        }
    }
}

//! `adapter_config.json`, as PEFT writes it: how much of its matrices a LoRA adapter adds, and what it does beyond that.

use std::path::Path;

use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// The scale of a LoRA adapter.
#[derive(Debug, PartialEq)]
pub struct LoraConfig {
    alpha: f64,
    /// Of modules with an alpha of their own, by the end of their name.
    alpha_pattern: Vec<(String, f64)>,
    /// Whether the scale is alpha over the root of the rank.
    is_rank_stabilized: bool,
}

impl LoraConfig {
    /// Parses an adapter's configuration; `path` is only for messages.
    ///
    /// # Errors
    /// [`Error::Adapter`] that names what cannot be merged.
    pub fn parse(json: &[u8], path: &Path) -> Result<Self> {
        let fail = |what: String| Error::adapter(path, what);
        let fields: Map<String, Value> = serde_json::from_slice(json)
            .map_err(|error| fail(format!("not the configuration of an adapter: {error}")))?;
        let get = |field: &str| fields.get(field).filter(|value| !value.is_null());
        match get("peft_type") {
            Some(Value::String(kind)) if kind == "LORA" => {}
            Some(kind) => {
                return Err(fail(format!(
                    "`peft_type` is {kind}; only adapters of the type LORA can be merged"
                )));
            }
            None if get("fine_tune_type").is_some() => {
                let what = "is an adapter of MLX's, not of PEFT's: merge it with mlx_lm.fuse, and take the whole model";
                return Err(fail(what.into()));
            }
            None => return Err(fail("`peft_type` is missing; LORA is expected".into())),
        }
        refuse_more(&fields).map_err(fail)?;
        let number = |field: &str, value: &Value| match value.as_f64() {
            Some(number) if number.is_finite() && number.abs() <= 1e6 => Ok(number),
            _ => Err(fail(format!("`{field}` is {value}; a number is expected"))),
        };
        let alpha = match get("lora_alpha") {
            Some(value) => number("lora_alpha", value)?,
            None => return Err(fail("`lora_alpha` is missing".into())),
        };
        let alpha_pattern = match get("alpha_pattern") {
            None => Vec::new(),
            Some(Value::Object(pattern)) => pattern
                .iter()
                .map(|(key, value)| {
                    let end = literal(key).ok_or_else(|| {
                        fail(format!(
                            "`alpha_pattern` has `{key}`, a regular expression; names of modules, or ends of them, can be read"
                        ))
                    })?;
                    Ok((end, number("alpha_pattern", value)?))
                })
                .collect::<Result<_>>()?,
            Some(value) => {
                return Err(fail(format!(
                    "`alpha_pattern` is {value}; an object of numbers is expected"
                )));
            }
        };
        Ok(Self {
            alpha,
            alpha_pattern,
            is_rank_stabilized: get("use_rslora").is_some_and(|value| *value == Value::Bool(true)),
        })
    }

    /// What the product of a module's two matrices is multiplied with.
    pub fn scale(&self, module: &str, rank: usize) -> f32 {
        let own = self.alpha_pattern.iter().find(|(end, _)| {
            let before = module.strip_suffix(end.as_str());
            before.is_some_and(|before| before.is_empty() || before.ends_with('.'))
        });
        let alpha = own.map_or(self.alpha, |(_, alpha)| *alpha);
        let rank = rank as f64;
        (alpha
            / if self.is_rank_stabilized {
                rank.sqrt()
            } else {
                rank
            }) as f32
    }
}

/// A key of a pattern without what quotes dots; `None` for one that is more than a name.
fn literal(key: &str) -> Option<String> {
    let key = key
        .trim_start_matches('^')
        .trim_end_matches('$')
        .replace("\\.", ".");
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    key.chars().all(is_plain).then_some(key)
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
                "`{field}` is {value}: {what}. That cannot be merged here; merge it with PEFT (merge_and_unload) and take the whole model"
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
        let plain = parse("").unwrap();
        assert_eq!(plain.scale("transformer.layers.0.attn.qkv_proj", 4), 4.0);
        let stabilized = parse(r#", "use_rslora": true"#).unwrap();
        assert_eq!(stabilized.scale("x", 4), 8.0);
        let own =
            parse(r#", "alpha_pattern": {"layers\\.1.ffn.proj_1": 2, "qkv_proj": 1}"#).unwrap();
        assert_eq!(own.scale("transformer.layers.1.ffn.proj_1", 4), 0.5);
        assert_eq!(own.scale("transformer.layers.11.ffn.proj_1", 4), 4.0);
        assert_eq!(own.scale("transformer.layers.0.attn.qkv_proj", 8), 0.125);
        assert_eq!(own.scale("transformer.layers.0.attn.my_qkv_proj", 4), 4.0);
    }

    #[test]
    fn what_cannot_be_merged_is_named() {
        for (more, word) in [
            (r#", "use_dora": true"#, "DoRA"),
            (r#", "modules_to_save": ["lm_head"]"#, "modules_to_save"),
            (r#", "init_lora_weights": "pissa_niter_4""#, "pissa"),
            (r#", "alpha_pattern": {"a|b": 1}"#, "regular expression"),
            (r#", "alpha_pattern": {"a": "b"}"#, "alpha_pattern"),
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
        for none in ["", "[]", "{}", r#"{"peft_type": "LORA"}"#] {
            assert!(LoraConfig::parse(none.as_bytes(), Path::new("a")).is_err());
        }
    }
}

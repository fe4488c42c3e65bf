//! The four published sizes, for models of random weights: `shape:270M` and so on.
//!
//! Source: Apple's configurations of OpenELM-270M, -450M, -1_1B and -3B.

use std::path::Path;

use serde_json::json;

use super::Config;
use crate::error::{Error, Result};

/// Name, layers, model_dim, head_dim.
const SHAPES: [(&str, u32, u32, u32); 4] = [
    ("270M", 16, 1280, 64),
    ("450M", 20, 1536, 64),
    ("1_1B", 28, 2048, 64),
    ("3B", 36, 3072, 128),
];

/// The names of the published sizes, smallest first.
pub const NAMES: [&str; 4] = [SHAPES[0].0, SHAPES[1].0, SHAPES[2].0, SHAPES[3].0];

/// The `config.json` of a published size.
///
/// # Errors
/// [`Error::ModelNotFound`] for another name.
pub fn config_json(name: &str) -> Result<String> {
    let Some((_, layers, model_dim, head_dim)) = SHAPES.iter().find(|shape| shape.0 == name) else {
        return Err(Error::ModelNotFound {
            model: format!("shape:{name}"),
            is_file: false,
        });
    };
    let json = json!({
        "model_type": "openelm",
        "num_transformer_layers": layers,
        "model_dim": model_dim,
        "head_dim": head_dim,
        "vocab_size": 32000,
        "num_gqa_groups": 4,
        "ffn_dim_divisor": 256,
        "ffn_multipliers": [0.5, 4.0],
        "qkv_multipliers": [0.5, 1.0],
        "ffn_with_glu": true,
        "normalize_qk_projections": true,
        "share_input_output_layers": true,
        "max_context_length": 2048,
    });
    Ok(json.to_string())
}

/// The configuration of a published size.
///
/// # Errors
/// [`Error::ModelNotFound`] for another name.
pub fn config(name: &str) -> Result<Config> {
    Config::parse(config_json(name)?.as_bytes(), Path::new(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derived_widths_are_the_published_ones() {
        let parameters = |name| config(name).unwrap().parameters();
        assert_eq!(parameters("270M"), 271_527_168);
        assert_eq!(parameters("450M"), 457_179_136);
        assert_eq!(parameters("1_1B"), 1_079_891_456);
        assert_eq!(parameters("3B"), 3_036_647_424);
        let ffn: Vec<usize> = config("270M")
            .unwrap()
            .layers
            .iter()
            .map(|layer| layer.ffn_dim)
            .collect();
        assert_eq!(
            ffn,
            [
                768, 1024, 1280, 1536, 1792, 2048, 2560, 2816, 3072, 3328, 3584, 3840, 4352, 4608,
                4864, 5120
            ]
        );
        let heads = |name| -> Vec<usize> {
            config(name)
                .unwrap()
                .layers
                .iter()
                .map(|layer| layer.q_heads)
                .collect()
        };
        assert_eq!(
            heads("450M"),
            [
                12, 12, 12, 16, 16, 16, 16, 16, 16, 16, 20, 20, 20, 20, 20, 20, 24, 24, 24, 24
            ]
        );
        assert_eq!(heads("3B")[..5], [12, 12, 12, 12, 16]);
    }
}

//! A GGUF file's metadata as the `config.json` that OpenELM's checkpoints have.
//!
//! Source: `conversion/openelm.py` of llama.cpp, which writes these keys, and `src/models/openelm.cpp`, which says what it leaves out: a gated
//! SiLU, norms of queries and keys, a tied head, rotary embeddings in halves.

use serde_json::{Value, json};

use super::header::Header;
use super::reader::{Found, shown};
use super::tensors::EMBEDDING;
use crate::checkpoint::config::NORM_EPSILON;

/// The largest count or width that is worth a thought; `config.json`'s checks are narrower.
const MOST: u64 = 1 << 24;

/// More layers than any model has.
const MOST_LAYERS: u64 = 1024;

/// The text of `config.json`, and the widths of the layers' feed-forward networks that it should lead to.
pub fn config_json(header: &Header<'_>) -> Found<(Vec<u8>, Vec<u64>)> {
    refuse_others(header)?;
    let required = |key: &str| {
        let missing = || format!("`{key}` is missing");
        header.whole(key, MOST)?.ok_or_else(missing)
    };
    let layers = required("openelm.block_count")?.min(MOST_LAYERS + 1);
    if !(1..=MOST_LAYERS).contains(&layers) {
        return Err(format!(
            "`openelm.block_count` is not a number from 1 to {MOST_LAYERS}"
        ));
    }
    let per_layer = |key: &str| {
        let missing = || format!("`{key}` is missing");
        header
            .wholes(key, layers as usize, MOST)?
            .ok_or_else(missing)
    };
    let model_dim = required("openelm.embedding_length")?;
    let head_dim = required("openelm.attention.key_length")?;
    for key in [
        "openelm.attention.value_length",
        "openelm.rope.dimension_count",
    ] {
        if let Some(other) = header.whole(key, MOST)?.filter(|other| *other != head_dim) {
            return Err(format!(
                "`{key}` is {other}, and heads have {head_dim} dimensions; in OpenELM these are the same"
            ));
        }
    }
    let q_heads = per_layer("openelm.attention.head_count")?;
    let kv_heads = per_layer("openelm.attention.head_count_kv")?;
    let widths = per_layer("openelm.feed_forward_length")?;
    let divisor = divisor(&widths);
    let multiplier = |width: &u64| *width as f64 / model_dim.max(1) as f64;
    let groups = q_heads.iter().zip(&kv_heads).next();
    let json = json!({
        "architectures": ["OpenELMForCausalLM"],
        "model_type": "openelm",
        "num_transformer_layers": layers,
        "model_dim": model_dim,
        "head_dim": head_dim,
        "vocab_size": vocab_size(header)?,
        "num_query_heads": q_heads,
        "num_kv_heads": kv_heads,
        "num_gqa_groups": groups.map_or(1, |(q, kv)| q.checked_div(*kv).unwrap_or(1).max(1)),
        "ffn_multipliers": widths.iter().map(multiplier).collect::<Vec<_>>(),
        "ffn_dim_divisor": divisor,
        "ffn_with_glu": true,
        "activation_fn_name": "swish",
        "normalization_layer_name": "rms_norm",
        "normalize_qk_projections": true,
        "share_input_output_layers": true,
        "rope_freq_constant": rope_base(header)?,
        "max_context_length": required("openelm.context_length")?,
        "bos_token_id": header.whole("tokenizer.ggml.bos_token_id", MOST)?.unwrap_or(1),
        "eos_token_id": ends(header)?,
    });
    Ok((json.to_string().into_bytes(), widths))
}

/// Refuses what is no model, not whole, or another one.
fn refuse_others(header: &Header<'_>) -> Found<()> {
    match header.text("general.architecture")? {
        Some("openelm") => {}
        Some(other) => {
            return Err(format!(
                "is a model of the architecture `{}`; this program runs `openelm` models only",
                shown(other)
            ));
        }
        None => return Err("`general.architecture` is missing; `openelm` is expected".into()),
    }
    if let Some(kind) = header.text("general.type")?.filter(|kind| *kind != "model") {
        return Err(format!("is no model, but of the type `{}`", shown(kind)));
    }
    if let Some(parts) = header.whole("split.count", MOST)?.filter(|n| *n > 1) {
        return Err(format!(
            "is one of {parts} parts of a model; `llama-gguf-split` of llama.cpp can merge them to one file"
        ));
    }
    if let Some(kind) = header
        .text("openelm.rope.scaling.type")?
        .filter(|kind| *kind != "none")
    {
        return Err(format!(
            "`openelm.rope.scaling.type` is `{}`; rotary embeddings without scaling are known",
            shown(kind)
        ));
    }
    match header.float("openelm.attention.layer_norm_rms_epsilon")? {
        Some(other) if other as f32 != NORM_EPSILON => Err(format!(
            "`openelm.attention.layer_norm_rms_epsilon` is {other}; OpenELM has {NORM_EPSILON}"
        )),
        _ => Ok(()),
    }
}

fn rope_base(header: &Header<'_>) -> Found<f64> {
    const KEY: &str = "openelm.rope.freq_base";
    let base = header.float(KEY)?.unwrap_or(10000.0);
    match base.is_finite() {
        true => Ok(base),
        // JSON has no such number.
        false => Err(format!("`{KEY}` is {base}")),
    }
}

/// Rows of the embedding, which is what counts: a vocabulary may have fewer.
fn vocab_size(header: &Header<'_>) -> Found<u64> {
    match header.tensors.get(EMBEDDING).map(|info| &info.shape[..]) {
        Some([rows, _]) => Ok(*rows as u64),
        // Looking for all tensors says what is wrong with it.
        _ => Ok(header
            .whole("openelm.vocab_size", MOST)?
            .unwrap_or(1)
            .max(1)),
    }
}

/// Ids that end a text: of a document, and of a turn if there is one.
fn ends(header: &Header<'_>) -> Found<Value> {
    let end = header
        .whole("tokenizer.ggml.eos_token_id", MOST)?
        .unwrap_or(2);
    Ok(match header.whole("tokenizer.ggml.eot_token_id", MOST)? {
        Some(of_turn) if of_turn != end => json!([end, of_turn]),
        _ => json!(end),
    })
}

/// A number that all widths are multiples of, so that rounding to one cannot change them.
fn divisor(widths: &[u64]) -> u64 {
    let common = |a: u64, b: u64| {
        let (mut a, mut b) = (a, b);
        while b > 0 {
            (a, b) = (b, a % b);
        }
        a
    };
    let all = widths.iter().copied().fold(0, common);
    match all {
        1..=65536 => all,
        _ => common(all, 65536).max(1),
    }
}

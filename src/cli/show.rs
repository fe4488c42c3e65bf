//! `openelm show`: what a checkpoint is made of, and what it needs.

use std::fmt::Write;

use anyhow::Result;
use openelm::checkpoint::TensorSpec;
use openelm::hub::TokenizerNeed;
use openelm::model::{kv_bytes, weight_bytes};
use openelm::{Checkpoint, Dtype};
use serde_json::json;

use super::args::Show;
use super::{hub, output};

/// Number of parameters and bytes in the files of some tensors.
fn size(checkpoint: &Checkpoint, specs: &[TensorSpec]) -> Result<(u64, u64)> {
    let mut total = (0, 0);
    for spec in specs {
        let tensor = checkpoint.tensor(spec)?;
        total.0 += spec.shape.iter().product::<usize>() as u64;
        total.1 += tensor.bytes() as u64;
    }
    Ok(total)
}

pub fn run(arguments: &Show) -> Result<()> {
    let model = arguments.named.as_ref().unwrap_or(&arguments.model);
    let checkpoint = hub::checkpoint(model, &arguments.hub, TokenizerNeed::Unneeded)?;
    let config = &checkpoint.config;
    let mut layers = Vec::new();
    for (index, layer) in config.layers.iter().enumerate() {
        let (parameters, bytes) = size(&checkpoint, &config.layer_tensors(index).into_list())?;
        layers.push((layer, parameters, bytes));
    }
    let (outer, outer_bytes) = size(&checkpoint, &config.outer_tensors().into_list())?;
    let file_bytes: u64 = outer_bytes + layers.iter().map(|(.., bytes)| bytes).sum::<u64>();
    let context = config.max_context_length;
    let mut memory = Vec::new();
    for dtype in Dtype::ALL {
        memory.push((dtype.name(), weight_bytes(&checkpoint, Some(dtype))?));
    }
    let session = [("f16", false), ("f32", true)]
        .map(|(name, exact)| (name, kv_bytes(config, context, exact)));
    if arguments.json {
        let object = json!({
            "model": checkpoint.name,
            "parameters": config.parameters(),
            "file_bytes": file_bytes,
            "vocab_size": config.vocab_size,
            "model_dim": config.model_dim,
            "head_dim": config.head_dim,
            "max_context_length": context,
            "tied_head": config.share_input_output_layers,
            "derived": config.derived,
            "layers": layers.iter().map(|(layer, parameters, bytes)| json!({
                "q_heads": layer.q_heads, "kv_heads": layer.kv_heads, "ffn_dim": layer.ffn_dim,
                "parameters": parameters, "bytes": bytes,
            })).collect::<Vec<_>>(),
            "weight_bytes": memory.iter().copied().collect::<std::collections::BTreeMap<_, _>>(),
            "session_bytes": session.into_iter().collect::<std::collections::BTreeMap<_, _>>(),
        });
        return output::write(&format!("{object}\n"));
    }

    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let mut text = String::new();
    writeln!(
        text,
        "{}: {} parameters, {:.1} MiB of weights",
        checkpoint.name,
        config.parameters(),
        mib(file_bytes)
    )?;
    writeln!(
        text,
        "model_dim {}, head_dim {}, vocabulary {}, context {context}, {} head, {} FFN, {} q/k norms",
        config.model_dim,
        config.head_dim,
        config.vocab_size,
        if config.share_input_output_layers {
            "tied"
        } else {
            "untied"
        },
        if config.ffn_with_glu {
            "gated"
        } else {
            "plain"
        },
        if config.normalize_qk_projections {
            "with"
        } else {
            "without"
        },
    )?;
    if !config.derived.is_empty() {
        writeln!(
            text,
            "derived, not in config.json: {}",
            config.derived.join(", ")
        )?;
    }
    writeln!(
        text,
        "tokenizer: {}",
        if checkpoint.tokenizer.is_some() {
            "yes"
        } else {
            "no (--token-ids works without; --tokenizer takes one that you have, --tokenizer-repo one from the hub)"
        }
    )?;
    for warning in &checkpoint.warnings {
        writeln!(text, "warning: {warning}")?;
    }
    writeln!(
        text,
        "\nlayer  q heads  kv heads    ffn  parameters       MiB"
    )?;
    for (index, (layer, parameters, bytes)) in layers.iter().enumerate() {
        writeln!(
            text,
            "{index:>5}  {:>7}  {:>8}  {:>5}  {parameters:>10}  {:>8.2}",
            layer.q_heads,
            layer.kv_heads,
            layer.ffn_dim,
            mib(*bytes)
        )?;
    }
    writeln!(
        text,
        "outer                            {outer:>10}  {:>8.2}  (embedding, final norm{})",
        mib(outer_bytes),
        if config.share_input_output_layers {
            ""
        } else {
            ", head"
        }
    )?;
    writeln!(
        text,
        "\ndevice memory: weights + session (KV cache for {context} positions)"
    )?;
    for (dtype, weights) in memory {
        writeln!(
            text,
            "{dtype:>5}  {:>9.1} MiB + {:.1} MiB (f16 cache) or {:.1} MiB (f32 cache)",
            mib(weights),
            mib(session[0].1),
            mib(session[1].1)
        )?;
    }
    output::write(&text)
}

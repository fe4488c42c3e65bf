//! How large everything is: rows of a step, activations, keys and values. Pure arithmetic; no device.

use crate::checkpoint::{Config, LayerConfig};
use crate::error::{Error, Feature, Result};
use crate::gpu::Gpu;
use crate::kernels::linear::UNIFORM_WINDOW;
use crate::kernels::{BLOCK, ComputePath, attention, sample};

/// The most rows in a step.
const MOST_ROWS: usize = 512;
/// Multiply-adds of one product of a step at most: 50 ms of a small GPU, which draws the desktop too. A submission can be no shorter than that.
const PRODUCT_MACS: u64 = 10_000_000_000;
/// The same of a card of its own: each weight is read once a step, so the largest models need so many tokens to be bound by arithmetic.
const DISCRETE_PRODUCT_MACS: u64 = 4 * PRODUCT_MACS;
const SOFTWARE_ROWS: usize = 32;
/// Tokens that the largest tile of the prefill kernels covers.
const TILE: usize = 64;
/// Rows of logits that a tile covers: a smaller one, because they are long.
pub const LOGITS_TILE: usize = 32;
/// Rows of logits from a step of [`ComputePath::Gpu`]: where ids are scored, most of a step's rows may have some.
const MOST_LOGITS: usize = 128;
/// Rows of logits behind the last that a tile may compute in vain, and those left free between classes.
const LOGITS_SLACK: usize = LOGITS_TILE + CLASS_ALIGNMENT as usize;
/// The most generated rows in a step of [`ComputePath::Gpu`]: what room for splits of attention is kept for.
const MOST_GENERATED: usize = attention::MOST_GENERATED;
/// Rows behind the last that a dispatch may compute in vain, or see through a window.
const SLACK: usize = 64;
/// The fewest rows of a step: one class at a time, in the smallest tiles, which need less behind them.
const LEAST_ROWS: usize = CLASS_ALIGNMENT as usize;
const LEAST_SLACK: usize = 2 * LEAST_ROWS;
/// Rows that must fit a binding for that, and for more.
const LEAST_FIT: usize = LEAST_ROWS + LEAST_SLACK;
const ROOMY_FIT: usize = SLACK + 2 * LEAST_ROWS;
/// Where the rows of prompts may begin: behind whole dispatches of generated ones.
pub const CLASS_ALIGNMENT: u32 = 8;

/// Floats from one token to the next in every activation buffer, for `width` floats a token: a multiple of 256 bytes, so that
/// each token may begin a uniform window or a storage window on every adapter.
pub fn stride(width: usize) -> u32 {
    width.next_multiple_of(64) as u32
}

/// Bytes of so many f32.
pub fn floats(count: usize) -> u64 {
    4 * count as u64
}

/// The widest of a width that every layer has its own of.
pub fn widest(config: &Config, width: impl Fn(&LayerConfig) -> usize) -> usize {
    config.layers.iter().map(width).max().unwrap_or(0)
}

/// Rows of a step on [`ComputePath::Gpu`] for a model whose largest product has so many weights.
fn prompt_rows(weights: usize, is_discrete: bool) -> usize {
    let most = match is_discrete {
        true => DISCRETE_PRODUCT_MACS,
        false => PRODUCT_MACS,
    };
    let rows = (most / weights.max(1) as u64) as usize;
    (rows / TILE * TILE).clamp(TILE, MOST_ROWS)
}

/// How much a step takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepSizes {
    /// Rows of all classes, with what is left free between them.
    pub rows: usize,
    /// Generated rows among them.
    pub generated: usize,
    /// Rows of logits, likewise of all classes.
    pub logits: usize,
    /// Rows that tokens can be chosen for, or that can be scored.
    pub reports: usize,
}

impl StepSizes {
    /// Sizes with which every buffer fits a binding.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a model with rows too wide for the adapter.
    pub fn new(gpu: &Gpu, config: &Config, path: ComputePath) -> Result<Self> {
        let binding = gpu.limits.max_storage_buffer_binding_size;
        let fit = |width: usize| {
            let rows = binding.saturating_sub(UNIFORM_WINDOW) / (u64::from(stride(width)) * 4);
            rows as usize
        };
        let requested = match path {
            ComputePath::Software => SOFTWARE_ROWS,
            ComputePath::Gpu => {
                let rows = widest(config, |layer| {
                    config.proj_1_rows(layer).max(config.qkv_dim(layer))
                });
                prompt_rows(rows * config.model_dim, gpu.is_discrete())
            }
        };
        let widest =
            widest(config, |layer| config.qkv_dim(layer).max(layer.ffn_dim)).max(config.model_dim);
        let rows = match fit(widest) {
            LEAST_FIT..ROOMY_FIT => LEAST_ROWS,
            fit => requested.min(fit.saturating_sub(SLACK) / LEAST_ROWS * LEAST_ROWS),
        };
        let logits_row = u64::from(stride(config.vocab_size)) * 4;
        // A vast vocabulary leaves no room for what tiles compute in vain: then there is one row of logits a step.
        let logits = match (binding / logits_row) as usize {
            0 => 0,
            fit => fit
                .saturating_sub(LOGITS_SLACK)
                .clamp(1, MOST_LOGITS.min(rows)),
        };
        if rows < LEAST_ROWS || logits == 0 {
            return Err(Error::Unsupported {
                adapter: gpu.adapter.name.clone(),
                feature: Feature::Model,
                why: format!(
                    "it binds only {binding} bytes at once, too little for the activations"
                ),
            });
        }
        Ok(Self {
            rows,
            generated: match path {
                ComputePath::Software => rows,
                ComputePath::Gpu => rows.min(MOST_GENERATED),
            },
            logits,
            reports: logits.min(sample::MOST_ROWS),
        })
    }

    /// Whether there is room for what the largest tiles compute in vain.
    pub fn has_large_tiles(&self) -> bool {
        self.rows != LEAST_ROWS
    }

    /// Rows that buffers of activations are made for.
    pub fn activation_rows(&self) -> usize {
        self.rows
            + match self.rows {
                LEAST_ROWS => LEAST_SLACK,
                _ => SLACK,
            }
    }

    /// Rows that the buffer of logits is made for.
    pub fn logits_rows(&self) -> usize {
        match self.logits {
            1 => 1,
            logits => logits + LOGITS_SLACK,
        }
    }
}

/// Bytes of one layer's keys, or of its values, for one position.
pub fn layer_row_bytes(config: &Config, kv_heads: usize, exact: bool) -> u64 {
    let entry = config.head_dim.div_ceil(BLOCK) * BLOCK * if exact { 4 } else { 2 };
    (kv_heads * entry) as u64
}

/// Bytes of each layer's keys, then of its values, for one position.
pub fn kv_row_bytes(config: &Config, exact: bool) -> Vec<u64> {
    let layers = config.layers.iter();
    layers
        .flat_map(|layer| [layer_row_bytes(config, layer.kv_heads, exact); 2])
        .collect()
}

/// Bytes of all keys and values for one position.
pub fn position_bytes(config: &Config, exact: bool) -> u64 {
    kv_row_bytes(config, exact).iter().sum()
}

/// Floats of what a split of a token's positions hands over in a layer: values, and a number for each head.
pub fn record_floats(config: &Config, q_heads: usize) -> u32 {
    stride(q_heads * (config.head_dim + 1))
}

/// The most cache rows that fit a binding.
pub fn most_cache_rows(gpu: &Gpu, config: &Config, path: ComputePath, exact: bool) -> usize {
    let binding = match path {
        ComputePath::Gpu => gpu
            .limits
            .max_storage_buffer_binding_size
            .min(gpu.limits.max_buffer_size),
        ComputePath::Software => gpu.max_texel_store_bytes(),
    };
    let kv_heads = widest(config, |layer| layer.kv_heads);
    // Kernels count 16-byte units in 32 bits.
    let bytes = binding.min(u64::from(u32::MAX) * 16);
    (bytes / layer_row_bytes(config, kv_heads, exact)) as usize
}

/// Checks that a context's keys, values and rotations each fit a binding.
///
/// # Errors
/// [`Error::ContextSize`] that names the largest context that does.
pub fn check_context(
    gpu: &Gpu,
    config: &Config,
    path: ComputePath,
    positions: usize,
    exact: bool,
) -> Result<()> {
    let rotations =
        gpu.limits.max_storage_buffer_binding_size / (config.head_dim as u64 * 4).max(1);
    // A row is for whoever needs none.
    let most = most_cache_rows(gpu, config, path, exact).saturating_sub(1);
    let possible = most.min(rotations as usize);
    if positions <= possible {
        return Ok(());
    }
    Err(Error::ContextSize {
        requested: positions,
        possible,
        adapter: Some(gpu.adapter.name.clone()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::shapes;

    #[test]
    fn large_models_have_long_steps_where_a_card_can_bear_them() {
        let rows = |name, is_discrete| {
            let config = shapes::config(name).unwrap();
            let rows = widest(&config, |layer| config.proj_1_rows(layer));
            prompt_rows(rows * config.model_dim, is_discrete)
        };
        assert_eq!((rows("270M", false), rows("270M", true)), (512, 512));
        assert_eq!((rows("3B", false), rows("3B", true)), (128, 512));
        assert_eq!(prompt_rows(usize::MAX, false), TILE);
        assert_eq!(prompt_rows(0, false), MOST_ROWS);
    }
}

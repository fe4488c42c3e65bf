//! Memory of a session beside the weights: the KV cache, and activations for the tokens of one step.

use std::collections::HashMap;

use super::Network;
use super::op::FIRSTS_STRIDE;
use super::weights::Store;
use crate::checkpoint::Config;
use crate::error::{Error, Feature, Result};
use crate::gpu::Gpu;
use crate::kernels::linear::{MOST_FEW, UNIFORM_WINDOW};
use crate::kernels::{BLOCK, ROW_PAD, TokenInput, WeightSource, attention};

/// The most tokens in a step.
pub const MAX_TOKENS: usize = 512;
/// Multiply-adds of one product of a step at most: 50 ms of a small GPU. A submission can be no shorter than that.
const PRODUCT_MACS: usize = 10_000_000_000;
const SOFTWARE_TOKENS: usize = 32;
/// Tokens that the largest tile of the prefill kernels covers.
const TILE: usize = 64;
/// Rows of logits from a step: a smaller tile, because rows are long.
pub const LOGITS_TILE: usize = 32;

/// Floats from one token to the next in every activation buffer, for `width` floats a token: a multiple of 256 bytes, so that
/// each token may begin a uniform window or a storage window on every adapter.
pub fn stride(width: usize) -> u32 {
    width.next_multiple_of(64) as u32
}

/// Keys and values of one layer: [kv_heads, rows, head_dim], in whole blocks.
pub struct LayerCache {
    pub keys: Store,
    pub values: Store,
}

/// Bytes of one layer's keys, or of its values.
fn layer_cache_bytes(config: &Config, kv_heads: usize, rows: usize, exact: bool) -> u64 {
    let entry = config.head_dim.div_ceil(BLOCK) * BLOCK * if exact { 4 } else { 2 };
    (kv_heads * rows * entry) as u64
}

/// Bytes of one layer's keys and values for one position.
pub fn layer_position_bytes(config: &Config, kv_heads: usize, exact: bool) -> u64 {
    2 * layer_cache_bytes(config, kv_heads, 1, exact)
}

/// Bytes of all keys and values for `rows` positions.
pub fn cache_bytes(config: &Config, rows: usize, exact: bool) -> u64 {
    config
        .layers
        .iter()
        .map(|layer| 2 * layer_cache_bytes(config, layer.kv_heads, rows, exact))
        .sum()
}

/// The widest of a width that every layer has its own of.
fn widest(config: &Config, width: impl Fn(&crate::checkpoint::LayerConfig) -> usize) -> usize {
    config.layers.iter().map(width).max().unwrap_or(0)
}

/// Bytes of activations for `tokens` tokens a step, about.
pub fn activation_bytes(config: &Config, tokens: usize) -> u64 {
    let q_dim = widest(config, |layer| layer.q_heads * config.head_dim);
    let floats = 3 * config.model_dim
        + widest(config, |layer| config.qkv_dim(layer))
        + 2 * q_dim
        + widest(config, |layer| layer.ffn_dim);
    (floats * tokens * 4 + 2 * LOGITS_TILE * config.vocab_size * 4) as u64
}

/// Activations. Each buffer holds `max_tokens` tokens at its stride.
pub struct Scratch {
    pub max_tokens: usize,
    pub logits_rows: usize,
    /// `max_tokens` of [`TokenInput`].
    pub tokens: wgpu::Buffer,
    /// The residual stream.
    pub hidden: wgpu::Buffer,
    pub normed: wgpu::Buffer,
    pub qkv: wgpu::Buffer,
    pub queries: wgpu::Buffer,
    /// Every token's number, each at the start of a window; only for weights in textures.
    pub firsts: wgpu::Buffer,
    /// What attention's splits of few tokens hand over; only for weights in buffers.
    pub partials: wgpu::Buffer,
    attended: Inputs,
    ffn: Inputs,
    pub logits: wgpu::Buffer,
    pub caches: Vec<LayerCache>,
}

/// Buffers that a matrix product reads whole rows from. What lies beyond a width that has no whole pair of blocks must stay zero, so such
/// a width has a buffer of its own; all others share one.
struct Inputs {
    shared: wgpu::Buffer,
    own: HashMap<usize, wgpu::Buffer>,
}

impl Inputs {
    fn new(widths: impl Iterator<Item = usize>, buffer: impl Fn(usize) -> wgpu::Buffer) -> Self {
        let (even, odd): (Vec<usize>, Vec<usize>) = widths.partition(|width| width % ROW_PAD == 0);
        Self {
            shared: buffer(even.into_iter().max().unwrap_or(ROW_PAD)),
            own: odd
                .into_iter()
                .map(|width| (width, buffer(width)))
                .collect(),
        }
    }

    fn of(&self, width: usize) -> &wgpu::Buffer {
        self.own.get(&width).unwrap_or(&self.shared)
    }
}

impl Scratch {
    pub fn new(network: &Network) -> Result<Self> {
        let (gpu, config) = (&network.gpu, &network.config);
        let (max_tokens, logits_rows) = step_sizes(gpu, config, network.source)?;
        let storage = wgpu::BufferUsages::STORAGE;
        let activations = |label: &str, width: usize, usage| {
            let bytes = max_tokens as u64 * u64::from(stride(width)) * 4;
            // A window that begins at the last token must still lie within the buffer.
            gpu.buffer(label, bytes + UNIFORM_WINDOW, usage)
        };
        let input = |label: &'static str| {
            move |width: usize| activations(label, width, storage | wgpu::BufferUsages::UNIFORM)
        };
        let padded_head = config.head_dim.next_multiple_of(BLOCK);
        let q_dims = || {
            config
                .layers
                .iter()
                .map(|layer| layer.q_heads * config.head_dim)
        };
        let partials = match network.source {
            WeightSource::Buffer => partial_bytes(config, network.context_size),
            WeightSource::Texture => 0,
        };
        let widest_q = widest(config, |layer| layer.q_heads * padded_head);
        let widest_qkv = widest(config, |layer| config.qkv_dim(layer));
        let scratch = Self {
            max_tokens,
            logits_rows,
            tokens: gpu.buffer(
                "tokens",
                (max_tokens * size_of::<TokenInput>()) as u64,
                storage | wgpu::BufferUsages::COPY_DST,
            ),
            hidden: input("hidden")(config.model_dim),
            normed: input("normed")(config.model_dim),
            qkv: activations("qkv", widest_qkv, storage),
            queries: input("queries")(widest_q),
            firsts: firsts(gpu, max_tokens),
            partials: gpu.buffer("partials", partials, storage),
            attended: Inputs::new(q_dims(), input("attended")),
            ffn: Inputs::new(config.layers.iter().map(|l| l.ffn_dim), input("ffn")),
            logits: gpu.buffer(
                "logits",
                logits_rows as u64 * u64::from(stride(config.vocab_size)) * 4,
                storage | wgpu::BufferUsages::COPY_SRC,
            ),
            caches: config
                .layers
                .iter()
                .map(|layer| layer_cache(gpu, network, layer.kv_heads))
                .collect(),
        };
        gpu.check()?;
        Ok(scratch)
    }

    /// Tokens, or rows of logits, that a buffer of this struct has room for at `stride` floats each.
    pub fn rows_of(&self, buffer: &wgpu::Buffer, stride: u32) -> u32 {
        let rows = buffer.size() / (u64::from(stride) * 4);
        rows.min(self.max_tokens as u64) as u32
    }

    /// Attention's output for a layer of this width.
    pub fn attended(&self, width: usize) -> &wgpu::Buffer {
        self.attended.of(width)
    }

    /// The FFN's inner activations for a layer of this width.
    pub fn ffn(&self, width: usize) -> &wgpu::Buffer {
        self.ffn.of(width)
    }
}

/// The most tokens in a step and rows of logits from it, so that every buffer fits a binding. Prefill kernels compute whole tiles,
/// so both are whole tiles, but for a row or four of logits.
pub fn step_sizes(gpu: &Gpu, config: &Config, source: WeightSource) -> Result<(usize, usize)> {
    let binding = gpu.limits.max_storage_buffer_binding_size;
    let fit = |width: usize| {
        (binding.saturating_sub(UNIFORM_WINDOW) / (u64::from(stride(width)) * 4)) as usize
    };
    let wish = match source {
        WeightSource::Texture => SOFTWARE_TOKENS,
        WeightSource::Buffer => {
            let rows = widest(config, |layer| {
                config.proj_1_rows(layer).max(config.qkv_dim(layer))
            });
            let tokens = PRODUCT_MACS / (rows * config.model_dim).max(1);
            (tokens / TILE * TILE).clamp(TILE, MAX_TOKENS)
        }
    };
    let widest =
        widest(config, |layer| config.qkv_dim(layer).max(layer.ffn_dim)).max(config.model_dim);
    let least = wish.min(TILE);
    let most = wish.min(fit(widest) / least * least);
    if most < least || fit(config.vocab_size) == 0 {
        return Err(Error::Unsupported {
            adapter: gpu.adapter.name.clone(),
            feature: Feature::Model,
            why: format!("it binds only {binding} bytes at once, too little for the activations"),
        });
    }
    // The mappings for few tokens write four rows through one window.
    let logits_rows = match fit(config.vocab_size) {
        LOGITS_TILE.. => LOGITS_TILE,
        4.. => 4,
        _ => 1,
    };
    Ok((most, logits_rows))
}

/// Checks that a context's keys, values and rotations each fit a binding.
///
/// # Errors
/// [`Error::ContextSize`] that names the largest context that does.
pub fn check_context(gpu: &Gpu, config: &Config, rows: usize, exact: bool) -> Result<()> {
    let binding = gpu
        .limits
        .max_storage_buffer_binding_size
        .min(gpu.limits.max_buffer_size);
    let kv_heads = widest(config, |layer| layer.kv_heads);
    let row_bytes = layer_cache_bytes(config, kv_heads, 1, exact).max(config.head_dim as u64 * 4);
    if row_bytes * rows as u64 <= binding {
        return Ok(());
    }
    Err(Error::ContextSize {
        requested: rows,
        possible: (binding / row_bytes) as usize,
        adapter: Some(gpu.adapter.name.clone()),
    })
}

/// Bytes that attention's splits of few tokens hand over in the layer with most heads; weights in textures do without.
pub fn partial_bytes(config: &Config, context_size: usize) -> u64 {
    let quads = widest(config, |layer| {
        layer.kv_heads * (layer.q_heads / layer.kv_heads).div_ceil(4)
    });
    let (_, splits) = attention::splits(context_size);
    let vectors = MOST_FEW as usize * splits * quads * attention::partial_vectors(config.head_dim);
    vectors as u64 * 16
}

fn layer_cache(gpu: &Gpu, network: &Network, kv_heads: usize) -> LayerCache {
    let bytes = layer_cache_bytes(
        &network.config,
        kv_heads,
        network.context_size,
        network.exact_kv,
    );
    let store = |label| Store::new(gpu, label, bytes, network.source);
    LayerCache {
        keys: store("keys"),
        values: store("values"),
    }
}

/// Each token's number at the start of a window of its own.
fn firsts(gpu: &Gpu, max_tokens: usize) -> wgpu::Buffer {
    let numbers: Vec<u8> = (0..max_tokens as u32)
        .flat_map(|token| {
            let mut window = [0; FIRSTS_STRIDE as usize];
            window[..4].copy_from_slice(&token.to_le_bytes());
            window
        })
        .collect();
    let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
    let buffer = gpu.buffer("firsts", numbers.len() as u64, usage);
    gpu.queue.write_buffer(&buffer, 0, &numbers);
    buffer
}

//! The network on the device: weights, the plan of a step, and the scheduler that records it.
//!
//! Architecture invariant: nothing here knows text. Token ids go in, logits come out.

pub mod decode;
pub mod forward;
mod op;
mod pack;
mod peaks;
mod plan;
mod scratch;
mod tune;
mod tune_cache;
pub mod weights;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub use decode::{Choosing, Decoded};
pub use forward::{Forward, StepToken};
pub use peaks::{measure as peaks, read_bandwidth};
use scratch::Scratch;
#[cfg(any(feature = "cli", feature = "window"))]
pub use tune_cache::default_path as tuning_cache;
use weights::Weights;

use crate::checkpoint::{Checkpoint, Config};
use crate::dtype::Dtype;
use crate::error::{Error, MemoryNeed, Result};
use crate::gpu::{Gpu, KernelSpec, Pipeline};
use crate::kernels::linear::Tuning;
use crate::kernels::{self, WeightSource};

/// How a model is put on a device.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct LoadOptions {
    /// Index, or part of the name, of the adapter; `None`: the best one.
    pub device: Option<String>,
    /// Format of weights on the device; `None`: bf16 and f16 as stored, f32 as f16.
    pub dtype: Option<Dtype>,
    /// Keys and values in f32 instead of f16: exact, twice the memory.
    pub exact_kv: bool,
    /// Where weights lie; `None`: whichever is faster on this adapter, by a short measurement.
    pub weight_source: Option<WeightSource>,
    /// Whether activations become whole numbers of eight bits where they meet weights in q8, for up to 16 tokens a step; `None`: where
    /// that is clearly faster, by a short measurement.
    pub int8: Option<bool>,
    /// Whether kernel sizes, and the source where it is open, are found by measuring.
    pub tune: Tune,
    /// A file to keep measurements in, so that the next start need not repeat them; `None`: every load measures.
    pub tuning_cache: Option<PathBuf>,
    /// Positions to keep keys and values for; `None`: the model's `max_context_length`.
    pub context_size: Option<usize>,
    /// At most so many positions, where `context_size` says nothing: more than the model has is no mistake.
    pub context_limit: Option<usize>,
    /// The most device memory to use, in bytes; `None`: what there is.
    pub memory_limit: Option<u64>,
    /// Set from another thread to end loading with [`Error::Cancelled`].
    pub cancel: Option<Arc<AtomicBool>>,
}

/// Whether to measure, at load, which kernels suit the adapter. It takes less than a second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Tune {
    /// Where no earlier measurement is at hand.
    #[default]
    Auto,
    /// Never: usual sizes; textures on software adapters, buffers on others.
    Off,
    /// Always, whatever an earlier measurement said.
    Again,
    /// Never: these, from the source that [`Tune::Off`] would take.
    Fixed(Tuning),
}

/// How far loading has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes so far: of weights on the device, or whatever a loader of its own counts.
    pub done: u64,
    /// Bytes in all.
    pub total: u64,
}

/// A loaded network; sessions share it.
pub struct Network {
    pub gpu: Gpu,
    pub config: Config,
    pub source: WeightSource,
    /// Sizes of the kernels.
    pub tuning: Tuning,
    /// Positions that a session keeps keys and values for.
    pub context_size: usize,
    /// Format of the weights: the one that most bytes have.
    pub dtype: Dtype,
    exact_kv: bool,
    weights: Weights,
    /// [positions, head_dim / 2] cosines and sines.
    rotations: wgpu::Buffer,
    pipelines: Pipelines,
}

/// Compiled kernels, found by what they were compiled from.
struct Pipelines(Vec<(KernelSpec, Pipeline)>);

impl Pipelines {
    fn compile(gpu: &Gpu, mut wanted: Vec<KernelSpec>) -> Result<Self> {
        let mut unique: Vec<KernelSpec> = Vec::new();
        wanted.retain(|spec| {
            let new = !unique.contains(spec);
            if new {
                unique.push(spec.clone());
            }
            new
        });
        let pipelines = gpu.compile(kernels::FILES, &unique)?;
        Ok(Self(unique.into_iter().zip(pipelines).collect()))
    }

    fn get(&self, spec: &KernelSpec) -> Result<&Pipeline> {
        self.0
            .iter()
            .find(|(compiled, _)| compiled == spec)
            .map(|(_, pipeline)| pipeline)
            .ok_or_else(|| Error::Gpu(format!("{} was not compiled at load", spec.variant.file)))
    }
}

impl Network {
    /// Puts `checkpoint` on `gpu`: kernels compile while weights are uploaded.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] with sizes; [`Error::ContextSize`] for a context that cannot be had; errors of
    /// the checkpoint and of the device.
    pub fn load(
        gpu: Gpu,
        checkpoint: &Checkpoint,
        options: &LoadOptions,
        mut progress: impl FnMut(Progress),
    ) -> Result<(Self, Vec<String>)> {
        let config = checkpoint.config.clone();
        let limit = options.context_limit.unwrap_or(usize::MAX);
        let context_size = context_size(&config, options.context_size)?.min(limit.max(1));
        let layout = weights::layout(checkpoint, options.dtype)?;
        scratch::check_context(&gpu, &config, context_size, options.exact_kv)?;
        check_memory(&gpu, &config, &layout, context_size, options)?;
        let tune::Chosen { source, tuning } =
            tune::choose(&gpu, &config, layout.main_dtype(), options)?;
        let mut wanted = plan::kernels(&config, &layout, source, tuning, options.exact_kv);
        wanted.extend(decode::kernels());
        let cancel = options.cancel.as_deref();
        let mut go_on = |done| {
            progress(done);
            match cancel.is_some_and(|cancel| cancel.load(Ordering::Relaxed)) {
                true => Err(Error::Cancelled),
                false => Ok(()),
            }
        };
        let (weights, pipelines) = std::thread::scope(|scope| {
            let compiling = scope.spawn(|| Pipelines::compile(&gpu, wanted));
            let weights = Weights::load(&gpu, checkpoint, &layout, source, &mut go_on);
            let pipelines = compiling
                .join()
                .unwrap_or_else(|_| Err(Error::Gpu("compiling kernels panicked".into())));
            (weights, pipelines)
        });
        let (weights, warnings) = weights.map_err(|error| match error {
            Error::OutOfMemory { .. } => {
                out_of_memory(&gpu, &config, &layout, context_size, options, None)
            }
            other => other,
        })?;
        let rotations = upload_rotations(&gpu, &config, context_size);
        let network = Self {
            gpu,
            source,
            tuning,
            context_size,
            dtype: layout.main_dtype(),
            exact_kv: options.exact_kv,
            weights,
            rotations,
            pipelines: pipelines?,
            config,
        };
        Ok((network, warnings))
    }

    /// Bytes of weights that decoding a token reads: all but those of an embedding that is not the head.
    pub fn weight_bytes_per_token(&self) -> u64 {
        let all = self.weights.bytes();
        match self.weights.head {
            Some(_) => all - self.weights.embedding.bytes(),
            None => all,
        }
    }

    /// Bytes of all weights on the device.
    pub fn weight_bytes(&self) -> u64 {
        self.weights.bytes()
    }

    /// Bytes of a session's keys and values.
    pub fn kv_cache_bytes(&self) -> u64 {
        scratch::cache_bytes(&self.config, self.context_size, self.exact_kv)
    }

    /// Bytes of a session's activations and logits.
    pub fn scratch_bytes(&self) -> u64 {
        let sizes = scratch::step_sizes(&self.gpu, &self.config, self.source);
        let tokens = sizes.map_or(scratch::MAX_TOKENS, |(tokens, _)| tokens);
        let partials = match self.source {
            WeightSource::Buffer => scratch::partial_bytes(&self.config, self.context_size),
            WeightSource::Texture => 0,
        };
        scratch::activation_bytes(&self.config, tokens)
            + partials
            + decode::bytes(self.config.vocab_size, self.context_size)
    }

    /// Bytes of keys and values that decoding a token at `position` reads.
    pub fn cache_bytes_per_token(&self, position: usize) -> u64 {
        scratch::cache_bytes(&self.config, position + 1, self.exact_kv)
    }

    /// A scheduler with its own KV cache and scratch memory.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] if the device has no room for them.
    pub fn forward(self: &Arc<Self>) -> Result<Forward> {
        Forward::new(Arc::clone(self))
    }
}

/// The table of rotations on the device, written in pieces: a long context's would be large on the host.
fn upload_rotations(gpu: &Gpu, config: &Config, positions: usize) -> wgpu::Buffer {
    const PIECE: usize = 4096;
    let row_bytes = config.head_dim as u64 / 2 * 8;
    let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST;
    let table = gpu.buffer("rotations", positions as u64 * row_bytes, usage);
    for start in (0..positions).step_by(PIECE) {
        let piece = start..positions.min(start + PIECE);
        let rows =
            kernels::qk_norm_rope::rotations(piece, config.head_dim, config.rope_freq_constant);
        gpu.queue.write_buffer(
            &table,
            start as u64 * row_bytes,
            bytemuck::cast_slice(&rows),
        );
    }
    table
}

fn context_size(config: &Config, wish: Option<usize>) -> Result<usize> {
    match wish {
        None => Ok(config.max_context_length),
        Some(size) if (1..=config.max_context_length).contains(&size) => Ok(size),
        Some(size) => Err(Error::ContextSize {
            requested: size,
            possible: config.max_context_length,
            adapter: None,
        }),
    }
}

/// Bytes that one session needs beside the weights: keys, values and scratch.
pub fn session_bytes(config: &Config, context_size: usize, exact_kv: bool) -> u64 {
    scratch::cache_bytes(config, context_size, exact_kv)
        + scratch::activation_bytes(config, scratch::MAX_TOKENS)
        + scratch::partial_bytes(config, context_size)
        + decode::bytes(config.vocab_size, context_size)
}

/// Bytes of the weights on the device when stored as `dtype` (`None`: chosen tensor by tensor).
///
/// # Errors
/// Those of reading the checkpoint.
pub fn weight_bytes(checkpoint: &Checkpoint, dtype: Option<Dtype>) -> Result<u64> {
    Ok(weights::layout(checkpoint, dtype)?.bytes())
}

/// Refuses early what cannot fit, where the room is known.
fn check_memory(
    gpu: &Gpu,
    config: &Config,
    layout: &weights::Layout,
    context_size: usize,
    options: &LoadOptions,
) -> Result<()> {
    let needed = layout.bytes() + session_bytes(config, context_size, options.exact_kv);
    let room = [options.memory_limit, gpu.free_memory()]
        .into_iter()
        .flatten()
        .min();
    match room {
        Some(room) if needed > room => Err(out_of_memory(
            gpu,
            config,
            layout,
            context_size,
            options,
            Some(room),
        )),
        _ => Ok(()),
    }
}

fn out_of_memory(
    gpu: &Gpu,
    config: &Config,
    layout: &weights::Layout,
    context_size: usize,
    options: &LoadOptions,
    room: Option<u64>,
) -> Error {
    Error::OutOfMemory {
        adapter: gpu.adapter.name.clone(),
        need: Some(MemoryNeed {
            weights: layout.bytes(),
            session: session_bytes(config, context_size, options.exact_kv),
            available: room,
            is_limit: room.is_some() && options.memory_limit == room,
            dtype: layout.main_dtype(),
            context_size,
            exact_kv: options.exact_kv,
        }),
    }
}

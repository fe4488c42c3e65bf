//! What of a model lies on the device and never changes: weights, rotations, compiled kernels. Sequences share it.

use super::sizes::StepSizes;
use super::weights::{Layout, Weights};
use crate::checkpoint::Config;
use crate::error::{Error, Result};
use crate::gpu::{Gpu, KernelSpec, Pipeline};
use crate::kernels::linear::Tuning;
use crate::kernels::{self, ComputePath, qk_norm_rope};

/// A loaded network.
pub struct Resident {
    pub gpu: Gpu,
    pub config: Config,
    pub layout: Layout,
    pub path: ComputePath,
    pub tuning: Tuning,
    pub sizes: StepSizes,
    /// Positions of a sequence.
    pub context_size: usize,
    /// The most bytes for weights, keys and values.
    pub memory_limit: Option<u64>,
    pub weights: Weights,
    /// [positions, head_dim / 2] cosines and sines.
    pub rotations: wgpu::Buffer,
}

/// Compiled kernels, found by what they were compiled from.
#[derive(Default)]
pub struct Pipelines(Vec<(KernelSpec, Pipeline)>);

impl Pipelines {
    /// Compiles those that are not there yet.
    ///
    /// # Errors
    /// Those of [`Gpu::compile`].
    pub fn add<'a>(
        &mut self,
        gpu: &Gpu,
        wanted: impl Iterator<Item = &'a KernelSpec>,
    ) -> Result<()> {
        let mut new: Vec<KernelSpec> = Vec::new();
        for spec in wanted {
            if self.get(spec).is_err() && !new.contains(spec) {
                new.push(spec.clone());
            }
        }
        let pipelines = gpu.compile(kernels::FILES, &new)?;
        self.0.extend(new.into_iter().zip(pipelines));
        Ok(())
    }

    pub fn get(&self, spec: &KernelSpec) -> Result<&Pipeline> {
        self.0
            .iter()
            .find(|(compiled, _)| compiled == spec)
            .map(|(_, pipeline)| pipeline)
            .ok_or_else(|| Error::Bug(format!("{} was not compiled at load", spec.variant.file)))
    }
}

/// The table of rotations on the device, written in pieces: a long context's would be large on the host.
pub fn upload_rotations(gpu: &Gpu, config: &Config, positions: usize) -> wgpu::Buffer {
    const PIECE: usize = 4096;
    let row_bytes = config.head_dim as u64 / 2 * 8;
    let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST;
    let table = gpu.buffer("rotations", positions as u64 * row_bytes, usage);
    for start in (0..positions).step_by(PIECE) {
        let piece = start..positions.min(start + PIECE);
        let rows = qk_norm_rope::rotations(piece, config.head_dim, config.rope_freq_constant);
        gpu.queue.write_buffer(
            &table,
            start as u64 * row_bytes,
            bytemuck::cast_slice(&rows),
        );
    }
    table
}

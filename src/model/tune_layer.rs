//! Times what steps spend most on: the four products of a middle layer in the sizes that they have, one after another as in a step,
//! on so many copies of its weights that no cache holds them which would not hold the model. On a card with many cores 1,280 rows
//! are a matter of their own: a larger sample would keep it busy in any layout.

use std::time::Duration;

use web_time::Instant;

use super::pack::{GROUP, UNIT, units};
use super::time::{fastest, uniform};
use super::weights::MOST_OUTPUTS;
use crate::checkpoint::Config;
use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::gpu::pipeline::window;
use crate::gpu::{Gpu, Pipeline};
use crate::kernels::linear::{Input, Mapping, Operand, Output, Product, Shape, Tuning};
use crate::kernels::{self, BatchClass, ComputePath, FirstRow, ROW_PAD};

/// Bytes of weights at most: more than caches hold.
const MOST_BYTES: u64 = 192 << 20;

/// A run takes at least this long, so that submitting it does not count.
const TELLING: Duration = Duration::from_millis(5);

/// Timed runs of each candidate; the best counts.
const RUNS: usize = 4;

/// Rounds a run at most: of a tiny model the time is all overhead.
const MOST_ROUNDS: u32 = 64;

/// The best layout of `linear_decode_rows.wgsl`: columns and the kind of sums first, then whether one row pair is better than two. Another
/// than the default one must be faster by `margin`; no further one is tried after `patience`. `None` where a layer takes so long that a
/// smaller sample tells as much, or finds no room.
///
/// # Errors
/// Those of the device.
pub fn fastest_rows(
    gpu: &Gpu,
    config: &Config,
    dtype: Dtype,
    margin: f64,
    patience: Duration,
) -> Result<Option<Tuning>> {
    let begin = Instant::now();
    let mut best = Tuning::default();
    let Some((sample, first)) =
        LayerSample::begin(gpu, config, dtype, BatchClass::Generated, best)?
    else {
        return Ok(None);
    };
    let mut candidates = vec![first];
    for pairs in [2, 1] {
        let sums = match pairs {
            2 => vec![false, true],
            _ => vec![best.subgroups],
        };
        for columns in Tuning::COLUMNS {
            for subgroups in sums.iter().copied() {
                let tuning = Tuning {
                    columns,
                    pairs,
                    subgroups,
                    ..best
                };
                if begin.elapsed() < patience {
                    sample.add(tuning, &mut candidates)?;
                }
            }
        }
        best = sample.fastest(&candidates, margin)?;
    }
    Ok(Some(best))
}

/// The best of `tunings` for a layer's products with rows of `class`; the first stands where none of the others is faster by `margin`. No
/// further one is compiled after `patience`. `None` as of [`fastest_rows`].
///
/// # Errors
/// Those of the device.
pub fn fastest_of(
    gpu: &Gpu,
    config: &Config,
    dtype: Dtype,
    class: BatchClass,
    tunings: &[Tuning],
    margin: f64,
    patience: Duration,
) -> Result<Option<Tuning>> {
    let begin = Instant::now();
    let Some((first, others)) = tunings.split_first() else {
        return Ok(None);
    };
    let Some((sample, first)) = LayerSample::begin(gpu, config, dtype, class, *first)? else {
        return Ok(None);
    };
    let mut candidates = vec![first];
    for tuning in others {
        if begin.elapsed() < patience {
            sample.add(*tuning, &mut candidates)?;
        }
    }
    sample.fastest(&candidates, margin).map(Some)
}

/// Tokens that products for rows of a class are timed with.
fn tokens(class: BatchClass) -> u32 {
    match class {
        BatchClass::Generated => 1,
        // Whole tiles of each size.
        BatchClass::Prompt => 128,
    }
}

/// A matrix of the layer.
struct Matrix {
    /// Bytes of one of the copies, which lie one after the other.
    bytes: u64,
    weights: wgpu::Buffer,
    shape: wgpu::Buffer,
    pairs: u32,
    blocks: u32,
}

/// The layer's matrices, and an input and an output that are large enough for all.
struct LayerSample<'a> {
    gpu: &'a Gpu,
    dtype: Dtype,
    class: BatchClass,
    copies: u64,
    matrices: Vec<Matrix>,
    first_row: wgpu::Buffer,
    input: wgpu::Buffer,
    output: wgpu::Buffer,
}

/// The kernels of a layout, bound to every copy of every matrix, in the order of a step.
struct Candidate {
    tuning: Tuning,
    launches: Vec<(Pipeline, wgpu::BindGroup, (u32, u32))>,
}

impl<'a> LayerSample<'a> {
    /// A sample, and the first candidate. `None` where there is no room, or a layer takes so long that a smaller sample tells as much.
    fn begin(
        gpu: &'a Gpu,
        config: &Config,
        dtype: Dtype,
        class: BatchClass,
        first: Tuning,
    ) -> Result<Option<(Self, Candidate)>> {
        let Some(sample) = Self::new(gpu, config, dtype, class).ok().flatten() else {
            return Ok(None);
        };
        let first = sample.candidate(first)?;
        let is_slow = sample.is_slow(&first)?;
        Ok((!is_slow).then_some((sample, first)))
    }

    /// `None` for a model without layers, or one too wide; an error where there is no room.
    fn new(gpu: &'a Gpu, config: &Config, dtype: Dtype, class: BatchClass) -> Result<Option<Self>> {
        let Some(layer) = config.layers.get(config.layers.len() / 2) else {
            return Ok(None);
        };
        let width = match dtype.is_quantized() {
            true => 256,
            false => ROW_PAD,
        };
        let sizes = [
            (config.qkv_dim(layer), config.model_dim),
            (config.model_dim, layer.q_heads * config.head_dim),
            (config.proj_1_rows(layer), config.model_dim),
            (config.model_dim, layer.ffn_dim),
        ];
        let limits = &gpu.limits;
        let binding = limits
            .max_storage_buffer_binding_size
            .min(limits.max_buffer_size);
        // Rows and columns of as much as one binding takes.
        let sizes = sizes.map(|(rows, columns)| {
            let columns = columns.next_multiple_of(width);
            let most = binding / (units(columns, dtype) * UNIT) as u64;
            let rows = rows.next_multiple_of(GROUP).min(most as usize);
            // As many as a dispatch of any layout may have.
            let rows = rows.min(MOST_OUTPUTS);
            (rows, columns)
        });
        let bytes = |(rows, columns): (usize, usize)| {
            ((rows * units(columns, dtype) * UNIT) as u64).next_multiple_of(256)
        };
        let all: u64 = sizes.iter().copied().map(bytes).sum();
        let largest = sizes.iter().copied().map(bytes).max().unwrap_or(1);
        let copies = (MOST_BYTES / all.max(1))
            .min(limits.max_buffer_size / largest.max(1))
            .clamp(1, config.layers.len() as u64);
        let widest = sizes.iter().map(|(rows, columns)| (*rows).max(*columns));
        let widest = widest.max().unwrap_or(0) as u64 * 4 * u64::from(tokens(class));
        // So many rows of a very wide model do not fit: then the smaller sample has to do.
        if widest > binding {
            return Ok(None);
        }
        let storage = wgpu::BufferUsages::STORAGE;
        gpu.try_allocating(|| {
            let matrices = sizes.map(|(rows, columns)| {
                let shape = Shape::stored(rows, columns, units(columns, dtype));
                let bytes = bytes((rows, columns));
                Matrix {
                    bytes,
                    // Zeros: the arithmetic takes as long with any numbers.
                    weights: gpu.buffer("tune", bytes * copies, storage),
                    shape: uniform(gpu, shape),
                    pairs: shape.pairs,
                    blocks: shape.blocks,
                }
            });
            Some(Self {
                gpu,
                dtype,
                class,
                copies,
                matrices: matrices.into(),
                first_row: uniform(gpu, FirstRow::of(0..tokens(class))),
                input: gpu.buffer("tune", widest, storage),
                output: gpu.buffer("tune", widest, storage),
            })
        })
    }

    /// Compiles the kernels of a layout.
    fn candidate(&self, tuning: Tuning) -> Result<Candidate> {
        let class = self.class;
        let arithmetic = tuning.arithmetic(class, self.dtype);
        let mapping = match class {
            BatchClass::Generated => Mapping::DecodeRows,
            BatchClass::Prompt => Mapping::tile(tuning.tile),
        };
        let specs: Vec<_> = self
            .matrices
            .iter()
            .map(|matrix| {
                let product = Product {
                    path: ComputePath::Gpu,
                    mapping,
                    dtype: self.dtype,
                    arithmetic,
                    input: Input::Plain,
                    output: Output::Store,
                    blocks: matrix.blocks,
                };
                product.spec(tuning)
            })
            .collect();
        let mut unique = Vec::new();
        for spec in &specs {
            if !unique.contains(spec) {
                unique.push(spec.clone());
            }
        }
        let pipelines = self.gpu.compile(kernels::FILES, &unique)?;
        let mut launches = Vec::new();
        for copy in 0..self.copies {
            for (matrix, spec) in self.matrices.iter().zip(&specs) {
                let found = unique
                    .iter()
                    .zip(&pipelines)
                    .find(|(each, _)| *each == spec);
                let Some((_, pipeline)) = found else { continue };
                let resources = mapping.bind(|operand| match operand {
                    Operand::Shape => matrix.shape.as_entire_binding(),
                    Operand::Weights => window(&matrix.weights, copy * matrix.bytes, matrix.bytes),
                    Operand::Output => self.output.as_entire_binding(),
                    // There is no norm, so anything stands for its weights.
                    Operand::Input | Operand::Norm => self.input.as_entire_binding(),
                    Operand::FirstRow => self.first_row.as_entire_binding(),
                    // Prompts in f16 are asked for, not measured.
                    Operand::Overflow => self.output.as_entire_binding(),
                });
                let bind_group = pipeline.bind(self.gpu, &resources);
                let grid = (
                    mapping.workgroups(matrix.pairs, tuning),
                    tokens(class).div_ceil(mapping.tokens()),
                );
                launches.push((pipeline.clone(), bind_group, grid));
            }
        }
        Ok(Candidate { tuning, launches })
    }

    /// Adds a candidate that is new and that this driver can have.
    fn add(&self, tuning: Tuning, candidates: &mut Vec<Candidate>) -> Result<()> {
        let is_new = candidates.iter().all(|known| known.tuning != tuning);
        if is_new && tuning.is_possible(ComputePath::Gpu, self.gpu.subgroup_lanes) {
            match self.candidate(tuning) {
                // Without it this driver can do.
                Err(Error::Shader { .. }) => {}
                candidate => candidates.push(candidate?),
            }
        }
        Ok(())
    }

    /// The fastest candidate; the first stands where none of the others is faster by `margin`.
    fn fastest(&self, candidates: &[Candidate], margin: f64) -> Result<Tuning> {
        let tunings = candidates.iter().map(|candidate| candidate.tuning);
        let times = self.times(candidates)?;
        let best = fastest(margin, tunings.zip(times));
        Ok(best.map_or(candidates[0].tuning, |(tuning, _)| tuning))
    }

    /// So many rounds of the first `launches`, by the host's clock.
    fn run(&self, candidate: &Candidate, launches: usize, rounds: u32) -> Result<Duration> {
        let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
        {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            for _ in 0..rounds {
                for (pipeline, bind_group, grid) in candidate.launches.iter().take(launches) {
                    pass.set_pipeline(&pipeline.pipeline);
                    pass.set_bind_group(0, bind_group, &[]);
                    pass.dispatch_workgroups(grid.0, grid.1, 1);
                }
            }
        }
        let begin = Instant::now();
        let submission = self.gpu.queue.submit([encoder.finish()]);
        self.gpu.wait(Some(submission))?;
        Ok(begin.elapsed())
    }

    /// Whether a layer alone takes so long that a smaller sample tells as much.
    fn is_slow(&self, candidate: &Candidate) -> Result<bool> {
        let layer = self.matrices.len();
        // The first run pays for what the driver puts off until then.
        self.run(candidate, layer, 1)?;
        Ok(self.run(candidate, layer, 1)? > TELLING)
    }

    /// The best time of a layer with each, in turns.
    fn times(&self, candidates: &[Candidate]) -> Result<Vec<Duration>> {
        let all = self.matrices.len() * self.copies as usize;
        let mut shortest = TELLING;
        for candidate in candidates {
            self.run(candidate, all, 1)?;
            shortest = self.run(candidate, all, 1)?.min(shortest);
        }
        let rounds = TELLING.as_nanos() / shortest.as_nanos().max(1);
        let rounds = (rounds as u32).clamp(1, MOST_ROUNDS);
        let mut best = vec![Duration::MAX; candidates.len()];
        for _ in 0..RUNS {
            for (best, candidate) in best.iter_mut().zip(candidates) {
                *best = self.run(candidate, all, rounds)?.min(*best);
            }
        }
        let layers = rounds * self.copies as u32;
        Ok(best.into_iter().map(|time| time / layers).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::shapes;

    /// With no margin asked for, any other is better than the first, so the answer tells whether others were timed.
    #[test]
    fn all_that_patience_allows_are_timed() {
        let gpu = Gpu::open(None).unwrap();
        let mut config = shapes::config("270M").unwrap();
        config.model_dim = 64;
        config.layers.truncate(1);
        let tiles = Tuning::TILES.map(|tile| Tuning {
            tile,
            ..Tuning::default()
        });
        let patient = Duration::from_secs(600);
        for class in BatchClass::ALL {
            let best = |patience| {
                fastest_of(&gpu, &config, Dtype::Q8, class, &tiles, 0.0, patience).unwrap()
            };
            if let Some(best) = best(patient) {
                assert_ne!(best, tiles[0], "{class:?}");
            }
            if let Some(best) = best(Duration::ZERO) {
                assert_eq!(best, tiles[0], "{class:?}");
            }
        }
    }
}

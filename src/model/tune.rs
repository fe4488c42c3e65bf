//! Chooses where weights lie and how the lanes of matrix products are laid out, by timing small products on the adapter at hand.
//! Drivers differ by more than ten times in this, and in either direction, so no driver is known by name here.

use std::time::{Duration, Instant};

use super::pack::{GROUP, UNIT, units};
use super::tune_cache::{self, Key};
use super::weights::Store;
use super::{LoadOptions, Tune};
use crate::checkpoint::Config;
use crate::dtype::Dtype;
use crate::error::{Error, Feature, Result};
use crate::gpu::pipeline::window;
use crate::gpu::{Gpu, Pipeline};
use crate::kernels::linear::{Input, Mapping, Output, Shape, Tokens, Tuning, UNIFORM_WINDOW};
use crate::kernels::{self, BLOCK, WeightSource, linear};

/// Bytes of weights in the sample: enough to outlast a dispatch's fixed cost, few enough to be over in milliseconds. Where that is
/// over too fast to tell candidates apart, the larger.
const SAMPLES: [usize; 2] = [2 << 20, 64 << 20];

/// A run shorter than this says little.
const TELLING: Duration = Duration::from_micros(500);

/// Columns of the sample at most: wide enough for all that depends on the width.
const MOST_COLUMNS: usize = 2048;

/// Timed runs of each candidate; the best counts. Candidates take turns, so that whatever else the machine does meets all of them.
const RUNS: usize = 4;

/// Dispatches a run: on a fast GPU a single one would be lost in the cost of submitting it.
const DISPATCHES: usize = 4;

/// Tokens of which weights in textures take four at once.
const FEW_TOKENS: u32 = 4;

/// Tokens that tiles of different sizes are timed with: whole ones of each.
const TILE_TOKENS: u32 = 64;

/// No further candidate is tried after this.
const PATIENCE: Duration = Duration::from_millis(700);

/// How much faster textures must be to be taken. Buffers are what GPUs are good at; where both times are mostly overhead, chance
/// must not decide.
const SOURCE_MARGIN: f64 = 1.3;

/// How much faster another layout of lanes must be than the default one.
const SIZE_MARGIN: f64 = 1.05;

/// How much faster activations of eight bits must be than exact ones.
const INT8_MARGIN: f64 = 1.1;

/// What was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chosen {
    pub source: WeightSource,
    pub tuning: Tuning,
}

/// Why weights cannot lie in textures here, if they cannot.
fn texture_obstacle(gpu: &Gpu, config: &Config) -> Option<&'static str> {
    let widest = config
        .layers
        .iter()
        .map(|layer| {
            let queries = layer.q_heads * config.head_dim.next_multiple_of(BLOCK);
            layer.ffn_dim.max(queries)
        })
        .max()
        .unwrap_or(0)
        .max(config.model_dim);
    let window_floats = UNIFORM_WINDOW as usize / 4;
    if !gpu.has_uniform_windows(Mapping::PrefillLanes.windows()) {
        Some("the adapter has no 64 KiB uniform bindings, or too few")
    } else if gpu.max_texel_store_bytes() == 0
        || gpu.limits.max_storage_textures_per_shader_stage < 2
    {
        Some("the adapter's textures are too narrow, or too few")
    } else if widest.next_multiple_of(kernels::ROW_PAD) > window_floats {
        Some("the model has rows wider than a uniform binding")
    } else {
        None
    }
}

/// The best source and sizes for weights of `dtype`: as an earlier measurement had it, or by measuring.
///
/// # Errors
/// [`Error::Unsupported`] for a source or a layout that cannot be used here, [`Error::Int8NeedsQ8`]; those of compiling and running the sample.
pub fn choose(gpu: &Gpu, config: &Config, dtype: Dtype, options: &LoadOptions) -> Result<Chosen> {
    let obstacle = texture_obstacle(gpu, config);
    let possible: Vec<WeightSource> = match (options.weight_source, obstacle) {
        (Some(WeightSource::Texture), Some(why)) => {
            return Err(Error::Unsupported {
                adapter: gpu.adapter.name.clone(),
                feature: Feature::Textures,
                why: why.into(),
            });
        }
        (Some(source), _) => vec![source],
        (None, Some(_)) => vec![WeightSource::Buffer],
        (None, None) => WeightSource::ALL.to_vec(),
    };
    let usual = match possible[..] {
        [only] => only,
        _ if gpu.is_software() => WeightSource::Texture,
        _ => WeightSource::Buffer,
    };
    let usual = |tuning| Chosen {
        source: usual,
        tuning,
    };
    let chosen = match options.tune {
        Tune::Off => usual(Tuning::default()),
        Tune::Fixed(tuning) => usual(tuning),
        Tune::Auto | Tune::Again => known_or_measured(gpu, config, dtype, options, &possible)?,
    };
    with_wish(gpu, dtype, options, chosen)
}

/// What was chosen, with activations as they are wished for.
fn with_wish(gpu: &Gpu, dtype: Dtype, options: &LoadOptions, chosen: Chosen) -> Result<Chosen> {
    let Chosen { source, mut tuning } = chosen;
    if !tuning.is_possible(source, gpu.subgroup_lanes) {
        return Err(Error::Unsupported {
            adapter: gpu.adapter.name.clone(),
            feature: Feature::Layout,
            why: format!(
                "{tuning:?} has sizes outside `Tuning::LANES`, `COLUMNS` and `TILES`, or subgroups where none are large enough"
            ),
        });
    }
    if let Some(int8) = options.int8 {
        if int8 && dtype != Dtype::Q8 {
            return Err(Error::Int8NeedsQ8 { dtype });
        }
        tuning.int8 = int8;
        // In textures there are no such kernels without.
        tuning.subgroups |= int8 && source == WeightSource::Texture;
        if !tuning.is_possible(source, gpu.subgroup_lanes) {
            return Err(Error::Unsupported {
                adapter: gpu.adapter.name.clone(),
                feature: Feature::Int8InTextures,
                why: "it has no subgroups of eight lanes".into(),
            });
        }
    }
    Ok(Chosen { source, tuning })
}

fn known_or_measured(
    gpu: &Gpu,
    config: &Config,
    dtype: Dtype,
    options: &LoadOptions,
    possible: &[WeightSource],
) -> Result<Chosen> {
    let key = Key::new(gpu, config, dtype, possible);
    let cache = options.tuning_cache.as_deref();
    let known = match options.tune {
        Tune::Again => None,
        _ => cache.and_then(|path| tune_cache::find(path, &key)),
    };
    // What a file says is only taken where it can be true here.
    let is_possible = |known: &Chosen| {
        possible.contains(&known.source)
            && known.tuning.is_possible(known.source, gpu.subgroup_lanes)
    };
    if let Some(known) = known.filter(is_possible) {
        return Ok(known);
    }
    let chosen = measure(gpu, config, dtype, possible)?;
    if let Some(path) = cache {
        tune_cache::keep(path, key, chosen);
    }
    Ok(chosen)
}

fn measure(gpu: &Gpu, config: &Config, dtype: Dtype, possible: &[WeightSource]) -> Result<Chosen> {
    let begin = Instant::now();
    let task = |source, tokens| Task {
        gpu,
        config,
        dtype,
        source,
        tokens,
    };
    let default = Tuning::default();
    let mut best: Option<(WeightSource, Duration)> = None;
    for source in possible.iter().copied() {
        let candidates = with_and_without_subgroups(default, source, gpu);
        let (_, time) = task(source, 1).fastest(&candidates, SIZE_MARGIN, begin)?;
        // Buffers come first.
        let is_better = |(_, best): &(_, Duration)| time.mul_f64(SOURCE_MARGIN) < *best;
        if best.as_ref().is_none_or(is_better) {
            best = Some((source, time));
        }
    }
    let (source, _) = best.ok_or_else(|| Error::Gpu("no place for weights is possible".into()))?;
    let both = with_and_without_subgroups(default, source, gpu);
    let tuning = match source {
        WeightSource::Texture => {
            // With several tokens it shows best what lanes gain by sharing.
            // Whatever the time: it makes more of a difference than all sizes together.
            let (best, _) = task(source, FEW_TOKENS).fastest(&both, SIZE_MARGIN, Instant::now())?;
            let sizes = Tuning::LANES.map(|lanes| Tuning { lanes, ..best });
            let candidates: Vec<Tuning> = std::iter::once(best).chain(sizes).collect();
            task(source, 1).fastest(&candidates, SIZE_MARGIN, begin)?.0
        }
        WeightSource::Buffer => {
            let sizes = Tuning::COLUMNS.map(|columns| Tuning { columns, ..default });
            let sizes = sizes.map(|size| with_and_without_subgroups(size, source, gpu));
            let candidates: Vec<Tuning> = both
                .into_iter()
                .chain(sizes.into_iter().flatten())
                .collect();
            let (best, _) = task(source, 1).fastest(&candidates, SIZE_MARGIN, begin)?;
            let tiles = Tuning::TILES.map(|tile| Tuning { tile, ..best });
            task(source, TILE_TOKENS)
                .fastest(&tiles, SIZE_MARGIN, begin)?
                .0
        }
    };
    let int8 = Tuning {
        int8: true,
        ..tuning
    };
    if dtype != Dtype::Q8 || !int8.is_possible(source, gpu.subgroup_lanes) {
        return Ok(Chosen { source, tuning });
    }
    let both = [tuning, int8];
    let (tuning, _) = task(source, 1).fastest(&both, INT8_MARGIN, Instant::now())?;
    Ok(Chosen { source, tuning })
}

/// A layout and the same with subgroup operations, as far as they are possible.
fn with_and_without_subgroups(tuning: Tuning, source: WeightSource, gpu: &Gpu) -> Vec<Tuning> {
    let both = [false, true].map(|subgroups| Tuning {
        subgroups,
        ..tuning
    });
    let is_possible = |tuning: &Tuning| tuning.is_possible(source, gpu.subgroup_lanes);
    both.into_iter().filter(is_possible).collect()
}

/// What candidates are timed on: a product for so many tokens.
struct Task<'a> {
    gpu: &'a Gpu,
    config: &'a Config,
    dtype: Dtype,
    source: WeightSource,
    tokens: u32,
}

impl Task<'_> {
    fn mapping(&self, tuning: Tuning) -> Mapping {
        Mapping::of(self.source, Tokens::of(self.tokens), tuning.tile, 1)
    }

    /// The best of the candidates, and its time for the smaller sample. The first is always tried, and stands where none of the
    /// others is faster by `margin`.
    fn fastest(
        &self,
        candidates: &[Tuning],
        margin: f64,
        begin: Instant,
    ) -> Result<(Tuning, Duration)> {
        let mut compiled: Vec<(Tuning, Pipeline)> = Vec::new();
        for tuning in candidates.iter().copied() {
            if compiled.iter().any(|(known, _)| *known == tuning) {
                continue;
            }
            if !compiled.is_empty() && begin.elapsed() > PATIENCE {
                break;
            }
            let mapping = self.mapping(tuning);
            let (input, output) = (Input::Plain, Output::Store);
            let spec = linear::spec(mapping, self.source, self.dtype, input, output, tuning);
            let pipelines = self.gpu.compile(kernels::FILES, &[spec])?;
            compiled.extend(pipelines.into_iter().map(|pipeline| (tuning, pipeline)));
        }
        let mut sample = Sample::new(self, SAMPLES[0]);
        let mut times = sample.times(self, &compiled)?;
        if times[0] < TELLING {
            sample = Sample::new(self, SAMPLES[1]);
            times = sample.times(self, &compiled)?;
        }
        let tunings = compiled.iter().map(|(tuning, _)| *tuning);
        let first = (candidates[0], times[0]);
        let (tuning, time) = tunings
            .zip(times)
            .filter(|(_, time)| time.mul_f64(margin) < first.1)
            .min_by_key(|(_, time)| *time)
            .unwrap_or(first);
        // By the byte: samples may differ in size.
        let scale = sample.bytes as f64 / SAMPLES[0] as f64;
        Ok((tuning, time.div_f64(scale)))
    }
}

/// A matrix product to time.
struct Sample {
    bytes: usize,
    pairs: u32,
    shape: wgpu::Buffer,
    weights: Store,
    output: wgpu::Buffer,
    input: wgpu::Buffer,
}

impl Sample {
    fn new(task: &Task<'_>, bytes: usize) -> Self {
        let Task {
            gpu,
            config,
            dtype,
            source,
            tokens,
        } = *task;
        let columns = config
            .model_dim
            .min(MOST_COLUMNS)
            .next_multiple_of(kernels::ROW_PAD);
        let units = units(columns, dtype);
        let rows = (bytes / (units * UNIT))
            .next_multiple_of(GROUP)
            .min(1 << 16);
        let bytes = rows * units * UNIT;
        let (pairs, second) = Output::Store.pairs(rows as u32);
        let shape = Shape {
            rows: rows as u32,
            blocks: (columns / BLOCK) as u32,
            units: units as u32,
            pairs,
            second,
            out_offset: 0,
            out_stride: rows as u32,
            in_stride: (columns / 4) as u32,
            activation: 0,
            width: 0,
            epsilon: 0.0,
        };
        let uniform = wgpu::BufferUsages::UNIFORM;
        let shape_buffer = gpu.buffer(
            "tune",
            size_of::<Shape>() as u64,
            uniform | wgpu::BufferUsages::COPY_DST,
        );
        gpu.queue
            .write_buffer(&shape_buffer, 0, bytemuck::bytes_of(&shape));
        let input_bytes = u64::from(tokens) * columns as u64 * 4;
        Self {
            bytes,
            pairs,
            shape: shape_buffer,
            // Zeros: the arithmetic takes as long with any numbers.
            weights: Store::new(gpu, "tune", bytes as u64, source),
            output: gpu.buffer(
                "tune",
                u64::from(tokens) * rows as u64 * 4,
                wgpu::BufferUsages::STORAGE,
            ),
            input: gpu.buffer(
                "tune",
                input_bytes.max(UNIFORM_WINDOW),
                uniform | wgpu::BufferUsages::STORAGE,
            ),
        }
    }

    /// The best time of a run of each, in turns.
    fn times(&self, task: &Task<'_>, compiled: &[(Tuning, Pipeline)]) -> Result<Vec<Duration>> {
        let runs: Vec<Run<'_>> = compiled
            .iter()
            .map(|(tuning, pipeline)| self.run(task, *tuning, pipeline))
            .collect();
        // The first run pays for what the driver puts off until then.
        for run in &runs {
            run.time(task.gpu)?;
        }
        let mut best = vec![Duration::MAX; runs.len()];
        for _ in 0..RUNS {
            for (best, run) in best.iter_mut().zip(&runs) {
                *best = run.time(task.gpu)?.min(*best);
            }
        }
        Ok(best)
    }

    fn run<'a>(&self, task: &Task<'_>, tuning: Tuning, pipeline: &'a Pipeline) -> Run<'a> {
        let mapping = task.mapping(tuning);
        let workgroups = mapping.workgroups(self.pairs, tuning);
        let windows = mapping.windows();
        let input_binding = match windows {
            0 => self.input.as_entire_binding(),
            _ => window(&self.input, 0, UNIFORM_WINDOW),
        };
        let mut resources = vec![
            self.shape.as_entire_binding(),
            self.weights.binding(),
            self.output.as_entire_binding(),
        ];
        // Of the input, and of a norm that there is not.
        let inputs = windows.max(1) + u32::from(mapping.is_for_few() || windows > 0);
        resources.extend((0..inputs).map(|_| input_binding.clone()));
        let bind_group = pipeline.bind(task.gpu, &resources);
        let (offsets, grid) = match windows {
            0 => (vec![], (workgroups, task.tokens.div_ceil(mapping.tokens()))),
            _ => (vec![0; 1 + windows as usize], (1, workgroups)),
        };
        Run {
            pipeline,
            bind_group,
            offsets,
            grid,
        }
    }
}

/// A candidate's dispatches, to submit again and again.
struct Run<'a> {
    pipeline: &'a Pipeline,
    bind_group: wgpu::BindGroup,
    offsets: Vec<u32>,
    grid: (u32, u32),
}

impl Run<'_> {
    fn time(&self, gpu: &Gpu) -> Result<Duration> {
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            pass.set_pipeline(&self.pipeline.pipeline);
            pass.set_bind_group(0, &self.bind_group, &self.offsets);
            for _ in 0..DISPATCHES {
                pass.dispatch_workgroups(self.grid.0, self.grid.1, 1);
            }
        }
        let begin = Instant::now();
        let submission = gpu.queue.submit([encoder.finish()]);
        gpu.wait(Some(submission))?;
        Ok(begin.elapsed())
    }
}

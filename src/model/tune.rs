//! Chooses where weights lie and how the lanes of matrix products are laid out, by timing small products on the adapter at hand.
//! Drivers differ by more than ten times in this, and in either direction, so no driver is known by name here.

use std::time::Duration;

use web_time::Instant;

use super::f16_prefill;
use super::options::{LoadOptions, Tune};
use super::pack::{GROUP, UNIT, units};
use super::store::Store;
use super::time::{Timed, best_times, fastest, uniform};
pub use super::tune_cache::Chosen;
use super::tune_cache::{self, Key};
use super::tune_layer::{fastest_of, fastest_rows};
use crate::checkpoint::Config;
use crate::dtype::Dtype;
use crate::error::{Error, Feature, Result};
use crate::gpu::pipeline::window;
use crate::gpu::{Gpu, Pipeline};
use crate::kernels::linear::{
    Input, Mapping, Operand, Output, Product, Shape, Tuning, UNIFORM_WINDOW,
};
use crate::kernels::{self, BLOCK, BatchClass, ComputePath, FirstRow};
use crate::threads;

/// Bytes of weights in the sample: enough to outlast a dispatch's fixed cost, few enough to be over in milliseconds. Where that is
/// over too fast to tell candidates apart, the larger.
const SAMPLES: [usize; 2] = [2 << 20, 64 << 20];

/// A run shorter than this says little.
const TELLING: Duration = Duration::from_micros(500);

/// Columns of the sample at most: wide enough for all that depends on the width.
const MOST_COLUMNS: usize = 2048;

/// Timed runs of each candidate; the best counts.
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

/// The best path and sizes for weights of `dtype`: as an earlier measurement had it, or by measuring.
///
/// # Errors
/// [`Error::Unsupported`] for a path or a layout that cannot be used here, [`Error::Int8NeedsQ8`]; those of compiling and running the sample.
pub fn choose(gpu: &Gpu, config: &Config, dtype: Dtype, options: &LoadOptions) -> Result<Chosen> {
    let obstacle = texture_obstacle(gpu, config);
    let possible: Vec<ComputePath> = match (options.compute_path, obstacle) {
        // Only there they are.
        (None, _) if options.f16_prefill => vec![ComputePath::Gpu],
        (Some(ComputePath::Software), Some(why)) => {
            return Err(Error::Unsupported {
                adapter: gpu.adapter.name.clone(),
                feature: Feature::Textures,
                why: why.into(),
            });
        }
        (Some(path), _) => vec![path],
        (None, Some(_)) => vec![ComputePath::Gpu],
        (None, None) => ComputePath::ALL.to_vec(),
    };
    let usual = match possible[..] {
        [only] => only,
        _ if gpu.is_software() => ComputePath::Software,
        _ => ComputePath::Gpu,
    };
    let usual = |tuning| Chosen {
        path: usual,
        tuning,
    };
    let chosen = match options.tune {
        Tune::Off => usual(Tuning::default()),
        // Nobody can wait there for what is to be timed.
        Tune::Auto | Tune::Again if !threads::EXIST => usual(Tuning::default()),
        Tune::Fixed(tuning) => usual(tuning),
        Tune::Auto | Tune::Again => known_or_measured(gpu, config, dtype, options, &possible)?,
    };
    as_requested(gpu, dtype, options, chosen)
}

/// What was chosen, with activations as they are requested.
fn as_requested(gpu: &Gpu, dtype: Dtype, options: &LoadOptions, chosen: Chosen) -> Result<Chosen> {
    let Chosen { path, mut tuning } = chosen;
    if !tuning.is_possible(path, gpu.subgroup_lanes) {
        return Err(Error::Unsupported {
            adapter: gpu.adapter.name.clone(),
            feature: Feature::Layout,
            why: format!(
                "{tuning:?} has sizes outside `Tuning::LANES`, `COLUMNS` and `TILES`, or subgroups where none are large enough"
            ),
        });
    }
    tuning.matrices = match options.f16_prefill {
        true => Some(f16_prefill::matrices(gpu, path)?),
        false => None,
    };
    if let Some(int8) = options.int8 {
        if int8 && dtype != Dtype::Q8 {
            return Err(Error::Int8NeedsQ8 { dtype });
        }
        tuning.int8 = int8;
        // In textures there are no such kernels without.
        tuning.subgroups |= int8 && path == ComputePath::Software;
        if !tuning.is_possible(path, gpu.subgroup_lanes) {
            return Err(Error::Unsupported {
                adapter: gpu.adapter.name.clone(),
                feature: Feature::Int8InTextures,
                why: "it has no subgroups of eight lanes".into(),
            });
        }
    }
    Ok(Chosen { path, tuning })
}

fn known_or_measured(
    gpu: &Gpu,
    config: &Config,
    dtype: Dtype,
    options: &LoadOptions,
    possible: &[ComputePath],
) -> Result<Chosen> {
    let key = Key::new(gpu, config, dtype, possible);
    let cache = options.tuning_cache.as_deref();
    let known = match options.tune {
        Tune::Again => None,
        _ => cache.and_then(|path| tune_cache::find(path, &key)),
    };
    // What a file says is only taken where it can be true here.
    let is_possible = |known: &Chosen| {
        possible.contains(&known.path) && known.tuning.is_possible(known.path, gpu.subgroup_lanes)
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

fn measure(gpu: &Gpu, config: &Config, dtype: Dtype, possible: &[ComputePath]) -> Result<Chosen> {
    let begin = Instant::now();
    let generated = |path, tokens| Task {
        gpu,
        config,
        dtype,
        path,
        class: BatchClass::Generated,
        tokens,
    };
    let default = Tuning::default();
    let mut best: Option<(ComputePath, Duration)> = None;
    for path in possible.iter().copied() {
        let candidates = with_and_without_subgroups(default, path, gpu);
        let (_, time) = generated(path, 1).fastest(&candidates, SIZE_MARGIN, begin)?;
        // Buffers come first.
        let is_better = |(_, best): &(_, Duration)| time.mul_f64(SOURCE_MARGIN) < *best;
        if best.as_ref().is_none_or(is_better) {
            best = Some((path, time));
        }
    }
    let (path, _) = best.ok_or_else(|| Error::Bug("no place for weights is possible".into()))?;
    let both = with_and_without_subgroups(default, path, gpu);
    let tuning = match path {
        ComputePath::Software => {
            // With several tokens it shows best what lanes gain by sharing.
            // Whatever the time: it makes more of a difference than all sizes together.
            let (best, _) =
                generated(path, FEW_TOKENS).fastest(&both, SIZE_MARGIN, Instant::now())?;
            let sizes = Tuning::LANES.map(|lanes| Tuning { lanes, ..best });
            let candidates: Vec<Tuning> = std::iter::once(best).chain(sizes).collect();
            generated(path, 1)
                .fastest(&candidates, SIZE_MARGIN, begin)?
                .0
        }
        ComputePath::Gpu => {
            let in_a_layer = fastest_rows(gpu, config, dtype, SIZE_MARGIN, PATIENCE)?;
            let best = match in_a_layer {
                Some(best) => best,
                None => {
                    let sizes = Tuning::COLUMNS.map(|columns| Tuning { columns, ..default });
                    let sizes = sizes.map(|size| with_and_without_subgroups(size, path, gpu));
                    let sizes = both.into_iter().chain(sizes.into_iter().flatten());
                    let candidates: Vec<Tuning> = sizes.collect();
                    generated(path, 1)
                        .fastest(&candidates, SIZE_MARGIN, begin)?
                        .0
                }
            };
            let tiles = Tuning::TILES.map(|tile| Tuning { tile, ..best });
            let in_a_layer = fastest_of(
                gpu,
                config,
                dtype,
                BatchClass::Prompt,
                &tiles,
                SIZE_MARGIN,
                PATIENCE,
            )?;
            match in_a_layer {
                Some(best) => best,
                None => {
                    let prompt = Task {
                        class: BatchClass::Prompt,
                        ..generated(path, TILE_TOKENS)
                    };
                    prompt.fastest(&tiles, SIZE_MARGIN, Instant::now())?.0
                }
            }
        }
    };
    let int8 = Tuning {
        int8: true,
        ..tuning
    };
    if dtype != Dtype::Q8 || !int8.is_possible(path, gpu.subgroup_lanes) {
        return Ok(Chosen { path, tuning });
    }
    let both = [tuning, int8];
    // It changes numbers, so it must be worth it where weights come from memory, not from a cache.
    let in_a_layer = match path {
        ComputePath::Gpu => fastest_of(
            gpu,
            config,
            dtype,
            BatchClass::Generated,
            &both,
            INT8_MARGIN,
            PATIENCE,
        )?,
        ComputePath::Software => None,
    };
    let tuning = match in_a_layer {
        Some(best) => best,
        None => {
            generated(path, 1)
                .fastest(&both, INT8_MARGIN, Instant::now())?
                .0
        }
    };
    Ok(Chosen { path, tuning })
}

/// A layout and the same with subgroup operations, as far as they are possible.
fn with_and_without_subgroups(tuning: Tuning, path: ComputePath, gpu: &Gpu) -> Vec<Tuning> {
    let both = [false, true].map(|subgroups| Tuning {
        subgroups,
        ..tuning
    });
    let is_possible = |tuning: &Tuning| tuning.is_possible(path, gpu.subgroup_lanes);
    both.into_iter().filter(is_possible).collect()
}

/// What candidates are timed on: a product for so many tokens.
struct Task<'a> {
    gpu: &'a Gpu,
    config: &'a Config,
    dtype: Dtype,
    path: ComputePath,
    class: BatchClass,
    tokens: u32,
}

impl Task<'_> {
    fn product(&self, tuning: Tuning) -> Product {
        let arithmetic = tuning.arithmetic(self.class, self.dtype);
        let mappings = Mapping::all_for(self.path, self.class, arithmetic, tuning.tile, 1);
        let fits = mappings
            .iter()
            .find(|mapping| mapping.tokens() >= self.tokens);
        // Tiles smaller than the sample are timed on all of it.
        let mapping = fits.or(mappings.last()).copied();
        Product {
            path: self.path,
            mapping: mapping.unwrap_or(Mapping::DecodeRows),
            dtype: self.dtype,
            arithmetic,
            input: Input::Plain,
            output: Output::Store,
            blocks: 0,
        }
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
            let spec = self.product(tuning).spec(tuning);
            let pipelines = match self.gpu.compile(kernels::FILES, &[spec]) {
                // The usual one is needed; without another this driver can do.
                Err(Error::Shader { .. }) if !compiled.is_empty() => continue,
                pipelines => pipelines?,
            };
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
        let (tuning, time) = fastest(margin, tunings.zip(times)).unwrap_or(first);
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
    first_row: wgpu::Buffer,
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
            path,
            tokens,
            ..
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
        let shape = Shape::stored(rows, columns, units);
        let input_bytes = u64::from(tokens) * columns as u64 * 4;
        Self {
            bytes,
            pairs: shape.pairs,
            shape: uniform(gpu, shape),
            first_row: uniform(gpu, FirstRow::of(0..tokens)),
            // Zeros: the arithmetic takes as long with any numbers.
            weights: Store::new(gpu, "tune", bytes as u64, path),
            output: gpu.buffer(
                "tune",
                u64::from(tokens) * rows as u64 * 4,
                wgpu::BufferUsages::STORAGE,
            ),
            input: gpu.buffer(
                "tune",
                input_bytes.max(UNIFORM_WINDOW),
                wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::STORAGE,
            ),
        }
    }

    /// The best time of a run of each, in turns.
    fn times(&self, task: &Task<'_>, compiled: &[(Tuning, Pipeline)]) -> Result<Vec<Duration>> {
        let runs: Vec<Timed<'_>> = compiled
            .iter()
            .map(|(tuning, pipeline)| self.run(task, *tuning, pipeline))
            .collect();
        best_times(task.gpu, &runs, RUNS)
    }

    fn run<'a>(&self, task: &Task<'_>, tuning: Tuning, pipeline: &'a Pipeline) -> Timed<'a> {
        let mapping = task.product(tuning).mapping;
        let workgroups = mapping.workgroups(self.pairs, tuning);
        let windows = mapping.windows();
        let input = || match windows {
            0 => self.input.as_entire_binding(),
            _ => window(&self.input, 0, UNIFORM_WINDOW),
        };
        let resources = mapping.bind(|operand| match operand {
            Operand::Shape => self.shape.as_entire_binding(),
            Operand::Weights => self.weights.binding(),
            Operand::Output => self.output.as_entire_binding(),
            // There is no norm, so anything stands for its weights.
            Operand::Input | Operand::Norm => input(),
            Operand::FirstRow => self.first_row.as_entire_binding(),
            // Prompts in f16 are asked for, not measured.
            Operand::Overflow => self.output.as_entire_binding(),
        });
        let (offsets, grid) = match windows {
            0 => (vec![], (workgroups, task.tokens.div_ceil(mapping.tokens()))),
            _ => (vec![0; 1 + windows as usize], (1, workgroups)),
        };
        Timed {
            bind_group: pipeline.bind(task.gpu, &resources),
            pipeline,
            offsets,
            grid,
            dispatches: DISPATCHES,
        }
    }
}

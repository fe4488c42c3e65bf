//! Chooses where weights lie, by timing a small matrix product both ways on the adapter at hand. Drivers differ by more than
//! ten times in this, and in either direction, so no driver is known by name here.

use std::time::{Duration, Instant};

use super::pack::{UNIT, units};
use super::weights::Store;
use crate::checkpoint::Config;
use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::gpu::pipeline::window;
use crate::gpu::{Gpu, Pipeline};
use crate::kernels::linear::{Mapping, Output, Shape, Tokens, UNIFORM_WINDOW};
use crate::kernels::{self, BLOCK, ROW_PAD, WeightSource, linear};

/// The sample: large enough to outlast a dispatch's fixed cost, small enough to be over in milliseconds.
const ROWS: usize = 1024;
const COLUMNS: usize = 512;

/// Timed runs of each; the best counts.
const RUNS: usize = 4;

/// Dispatches a run: on a fast GPU a single one would be lost in the cost of submitting it.
const DISPATCHES: usize = 4;

/// How much faster textures must be to be taken. Buffers are what GPUs are good at; where both times are mostly overhead, chance
/// must not decide.
const MARGIN: f64 = 1.3;

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
    } else if widest.next_multiple_of(ROW_PAD) > window_floats {
        Some("the model has rows wider than a uniform binding")
    } else {
        None
    }
}

/// Checks that `source` can be used.
///
/// # Errors
/// [`Error::Option`] that says why not.
pub fn require(gpu: &Gpu, config: &Config, source: WeightSource) -> Result<WeightSource> {
    match (source, texture_obstacle(gpu, config)) {
        (WeightSource::Texture, Some(why)) => Err(Error::Option(format!(
            "weights cannot lie in textures on `{}`: {why}; use --weight-source buffer",
            gpu.adapter.name
        ))),
        _ => Ok(source),
    }
}

/// The faster source for weights of `dtype`.
///
/// # Errors
/// Those of compiling and running the sample.
pub fn choose_source(gpu: &Gpu, config: &Config, dtype: Dtype) -> Result<WeightSource> {
    if texture_obstacle(gpu, config).is_some() {
        return Ok(WeightSource::Buffer);
    }
    let specs = WeightSource::ALL.map(|source| {
        linear::spec(
            Mapping::of(source, Tokens::One),
            source,
            dtype,
            Output::Store,
        )
    });
    let pipelines = gpu.compile(kernels::FILES, &specs)?;
    let mut times = Vec::new();
    for (source, pipeline) in WeightSource::ALL.into_iter().zip(&pipelines) {
        times.push(time(gpu, source, dtype, pipeline)?);
    }
    match times[..] {
        [buffer, texture] if texture.mul_f64(MARGIN) < buffer => Ok(WeightSource::Texture),
        _ => Ok(WeightSource::Buffer),
    }
}

fn time(gpu: &Gpu, source: WeightSource, dtype: Dtype, pipeline: &Pipeline) -> Result<Duration> {
    let units = units(COLUMNS, dtype);
    let bytes = (ROWS * units * UNIT) as u64;
    // Zeros: the arithmetic takes as long with any numbers.
    let weights = Store::new(gpu, "tune", bytes, source);
    let mapping = Mapping::of(source, Tokens::One);
    let (pairs, second) = Output::Store.pairs(ROWS as u32);
    let shape = Shape {
        rows: ROWS as u32,
        blocks: (COLUMNS / BLOCK) as u32,
        units: units as u32,
        pairs,
        second,
        out_offset: 0,
        out_stride: ROWS as u32,
        in_stride: (COLUMNS / 4) as u32,
        activation: 0,
    };
    let uniform = wgpu::BufferUsages::UNIFORM;
    let shape_buffer = gpu.buffer(
        "tune",
        size_of::<Shape>() as u64,
        uniform | wgpu::BufferUsages::COPY_DST,
    );
    gpu.queue
        .write_buffer(&shape_buffer, 0, bytemuck::bytes_of(&shape));
    let output = gpu.buffer("tune", ROWS as u64 * 4, wgpu::BufferUsages::STORAGE);
    let input = gpu.buffer(
        "tune",
        UNIFORM_WINDOW,
        uniform | wgpu::BufferUsages::STORAGE,
    );
    let is_window = mapping.windows() > 0;
    let input_binding = if is_window {
        window(&input, 0, UNIFORM_WINDOW)
    } else {
        input.as_entire_binding()
    };
    let bind_group = pipeline.bind(
        gpu,
        &[
            shape_buffer.as_entire_binding(),
            weights.binding(),
            output.as_entire_binding(),
            input_binding,
        ],
    );
    let offsets: &[u32] = if is_window { &[0, 0] } else { &[] };
    let run = || -> Result<Duration> {
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            pass.set_pipeline(&pipeline.pipeline);
            pass.set_bind_group(0, &bind_group, offsets);
            for _ in 0..DISPATCHES {
                pass.dispatch_workgroups(mapping.workgroups(pairs), 1, 1);
            }
        }
        let begin = Instant::now();
        let submission = gpu.queue.submit([encoder.finish()]);
        gpu.wait(Some(submission))?;
        Ok(begin.elapsed())
    };
    // The first run pays for what the driver puts off until then.
    run()?;
    let mut best = run()?;
    for _ in 1..RUNS {
        best = best.min(run()?);
    }
    Ok(best)
}

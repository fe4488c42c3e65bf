//! What the adapter can do at best, measured: its read bandwidth, which decoding, that reads every weight once a token, is held
//! against; and its arithmetic.

use std::time::Instant;

use super::pack::UNIT;
use super::weights::Store;
use crate::error::Result;
use crate::gpu::{Gpu, Pipeline};
use crate::kernels::{FILES, LANES, WeightSource, arithmetic_peak, read_bandwidth as kernel};
use crate::trace::Peaks;

/// As much as is read, where bindings allow: more than caches hold.
const MOST_BYTES: u64 = 256 << 20;

/// 16-byte units a row.
const UNITS: u64 = 512;

/// Timed runs; the best counts.
const RUNS: usize = 8;

/// Bytes a second that a kernel reads from a source at best, each with the source it was measured on; sources that the adapter
/// cannot have are left out.
///
/// # Errors
/// Those of the device.
pub fn read_bandwidth(gpu: &Gpu) -> Result<Vec<(WeightSource, f64)>> {
    let mut sources = vec![WeightSource::Buffer];
    if gpu.max_texel_store_bytes() > 0 {
        sources.push(WeightSource::Texture);
    }
    let specs: Vec<_> = sources.iter().copied().map(kernel::spec).collect();
    let pipelines = gpu.compile(FILES, &specs)?;
    sources
        .into_iter()
        .zip(&pipelines)
        .map(|(source, pipeline)| Ok((source, read_rate(gpu, source, pipeline)?)))
        .collect()
}

fn read_rate(gpu: &Gpu, source: WeightSource, pipeline: &Pipeline) -> Result<f64> {
    let limit = match source {
        WeightSource::Buffer => gpu
            .limits
            .max_storage_buffer_binding_size
            .min(gpu.limits.max_buffer_size),
        WeightSource::Texture => gpu.max_texel_store_bytes(),
    };
    let workgroup_bytes = u64::from(LANES) * UNITS * UNIT as u64;
    let workgroups = (MOST_BYTES.min(limit) / workgroup_bytes).clamp(1, 65535);
    let bytes = workgroups * workgroup_bytes;
    // A model may have left no room: then there is no figure, but no harm done either.
    let (store, folded) = gpu.try_allocating(|| {
        let storage = wgpu::BufferUsages::STORAGE;
        let folded = gpu.buffer("folded", workgroups * u64::from(LANES) * 16, storage);
        (Store::new(gpu, "bandwidth", bytes, source), folded)
    })?;
    let shape = gpu.buffer(
        "shape",
        size_of::<kernel::Shape>() as u64,
        wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
    );
    let units = kernel::Shape {
        units: UNITS as u32,
    };
    gpu.queue
        .write_buffer(&shape, 0, bytemuck::bytes_of(&units));
    let bind_group = pipeline.bind(
        gpu,
        &[
            shape.as_entire_binding(),
            store.binding(),
            folded.as_entire_binding(),
        ],
    );
    gpu.check()?;
    let seconds = best_time(gpu, pipeline, &bind_group, workgroups as u32)?;
    Ok(bytes as f64 / seconds)
}

/// The best time of some dispatches.
fn best_time(
    gpu: &Gpu,
    pipeline: &Pipeline,
    bind_group: &wgpu::BindGroup,
    workgroups: u32,
) -> Result<f64> {
    let mut best = f64::INFINITY;
    // The first run pays for what the driver puts off until then.
    for run in 0..=RUNS {
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            pass.set_pipeline(&pipeline.pipeline);
            pass.set_bind_group(0, bind_group, &[]);
            pass.dispatch_workgroups(workgroups, 1, 1);
        }
        let begin = Instant::now();
        let submission = gpu.queue.submit([encoder.finish()]);
        gpu.wait(Some(submission))?;
        if run > 0 {
            best = best.min(begin.elapsed().as_secs_f64());
        }
    }
    Ok(best)
}

/// Workgroups that add and multiply: enough for the widest GPU.
const ARITHMETIC_WORKGROUPS: u32 = 4096;

/// A measurement of arithmetic takes at least this many seconds, so that submitting it does not count.
const TELLING: f64 = 2e-3;

/// Floating-point operations a second that a kernel does at best.
fn arithmetic(gpu: &Gpu) -> Result<f64> {
    let spec = arithmetic_peak::spec();
    let pipelines = gpu.compile(FILES, std::slice::from_ref(&spec))?;
    let shape = gpu.buffer(
        "shape",
        size_of::<arithmetic_peak::Shape>() as u64,
        wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
    );
    let lanes = u64::from(ARITHMETIC_WORKGROUPS * LANES);
    let results = gpu.buffer("results", lanes * 4, wgpu::BufferUsages::STORAGE);
    let resources = [shape.as_entire_binding(), results.as_entire_binding()];
    let bind_group = pipelines[0].bind(gpu, &resources);
    gpu.check()?;
    let mut rounds = 16;
    loop {
        let values = arithmetic_peak::Shape {
            rounds,
            factor: 0.999,
            offset: 0.001,
        };
        gpu.queue
            .write_buffer(&shape, 0, bytemuck::bytes_of(&values));
        let seconds = best_time(gpu, &pipelines[0], &bind_group, ARITHMETIC_WORKGROUPS)?;
        if seconds > TELLING || rounds >= 1 << 16 {
            let flops = lanes * u64::from(rounds) * arithmetic_peak::ROUND_FLOPS;
            return Ok(flops as f64 / seconds);
        }
        rounds *= 4;
    }
}

/// The best of each.
///
/// # Errors
/// Those of the device.
pub fn measure(gpu: &Gpu) -> Result<Peaks> {
    let rates = read_bandwidth(gpu)?;
    Ok(Peaks {
        bytes_per_s: rates.iter().map(|(_, rate)| *rate).fold(0.0, f64::max),
        flops_per_s: arithmetic(gpu)?,
    })
}

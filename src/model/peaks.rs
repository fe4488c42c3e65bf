//! What the adapter can do at best, measured: its read bandwidth, which decoding, that reads every weight once a token, is held
//! against; and its arithmetic.

use super::pack::UNIT;
use super::store::Store;
use super::time::{Timed, best_times, uniform};
use crate::error::Result;
use crate::gpu::{Gpu, Pipeline};
use crate::kernels::{ComputePath, FILES, LANES, arithmetic_peak, read_bandwidth as kernel};
use crate::trace::Peaks;

/// As much as is read, where bindings allow: more than caches hold.
const MOST_BYTES: u64 = 256 << 20;

/// 16-byte units a row.
const UNITS: u64 = 512;

/// Timed runs; the best counts.
const RUNS: usize = 8;

/// Bytes a second that a kernel reads from a path at best, each with the path it was measured on; paths that the adapter
/// cannot have are left out.
///
/// # Errors
/// Those of the device.
pub fn read_bandwidth(gpu: &Gpu) -> Result<Vec<(ComputePath, f64)>> {
    let mut paths = vec![ComputePath::Gpu];
    if gpu.max_texel_store_bytes() > 0 {
        paths.push(ComputePath::Software);
    }
    let specs: Vec<_> = paths.iter().copied().map(kernel::spec).collect();
    let pipelines = gpu.compile(FILES, &specs)?;
    paths
        .into_iter()
        .zip(&pipelines)
        .map(|(path, pipeline)| Ok((path, read_rate(gpu, path, pipeline)?)))
        .collect()
}

fn read_rate(gpu: &Gpu, path: ComputePath, pipeline: &Pipeline) -> Result<f64> {
    let limit = match path {
        ComputePath::Gpu => gpu
            .limits
            .max_storage_buffer_binding_size
            .min(gpu.limits.max_buffer_size),
        ComputePath::Software => gpu.max_texel_store_bytes(),
    };
    let workgroup_bytes = u64::from(LANES) * UNITS * UNIT as u64;
    let workgroups = (MOST_BYTES.min(limit) / workgroup_bytes).clamp(1, 65535);
    let bytes = workgroups * workgroup_bytes;
    // A model may have left no room: then there is no figure, but no harm done either.
    let (store, folded) = gpu.try_allocating(|| {
        let storage = wgpu::BufferUsages::STORAGE;
        let folded = gpu.buffer("folded", workgroups * u64::from(LANES) * 16, storage);
        (Store::new(gpu, "bandwidth", bytes, path), folded)
    })?;
    let shape = uniform(
        gpu,
        kernel::Shape {
            units: UNITS as u32,
        },
    );
    let bindings = kernel::Bindings {
        shape: shape.as_entire_binding(),
        weights: store.binding(),
        folded: folded.as_entire_binding(),
    };
    let bind_group = pipeline.bind(gpu, &bindings.into_list());
    gpu.check()?;
    let seconds = best_time(gpu, pipeline, bind_group, workgroups as u32)?;
    Ok(bytes as f64 / seconds)
}

/// The best time of a dispatch.
fn best_time(
    gpu: &Gpu,
    pipeline: &Pipeline,
    bind_group: wgpu::BindGroup,
    workgroups: u32,
) -> Result<f64> {
    let timed = Timed {
        pipeline,
        bind_group,
        offsets: Vec::new(),
        grid: (workgroups, 1),
        dispatches: 1,
    };
    Ok(best_times(gpu, &[timed], RUNS)?[0].as_secs_f64())
}

/// Workgroups that add and multiply: enough for the widest GPU.
const ARITHMETIC_WORKGROUPS: u32 = 4096;

/// A measurement of arithmetic takes at least this many seconds, so that submitting it does not count.
const TELLING: f64 = 2e-3;

/// Floating-point operations a second that a kernel does at best.
fn arithmetic(gpu: &Gpu) -> Result<f64> {
    let spec = arithmetic_peak::spec();
    let pipelines = gpu.compile(FILES, std::slice::from_ref(&spec))?;
    let lanes = u64::from(ARITHMETIC_WORKGROUPS * LANES);
    let results = gpu.buffer("results", lanes * 4, wgpu::BufferUsages::STORAGE);
    gpu.check()?;
    let mut rounds = 16;
    loop {
        let shape = uniform(
            gpu,
            arithmetic_peak::Shape {
                rounds,
                factor: 0.999,
                offset: 0.001,
            },
        );
        let bindings = arithmetic_peak::Bindings {
            shape: shape.as_entire_binding(),
            results: results.as_entire_binding(),
        };
        let bind_group = pipelines[0].bind(gpu, &bindings.into_list());
        let seconds = best_time(gpu, &pipelines[0], bind_group, ARITHMETIC_WORKGROUPS)?;
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

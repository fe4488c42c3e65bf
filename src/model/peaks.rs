//! What the adapter can do at best, measured: its read bandwidth, which decoding, that reads every weight once a token, is held
//! against; and its arithmetic.

use super::adapter_facts::AdapterRates;
use super::pack::UNIT;
use super::stopwatch::{Reading, Stopwatch};
use super::store::Store;
use super::time::{Timed, uniform};
use crate::error::{Error, Result};
use crate::gpu::{Gpu, Pipeline};
use crate::kernels::{ComputePath, FILES, LANES, arithmetic_peak, read_bandwidth as kernel};

/// As much as is read, where bindings and memory allow: far more than caches hold, of which those of GPUs reach 256 MiB.
const MOST_BYTES: [u64; 2] = [512 << 20, 256 << 20];

/// With less, caches would be measured.
const LEAST_BYTES: u64 = 32 << 20;

/// 16-byte units a row.
const UNITS: u64 = 512;

/// Measured rates, and whether the machine was quiet enough to remember them.
pub struct Measured {
    pub rates: AdapterRates,
    pub is_quiet: bool,
}

/// Measures on a device that has nothing else to do.
///
/// # Errors
/// Those of the device; [`Error::OutOfMemory`] where there is no room for what is to be read.
pub fn measure(gpu: &Gpu) -> Result<Measured> {
    let mut paths = vec![ComputePath::Gpu];
    if gpu.max_texel_store_bytes() > 0 {
        paths.push(ComputePath::Software);
    }
    let specs: Vec<_> = paths.iter().copied().map(kernel::spec).collect();
    let pipelines = gpu.compile(FILES, &specs)?;
    let mut stopwatch = Stopwatch::new(gpu)?;
    let mut is_quiet = true;
    let mut reads = Vec::new();
    for (path, pipeline) in paths.into_iter().zip(&pipelines) {
        let (bytes, reading) = read_time(gpu, path, pipeline, &mut stopwatch)?;
        reads.push((path, bytes as f64 / reading.seconds));
        is_quiet &= reading.is_quiet;
    }
    let (flops, reading) = arithmetic_time(gpu, &mut stopwatch)?;
    let flops_per_s = flops as f64 / reading.seconds;
    Ok(Measured {
        rates: AdapterRates::new(&reads, flops_per_s, stopwatch.is_estimated()),
        is_quiet: is_quiet && reading.is_quiet,
    })
}

/// Bytes that a dispatch reads, and how long that takes.
fn read_time(
    gpu: &Gpu,
    path: ComputePath,
    pipeline: &Pipeline,
    stopwatch: &mut Stopwatch<'_>,
) -> Result<(u64, Reading)> {
    let limit = match path {
        ComputePath::Gpu => gpu
            .limits
            .max_storage_buffer_binding_size
            .min(gpu.limits.max_buffer_size),
        ComputePath::Software => gpu.max_texel_store_bytes(),
    };
    let workgroup_bytes = u64::from(LANES) * UNITS * UNIT as u64;
    let most = MOST_BYTES[usize::from(gpu.is_software())].min(limit);
    let mut workgroups = (most / workgroup_bytes).clamp(1, 65535);
    // A model may have left little room.
    let (store, folded) = loop {
        let bytes = workgroups * workgroup_bytes;
        let made = gpu.try_allocating(|| {
            let storage = wgpu::BufferUsages::STORAGE;
            let folded = gpu.buffer("folded", workgroups * u64::from(LANES) * 16, storage);
            (Store::new(gpu, "bandwidth", bytes, path), folded)
        });
        match made {
            Err(Error::OutOfMemory { .. }) if bytes / 2 >= LEAST_BYTES => workgroups /= 2,
            made => break made?,
        }
    };
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
    let mut timed = Timed {
        bind_group: pipeline.bind(gpu, &bindings.into_list()),
        pipeline,
        offsets: Vec::new(),
        grid: (workgroups as u32, 1),
        dispatches: 1,
    };
    gpu.check()?;
    Ok((workgroups * workgroup_bytes, stopwatch.measure(&mut timed)?))
}

/// Workgroups that add and multiply: enough for the widest GPU; for processors fewer, which is as much work with what a workgroup costs to begin
/// spread over more of it.
const ARITHMETIC_WORKGROUPS: [u32; 2] = [4096, 128];

/// Rounds of a dispatch: one takes a tenth of a millisecond on the fastest GPUs.
const ROUNDS: [u32; 2] = [1024, 512];

/// Floating-point operations of a dispatch, and how long they take.
fn arithmetic_time(gpu: &Gpu, stopwatch: &mut Stopwatch<'_>) -> Result<(u64, Reading)> {
    let spec = arithmetic_peak::spec();
    let pipelines = gpu.compile(FILES, std::slice::from_ref(&spec))?;
    let [pipeline] = &pipelines[..] else {
        return Err(Error::Bug("one kernel was compiled to several".into()));
    };
    let kind = usize::from(gpu.is_software());
    let (workgroups, rounds) = (ARITHMETIC_WORKGROUPS[kind], ROUNDS[kind]);
    let lanes = u64::from(workgroups * LANES);
    let results = gpu.buffer("results", lanes * 4, wgpu::BufferUsages::STORAGE);
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
    let mut timed = Timed {
        bind_group: pipeline.bind(gpu, &bindings.into_list()),
        pipeline,
        offsets: Vec::new(),
        grid: (workgroups, 1),
        dispatches: 1,
    };
    gpu.check()?;
    let flops = lanes * u64::from(rounds) * arithmetic_peak::ROUND_FLOPS;
    Ok((flops, stopwatch.measure(&mut timed)?))
}

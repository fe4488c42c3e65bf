//! The adapter's measured read bandwidth: what decoding, which reads every weight once a token, is held against.

use std::time::Instant;

use super::pack::UNIT;
use super::weights::Store;
use crate::error::Result;
use crate::gpu::{Gpu, Pipeline};
use crate::kernels::{FILES, LANES, WeightSource, read_bandwidth};

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
pub fn measure(gpu: &Gpu) -> Result<Vec<(WeightSource, f64)>> {
    let mut sources = vec![WeightSource::Buffer];
    if gpu.max_texel_store_bytes() > 0 {
        sources.push(WeightSource::Texture);
    }
    let specs: Vec<_> = sources.iter().copied().map(read_bandwidth::spec).collect();
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
        size_of::<read_bandwidth::Shape>() as u64,
        wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
    );
    let units = read_bandwidth::Shape {
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
    let mut best = f64::INFINITY;
    // The first run pays for what the driver puts off until then.
    for run in 0..=RUNS {
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            pass.set_pipeline(&pipeline.pipeline);
            pass.set_bind_group(0, &bind_group, &[]);
            pass.dispatch_workgroups(workgroups as u32, 1, 1);
        }
        let begin = Instant::now();
        let submission = gpu.queue.submit([encoder.finish()]);
        gpu.wait(Some(submission))?;
        if run > 0 {
            best = best.min(begin.elapsed().as_secs_f64());
        }
    }
    Ok(bytes as f64 / best)
}

//! Times dispatches on the device, for what is measured at load.

use std::time::Duration;

use web_time::Instant;

use crate::error::Result;
use crate::gpu::{Gpu, Pipeline, Timer};

/// The same dispatches, to be submitted again and again.
pub struct Timed<'a> {
    pub pipeline: &'a Pipeline,
    pub bind_group: wgpu::BindGroup,
    pub offsets: Vec<u32>,
    pub grid: (u32, u32),
    /// Dispatches a run: on a fast GPU a single one would be lost in the cost of submitting it.
    pub dispatches: usize,
}

impl Timed<'_> {
    /// From the submission of a run to its end, by the host's clock.
    ///
    /// # Errors
    /// Those of [`Gpu::wait`].
    pub fn run(&self, gpu: &Gpu) -> Result<Duration> {
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        self.record(&mut encoder.begin_compute_pass(&Default::default()));
        let begin = Instant::now();
        let submission = gpu.queue.submit([encoder.finish()]);
        gpu.wait(Some(submission))?;
        Ok(begin.elapsed())
    }

    /// Seconds of a run by the device's clock; `None` where its timestamps make no sense.
    ///
    /// # Errors
    /// Those of [`Gpu::wait`].
    pub fn run_by(&self, gpu: &Gpu, timer: &Timer) -> Result<Option<f64>> {
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        timer.record(&mut encoder, 0, 1, |pass, _| self.record(pass));
        timer.resolve(&mut encoder, 1);
        let submission = gpu.queue.submit([encoder.finish()]);
        let intervals = timer.read(gpu, submission, 1)?;
        let first = intervals.and_then(|intervals| intervals.first().copied());
        Ok(first.map(|(begin, end)| 1e-9 * (end - begin) as f64))
    }

    fn record(&self, pass: &mut wgpu::ComputePass<'_>) {
        pass.set_pipeline(&self.pipeline.pipeline);
        pass.set_bind_group(0, &self.bind_group, &self.offsets);
        for _ in 0..self.dispatches {
            pass.dispatch_workgroups(self.grid.0, self.grid.1, 1);
        }
    }
}

/// The best of `runs` runs of each, in turns, so that whatever else the machine does meets all of them.
///
/// # Errors
/// Those of [`Gpu::wait`].
pub fn best_times(gpu: &Gpu, candidates: &[Timed<'_>], runs: usize) -> Result<Vec<Duration>> {
    // The first run pays for what the driver puts off until then.
    for candidate in candidates {
        candidate.run(gpu)?;
    }
    let mut best = vec![Duration::MAX; candidates.len()];
    for _ in 0..runs {
        for (best, candidate) in best.iter_mut().zip(candidates) {
            *best = candidate.run(gpu)?.min(*best);
        }
    }
    Ok(best)
}

/// The fastest and its time, where it is faster than the first by `margin`, else the first; `None` if there is none.
pub fn fastest<T>(
    margin: f64,
    mut times: impl Iterator<Item = (T, Duration)>,
) -> Option<(T, Duration)> {
    let first = times.next()?;
    let best = times
        .filter(|(_, time)| time.mul_f64(margin) < first.1)
        .min_by_key(|(_, time)| *time);
    Some(best.unwrap_or(first))
}

/// From the submission of nothing to its end, by the host's clock.
///
/// # Errors
/// Those of [`Gpu::wait`].
pub fn submit_nothing(gpu: &Gpu) -> Result<Duration> {
    let encoder = gpu.device.create_command_encoder(&Default::default());
    let begin = Instant::now();
    let submission = gpu.queue.submit([encoder.finish()]);
    gpu.wait(Some(submission))?;
    Ok(begin.elapsed())
}

/// A uniform buffer with a kernel's parameters.
pub fn uniform<T: bytemuck::Pod>(gpu: &Gpu, parameters: T) -> wgpu::Buffer {
    let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
    let buffer = gpu.buffer("measurement", size_of::<T>() as u64, usage);
    let bytes = bytemuck::bytes_of(&parameters);
    gpu.queue.write_buffer(&buffer, 0, bytes);
    buffer
}

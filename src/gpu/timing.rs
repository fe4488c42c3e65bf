//! Timestamps around every dispatch of a submission, where the adapter has them.

use super::arrival::Arrival;
use super::device::Gpu;
use crate::error::Result;
use crate::threads;

/// Begin and end of some dispatches, in nanoseconds of the device's clock.
pub type Intervals = Vec<(u64, u64)>;

/// Query memory for a number of dispatches, made once.
pub struct Timer {
    queries: wgpu::QuerySet,
    resolved: wgpu::Buffer,
    staging: wgpu::Buffer,
    /// Nanoseconds a tick.
    period: f64,
    /// Whether timestamps may lie between the dispatches of one pass. Otherwise every dispatch gets a pass of its own, whose
    /// boundaries are timed: all that Apple's GPUs offer.
    inside_passes: bool,
    capacity: usize,
}

impl Gpu {
    /// A timer for up to `capacity` dispatches a submission; `None` where the adapter has no timestamps.
    pub(crate) fn timer(&self, capacity: usize) -> Option<Timer> {
        let inside = wgpu::Features::TIMESTAMP_QUERY_INSIDE_PASSES;
        self.timer_with(capacity, self.device.features().contains(inside))
    }

    fn timer_with(&self, capacity: usize, inside_passes: bool) -> Option<Timer> {
        let features = self.device.features();
        let count = 2 * capacity as u32;
        // Without threads nobody can wait for them.
        if !threads::EXIST
            || !features.contains(wgpu::Features::TIMESTAMP_QUERY)
            || count > wgpu::QUERY_SET_MAX_QUERIES
        {
            return None;
        }
        let bytes = u64::from(count) * u64::from(wgpu::QUERY_SIZE);
        let copy = wgpu::BufferUsages::COPY_SRC;
        self.count_object();
        Some(Timer {
            queries: self.device.create_query_set(&wgpu::QuerySetDescriptor {
                label: Some("timer"),
                ty: wgpu::QueryType::Timestamp,
                count,
            }),
            resolved: self.buffer("timer", bytes, wgpu::BufferUsages::QUERY_RESOLVE | copy),
            staging: self.buffer(
                "timer staging",
                bytes,
                wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
            ),
            period: f64::from(self.queue.get_timestamp_period()),
            inside_passes,
            capacity,
        })
    }
}

impl Timer {
    /// Records `count` dispatches, the `i`th by `dispatch(pass, i)`, with a timestamp before and after each that there is room for. `first` of
    /// the same measurement were recorded before, perhaps in another submission.
    pub fn record(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        first: usize,
        count: usize,
        mut dispatch: impl FnMut(&mut wgpu::ComputePass<'_>, usize),
    ) {
        let timed = count.min(self.capacity.saturating_sub(first));
        let query = |i: usize| 2 * (first + i) as u32;
        if self.inside_passes {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            for i in 0..timed {
                pass.write_timestamp(&self.queries, query(i));
                dispatch(&mut pass, i);
                pass.write_timestamp(&self.queries, query(i) + 1);
            }
        } else {
            for i in 0..timed {
                let writes = wgpu::ComputePassTimestampWrites {
                    query_set: &self.queries,
                    beginning_of_pass_write_index: Some(query(i)),
                    end_of_pass_write_index: Some(query(i) + 1),
                };
                let descriptor = wgpu::ComputePassDescriptor {
                    label: None,
                    timestamp_writes: Some(writes),
                };
                dispatch(&mut encoder.begin_compute_pass(&descriptor), i);
            }
        }
        if timed < count {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            (timed..count).for_each(|i| dispatch(&mut pass, i));
        }
    }

    /// Records what makes the `count` intervals recorded so far readable; the last thing of a measurement.
    pub fn resolve(&self, encoder: &mut wgpu::CommandEncoder, count: usize) {
        let queries = 2 * count.min(self.capacity) as u32;
        encoder.resolve_query_set(&self.queries, 0..queries, &self.resolved, 0);
        let bytes = u64::from(queries) * u64::from(wgpu::QUERY_SIZE);
        encoder.copy_buffer_to_buffer(&self.resolved, 0, &self.staging, 0, bytes);
    }

    /// Waits for the submission and reads its `count` intervals; `None` where there was no room for them, or the driver's numbers make no sense
    /// (zeros, or time that runs backwards).
    ///
    /// # Errors
    /// Those of [`Gpu::wait`].
    pub fn read(
        &self,
        gpu: &Gpu,
        submission: wgpu::SubmissionIndex,
        count: usize,
    ) -> Result<Option<Intervals>> {
        if count > self.capacity {
            gpu.wait(Some(submission))?;
            return Ok(None);
        }
        let bytes = 2 * count as u64 * u64::from(wgpu::QUERY_SIZE);
        let arrival = Arrival::new(&self.staging, bytes, submission);
        let ticks: Vec<u64> = arrival.read(gpu, bytemuck::pod_collect_to_vec)?;
        Ok(intervals(&ticks, self.period))
    }
}

/// Begins and ends in nanoseconds, from ticks of `period` nanoseconds; `None` for ticks that make no sense.
fn intervals(ticks: &[u64], period: f64) -> Option<Intervals> {
    let Some(origin) = ticks.first().copied() else {
        return Some(Vec::new());
    };
    let runs_forward = ticks.is_sorted();
    let moves = ticks.last() > Some(&origin);
    if origin == 0 || !runs_forward || !moves || period <= 0.0 {
        return None;
    }
    let nanoseconds = |tick: u64| ((tick - origin) as f64 * period) as u64;
    let pairs = ticks.chunks_exact(2);
    Some(
        pairs
            .map(|pair| (nanoseconds(pair[0]), nanoseconds(pair[1])))
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_that_make_no_sense_are_none() {
        assert_eq!(intervals(&[5, 7, 7, 10], 2.0), Some(vec![(0, 4), (4, 10)]));
        assert_eq!(intervals(&[], 1.0), Some(vec![]));
        for ticks in [
            // Zeros, time that stands still, and time that runs backwards.
            [0, 0, 0, 0],
            [0, 1, 2, 3],
            [9, 9, 9, 9],
            [5, 4, 6, 7],
            [5, 8, 7, 9],
        ] {
            assert_eq!(intervals(&ticks, 1.0), None, "{ticks:?}");
        }
        assert_eq!(intervals(&[5, 7], 0.0), None);
    }

    /// As on Apple's GPUs, which have timestamps at the boundaries of passes only.
    #[test]
    fn boundaries_of_passes_will_do() {
        let gpu = Gpu::open(None).unwrap();
        let Some(timer) = gpu.timer_with(3, false) else {
            eprintln!("no timestamps here: not checked");
            return;
        };
        let all = |count: usize| {
            let mut encoder = gpu.device.create_command_encoder(&Default::default());
            let mut recorded = 0;
            timer.record(&mut encoder, 0, count, |_, i| {
                assert_eq!(i, recorded);
                recorded += 1;
            });
            assert_eq!(recorded, count);
            timer.resolve(&mut encoder, count);
            let submission = gpu.queue.submit([encoder.finish()]);
            timer.read(&gpu, submission, count).unwrap()
        };
        if let Some(intervals) = all(3) {
            assert_eq!(intervals.len(), 3);
            assert!(intervals.iter().all(|(begin, end)| begin <= end));
        }
        // What there is no room for is done all the same, without times.
        assert_eq!(all(5), None);
        gpu.check().unwrap();
    }
}

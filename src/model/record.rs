//! Records the operations of a step into command encoders, in pieces that the device is done with in time.

use super::launch::Launch;
use super::op::{Extent, Op};
use super::pieces::{IN_FLIGHT, Pieces, piece};
use crate::error::Result;
use crate::gpu::Timer;
use crate::gpu::timing::Intervals;
use crate::trace::{Span, TraceMode};

/// What each part of a step has to do.
#[derive(Default)]
pub struct Extents {
    pub trunk: Extent,
    /// Of the trunk's end, which only rows go through that something is wanted after.
    pub wanted: Extent,
    pub tail: Extent,
    pub sample: Extent,
    pub is_random: bool,
    pub has_ngrams: bool,
}

/// An operation and what it has to do.
pub type Task<'a> = (&'a Op<Launch>, &'a Extent);

/// Records groups, with a timestamp before and after each if there is a `timer`; what is returned is what is not submitted yet.
pub fn record(
    gpu: &crate::gpu::Gpu,
    extents: &Extents,
    groups: &[&[Task<'_>]],
    timer: Option<&Timer>,
    pieces: &mut Pieces,
) -> Result<wgpu::CommandEncoder> {
    // A step of a single row is never cut: it is short, and most of decoding.
    let budget = |pieces: &Pieces| match extents.trunk.rows.count() {
        1 => u64::MAX,
        _ => pieces.budget(),
    };
    let mut start = 0;
    loop {
        let costs = groups[start..].iter();
        let costs = costs.map(|group| group.iter().map(macs).sum());
        let (count, macs) = piece(costs, budget(pieces));
        let this = &groups[start..start + count];
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        match timer {
            Some(timer) => timer.record(&mut encoder, start, this.len(), |pass, i| {
                dispatch(pass, this[i]);
            }),
            None => {
                let mut pass = encoder.begin_compute_pass(&Default::default());
                this.iter().for_each(|group| dispatch(&mut pass, group));
            }
        }
        start += count;
        if start == groups.len() {
            if let Some(timer) = timer {
                timer.resolve(&mut encoder, groups.len());
            }
            return Ok(encoder);
        }
        pieces.push(gpu.queue.submit([encoder.finish()]), macs);
        while pieces.in_flight.len() >= IN_FLIGHT {
            pieces.wait_for_oldest(gpu)?;
        }
    }
}

/// The tasks that are timed together.
pub fn groups<'a, 'b>(tasks: &'b [Task<'a>], mode: TraceMode) -> Vec<&'b [Task<'a>]> {
    let together = |a: &Task<'_>, b: &Task<'_>| {
        mode == TraceMode::Layers && a.0.layer.is_some() && a.0.layer == b.0.layer
    };
    tasks.chunk_by(together).collect()
}

fn macs((op, extent): &Task<'_>) -> u64 {
    op.macs(extent)
}

fn dispatch(pass: &mut wgpu::ComputePass<'_>, group: &[Task<'_>]) {
    for (op, extent) in group {
        op.each(extent, |launch, first, count| {
            launch.record(pass, first, count, extent.generated_kv_len);
        });
    }
}

/// What the groups of a step took.
pub fn spans(groups: &[&[Task<'_>]], intervals: Intervals) -> Vec<Span> {
    let span = |(group, (start, end)): (&&[Task<'_>], (u64, u64))| {
        let bytes = |(op, extent): &Task<'_>| op.bytes(extent);
        Span {
            layer: group[0].0.layer,
            kernel: match group {
                [(op, _)] => op.stage.name(),
                _ => "layer",
            },
            start_ns: start,
            duration_ns: end - start,
            read: group.iter().map(|task| bytes(task).0).sum(),
            written: group.iter().map(|task| bytes(task).1).sum(),
            flops: group.iter().map(|task| 2 * macs(task)).sum(),
        }
    };
    groups.iter().zip(intervals).map(span).collect()
}

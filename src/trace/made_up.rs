//! Steps that never were, for tests.

use std::time::Duration;

use super::{Phase, Span, Step, TraceMode};

pub fn span(layer: Option<u32>, kernel: &'static str, duration_ns: u64, read: u64) -> Span {
    Span {
        layer,
        kernel,
        start_ns: 0,
        duration_ns,
        read,
        written: 0,
        flops: 0,
    }
}

/// Layers of a norm, attention and a feed-forward network that take `each` nanoseconds a kernel, one byte each.
pub fn layer_spans(layers: u32, each: u64) -> Vec<Span> {
    let kernels = ["attn_norm", "attention", "proj_1", "proj_2"];
    (0..layers)
        .flat_map(|layer| kernels.map(|kernel| span(Some(layer), kernel, each, each)))
        .chain([span(None, "head", each, each)])
        .collect()
}

/// A decoded token whose time is all in its spans.
pub fn decode(spans: Vec<Span>) -> Step {
    let wall = spans.iter().map(|span| span.duration_ns).sum();
    Step {
        phase: Phase::Decode,
        tokens: 1,
        proposed: 0,
        accepted: 0,
        position: 0,
        begin: Duration::ZERO,
        wall: Duration::from_nanos(wall),
        mode: TraceMode::Kernels,
        spans: Some(spans),
    }
}

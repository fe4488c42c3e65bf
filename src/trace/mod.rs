//! Timings as plain data: what every dispatch of a step cost, summed by layer and by kernel, and written for other programs.
//!
//! Architecture invariant: no GPU here; a trace can be kept, compared and exported long after the device is gone.

mod export;

pub use export::{chrome, csv, json};

use std::collections::BTreeMap;
use std::time::Duration;

/// How finely steps are timed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TraceMode {
    #[default]
    Off,
    /// Whole steps, by the host's clock: costs nothing.
    Steps,
    /// Layer by layer: the least that can be asked of the device.
    Layers,
    /// Dispatch by dispatch.
    Kernels,
}

impl TraceMode {
    /// Whether the device's clock is asked.
    pub fn is_detailed(self) -> bool {
        matches!(self, Self::Layers | Self::Kernels)
    }
}

/// What a step did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Tokens that were given.
    Prefill,
    /// A token that was generated.
    Decode,
}

/// One dispatch (or the few that do one operation for the tokens of a step).
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Span {
    /// `None`: outside the layers.
    pub layer: Option<u32>,
    /// Such as `qkv` or `attention`; `layer` for a whole one.
    pub kernel: &'static str,
    /// Nanoseconds from the first dispatch of the step.
    pub start_ns: u64,
    pub duration_ns: u64,
    /// Weights, cache entries and activations that the operation must read and write, each counted once.
    pub bytes: u64,
    pub flops: u64,
}

/// One step.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Step {
    pub phase: Phase,
    /// Tokens in the step.
    pub tokens: u32,
    /// Position of the first.
    pub position: u32,
    /// When it was submitted, from the beginning of the trace.
    pub begin: Duration,
    /// On the host's clock: from submission to the end, or, if only whole steps were timed, from the token before to this one.
    pub wall: Duration,
    /// How finely it was timed.
    pub mode: TraceMode,
    /// `None`: only the whole was timed, or the adapter has no timestamps, or none that make sense; then `wall` is all that is known.
    pub spans: Option<Vec<Span>>,
}

impl Step {
    /// Nanoseconds of all spans; `None` without timestamps.
    pub fn device_ns(&self) -> Option<u64> {
        let spans = self.spans.as_ref()?;
        Some(spans.iter().map(|span| span.duration_ns).sum())
    }
}

/// Sums over some spans.
#[derive(Debug, Clone, Copy, Default, PartialEq, serde::Serialize)]
pub struct Sum {
    pub calls: u64,
    pub duration_ns: u64,
    pub bytes: u64,
    pub flops: u64,
}

impl Sum {
    fn add(&mut self, span: &Span) {
        self.calls += 1;
        self.duration_ns += span.duration_ns;
        self.bytes += span.bytes;
        self.flops += span.flops;
    }

    /// Gigabytes a second.
    pub fn gb_per_s(&self) -> f64 {
        self.bytes as f64 / (self.duration_ns as f64).max(1.0)
    }

    /// Thousand million operations a second.
    pub fn gflops(&self) -> f64 {
        self.flops as f64 / (self.duration_ns as f64).max(1.0)
    }
}

/// What a kernel cost.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct KernelSum {
    pub kernel: &'static str,
    pub sum: Sum,
}

/// What a layer cost, and each kernel in it.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct LayerSum {
    /// `None`: what lies outside the layers.
    pub layer: Option<u32>,
    pub sum: Sum,
    pub kernels: Vec<KernelSum>,
}

/// The spans of some steps.
fn spans<'a>(steps: impl IntoIterator<Item = &'a Step>) -> impl Iterator<Item = &'a Span> {
    steps
        .into_iter()
        .filter_map(|step| step.spans.as_ref())
        .flatten()
}

/// Adds a span to its kernel's sum.
fn add(sums: &mut Vec<KernelSum>, span: &Span) {
    match sums.iter_mut().find(|sum| sum.kernel == span.kernel) {
        Some(found) => found.sum.add(span),
        None => {
            let mut sum = Sum::default();
            sum.add(span);
            sums.push(KernelSum {
                kernel: span.kernel,
                sum,
            });
        }
    }
}

/// Sums by kernel, in the order in which a step runs them.
pub fn by_kernel<'a>(steps: impl IntoIterator<Item = &'a Step>) -> Vec<KernelSum> {
    let mut sums = Vec::new();
    spans(steps).for_each(|span| add(&mut sums, span));
    sums
}

/// Sums by layer, what lies outside first.
pub fn by_layer<'a>(steps: impl IntoIterator<Item = &'a Step>) -> Vec<LayerSum> {
    let mut layers: BTreeMap<Option<u32>, LayerSum> = BTreeMap::new();
    for span in spans(steps) {
        let layer = layers.entry(span.layer).or_insert_with(|| LayerSum {
            layer: span.layer,
            sum: Sum::default(),
            kernels: Vec::new(),
        });
        layer.sum.add(span);
        add(&mut layer.kernels, span);
    }
    layers.into_values().collect()
}

//! A step that was timed, and sums over several by layer and by kernel.

use std::time::Duration;

use super::mode::TraceMode;

/// What a step did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
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
    /// Bytes of weights, cache entries and activations that the operation must read at least: each counted once.
    pub read: u64,
    /// Bytes that it must write.
    pub written: u64,
    /// Floating-point operations of its products and sums; unpacking weights is none.
    pub flops: u64,
}

/// What the adapter can do at best, as measured.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Peaks {
    /// Bytes read a second.
    pub bytes_per_s: f64,
    /// Floating-point operations a second.
    pub flops_per_s: f64,
    /// Whether the host's clock measured it, for want of timestamps: then it is less sure.
    pub is_estimated: bool,
}

/// What holds an operation back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Bound {
    /// Its bytes, at the measured bandwidth, take more than half of its time.
    Memory,
    /// Its floating-point operations do, at the measured peak.
    Arithmetic,
    /// Neither: starting up, waiting, unpacking weights.
    Overhead,
}

impl Bound {
    pub fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Arithmetic => "arithmetic",
            Self::Overhead => "overhead",
        }
    }
}

/// One step.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Step {
    pub phase: Phase,
    /// Tokens in the step.
    pub tokens: u32,
    /// How many of them were proposed, and how many of those accepted.
    pub proposed: u32,
    pub accepted: u32,
    /// Position of the first.
    pub position: u32,
    /// When it was submitted, from the beginning of the trace.
    #[serde(rename = "begin_ns", serialize_with = "nanoseconds")]
    pub begin: Duration,
    /// On the host's clock: from submission to the end, or, if only whole steps were timed, from the token before to this one.
    #[serde(rename = "wall_ns", serialize_with = "nanoseconds")]
    pub wall: Duration,
    /// How finely it was timed.
    pub mode: TraceMode,
    /// `None`: only the whole was timed, or the adapter has no timestamps, or none that make sense; then `wall` is all that is known.
    pub spans: Option<Vec<Span>>,
}

fn nanoseconds<S: serde::Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_u64(time.as_nanos().try_into().unwrap_or(u64::MAX))
}

impl Step {
    /// Tokens that the text has more after the step, or that are computed of the prompt: all but those that were proposed in vain.
    pub fn gained(&self) -> u32 {
        let refused = self.proposed.saturating_sub(self.accepted);
        self.tokens.saturating_sub(refused).max(1)
    }

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
    /// Bytes, as of [`Span`].
    pub read: u64,
    pub written: u64,
    pub flops: u64,
}

impl From<&Span> for Sum {
    fn from(span: &Span) -> Self {
        Self {
            calls: 1,
            duration_ns: span.duration_ns,
            read: span.read,
            written: span.written,
            flops: span.flops,
        }
    }
}

impl Sum {
    fn add(&mut self, span: &Span) {
        *self = self.and(&span.into());
    }

    /// The sum of both.
    pub fn and(self, other: &Self) -> Self {
        Self {
            calls: self.calls + other.calls,
            duration_ns: self.duration_ns + other.duration_ns,
            read: self.read + other.read,
            written: self.written + other.written,
            flops: self.flops + other.flops,
        }
    }

    /// Bytes read and written.
    pub fn bytes(&self) -> u64 {
        self.read + self.written
    }

    /// Bytes a second; none for what took no time that the clock could see.
    pub fn bytes_per_s(&self) -> Option<f64> {
        rate(self.bytes(), self.duration_ns)
    }

    /// Floating-point operations a second; none likewise.
    pub fn flops_per_s(&self) -> Option<f64> {
        rate(self.flops, self.duration_ns)
    }

    /// What held it back: the roofline model.
    pub fn bound_by(&self, peaks: &Peaks) -> Bound {
        let memory = self.bytes() as f64 / peaks.bytes_per_s;
        let arithmetic = self.flops as f64 / peaks.flops_per_s;
        let half = 0.5e-9 * self.duration_ns as f64;
        if memory.max(arithmetic) < half {
            Bound::Overhead
        } else if memory >= arithmetic {
            Bound::Memory
        } else {
            Bound::Arithmetic
        }
    }
}

fn rate(amount: u64, nanoseconds: u64) -> Option<f64> {
    (nanoseconds > 0).then(|| amount as f64 * 1e9 / nanoseconds as f64)
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
pub(super) fn add_to_kernels(sums: &mut Vec<KernelSum>, span: &Span) {
    match sums.iter_mut().find(|sum| sum.kernel == span.kernel) {
        Some(found) => found.sum.add(span),
        None => sums.push(KernelSum {
            kernel: span.kernel,
            sum: span.into(),
        }),
    }
}

/// Adds a span to its layer's sum, in a list that begins with what lies outside the layers.
pub(super) fn add_to_layers(sums: &mut Vec<LayerSum>, span: &Span) {
    let at = match sums.binary_search_by_key(&span.layer, |sum| sum.layer) {
        Ok(at) => at,
        Err(at) => {
            let new = LayerSum {
                layer: span.layer,
                sum: Sum::default(),
                kernels: Vec::new(),
            };
            sums.insert(at, new);
            at
        }
    };
    sums[at].sum.add(span);
    add_to_kernels(&mut sums[at].kernels, span);
}

/// Sums by kernel, in the order in which a step runs them.
pub fn by_kernel<'a>(steps: impl IntoIterator<Item = &'a Step>) -> Vec<KernelSum> {
    let mut sums = Vec::new();
    spans(steps).for_each(|span| add_to_kernels(&mut sums, span));
    sums
}

/// Sums by layer, what lies outside first.
pub fn by_layer<'a>(steps: impl IntoIterator<Item = &'a Step>) -> Vec<LayerSum> {
    let mut sums = Vec::new();
    spans(steps).for_each(|span| add_to_layers(&mut sums, span));
    sums
}

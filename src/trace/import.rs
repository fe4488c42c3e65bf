//! Traces that were written as JSON, read back. A file may be anybody's: what is in it is checked against bounds under which no sum overflows,
//! and takes no more memory than a few times the file.

use std::marker::PhantomData;
use std::sync::Mutex;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{SeqAccess, Visitor};

use super::step::{Peaks, Phase, Span, Step};
use super::{GROUPS, LayerShape, Subject, TraceMode};

/// The most bytes of a file: that of 2,048 steps of the largest model has a third.
pub const MOST_BYTES: u64 = 128 << 20;

/// The deepest model that there may be.
const MOST_LAYERS: usize = 1024;

/// The most steps of a file, and the most requests that share one.
const MOST_STEPS: usize = 1 << 20;
const MOST_SHARED: usize = 32;

/// Bounds of single figures: nanoseconds of a span or a step, when it began, bytes and operations of a span, tokens of a step.
const LONGEST_NS: u64 = 1_000_000_000_000;
const LATEST_NS: u64 = 1_000_000_000_000_000;
const MOST_WORK: u64 = 10_000_000_000_000;
const MOST_TOKENS: u32 = 1 << 20;

/// Characters of a name, and how many names of kernels are learnt in a program's life that it does not know.
const MOST_NAME: usize = 80;
const MOST_NAMES: usize = 256;

/// A trace as it was written.
#[derive(Debug, Default)]
pub struct Imported {
    pub subject: Subject,
    /// What the adapter could do at best.
    pub peaks: Option<Peaks>,
    pub steps: Vec<Step>,
    /// The requests that had a part in each step; empty where there was one.
    pub requests: Vec<Vec<u64>>,
    /// Steps before those, which were let go when it was written.
    pub left_out: usize,
}

#[derive(Deserialize)]
struct File {
    metadata: Option<Metadata>,
    steps: Bounded<StepRead, MOST_STEPS>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Metadata {
    model: String,
    dtype: String,
    adapter: Adapter,
    peaks: Option<Peaks>,
    layers: Bounded<LayerShape, MOST_LAYERS>,
    requests: Bounded<Bounded<u64, MOST_SHARED>, MOST_STEPS>,
    left_out: usize,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Adapter {
    name: String,
    backend: String,
    driver: String,
    device_type: String,
}

#[derive(Deserialize)]
struct StepRead {
    phase: Phase,
    tokens: u32,
    #[serde(default)]
    proposed: u32,
    #[serde(default)]
    accepted: u32,
    position: u32,
    begin_ns: u64,
    wall_ns: u64,
    mode: TraceMode,
    spans: Option<Vec<SpanRead>>,
}

#[derive(Deserialize)]
struct SpanRead {
    layer: Option<u32>,
    kernel: Kernel,
    start_ns: u64,
    duration_ns: u64,
    read: u64,
    written: u64,
    flops: u64,
}

/// A list of no more than so many. What takes few bytes in a file takes many in memory.
struct Bounded<T, const MOST: usize>(Vec<T>);

impl<T, const MOST: usize> Default for Bounded<T, MOST> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>, const MOST: usize> Deserialize<'de> for Bounded<T, MOST> {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_seq(Items(PhantomData))
    }
}

struct Items<T, const MOST: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for Items<T, MOST> {
    type Value = Bounded<T, MOST>;

    fn expecting(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(to, "a list of at most {MOST}")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut all = Vec::new();
        while let Some(item) = items.next_element()? {
            if all.len() == MOST {
                return Err(serde::de::Error::invalid_length(MOST + 1, &self));
            }
            all.push(item);
        }
        Ok(Bounded(all))
    }
}

/// The name of a kernel.
struct Kernel(&'static str);

impl<'de> Deserialize<'de> for Kernel {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let name = std::borrow::Cow::<str>::deserialize(from)?;
        let mut learnt = LEARNT.lock().map_err(serde::de::Error::custom)?;
        known(&name, &mut learnt).map(Self).ok_or_else(|| {
            let name: String = name.chars().take(MOST_NAME).collect();
            serde::de::Error::custom(format!("`{name}` is no kernel of this program"))
        })
    }
}

/// Names of kernels that this version does not have.
static LEARNT: Mutex<Vec<&'static str>> = Mutex::new(Vec::new());

/// A kernel's name for as long as the program runs. Other versions may have kernels that this one has not, but not hundreds.
fn known(name: &str, learnt: &mut Vec<&'static str>) -> Option<&'static str> {
    let mut ours = GROUPS.iter().flat_map(|(_, kernels)| kernels.iter());
    if let Some(kernel) = ours.find(|kernel| **kernel == name) {
        return Some(kernel);
    }
    if let Some(kernel) = learnt.iter().find(|kernel| **kernel == name) {
        return Some(kernel);
    }
    let is_name = |name: &str| {
        let mut bytes = name.bytes();
        bytes.all(|byte| byte.is_ascii_alphanumeric() || b"_-. ".contains(&byte))
    };
    if name.is_empty() || name.len() > MOST_NAME || !is_name(name) || learnt.len() >= MOST_NAMES {
        return None;
    }
    let kernel: &'static str = Box::leak(name.to_owned().into_boxed_str());
    learnt.push(kernel);
    Some(kernel)
}

/// Reads what [`super::json`] wrote, of this version or of an earlier one.
///
/// # Errors
/// Says what is wrong with the file.
pub fn read_json(bytes: &[u8]) -> Result<Imported, String> {
    let File {
        metadata,
        steps: Bounded(steps),
    } = serde_json::from_slice(bytes).map_err(|error| format!("not a trace: {error}"))?;
    let metadata = metadata.unwrap_or_default();
    if steps.is_empty() {
        return Err("a trace without a step".to_owned());
    }
    let peaks = metadata.peaks.filter(|peaks| {
        let is_rate = |rate: f64| rate.is_finite() && rate > 0.0;
        is_rate(peaks.bytes_per_s) && is_rate(peaks.flops_per_s)
    });
    let mut checked = Vec::with_capacity(steps.len());
    for (i, step) in steps.into_iter().enumerate() {
        checked.push(step.check().map_err(|what| format!("step {i}: {what}"))?);
    }
    let requests = metadata.requests.0.into_iter();
    let mut requests: Vec<Vec<u64>> = requests.map(|shared| shared.0).collect();
    if requests.len() != checked.len() {
        requests.clear();
    }
    let named = |name: String| name.chars().take(MOST_NAME).collect::<String>();
    let subject = Subject {
        model: named(metadata.model),
        dtype: named(metadata.dtype),
        adapter: named(metadata.adapter.name),
        backend: named(metadata.adapter.backend),
        driver: named(metadata.adapter.driver),
        device_type: named(metadata.adapter.device_type),
        layers: metadata.layers.0,
    };
    Ok(Imported {
        subject,
        peaks,
        steps: checked,
        requests,
        left_out: metadata.left_out.min(u32::MAX as usize),
    })
}

impl StepRead {
    fn check(self) -> Result<Step, String> {
        let Self {
            tokens, position, ..
        } = self;
        let is_sane = tokens <= MOST_TOKENS
            && self.proposed <= MOST_TOKENS
            && self.accepted <= self.proposed
            && position <= u32::MAX - MOST_TOKENS
            && self.wall_ns <= LONGEST_NS
            && self.begin_ns <= LATEST_NS;
        if !is_sane {
            return Err("its figures are none of a step".to_owned());
        }
        let spans = self.spans.map(|spans| {
            let spans = spans.into_iter();
            spans.map(SpanRead::check).collect::<Result<Vec<_>, _>>()
        });
        // What has no span was not timed in detail.
        let spans = spans.transpose()?.filter(|spans| !spans.is_empty());
        Ok(Step {
            phase: self.phase,
            tokens,
            proposed: self.proposed,
            accepted: self.accepted,
            position,
            begin: Duration::from_nanos(self.begin_ns),
            wall: Duration::from_nanos(self.wall_ns),
            mode: self.mode,
            spans,
        })
    }
}

impl SpanRead {
    fn check(self) -> Result<Span, String> {
        let Self {
            layer,
            kernel: Kernel(kernel),
            start_ns,
            duration_ns,
            read,
            written,
            flops,
        } = self;
        if layer.is_some_and(|layer| layer as usize >= MOST_LAYERS) {
            return Err(format!("{kernel} is of no layer that a model has"));
        }
        let is_sane = start_ns <= LONGEST_NS
            && duration_ns <= LONGEST_NS
            && [read, written, flops].iter().all(|work| *work <= MOST_WORK);
        if !is_sane {
            return Err(format!("the figures of {kernel} are none of a kernel"));
        }
        Ok(Span {
            layer,
            kernel,
            start_ns,
            duration_ns,
            read,
            written,
            flops,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::json;
    use crate::trace::made_up::{decode, span};
    use serde_json::json as value;

    fn file() -> serde_json::Value {
        let steps = [
            decode(vec![span(Some(3), "qkv", 5, 7), span(None, "head", 1, 0)]),
            decode(vec![span(Some(3), "a_new_one", 5, 7)]),
        ];
        let metadata = value!({
            "model": "demo", "dtype": "q8",
            "adapter": { "name": "a GPU", "backend": "vulkan", "driver": "1", "device_type": "cpu" },
            "peaks": Peaks { bytes_per_s: 1e9, flops_per_s: 2e9, is_estimated: true },
            "layers": [LayerShape { q_heads: 4, kv_heads: 1, ffn_dim: 64 }],
            "requests": [[1], [1, 2]], "something": "new",
        });
        serde_json::from_str(&json(&steps, &metadata)).unwrap()
    }

    fn read(file: &serde_json::Value) -> Result<Imported, String> {
        read_json(file.to_string().as_bytes())
    }

    #[test]
    fn what_was_written_is_read_back() {
        let file = file();
        let trace = read(&file).unwrap();
        assert_eq!(trace.subject.words(), "demo q8 on a GPU");
        assert_eq!(trace.requests, [vec![1], vec![1, 2]]);
        assert_eq!(trace.subject.layers.len(), 1);
        assert!(trace.peaks.unwrap().is_estimated);
        let again: serde_json::Value =
            serde_json::from_str(&json(&trace.steps, &file["metadata"])).unwrap();
        assert_eq!(again, file, "to the nanosecond");
        // Of an earlier version, with less about itself.
        let mut old = file.clone();
        old["metadata"] = value!({ "model": "demo" });
        assert_eq!(read(&old).unwrap().steps, trace.steps);
        old["metadata"] = value!(null);
        assert_eq!(read(&old).unwrap().steps, trace.steps);
    }

    #[test]
    fn what_no_run_could_have_written_is_refused() {
        for (pointer, bad) in [
            ("/steps", value!([])),
            ("/steps", value!(7)),
            ("/steps/0/wall_ns", value!(u64::MAX)),
            ("/steps/0/begin_ns", value!(u64::MAX)),
            ("/steps/0/wall_ns", value!(-1)),
            ("/steps/0/tokens", value!(u32::MAX)),
            ("/steps/0/accepted", value!(3)),
            ("/steps/0/position", value!(u32::MAX)),
            ("/steps/0/phase", value!("lunch")),
            ("/steps/0/mode", value!(null)),
            ("/steps/0/spans/0/layer", value!(4_000_000_000_u32)),
            ("/steps/0/spans/0/duration_ns", value!(u64::MAX)),
            ("/steps/0/spans/0/start_ns", value!(u64::MAX)),
            ("/steps/0/spans/0/flops", value!(u64::MAX)),
            ("/steps/0/spans/0/kernel", value!("")),
            ("/steps/0/spans/0/kernel", value!("<script>")),
            ("/steps/0/spans/0/kernel", value!("x".repeat(1000))),
            ("/metadata/layers", value!([{ "q_heads": 4 }])),
            ("/metadata/requests/0", value!(vec![1; 10_000])),
        ] {
            let mut file = file();
            *file.pointer_mut(pointer).unwrap() = bad;
            let problem = read(&file).expect_err(pointer);
            assert!(problem.len() < 300, "{problem}");
        }
        let deep = format!("{{\"metadata\":{}", "[".repeat(100_000));
        assert!(read_json(deep.as_bytes()).is_err());
        assert!(read_json(b"\xff").is_err());
    }

    #[test]
    fn names_of_kernels_are_learnt_but_not_without_end() {
        let mut learnt = Vec::new();
        let mut known = |name: &str| known(name, &mut learnt);
        for i in 0..MOST_NAMES {
            let name = format!("kernel {i}");
            assert_eq!(known(&name), Some(&*name));
        }
        assert_eq!(known("one more"), None);
        assert_eq!(
            (known("qkv"), known("kernel 1")),
            (Some("qkv"), Some("kernel 1"))
        );
    }
}

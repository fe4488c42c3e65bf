//! What took the time and why, in one sentence: "FFN of layers 10 to 15: 61 % of a token, memory-bound at 71 % of 20 GB/s".
//!
//! A token's time is cut into parts that have short names: a group of kernels over all layers, a kernel outside the layers, and what is
//! between and around the kernels. The largest is what the sentence is about. A range of layers stands for its group where half of the
//! layers or fewer take [`CONCENTRATED`] of its time; where no part takes [`LARGE`] of the whole, the layers as they are stand for
//! their kernels. What holds a part back is told by the roofline model ([`Sum::bound_by`]). What was not measured is not said.

use super::groups::{GROUPS, group};
use super::step::{Bound, Peaks, Phase, Sum};
use super::totals::Totals;
use super::units::{duration, giga};

/// So much of a group's time in half of its layers or fewer is worth naming them.
const CONCENTRATED: f64 = 0.66;

/// A part that takes less of the whole explains little.
const LARGE: f64 = 1.0 / 3.0;

/// Beyond this a share of measured bandwidth is no error of measuring.
const BEYOND: f64 = 1.05;

/// A kernel that takes less time than this spends much of it on being started.
const SHORT_NS: f64 = 20e3;

/// A part of a token's time.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// Such as `FFN of layers 10 to 15`.
    pub name: String,
    /// Of all time, 0 to 1.
    pub share: f64,
    /// What its kernels did; `None`: no kernel ran.
    pub sum: Option<Sum>,
}

/// What took the time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Explanation {
    pub sentence: String,
    /// All parts, largest first; those that the sentence is about may be a stretch of one of these.
    pub parts: Vec<Part>,
}

/// Says what took the time of some steps of a phase; `None` if there is none.
pub fn explain(totals: &Totals, phase: Phase, peaks: Option<&Peaks>) -> Option<Explanation> {
    if totals.all.steps == 0 {
        return None;
    }
    let timed = &totals.timed;
    let whole_s = timed.seconds.max(totals.device_s);
    if timed.steps == 0 || whole_s <= 0.0 {
        return Some(unknown(totals, phase));
    }
    let whole_ns = 1e9 * whole_s;
    let mut parts = parts(totals, whole_ns);
    parts.sort_by(|a, b| b.part.share.total_cmp(&a.part.share));
    let mut told = parts.first()?;
    let layers = all_kernels(totals, whole_ns);
    if told.part.share < LARGE
        && let Some(layers) = &layers
        && layers.part.share > told.part.share
    {
        told = layers;
    }
    let told = told.concentrated(whole_ns);
    let of = match phase {
        Phase::Decode => "of a token",
        Phase::Prefill => "of the prompt's time",
    };
    let mut sentence = format!("{}: {:.0} % {of}", told.name, 100.0 * told.share);
    match told.sum {
        None => sentence += ", in which no kernel ran: submitting, starting, waiting",
        Some(sum) if sum.duration_ns > 0 => {
            sentence += &reason(&sum, timed.tokens, peaks);
        }
        Some(_) => {}
    }
    let parts = parts.into_iter().map(|layered| layered.part);
    Some(Explanation {
        sentence,
        parts: parts.collect(),
    })
}

/// That only whole steps were timed.
fn unknown(totals: &Totals, phase: Phase) -> Explanation {
    let what = match phase {
        Phase::Decode => "A token",
        Phase::Prefill => "A token of the prompt",
    };
    let why = match totals.has_no_clock() {
        true => "This adapter has no timestamps, or none that make sense",
        false => "No step was timed in detail",
    };
    let time = duration(1e9 * totals.all.per_token());
    Explanation {
        sentence: format!(
            "{what} takes {time} by the host's clock (approximate). {why}, so where the time goes is not known."
        ),
        parts: Vec::new(),
    }
}

/// A part with what each layer has of it.
struct Layered {
    part: Part,
    /// What the part is called where it is that of some layers only.
    group: &'static str,
    layers: Vec<(u32, Sum)>,
}

impl Layered {
    fn new(group: &'static str, layers: Vec<(u32, Sum)>, whole_ns: f64) -> Option<Self> {
        let sum = total(&layers)?;
        let name = match (group, &layers[..]) {
            ("", [(one, _)]) => format!("Layer {one}"),
            ("", _) => "All layers".to_owned(),
            (group, [(one, _)]) => format!("{group} of layer {one}"),
            (group, _) => format!("{group} of all layers"),
        };
        let part = Part {
            name,
            share: sum.duration_ns as f64 / whole_ns,
            sum: Some(sum),
        };
        Some(Self {
            part,
            group,
            layers,
        })
    }

    /// The part, or the stretch of its layers that has most of it.
    fn concentrated(&self, whole_ns: f64) -> Part {
        let found = densest(&self.layers).and_then(|stretch| {
            let stretch = &self.layers[stretch];
            let sum = total(stretch)?;
            let all = self.part.sum?.duration_ns as f64;
            let is_most = sum.duration_ns as f64 >= CONCENTRATED * all;
            let is_short = 2 * stretch.len() <= self.layers.len();
            let ((first, _), (last, _)) = (stretch.first()?, stretch.last()?);
            (is_most && is_short).then_some((sum, *first, *last))
        });
        let Some((sum, first, last)) = found else {
            return self.part.clone();
        };
        let layers = match first == last {
            true => format!("ayer {first}"),
            false => format!("ayers {first} to {last}"),
        };
        let name = match self.group {
            "" => format!("L{layers}"),
            group => format!("{group} of l{layers}"),
        };
        Part {
            name,
            share: sum.duration_ns as f64 / whole_ns,
            sum: Some(sum),
        }
    }
}

fn total(layers: &[(u32, Sum)]) -> Option<Sum> {
    let sums = layers.iter().map(|(_, sum)| *sum);
    sums.reduce(|a, b| a.and(&b))
}

/// The stretch of layers that takes most beyond what as many layers take on average (Kadane's algorithm).
fn densest(layers: &[(u32, Sum)]) -> Option<std::ops::Range<usize>> {
    let all = total(layers)?.duration_ns as f64;
    let mean = all / layers.len() as f64;
    let mut best = (0.0, 0..0);
    let (mut excess, mut begin) = (0.0, 0);
    for (i, (_, sum)) in layers.iter().enumerate() {
        if excess <= 0.0 {
            (excess, begin) = (0.0, i);
        }
        excess += sum.duration_ns as f64 - mean;
        if excess > best.0 {
            best = (excess, begin..i + 1);
        }
    }
    (!best.1.is_empty()).then_some(best.1)
}

/// What a group is called at the beginning of a sentence.
fn spoken(group: usize) -> &'static str {
    match GROUPS[group].0 {
        "norm" => "Norms",
        "QKV" => "QKV products",
        "rope" => "Rotary embedding",
        "attention" => "Attention",
        "out" => "Output projection",
        "whole layer" => "",
        other => other,
    }
}

/// What a kernel outside the layers is called.
fn outside(kernel: &str) -> String {
    match kernel {
        "head" => "The head (logits of the whole vocabulary)".to_owned(),
        "embed" => "Looking up embeddings".to_owned(),
        "final_norm" => "The final norm".to_owned(),
        "sample" => "Choosing the token".to_owned(),
        "layer" => "What lies outside the layers".to_owned(),
        other => other.to_owned(),
    }
}

fn parts(totals: &Totals, whole_ns: f64) -> Vec<Layered> {
    let mut parts = Vec::new();
    for of in 0..GROUPS.len() {
        let layers = totals.layers.iter().filter_map(|layer| {
            let own = layer.kernels.iter().filter(|sum| group(sum.kernel) == of);
            let sum = own.map(|kernel| kernel.sum).reduce(|a, b| a.and(&b))?;
            Some((layer.layer?, sum))
        });
        parts.extend(Layered::new(spoken(of), layers.collect(), whole_ns));
    }
    let lonely = |name, share, sum| Layered {
        part: Part { name, share, sum },
        group: "",
        layers: Vec::new(),
    };
    let outer = totals.layers.iter().filter(|layer| layer.layer.is_none());
    for kernel in outer.flat_map(|layer| &layer.kernels) {
        let share = kernel.sum.duration_ns as f64 / whole_ns;
        parts.push(lonely(outside(kernel.kernel), share, Some(kernel.sum)));
    }
    let gap = (whole_ns - 1e9 * totals.device_s).max(0.0) / whole_ns;
    let name = "Between and around the kernels".to_owned();
    parts.push(lonely(name, gap, None));
    parts
}

/// All kernels of the layers.
fn all_kernels(totals: &Totals, whole_ns: f64) -> Option<Layered> {
    let layers = totals.layers.iter();
    let layers = layers.filter_map(|layer| Some((layer.layer?, layer.sum)));
    Layered::new("", layers.collect(), whole_ns)
}

/// What holds a part back, beginning with a comma.
fn reason(sum: &Sum, tokens: u64, peaks: Option<&Peaks>) -> String {
    let rate = sum.bytes_per_s();
    let Some(peaks) = peaks else {
        return format!(
            ", at {} GB/s (what this adapter can do is not measured yet)",
            giga(rate)
        );
    };
    let estimated = if peaks.is_estimated {
        " (estimated)"
    } else {
        ""
    };
    let of_memory = rate.unwrap_or(0.0) / peaks.bytes_per_s;
    let of_arithmetic = sum.flops_per_s().unwrap_or(0.0) / peaks.flops_per_s;
    let of_peak = |share: f64, peak: f64, unit: &str| {
        format!("{} of {} {unit}{estimated}", percent(share), rounded(peak))
    };
    let memory = of_peak(of_memory, peaks.bytes_per_s, "GB/s");
    let arithmetic = of_peak(of_arithmetic, peaks.flops_per_s, "GFLOP/s");
    let caches = ": more than memory gives, so part of it comes from caches";
    match sum.bound_by(peaks) {
        Bound::Memory if of_memory > BEYOND => format!(", cache-bound at {memory}{caches}"),
        Bound::Memory => format!(", memory-bound at {memory}"),
        Bound::Arithmetic if of_arithmetic > BEYOND => format!(
            ", compute-bound at {arithmetic}: more than is possible in f32, so matrix units do it"
        ),
        Bound::Arithmetic => format!(", compute-bound at {arithmetic}"),
        Bound::Overhead => {
            let each = sum.duration_ns as f64 / sum.calls.max(1) as f64;
            let calls = sum.calls as f64 / tokens.max(1) as f64;
            let neither = format!("neither memory ({memory}) nor arithmetic ({arithmetic})");
            match each < SHORT_NS && calls >= 1.0 {
                true => format!(
                    ", bound by {neither}, but by starting and ending {calls:.0} short kernels a token, {} each",
                    duration(each)
                ),
                false => format!(", bound by {neither}: waiting, or unpacking weights"),
            }
        }
    }
}

/// A peak in thousand millions a second.
fn rounded(peak: f64) -> String {
    match peak / 1e9 {
        peak if peak < 10.0 => format!("{peak:.1}"),
        peak => format!("{peak:.0}"),
    }
}

fn percent(share: f64) -> String {
    match 100.0 * share {
        percent if percent > 0.0 && percent < 1.0 => "<1 %".to_owned(),
        percent => format!("{percent:.0} %"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::made_up::{decode, span};
    use crate::trace::{Span, Step};
    use std::time::Duration;

    const PEAKS: Peaks = Peaks {
        bytes_per_s: 20e9,
        flops_per_s: 70e9,
        is_estimated: false,
    };

    /// What is said of one step, at the peaks above.
    fn said(step: &Step) -> String {
        said_with(step, Some(&PEAKS))
    }

    fn said_with(step: &Step, peaks: Option<&Peaks>) -> String {
        let totals = Totals::of([step]);
        explain(&totals, step.phase, peaks).unwrap().sentence
    }

    /// `duration` at a share of the bandwidth above.
    fn at(layer: Option<u32>, kernel: &'static str, duration_ns: u64, share: f64) -> Span {
        let bytes = (share * 20.0 * duration_ns as f64) as u64;
        span(layer, kernel, duration_ns, bytes)
    }

    /// Sixteen layers whose feed-forward networks take what `ffn` says, in tenths of a millisecond.
    fn layers(ffn: impl Fn(u32) -> u64, share: f64) -> Vec<Span> {
        let layer = |i| {
            [
                at(Some(i), "attention", 100_000, 0.3),
                at(Some(i), "proj_1", 100_000 * ffn(i), share),
            ]
        };
        (0..16).flat_map(layer).collect()
    }

    #[test]
    fn a_group_over_all_layers_is_named_as_such() {
        let text = said(&decode(layers(|_| 9, 0.71)));
        assert_eq!(
            text,
            "FFN of all layers: 90 % of a token, memory-bound at 71 % of 20 GB/s"
        );
    }

    #[test]
    fn layers_that_have_most_of_it_are_named() {
        let text = said(&decode(layers(|i| if i >= 10 { 20 } else { 1 }, 0.71)));
        assert!(text.starts_with("FFN of layers 10 to 15: 82 % of a token, memory-bound at 71 %"));
        // One layer, far above all others.
        let text = said(&decode(layers(|i| if i == 3 { 200 } else { 1 }, 0.9)));
        assert!(text.starts_with("FFN of layer 3: "), "{text}");
        // Rising slowly, as all layers do.
        let text = said(&decode(layers(|i| 8 + u64::from(i) / 4, 0.9)));
        assert!(text.starts_with("FFN of all layers: "), "{text}");
    }

    #[test]
    fn the_head_and_the_gap_can_be_it() {
        let mut spans = layers(|_| 1, 0.7);
        spans.push(at(None, "head", 9_000_000, 0.95));
        let mut step = decode(spans);
        let text = said(&step);
        assert!(
            text.starts_with("The head (logits of the whole vocabulary): 74 % of a token"),
            "{text}"
        );
        step.wall = Duration::from_millis(60);
        assert_eq!(
            said(&step),
            "Between and around the kernels: 80 % of a token, in which no kernel ran: submitting, starting, waiting"
        );
    }

    #[test]
    fn what_is_spread_over_many_kernels_is_said_of_the_layers() {
        let kernels = ["qkv", "attention", "out", "proj_1"];
        let spans = (0..4).flat_map(|i| kernels.map(|kernel| at(Some(i), kernel, 100_000, 0.8)));
        let text = said(&decode(spans.collect()));
        assert!(
            text.starts_with("All layers: 100 % of a token, memory-bound at 80 %"),
            "{text}"
        );
        // Whole layers are all that was timed.
        let spans =
            (0..4).map(|i| at(Some(i), "layer", 100_000 * u64::from(1 + 20 * (i / 2)), 0.8));
        let text = said(&decode(spans.collect()));
        assert!(text.starts_with("Layers 2 to 3: 95 % of a token"), "{text}");
    }

    #[test]
    fn arithmetic_and_neither_are_told_apart() {
        let mut step = decode(layers(|_| 9, 0.1));
        step.phase = Phase::Prefill;
        for span in step.spans.iter_mut().flatten() {
            span.flops = 49 * span.duration_ns;
        }
        assert_eq!(
            said(&step),
            "FFN of all layers: 90 % of the prompt's time, compute-bound at 70 % of 70 GFLOP/s"
        );
        for span in step.spans.iter_mut().flatten() {
            span.flops = 210 * span.duration_ns;
        }
        assert!(said(&step).contains("300 % of 70 GFLOP/s: more than is possible in f32"));
        // Neither, in kernels that are long.
        let text = said(&decode(layers(|_| 9, 0.1)));
        assert!(text.contains("bound by neither memory (10 % of 20 GB/s) nor arithmetic (0 % of"));
        assert!(text.ends_with("waiting, or unpacking weights"), "{text}");
        // Neither, in kernels that are short.
        let spans = (0..16).map(|i| at(Some(i), "attention", 3_000, 0.1));
        let text = said(&decode(spans.collect()));
        assert!(
            text.ends_with("16 short kernels a token, 3.0 µs each"),
            "{text}"
        );
    }

    #[test]
    fn what_is_not_known_is_not_claimed() {
        let mut step = decode(layers(|_| 9, 0.71));
        let text = said_with(&step, None);
        assert!(
            !text.contains("bound") && text.contains("not measured yet"),
            "{text}"
        );
        let estimated = Peaks {
            is_estimated: true,
            ..PEAKS
        };
        assert!(said_with(&step, Some(&estimated)).ends_with("20 GB/s (estimated)"));
        // Faster than memory: nothing is capped.
        let text = said(&decode(layers(|_| 9, 1.8)));
        assert!(
            text.contains("180 % of 20 GB/s: more than memory gives"),
            "{text}"
        );
        step.spans = None;
        let text = said(&step);
        assert!(text.contains("(approximate)") && text.contains("has no timestamps"));
        step.mode = crate::trace::TraceMode::Steps;
        assert!(said(&step).contains("No step was timed in detail"));
        assert_eq!(explain(&Totals::default(), Phase::Decode, None), None);
    }

    #[test]
    fn parts_add_up_to_the_whole() {
        let mut step = decode(layers(u64::from, 0.5));
        step.wall *= 2;
        let explanation = explain(&Totals::of([&step]), Phase::Decode, None).unwrap();
        let all: f64 = explanation.parts.iter().map(|part| part.share).sum();
        assert!((all - 1.0).abs() < 1e-9, "{all}");
    }
}

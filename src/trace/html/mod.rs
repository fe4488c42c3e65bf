//! A report of a run: one HTML file that opens anywhere, asks nobody for anything, and is complete without its script.
//!
//! Its size is bounded whatever the run was: steps are drawn in at most [`COLUMNS`] columns, of a step with more spans than
//! [`flame::MOST_SPANS`] only the layers are drawn, and models have at most 1,024 layers.

mod figures;
mod flame;
mod heat;
mod kernels;
mod layers;
mod page;
mod strip;

use std::fmt::Write;

use self::figures::{Wall, duration, giga, share};
use self::page::escaped;
use super::{Peaks, Phase, Step, Sum, by_kernel, by_layer};

/// Columns that steps are drawn in: several share one where there are more.
const COLUMNS: usize = 160;

/// What a layer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerShape {
    pub q_heads: usize,
    pub kv_heads: usize,
    pub ffn_dim: usize,
}

/// What a report tells beside the steps. Texts may hold anything: they are escaped.
#[derive(Debug, Clone, Default)]
pub struct About<'a> {
    pub model: &'a str,
    /// How weights are kept, such as `bf16`.
    pub dtype: &'a str,
    pub adapter: &'a str,
    /// What else is to be known, such as driver, versions, settings and date, in this order.
    pub facts: Vec<(&'static str, String)>,
    /// The model's layers.
    pub layers: Vec<LayerShape>,
    /// What the adapter can do at best, where that was measured.
    pub peaks: Option<Peaks>,
    /// Seconds that a decoded token takes without and with timing, where both are known.
    pub cost: Option<(f64, f64)>,
    /// Earlier steps that are no longer there.
    pub left_out: usize,
}

/// The report.
pub fn html(steps: &[Step], about: &About<'_>) -> String {
    let decode: Vec<&Step> = of_phase(steps, Phase::Decode);
    let prefill: Vec<&Step> = of_phase(steps, Phase::Prefill);
    let mut text = String::with_capacity(1 << 17);
    page::begin(&mut text, about);
    text.push_str("<dl class=\"summary\">");
    summary(&mut text, &decode, &prefill, about);
    text.push_str("</dl>\n");
    for (name, steps) in [("Decode", &decode), ("Prefill", &prefill)] {
        if !steps.is_empty() {
            section(&mut text, name, steps, about);
        }
    }
    measured(&mut text, steps, about);
    page::end(&mut text);
    text
}

fn of_phase(steps: &[Step], phase: Phase) -> Vec<&Step> {
    steps.iter().filter(|step| step.phase == phase).collect()
}

/// The figures that count.
fn summary(text: &mut String, decode: &[&Step], prefill: &[&Step], about: &About<'_>) {
    let mut figure = |what: &str, value: &str, unit: &str| {
        let _ = write!(
            text,
            "<div><dt>{what}</dt><dd><b>{value}</b> {unit}</dd></div>"
        );
    };
    let rate = |seconds: f64| format!("{:.1}", 1.0 / seconds.max(1e-9));
    // Timed steps are slower than others, where that is known.
    let plain = about.cost.map(|(plain, _)| plain);
    let mean = (!decode.is_empty()).then(|| Wall::of(decode).per_token());
    if let Some(seconds) = plain.or(mean) {
        figure("Decode", &rate(seconds), "tokens a second");
        figure("A decoded token", &duration(1e9 * seconds), "");
    }
    if !prefill.is_empty() {
        let seconds = Wall::of(prefill).per_token();
        figure("Prefill", &rate(seconds), "tokens a second");
    }
    let spans = decode.iter().filter_map(|step| step.spans.as_ref());
    let sums = spans.flatten().map(Sum::from);
    if let Some(sum) = sums.reduce(|sum, span| sum.and(&span)) {
        let best = about.peaks.map(|peaks| peaks.bytes_per_s);
        let of_best = share(sum.bytes_per_s(), best);
        let unit = match of_best.is_empty() {
            true => "GB/s".to_owned(),
            false => format!("GB/s, {of_best} of the best"),
        };
        figure("Memory, within dispatches", &giga(sum.bytes_per_s()), &unit);
    }
}

/// Everything about the steps of one phase.
fn section(text: &mut String, name: &str, steps: &[&Step], about: &About<'_>) {
    let wall = Wall::of(steps);
    let is_timed = |step: &Step| step.spans.is_some();
    let numbered: Vec<(usize, &Step)> = (0..)
        .zip(steps.iter().copied())
        .filter(|(_, step)| is_timed(step))
        .collect();
    let timed: Vec<&Step> = numbered.iter().map(|(_, step)| *step).collect();
    let _ = write!(text, "<section><h2>{name}</h2><p>");
    let _ = write!(
        text,
        "{} tokens in {} steps, {} a token by the host’s clock.",
        wall.tokens,
        wall.steps,
        duration(1e9 * wall.per_token())
    );
    let device: u64 = timed.iter().filter_map(|step| step.device_ns()).sum();
    if !timed.is_empty() {
        let within = Wall::of(&timed);
        let outside = (within.seconds - 1e-9 * device as f64).max(0.0);
        let _ = write!(
            text,
            " {} of the steps were timed by the device’s clock: {} a token within dispatches, {} ({:.0} %) between and before them.",
            within.steps,
            duration(device as f64 / within.tokens.max(1) as f64),
            duration(1e9 * outside / within.tokens.max(1) as f64),
            100.0 * outside / within.seconds.max(1e-12),
        );
    }
    text.push_str("</p>");
    let tokens = Wall::of(&timed).tokens.max(1) as f64;
    let layers = by_layer(timed.iter().copied());
    if timed.is_empty() {
        text.push_str(
            "<p>No step was timed kernel by kernel or layer by layer, or the adapter has no timestamps: only whole steps are known.</p>",
        );
    } else {
        layers::table(text, &layers, tokens, about);
        heat::map(text, &numbered);
    }
    strip::show(text, steps);
    if !timed.is_empty() {
        flame::chart(text, steps);
        kernels::table(text, by_kernel(timed.iter().copied()), about.peaks);
    }
    text.push_str("</section>\n");
}

/// How it was measured, what that cost, and everything else that a reader could ask for.
fn measured(text: &mut String, steps: &[Step], about: &About<'_>) {
    text.push_str("<section><h2>How it was measured</h2>");
    if steps.is_empty() {
        text.push_str("<p>Nothing was timed.</p>");
    }
    if let Some((plain, traced)) = about.cost {
        let share = 100.0 * (traced / plain.max(1e-12) - 1.0);
        let cost = match share {
            1.0.. => format!("timing costs {share:.0} %"),
            _ => "timing costs too little to be seen here".to_owned(),
        };
        let _ = write!(
            text,
            "<p>A decoded token takes {} from one to the next, and {} while it is timed: {cost}.</p>",
            duration(1e9 * plain),
            duration(1e9 * traced),
        );
    }
    text.push_str(
        "<p>Kernels and layers: by the device’s clock, timestamps around each dispatch. Steps: by the host’s clock, from submission to the end, or from \
         one token to the next where only whole steps were timed. Bytes are those of weights, cache entries and activations that an operation must \
         read and write at least, each counted once; operations are those of its products and sums.</p>",
    );
    text.push_str("<table class=\"facts\"><tbody>");
    let mut fact = |name: &str, value: &str| {
        let _ = write!(
            text,
            "<tr><th scope=\"row\">{}</th><td><bdi>{}</bdi></td></tr>",
            escaped(name),
            escaped(value)
        );
    };
    fact("Model", about.model);
    fact("Weights", about.dtype);
    fact("Adapter", about.adapter);
    if let Some(peaks) = about.peaks {
        let estimated = match peaks.is_estimated {
            true => " (estimated: the adapter has no timestamps)",
            false => "",
        };
        let best = format!(
            "{:.1} GB/s read, {:.0} GFLOP/s, measured on this adapter{estimated}",
            peaks.bytes_per_s / 1e9,
            peaks.flops_per_s / 1e9
        );
        fact("At best", &best);
    }
    for (name, value) in &about.facts {
        fact(name, value);
    }
    if about.left_out > 0 {
        let left_out = format!("the first {} steps were no longer there", about.left_out);
        fact("Left out", &left_out);
    }
    text.push_str("</tbody></table></section>\n");
}

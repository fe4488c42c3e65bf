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

use self::figures::{giga, share};
use self::page::escaped;
use super::units::{count, duration};
use super::{Peaks, Phase, Step, Sum, Totals, explain};

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

/// A phase of the run.
struct Part<'a> {
    phase: Phase,
    steps: Vec<&'a Step>,
    totals: Totals,
}

impl<'a> Part<'a> {
    fn of(steps: &'a [Step], phase: Phase) -> Self {
        let steps: Vec<&Step> = steps.iter().filter(|step| step.phase == phase).collect();
        let totals = Totals::of(steps.iter().copied());
        Self {
            phase,
            steps,
            totals,
        }
    }

    fn name(&self) -> &'static str {
        match self.phase {
            Phase::Decode => "Decode",
            Phase::Prefill => "Prefill",
        }
    }
}

/// The report.
pub fn html(steps: &[Step], about: &About<'_>) -> String {
    let parts = [Phase::Decode, Phase::Prefill].map(|phase| Part::of(steps, phase));
    let mut text = String::with_capacity(1 << 17);
    page::begin(&mut text, about);
    explanation(&mut text, &parts, about);
    summary(&mut text, &parts, about);
    for part in parts.iter().filter(|part| !part.steps.is_empty()) {
        section(&mut text, part, about);
    }
    measured(&mut text, steps, about);
    page::end(&mut text);
    text
}

/// What took the time, in words.
fn explanation(text: &mut String, parts: &[Part<'_>; 2], about: &About<'_>) {
    for part in parts {
        if let Some(found) = explain(&part.totals, part.phase, about.peaks.as_ref()) {
            let (name, sentence) = (part.name(), escaped(found.sentence.trim_end_matches('.')).into_owned());
            let _ = write!(text, "<p class=\"lead\"><b>{name}.</b> {sentence}.</p>");
        }
    }
}

/// The figures that count.
fn summary(text: &mut String, [decode, prefill]: &[Part<'_>; 2], about: &About<'_>) {
    text.push_str("<dl class=\"summary\">");
    let mut figure = |what: &str, value: &str, unit: &str| {
        let _ = write!(
            text,
            "<div><dt>{what}</dt><dd><b>{value}</b> {unit}</dd></div>"
        );
    };
    let rate = |seconds: f64| format!("{:.1}", 1.0 / seconds.max(1e-9));
    // Timed steps are slower than others, where that is known.
    let plain = about.cost.map(|(plain, _)| plain);
    let mean = (!decode.steps.is_empty()).then(|| decode.totals.all.per_token());
    if let Some(seconds) = plain.or(mean) {
        figure("Decode", &rate(seconds), "tokens a second");
        figure("A decoded token", &duration(1e9 * seconds), "");
    }
    if !prefill.steps.is_empty() {
        let seconds = prefill.totals.all.per_token();
        figure("Prefill", &rate(seconds), "tokens a second");
    }
    let sums = decode.totals.kernels.iter().map(|kernel| kernel.sum);
    if let Some(sum) = sums.reduce(|sum, kernel| Sum::and(sum, &kernel)) {
        let best = about.peaks.map(|peaks| peaks.bytes_per_s);
        let unit = match share(sum.bytes_per_s(), best) {
            of_best if of_best.is_empty() => "GB/s".to_owned(),
            of_best => format!("GB/s, {of_best} of the best"),
        };
        figure("Memory, while kernels run", &giga(sum.bytes_per_s()), &unit);
    }
    text.push_str("</dl>\n");
}

/// Everything about the steps of one phase.
fn section(text: &mut String, part: &Part<'_>, about: &About<'_>) {
    let Totals {
        all,
        timed,
        layers,
        kernels,
        device_s,
        ..
    } = &part.totals;
    let _ = write!(
        text,
        "<section><h2>{}</h2><p>{} in {}, {} a token by the host’s clock.",
        part.name(),
        count(all.tokens, "token"),
        count(all.steps as u64, "step"),
        duration(1e9 * all.per_token())
    );
    let tokens = timed.tokens.max(1) as f64;
    if timed.steps > 0 {
        let outside = (timed.seconds - device_s).max(0.0);
        let _ = write!(
            text,
            " {} of the steps were timed by the device’s clock: {} a token within dispatches, {} ({:.0} %) between and before them.",
            timed.steps,
            duration(1e9 * device_s / tokens),
            duration(1e9 * outside / tokens),
            100.0 * outside / timed.seconds.max(1e-12),
        );
    }
    text.push_str("</p>");
    if timed.steps > 0 {
        layers::table(text, layers, tokens, about);
        let numbered = (0..).zip(part.steps.iter().copied());
        let with_spans = numbered.filter(|(_, step)| step.spans.is_some());
        heat::map(text, &with_spans.collect::<Vec<_>>());
    }
    strip::show(text, &part.steps);
    if timed.steps > 0 {
        flame::chart(text, &part.steps);
        kernels::table(text, kernels, about.peaks);
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

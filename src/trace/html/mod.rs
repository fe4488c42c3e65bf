//! A report of a run: one HTML file that opens anywhere, asks nobody for anything, and is complete without its script.
//!
//! Its size is bounded whatever the run was: steps are drawn in at most [`figures::COLUMNS`] columns, of a step with more spans than
//! [`flame::MOST_SPANS`] only the layers are drawn, and models have at most 1,024 layers.

mod about;
mod figures;
mod flame;
mod heat;
mod kernels;
mod layers;
mod page;
mod strip;

use std::fmt::Write;

pub use self::about::About;
use self::figures::{giga, share};
pub use self::page::escaped;
use super::units::{count, duration};
use super::{Phase, Step, Sum, Totals, explain};

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
    text.push_str(&about.introduction);
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
            let (name, sentence) = (
                part.name(),
                escaped(found.sentence.trim_end_matches('.')).into_owned(),
            );
            let _ = write!(text, "<p class=\"lead\"><b>{name}.</b> {sentence}.</p>");
        }
    }
}

/// The figures that count.
fn summary(text: &mut String, [decode, prefill]: &[Part<'_>; 2], about: &About<'_>) {
    if decode.steps.is_empty() && prefill.steps.is_empty() {
        return;
    }
    text.push_str("<dl class=\"summary\">");
    let mut figure = |what: &str, value: &str, unit: &str| {
        let _ = write!(
            text,
            "<div><dt>{what}</dt><dd><b>{value}</b> {unit}</dd></div>"
        );
    };
    let rate = |seconds: f64| format!("{:.1}", 1.0 / seconds.max(1e-9));
    if !decode.steps.is_empty() {
        let seconds = decode.totals.all.per_token();
        let unit = format!("tokens a second, {} each", duration(1e9 * seconds));
        figure("Decode", &rate(seconds), &unit);
    }
    if let Some((plain, _)) = about.cost {
        figure("Decode, not timed", &rate(plain), "tokens a second");
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
            " {} by the device’s clock too: {} a token within dispatches, {} ({:.0} %) between and before them.",
            count(timed.steps as u64, "step"),
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
    text.push_str(match steps.is_empty() {
        true => "<p>Nothing was timed.</p>",
        false => "<p>Kernels and layers: by the device’s clock, timestamps around each dispatch. Steps: by the host’s clock, from submission to the end, or from \
         one token to the next where only whole steps were timed. Bytes are those of weights, cache entries and activations that an operation must \
         read and write at least, each counted once; operations are those of its products and sums.</p>",
    });
    text.push_str("<table class=\"facts\"><tbody>");
    let mut fact = |name: &str, value: &str| {
        let _ = write!(
            text,
            "<tr><th scope=\"row\">{}</th><td><bdi>{}</bdi></td></tr>",
            escaped(name),
            escaped(value)
        );
    };
    for (name, value) in [
        ("Model", about.model),
        ("Weights", about.dtype),
        ("Adapter", about.adapter),
    ] {
        if !value.is_empty() {
            fact(name, value);
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::made_up::{decode, layer_spans};
    use crate::trace::{LayerShape, Peaks};
    use std::time::Duration;

    fn steps(count: u64) -> Vec<Step> {
        let mut steps: Vec<Step> = (0..count)
            .map(|i| decode(layer_spans(3, 1000 + i)))
            .collect();
        if let Some(first) = steps.first_mut() {
            (first.phase, first.tokens) = (Phase::Prefill, 5);
        }
        steps
    }

    fn about<'a>() -> About<'a> {
        About {
            model: "OpenELM-270M",
            dtype: "bf16",
            adapter: "Test GPU",
            facts: vec![("Driver", "test 1.0".to_owned())],
            layers: vec![
                LayerShape {
                    q_heads: 12,
                    kv_heads: 3,
                    ffn_dim: 768,
                };
                3
            ],
            peaks: Some(Peaks {
                bytes_per_s: 20e9,
                flops_per_s: 70e9,
                is_estimated: false,
            }),
            cost: Some((0.02, 0.021)),
            ..About::default()
        }
    }

    /// Goes through all tags; whatever is opened must be closed, in its order.
    fn check_tags(html: &str) {
        let mut open: Vec<&str> = Vec::new();
        let mut rest = html;
        while let Some(at) = rest.find('<') {
            rest = &rest[at + 1..];
            let end = rest.find('>').expect("a tag ends");
            let (tag, after) = (&rest[..end], &rest[end + 1..]);
            rest = after;
            let name = tag.split(|c: char| c.is_whitespace() || c == '/').next();
            let name = name.unwrap();
            if let Some(closed) = tag.strip_prefix('/') {
                assert_eq!(open.pop(), Some(closed), "</{closed}>");
            } else if !(tag.ends_with('/') || ["!doctype", "meta"].contains(&name)) {
                open.push(name);
                if ["script", "style"].contains(&name) {
                    rest = &rest[rest.find("</").unwrap()..];
                }
            }
        }
        assert!(open.is_empty(), "{open:?}");
    }

    #[test]
    fn a_report_has_everything_in_it() {
        let html = html(&steps(40), &about());
        check_tags(&html);
        for part in [
            "<h1><bdi>OpenELM-270M</bdi></h1>",
            "<b>Decode.</b> ",
            "<b>Prefill.</b> ",
            "<h2>Decode</h2>",
            "<h2>Prefill</h2>",
            "<td>12, 3</td><td>768</td>",
            "aria-label=\"norm 1.0 µs, attention 1.0 µs, FFN 2.0 µs\"",
            "Heat map of 4 rows and 39 columns",
            "Flame chart of step ",
            "bound by",
            "timing costs 5 %",
            "<bdi>test 1.0</bdi>",
            "20.0 GB/s read, 70 GFLOP/s",
        ] {
            assert!(html.contains(part), "{part}");
        }
        // Nothing is fetched, whatever a reader clicks.
        for word in ["href", "src=", "http:", "https:", "url("] {
            assert!(!html.contains(word), "{word}");
        }
    }

    #[test]
    fn texts_of_others_cannot_break_out() {
        let evil = "</title><script>alert(1)</script>\"'><img src=x onerror=alert(1)>";
        let mut about = about();
        (about.model, about.dtype, about.adapter, about.title) = (evil, evil, evil, evil);
        about.facts = vec![("Run", evil.to_owned())];
        let html = html(&steps(3), &about);
        check_tags(&html);
        assert!(!html.contains("alert(1)</script>") && !html.contains("<img"));
        assert_eq!(
            html.matches("<script").count(),
            2,
            "ours, and what it reads"
        );
    }

    #[test]
    fn a_long_run_is_no_larger_than_a_short_one() {
        let sizes = [400, 4_000].map(|count| html(&steps(count), &about()).len());
        assert!(sizes[1] < sizes[0] * 5 / 4, "{sizes:?}");
        // As many layers as a model may have.
        let deep: Vec<Step> = (0..300).map(|_| decode(layer_spans(1024, 1000))).collect();
        let size = html(&deep, &about()).len();
        assert!(size < 3 << 20, "{size}");
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let mut steps = steps(20);
        for step in &mut steps {
            step.spans = None;
            step.wall = Duration::from_millis(7);
        }
        let about = About {
            model: "m",
            ..About::default()
        };
        let untimed = html(&steps, &about);
        check_tags(&untimed);
        assert!(
            untimed.contains("7.00 ms") && untimed.contains("where the time goes is not known")
        );
        assert!(!untimed.contains("<h3>Layers</h3>") && !untimed.contains("bound by"));
        let nothing = html(&[], &about);
        check_tags(&nothing);
        assert!(nothing.contains("Nothing was timed."));
        // Spans that took no time, as some clocks have them.
        let instant = vec![decode(layer_spans(2, 0)); 3];
        check_tags(&html(&instant, &about));
    }
}

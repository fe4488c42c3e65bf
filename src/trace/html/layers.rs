//! A row for each layer: what it is, a bar stacked by kernel, and its figures.

use std::fmt::Write;

use super::about::About;
use super::figures::{giga, legend, percent, share};
use crate::trace::colors::group_color;
use crate::trace::units::duration;
use crate::trace::{GROUPS, LayerSum, Sum, group};

/// Height of a bar.
const HEIGHT: u32 = 16;

/// `tokens`: those of the steps that the sums add up.
pub fn table(text: &mut String, all: &[LayerSum], tokens: f64, about: &About<'_>) {
    let kernels = all.iter().flat_map(|layer| &layer.kernels);
    text.push_str("<h3>Layers</h3>");
    legend(text, kernels.map(|kernel| kernel.kernel));
    text.push_str(
        "<div class=\"scroll\"><table class=\"layers\"><thead><tr><th>layer</th><th>query, kv heads</th><th>FFN width</th>\
         <th class=\"bar\">kernels</th><th>a token</th><th>GB/s</th><th>of peak</th></tr></thead><tbody>",
    );
    let inside = || all.iter().filter(|layer| layer.layer.is_some());
    let outside = || all.iter().filter(|layer| layer.layer.is_none());
    let total = |of: fn(&Sum) -> u64| inside().map(|layer| of(&layer.sum)).sum::<u64>() as f64;
    let all_ns = total(|sum| sum.duration_ns);
    let all_bytes = total(Sum::bytes).max(1.0);
    // Where a layer would end if time followed bytes.
    let by_size = |layer: &LayerSum| {
        let share = layer.sum.bytes() as f64 / all_bytes;
        layer.layer.map(|_| all_ns * share)
    };
    let time = |layer: &LayerSum| layer.sum.duration_ns as f64;
    // The head, several times as large as a layer, would flatten them.
    let scaled = inside().map(|layer| by_size(layer).unwrap_or(0.0).max(time(layer)));
    let longest = scaled.reduce(f64::max);
    let longest = longest.or_else(|| outside().map(time).reduce(f64::max));
    let scale = Scale {
        longest: longest.unwrap_or(1.0).max(1.0),
        tokens,
    };
    for layer in inside().chain(outside()) {
        let bar = scale.bar(layer, by_size(layer));
        row(text, layer, &bar, tokens, about);
    }
    text.push_str("</tbody></table></div>");
    text.push_str(
        "<p class=\"note\">The tick is where a layer would end if its time followed its bytes: OpenELM gives later layers more heads and a wider \
         feed-forward network, so they are slower by design. Other: embedding, final norm and head. » marks a bar that is cut.</p>",
    );
}

fn row(text: &mut String, layer: &LayerSum, bar: &str, tokens: f64, about: &About<'_>) {
    let sum = &layer.sum;
    let cells = match layer.layer {
        None => "<th scope=\"row\">other</th><td></td><td></td>".to_owned(),
        Some(number) => match about.layers.get(number as usize) {
            None => format!("<th scope=\"row\">{number}</th><td></td><td></td>"),
            Some(shape) => format!(
                "<th scope=\"row\">{number}</th><td>{}, {}</td><td>{}</td>",
                shape.q_heads, shape.kv_heads, shape.ffn_dim
            ),
        },
    };
    let best = about.peaks.map(|peaks| peaks.bytes_per_s);
    let _ = writeln!(
        text,
        "<tr>{cells}<td class=\"bar\">{bar}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
        duration(sum.duration_ns as f64 / tokens),
        giga(sum.bytes_per_s()),
        share(sum.bytes_per_s(), best),
    );
}

struct Scale {
    /// What a whole bar stands for, in nanoseconds.
    longest: f64,
    tokens: f64,
}

impl Scale {
    fn bar(&self, layer: &LayerSum, by_size: Option<f64>) -> String {
        let mut groups = [0.0_f64; GROUPS.len()];
        for kernel in &layer.kernels {
            groups[group(kernel.kernel)] += kernel.sum.duration_ns as f64;
        }
        let all = (0..).zip(groups).zip(GROUPS);
        let shown = all.filter(|((_, time), _)| *time > 0.0);
        let each = |time: f64| duration(time / self.tokens);
        let words: Vec<String> = shown
            .clone()
            .map(|((_, time), (name, _))| format!("{name} {}", each(time)))
            .collect();
        let mut bar = format!(
            "<svg width=\"100%\" height=\"{HEIGHT}\" role=\"img\" aria-label=\"{}\">",
            words.join(", ")
        );
        let mut left = 0.0;
        for ((of, time), (name, _)) in shown {
            let end = (left + time / self.longest).min(1.0);
            let _ = write!(
                bar,
                "<rect x=\"{}\" width=\"{}\" height=\"{HEIGHT}\" fill=\"{}\"><title>{name}: {} a token</title></rect>",
                percent(left),
                percent(end - left),
                group_color(of),
                each(time),
            );
            left = end;
        }
        if layer.sum.duration_ns as f64 > self.longest {
            let middle = HEIGHT - 4;
            let _ = write!(
                bar,
                "<text class=\"cut\" x=\"99%\" y=\"{middle}\" text-anchor=\"end\">»</text>"
            );
        }
        if let Some(time) = by_size {
            let at = percent((time / self.longest).min(1.0));
            let _ = write!(
                bar,
                "<line class=\"tick\" x1=\"{at}\" x2=\"{at}\" y2=\"{HEIGHT}\"><title>Its share of the bytes</title></line>"
            );
        }
        bar + "</svg>"
    }
}

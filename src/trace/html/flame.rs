//! The flame chart of one step: the step, its layers, their kernels.

use std::fmt::Write;

use super::figures::{axis, giga, percent};
use crate::trace::colors::{Rgb, group_color, ink_on};
use crate::trace::units::{bytes, count, duration};
use crate::trace::{Span, Step, Sum, group};

/// Height of a row.
const ROW: u32 = 26;

/// Of a step with more spans than this only the layers are drawn.
pub const MOST_SPANS: usize = 4096;

/// The share of the whole from which on a bar has room for its name.
const NAMED: f64 = 0.004;

/// The step whose time is the median of those with spans, and its number.
fn typical<'a>(steps: &[&'a Step]) -> Option<(usize, &'a Step, &'a [Span])> {
    let mut timed: Vec<_> = (0..)
        .zip(steps)
        .filter_map(|(number, step)| {
            let spans = step.spans.as_deref().filter(|spans| !spans.is_empty())?;
            Some((step.device_ns()?, number, *step, spans))
        })
        .collect();
    timed.sort_by_key(|(time, number, ..)| (*time, *number));
    let middle = timed.len().saturating_sub(1) / 2;
    let (_, number, step, spans) = timed.get(middle)?;
    Some((*number, *step, *spans))
}

/// A bar of the chart, in nanoseconds.
struct Bar<'a> {
    row: u32,
    start: f64,
    end: f64,
    name: &'a str,
    hint: &'a str,
    class: &'a str,
    color: Rgb,
}

impl Bar<'_> {
    /// A box that clips its name, so that no text is measured.
    fn draw(&self, text: &mut String, total: f64) {
        let width = (self.end - self.start) / total;
        let _ = write!(
            text,
            "<svg x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" class=\"{}\"><title>{}</title><rect width=\"100%\" height=\"100%\" fill=\"{}\"/>",
            percent(self.start / total),
            self.row * ROW,
            percent(width),
            ROW - 2,
            self.class,
            self.hint,
            self.color,
        );
        if width > NAMED {
            let _ = write!(
                text,
                "<text x=\"3\" y=\"{}\" fill=\"{}\">{}</text>",
                ROW - 10,
                ink_on(self.color),
                self.name
            );
        }
        text.push_str("</svg>");
    }
}

pub fn chart(text: &mut String, steps: &[&Step]) {
    let Some((number, step, spans)) = typical(steps) else {
        return;
    };
    let end_of = |span: &Span| (span.start_ns + span.duration_ns) as f64;
    let device = spans.iter().map(end_of).fold(0.0, f64::max);
    let total = (1e9 * step.wall.as_secs_f64()).max(device).max(1.0);
    let has_kernels = spans.len() <= MOST_SPANS;
    let rows = if has_kernels { 3 } else { 2 };
    let _ = write!(
        text,
        "<h3>One step</h3><p class=\"note\">Step {number}, whose time is the median of those timed by the device’s clock: {} at position {}, {}. \
         What is not covered below the first bar lies between dispatches and before them.</p>\
         <div class=\"scroll\"><div class=\"flame\"><svg width=\"100%\" height=\"{}\" role=\"img\" aria-label=\"Flame chart of step {number}\">",
        count(u64::from(step.tokens), "token"),
        step.position,
        duration(total),
        rows * ROW,
    );
    let hint = format!(
        "step {number}: {} from submission to the end",
        duration(total)
    );
    let whole = Bar {
        row: 0,
        start: 0.0,
        end: total,
        name: &format!("step {number}"),
        hint: &hint,
        class: "box",
        color: Rgb(138, 138, 138),
    };
    whole.draw(text, total);
    for layer in spans.chunk_by(|a, b| a.layer == b.layer) {
        let name = name(layer[0].layer);
        let start = layer[0].start_ns as f64;
        let end = layer.iter().map(end_of).fold(0.0, f64::max);
        let is_even = layer[0].layer.is_none_or(|layer| layer % 2 == 0);
        let bar = Bar {
            row: 1,
            start,
            end,
            name: &name,
            hint: &format!("{name}: {}", duration(end - start)),
            class: "box",
            color: if is_even {
                Rgb(158, 158, 158)
            } else {
                Rgb(184, 184, 184)
            },
        };
        bar.draw(text, total);
        for span in layer.iter().filter(|_| has_kernels) {
            kernel(text, span, &name, total);
        }
    }
    text.push_str("</svg>");
    let labels: Vec<String> = (0..=4)
        .map(|mark| duration(total * f64::from(mark) / 4.0))
        .collect();
    axis(text, &labels);
    text.push_str("</div></div>");
    if !has_kernels {
        let _ = write!(
            text,
            "<p class=\"note\">Its {} spans are too many to be drawn; the trace has them.</p>",
            spans.len()
        );
    }
}

fn kernel(text: &mut String, span: &Span, layer: &str, total: f64) {
    let sum = Sum::from(span);
    let hint = format!(
        "{} of {layer}: {}; {} moved, {} GB/s, {} GFLOP/s",
        span.kernel,
        duration(span.duration_ns as f64),
        bytes(sum.bytes()),
        giga(sum.bytes_per_s()),
        giga(sum.flops_per_s()),
    );
    let bar = Bar {
        row: 2,
        start: span.start_ns as f64,
        end: (span.start_ns + span.duration_ns) as f64,
        name: span.kernel,
        hint: &hint,
        class: "box kernel",
        color: group_color(group(span.kernel)),
    };
    bar.draw(text, total);
}

fn name(layer: Option<u32>) -> String {
    match layer {
        Some(layer) => format!("layer {layer}"),
        None => "other".to_owned(),
    }
}

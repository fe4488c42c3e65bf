//! A bar for each step, or for some that share a column: how long a token took.

use std::fmt::Write;

use super::figures::{COLUMNS, axis};
use crate::trace::units::duration;
use crate::trace::{HICCUP, Step, bars_end, quantile};

const HEIGHT: f64 = 96.0;

/// Of one step there is nothing that the page does not say already.
pub fn show(text: &mut String, steps: &[&Step]) {
    if steps.len() < 2 {
        return;
    }
    let each = steps.len().div_ceil(COLUMNS).max(1);
    let per_token = |steps: &[&Step]| {
        let tokens: u32 = steps.iter().map(|step| step.gained()).sum();
        let time: f64 = steps.iter().map(|step| step.wall.as_secs_f64()).sum();
        1e9 * time / f64::from(tokens.max(1))
    };
    let values: Vec<f64> = steps.chunks(each).map(per_token).collect();
    let mut sorted = values.clone();
    sorted.sort_unstable_by(f64::total_cmp);
    let median = quantile(&sorted, 0.5);
    let slowest = quantile(&sorted, 1.0);
    let highest = bars_end(slowest, median);
    let columns = values.len();
    let _ = write!(
        text,
        "<h3>Steps</h3><div class=\"strip\"><div class=\"rows\" aria-hidden=\"true\" style=\"height:{HEIGHT}px\"><span style=\"top:0\">{}</span>\
         <span style=\"bottom:0\">0</span></div><svg width=\"100%\" height=\"{HEIGHT}\" viewBox=\"0 0 {columns} 100\" preserveAspectRatio=\"none\" role=\"img\" \
         aria-label=\"Time a token by step: median {}, slowest {}\">",
        duration(highest),
        duration(median),
        duration(slowest),
    );
    // Gaps between many would only flicker.
    let gap = if columns > 60 { 0.0 } else { 0.1 };
    // Those that the device timed, and those that were timed as a whole.
    let mut paths = [String::new(), String::new()];
    for (column, (value, group)) in values.iter().zip(steps.chunks(each)).enumerate() {
        let top = 100.0 * (1.0 - (value / highest).min(1.0));
        let is_timed = group.iter().any(|step| step.spans.is_some());
        let _ = write!(
            paths[usize::from(!is_timed)],
            "M{column} 100V{top:.1}h{}V100z",
            1.0 - gap
        );
    }
    for (path, class) in paths.iter().zip(["timed", "whole"]) {
        if !path.is_empty() {
            let _ = write!(text, "<path class=\"{class}\" d=\"{path}\"/>");
        }
    }
    let line = 100.0 * (1.0 - median / highest);
    let _ = write!(
        text,
        "<path class=\"median\" d=\"M0 {line:.1}H{columns}\"/></svg><div></div><div>"
    );
    let marks = columns.min(5);
    let labels: Vec<String> = (0..marks)
        .map(|mark| mark * (columns - 1) / (marks - 1).max(1) * each)
        .map(|step| format!("step {step}"))
        .collect();
    axis(text, &labels);
    let several = match each {
        1 => String::new(),
        _ => format!(" {each} steps share a column, of which the mean is shown."),
    };
    let cut = match slowest > highest {
        true => format!(
            " Bars are cut at {HICCUP} times the median; the slowest took {}.",
            duration(slowest)
        ),
        false => String::new(),
    };
    let (proposed, accepted) = steps.iter().fold((0, 0), |(proposed, accepted), step| {
        (proposed + step.proposed, accepted + step.accepted)
    });
    let speculation = match proposed {
        0 => String::new(),
        _ => format!(" {accepted} of {proposed} proposed tokens were accepted."),
    };
    let _ = write!(
        text,
        "</div></div><p class=\"note\">Time a token, by the host’s clock; the line is the median, {}. Paler bars were timed as a whole.{several}{cut}{speculation}</p>",
        duration(median),
    );
}

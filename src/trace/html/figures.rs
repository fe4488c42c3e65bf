//! Numbers as a report writes them, colours, and axes.

use std::fmt::Write;

use super::page::escaped;
use crate::trace::{GROUPS, group, units};

/// Columns that steps are drawn in: several share one where there are more.
pub const COLUMNS: usize = 160;

/// The colours of [`GROUPS`]: Okabe and Ito's palette, which people with any colour vision can tell apart (jfly.uni-koeln.de/color).
const COLORS: [&str; GROUPS.len()] = [
    "#56b4e9", "#0072b2", "#f0e442", "#d55e00", "#cc79a7", "#009e73", "#969696", "#e69f00",
];

/// The colour of a group.
pub fn color(group: usize) -> &'static str {
    COLORS.get(group).unwrap_or(&COLORS[COLORS.len() - 1])
}

/// Black or white, whichever can be read on a colour of these.
pub fn ink_on(color: &str) -> &'static str {
    match color {
        "#0072b2" => "#fff",
        _ => "#000",
    }
}

/// Says which colour is which group.
pub fn legend<'a>(text: &mut String, kernels: impl Iterator<Item = &'a str> + Clone) {
    text.push_str("<p class=\"legend\">");
    for (of, (name, _)) in GROUPS.iter().enumerate() {
        if kernels.clone().any(|kernel| group(kernel) == of) {
            let _ = write!(text, "<span>{}{name}</span> ", swatch(color(of)));
        }
    }
    text.push_str("</p>");
}

/// A small square of a colour.
pub fn swatch(color: &str) -> String {
    format!(
        "<svg class=\"swatch\" width=\"10\" height=\"10\" aria-hidden=\"true\"><rect width=\"10\" height=\"10\" rx=\"2\" fill=\"{color}\"/></svg>"
    )
}

/// Matplotlib's viridis at nine even steps: dark to bright, and bright is more in grey too.
const VIRIDIS: [[f64; 3]; 9] = [
    [68.0, 1.0, 84.0],
    [71.0, 44.0, 122.0],
    [59.0, 81.0, 139.0],
    [44.0, 113.0, 142.0],
    [33.0, 144.0, 141.0],
    [39.0, 173.0, 129.0],
    [92.0, 200.0, 99.0],
    [170.0, 220.0, 50.0],
    [253.0, 231.0, 37.0],
];

/// The colour of a share between 0 and 1.
pub fn viridis(share: f64) -> String {
    let at = share.clamp(0.0, 1.0) * (VIRIDIS.len() - 1) as f64;
    let low = (at as usize).min(VIRIDIS.len() - 2);
    let mix = at - low as f64;
    let channel = |i: usize| (VIRIDIS[low][i] * (1.0 - mix) + VIRIDIS[low + 1][i] * mix) as u8;
    format!("#{:02x}{:02x}{:02x}", channel(0), channel(1), channel(2))
}

/// A rate in thousand millions a second, for a cell of a table.
pub fn giga(rate: Option<f64>) -> String {
    escaped(&units::giga(rate)).into_owned()
}

/// A rate as a share of the best there is, likewise.
pub fn share(rate: Option<f64>, best: Option<f64>) -> String {
    escaped(&units::share(rate, best)).into_owned()
}

/// A share of 1 as CSS and SVG write it, to a hundredth.
pub fn percent(share: f64) -> String {
    let text = format!("{:.2}", 100.0 * share);
    let short = text.trim_end_matches('0').trim_end_matches('.');
    format!("{short}%")
}

/// Labels below a picture, evenly spread from its left to its right edge.
pub fn axis(text: &mut String, labels: &[String]) {
    text.push_str("<div class=\"axis\" aria-hidden=\"true\">");
    for label in labels {
        let _ = write!(text, "<span>{label}</span>");
    }
    text.push_str("</div>");
}

/// The value below which such a share of all lies; `sorted` is what it says.
pub fn quantile(sorted: &[f64], share: f64) -> f64 {
    let at = sorted.len().saturating_sub(1) as f64 * share;
    sorted.get(at as usize).copied().unwrap_or(0.0)
}

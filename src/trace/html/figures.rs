//! Numbers as a report writes them, legends, and axes.

use std::fmt::Write;

use super::page::escaped;
use crate::trace::colors::{Rgb, group_color};
use crate::trace::{GROUPS, group, units};

/// Columns that steps are drawn in: several share one where there are more.
pub const COLUMNS: usize = 160;

/// Says which colour is which group.
pub fn legend<'a>(text: &mut String, kernels: impl Iterator<Item = &'a str> + Clone) {
    text.push_str("<p class=\"legend\">");
    for (of, (name, _)) in GROUPS.iter().enumerate() {
        if kernels.clone().any(|kernel| group(kernel) == of) {
            let _ = write!(text, "<span>{}{name}</span> ", swatch(group_color(of)));
        }
    }
    text.push_str("</p>");
}

/// A small square of a colour.
pub fn swatch(color: Rgb) -> String {
    format!(
        "<svg class=\"swatch\" width=\"10\" height=\"10\" aria-hidden=\"true\"><rect width=\"10\" height=\"10\" rx=\"2\" fill=\"{color}\"/></svg>"
    )
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

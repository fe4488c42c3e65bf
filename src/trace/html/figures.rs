//! Numbers as a report writes them, colours, and axes.

use std::fmt::Write;

use crate::trace::Step;

/// The kernels in the order of a layer, in groups, with their colours: Okabe and Ito's palette, which people with any colour vision can tell
/// apart (jfly.uni-koeln.de/color).
pub const GROUPS: [(&str, &[&str], &str); 8] = [
    ("norm", &["attn_norm", "ffn_norm", "final_norm"], "#56b4e9"),
    ("QKV", &["qkv"], "#0072b2"),
    ("rope", &["qk_norm_rope"], "#f0e442"),
    ("attention", &["attention"], "#d55e00"),
    ("out", &["out"], "#cc79a7"),
    ("FFN", &["proj_1", "proj_2"], "#009e73"),
    ("whole layer", &["layer"], "#969696"),
    ("other", &["embed", "head", "sample"], "#e69f00"),
];

/// Black or white, whichever can be read on a colour of [`GROUPS`].
pub fn ink_on(color: &str) -> &'static str {
    match color {
        "#0072b2" => "#fff",
        _ => "#000",
    }
}

/// The group of a kernel: its index in [`GROUPS`].
pub fn group(kernel: &str) -> usize {
    let found = GROUPS
        .iter()
        .position(|(_, kernels, _)| kernels.contains(&kernel));
    found.unwrap_or(GROUPS.len() - 1)
}

/// Says which colour is which group.
pub fn legend<'a>(text: &mut String, kernels: impl Iterator<Item = &'a str> + Clone) {
    text.push_str("<p class=\"legend\">");
    for (of, (name, _, color)) in GROUPS.iter().enumerate() {
        if kernels.clone().any(|kernel| group(kernel) == of) {
            let _ = write!(text, "<span>{}{name}</span> ", swatch(color));
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

/// Some steps by the host's clock.
#[derive(Default)]
pub struct Wall {
    pub steps: usize,
    pub tokens: u64,
    pub seconds: f64,
}

impl Wall {
    pub fn of(steps: &[&Step]) -> Self {
        Self {
            steps: steps.len(),
            tokens: steps.iter().map(|step| u64::from(step.tokens)).sum(),
            seconds: steps.iter().map(|step| step.wall.as_secs_f64()).sum(),
        }
    }

    /// Seconds a token.
    pub fn per_token(&self) -> f64 {
        self.seconds / self.tokens.max(1) as f64
    }
}

/// A duration with a unit that keeps it short.
pub fn duration(nanoseconds: f64) -> String {
    match nanoseconds {
        ns if ns < 1e3 => format!("{ns:.0} ns"),
        ns if ns < 1e6 => format!("{:.1} µs", ns / 1e3),
        ns if ns < 1e9 => format!("{:.2} ms", ns / 1e6),
        ns => format!("{:.2} s", ns / 1e9),
    }
}

/// Bytes with a unit that keeps them short.
pub fn bytes(bytes: u64) -> String {
    match bytes as f64 {
        b if b < 1e3 => format!("{b:.0} B"),
        b if b < 1e6 => format!("{:.1} kB", b / 1e3),
        b if b < 1e9 => format!("{:.1} MB", b / 1e6),
        b => format!("{:.2} GB", b / 1e9),
    }
}

/// A rate in thousand millions a second; a dash for none.
pub fn giga(rate: Option<f64>) -> String {
    match rate.map(|rate| rate / 1e9) {
        None => "–".to_owned(),
        Some(rate) if rate > 0.0 && rate < 0.01 => "&lt;0.01".to_owned(),
        Some(rate) if rate < 100.0 => format!("{rate:.2}"),
        Some(rate) => format!("{rate:.0}"),
    }
}

/// A rate as a share of the best there is, where both are known.
pub fn share(rate: Option<f64>, best: Option<f64>) -> String {
    match rate.zip(best).map(|(rate, best)| 100.0 * rate / best) {
        None => String::new(),
        Some(percent) if percent > 0.0 && percent < 1.0 => "&lt;1 %".to_owned(),
        Some(percent) => format!("{percent:.0} %"),
    }
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

//! What stands quietly below the views: the figures, the adapter and its best, what the instrument costs. In a low window they are one line, whole when
//! hovered over.

use egui::{Label, RichText, Ui};

use super::record::Record;
use super::run::Sums;
use super::what_if::WhatIf;
use crate::trace::units::count;
use crate::window::theme;

/// `is_low`: there is height for one line only.
pub fn show(ui: &mut Ui, record: &Record, sums: &Sums, what_if: Option<&WhatIf>, is_low: bool) {
    let lines = [
        (
            figures(sums),
            "A token from one to the next by the host's clock; kernels by the device's own timestamps.".to_owned(),
        ),
        (
            what_if.map(WhatIf::words),
            what_if.map_or(String::new(), WhatIf::why),
        ),
        (
            adapter(record),
            "Measured here, over more memory than caches hold. Kernels whose bytes lie in caches can be above it.".to_owned(),
        ),
        (
            costs(record),
            "A token that is timed in detail waits for the device; so only as many are as cost 4 % together, unless every step is to be.".to_owned(),
        ),
    ];
    let lines = lines.into_iter();
    let lines: Vec<(String, String)> = lines.filter_map(|(text, why)| Some((text?, why))).collect();
    ui.spacing_mut().item_spacing.y = 1.0;
    ui.separator();
    if is_low {
        let texts: Vec<&str> = lines.iter().map(|(text, _)| text.as_str()).collect();
        line(ui, &texts.join(" · "), &lines);
        return;
    }
    for shown in &lines {
        line(ui, &shown.0, std::slice::from_ref(shown));
    }
}

/// One line, and what there is to say about it.
fn line(ui: &mut Ui, text: &str, details: &[(String, String)]) {
    let label = Label::new(theme::aside(text));
    let label = match details.len() {
        1 => label.wrap(),
        _ => label.truncate(),
    };
    ui.add(label).on_hover_ui(|ui| {
        for (text, why) in details {
            ui.label(RichText::new(text).small());
            ui.label(theme::aside(why));
        }
    });
}

/// What a token costs, and how much of it is known.
fn figures(sums: &Sums) -> Option<String> {
    let totals = &sums.totals;
    let (all, timed) = (&totals.all, &totals.timed);
    if all.steps == 0 {
        return None;
    }
    let mut text = format!(
        "{}, {}: {:.2} ms a token",
        count(all.steps as u64, "step"),
        count(all.tokens, "token"),
        1e3 * all.per_token(),
    );
    if totals.proposed > 0 {
        text += &format!(
            " ({} of {} proposed accepted)",
            totals.accepted, totals.proposed
        );
    }
    if timed.steps == 0 {
        return Some(text + " (approximate)");
    }
    let wall = 1e3 * timed.per_token();
    let device = 1e3 * totals.device_s / timed.tokens.max(1) as f64;
    let gap = (wall - device).max(0.0);
    text += &match timed.steps == all.steps {
        true => ", ".to_owned(),
        false => format!(". {} timed in detail: {wall:.2} ms a token, ", timed.steps),
    };
    text += &format!(
        "{device:.2} ms in kernels, {gap:.2} ms ({:.0} %) between and around them",
        100.0 * gap / wall.max(1e-9)
    );
    Some(text)
}

fn adapter(record: &Record) -> Option<String> {
    let subject = &record.run.subject;
    let (mut text, peaks) = match record.info.as_deref() {
        Some(info) if subject.is_unknown() => (
            format!("{} · {}", info.adapter.name, info.adapter.driver),
            record.peaks_of(Some(info)),
        ),
        _ if subject.adapter.is_empty() => return None,
        _ => (
            format!("{} · {}", subject.adapter, subject.driver),
            record.run_peaks(),
        ),
    };
    if let Some(peaks) = peaks {
        text += &format!(
            " · at best {:.1} GB/s read, {:.0} GFLOP/s{}",
            peaks.bytes_per_s / 1e9,
            peaks.flops_per_s / 1e9,
            if peaks.is_estimated {
                " (estimated)"
            } else {
                ""
            }
        );
    }
    Some(text)
}

/// What knowing it costs.
fn costs(record: &Record) -> Option<String> {
    let run = &record.run;
    let mut costs = Vec::new();
    let (traced, untraced) = (&run.traced, &run.untraced);
    if let (Some(with), Some(without)) = (traced.mean(), untraced.mean()) {
        let cost = with - without;
        let share = traced.count() / (traced.count() + untraced.count());
        let percent = 100.0 * cost / without.max(1e-9);
        let cost = match percent {
            1.0.. => format!("{:.2} ms ({percent:+.0} %)", 1e3 * cost),
            _ => "too little to be seen".to_owned(),
        };
        costs.push(format!(
            "timing a token in detail costs {cost}, and {:.0} % of them are timed",
            100.0 * share
        ));
    }
    if let Some(frame) = record.frame.mean() {
        costs.push(format!("a frame of this window {:.1} ms", 1e3 * frame));
    }
    if run.dropped > 0 {
        costs.push(format!("the first {} steps were dropped", run.dropped));
    }
    (!costs.is_empty()).then(|| costs.join(" · "))
}

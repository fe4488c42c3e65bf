//! What lies in the device's memory, and how fast it could be read.

use egui::{Rect, RichText, Sense, Ui, pos2, vec2};

use super::picture;
use super::record::Record;
use super::what_if::{WhatIf, rounded};
use crate::engine::ModelInfo;
use crate::trace::units::{bytes, grouped};
use crate::window::theme::{self, ink_on};
use crate::window::widgets::{canvas, section};

/// Height of the bar of what lies there, and of one of a rate.
const BAR: f32 = 30.0;
const RATE: f32 = 22.0;

/// Room for a format's name and its rate.
const NAME: f32 = 44.0;
const FIGURE: f32 = 96.0;

pub fn show(ui: &mut Ui, record: &Record, what_if: Option<&WhatIf>) {
    let Some(info) = &record.info else {
        picture::nothing(ui, "No model is loaded.");
        return;
    };
    lies(ui, info);
    if let Some(what_if) = what_if {
        section(ui, "What if the weights had another format");
        rates(ui, what_if);
        ui.label(theme::aside(what_if.why()));
    }
}

/// What lies there.
fn lies(ui: &mut Ui, info: &ModelInfo) {
    let memory = &info.memory;
    let parts = [
        ("weights", memory.weights, theme::series(0)),
        ("KV cache", memory.kv_cache, theme::series(1)),
        ("activations", memory.scratch, theme::series(2)),
    ];
    let total: u64 = parts.iter().map(|(_, bytes, _)| bytes).sum();
    let name = format!("Device memory, {} in all", bytes(total));
    let size = vec2(ui.available_width(), BAR);
    let (response, painter) = canvas(ui, size, Sense::hover(), &name);
    let rect = response.rect;
    let mut x = rect.left();
    for (label, size, color) in parts {
        let width = rect.width() * size as f32 / total.max(1) as f32;
        let part = Rect::from_min_max(pos2(x, rect.top()), pos2(x + width, rect.bottom()));
        painter.rect_filled(part, 0.0, color);
        let label = format!("{label}, {}", bytes(size));
        if width > 7.5 * label.len() as f32 {
            let center = egui::Align2::CENTER_CENTER;
            let font = picture::small(ui);
            painter.text(part.center(), center, label, font, ink_on(color));
        }
        x += width;
    }
    response.on_hover_text("Counted by this program as it asked the device for memory.");
    ui.add_space(theme::GRID);
    egui::Grid::new("memory")
        .num_columns(3)
        .striped(true)
        .min_row_height(20.0)
        .show(ui, |ui| {
            for (label, size, color) in parts {
                ui.horizontal(|ui| {
                    picture::swatch(ui, color);
                    ui.label(RichText::new(label).small());
                });
                ui.label(RichText::new(bytes(size)).small());
                let share = 100.0 * size as f64 / total.max(1) as f64;
                ui.label(RichText::new(format!("{share:.1} %")).small());
                ui.end_row();
            }
            ui.label(theme::strong("together").small());
            ui.label(theme::strong(bytes(total)).small());
            ui.end_row();
            if let Some(allocated) = memory.allocated {
                ui.label(RichText::new("allocated by the driver").small());
                ui.label(RichText::new(bytes(allocated)).small());
                ui.end_row();
            }
        });
    ui.add_space(theme::GRID);
    let per_position = memory.kv_cache / info.context_size.max(1) as u64;
    let text = format!(
        "{} parameters as {}; KV cache for {} positions, {} each. More is allocated than used, because drivers do it in blocks.",
        grouped(info.config.parameters()),
        info.dtype,
        info.context_size,
        bytes(per_position)
    );
    ui.label(theme::aside(text));
}

/// A bar a format, and what is done now within that of the format in use.
fn rates(ui: &mut Ui, what_if: &WhatIf) {
    let most = what_if.rates.iter().map(|(_, rate)| *rate);
    let most = most.fold(what_if.now.unwrap_or(0.0), f64::max).max(1e-9);
    for (dtype, rate) in what_if.rates {
        let now = what_if.now.filter(|_| dtype == what_if.dtype);
        let figure = match now {
            Some(now) => format!("{} of {} tok/s", rounded(now), rounded(rate)),
            None => format!("{} tok/s", rounded(rate)),
        };
        let size = vec2(ui.available_width(), RATE);
        let name = format!("{dtype}: {figure} at most, estimated");
        let (response, painter) = canvas(ui, size, Sense::hover(), &name);
        let rect = response.rect;
        let palette = theme::palette(ui);
        let text = |x: f32, align: egui::Align2, text: String| {
            let at = pos2(x, rect.center().y);
            painter.text(at, align, text, picture::small(ui), palette.text);
        };
        let left = egui::Align2::LEFT_CENTER;
        text(rect.left(), left, dtype.to_string());
        let full = (rect.width() - NAME - FIGURE).max(20.0);
        let bar = |rate: f64| {
            let width = full * (rate / most) as f32;
            let corner = pos2(rect.left() + NAME, rect.top() + 4.0);
            Rect::from_min_size(corner, vec2(width.max(1.0), RATE - 8.0))
        };
        painter.rect_filled(bar(rate), 2.0, palette.line);
        if let Some(now) = now {
            painter.rect_filled(bar(now), 2.0, theme::series(0));
        }
        let x = bar(rate.max(now.unwrap_or(0.0))).right() + 8.0;
        text(x, left, figure);
    }
}

//! What lies in the device's memory.

use egui::{Color32, Rect, RichText, Sense, pos2, vec2};

use super::record::Record;
use crate::trace::units::{bytes, grouped};
use crate::window::theme::ink_on;
use crate::window::widgets::canvas;

pub fn show(ui: &mut egui::Ui, record: &Record) {
    let Some(info) = &record.info else {
        ui.weak("No model is loaded.");
        return;
    };
    let memory = &info.memory;
    let parts = [
        ("weights", memory.weights, Color32::from_rgb(0, 114, 178)),
        (
            "keys and values",
            memory.kv_cache,
            Color32::from_rgb(230, 159, 0),
        ),
        ("scratch", memory.scratch, Color32::from_rgb(0, 158, 115)),
    ];
    let total: u64 = parts.iter().map(|(_, bytes, _)| bytes).sum();
    let name = format!("Device memory, {} in all", bytes(total));
    let size = vec2(ui.available_width(), 30.0);
    let (response, painter) = canvas(ui, size, Sense::hover(), &name);
    let rect = response.rect;
    let mut x = rect.left();
    let font = egui::TextStyle::Small.resolve(ui.style());
    for (label, size, color) in parts {
        let width = rect.width() * size as f32 / total.max(1) as f32;
        let part = Rect::from_min_max(pos2(x, rect.top()), pos2(x + width, rect.bottom()));
        painter.rect_filled(part, 0.0, color);
        if width > 8.0 * label.len() as f32 {
            let center = egui::Align2::CENTER_CENTER;
            painter.text(part.center(), center, label, font.clone(), ink_on(color));
        }
        x += width;
    }
    ui.add_space(6.0);
    egui::Grid::new("memory")
        .num_columns(3)
        .striped(true)
        .show(ui, |ui| {
            for (label, size, color) in parts {
                ui.horizontal(|ui| {
                    let (mark, painter) = ui.allocate_painter(vec2(10.0, 10.0), Sense::hover());
                    painter.rect_filled(mark.rect, 1.0, color);
                    ui.label(label);
                });
                ui.label(bytes(size));
                ui.label(format!(
                    "{:.1} %",
                    100.0 * size as f64 / total.max(1) as f64
                ));
                ui.end_row();
            }
            ui.strong("together");
            ui.strong(bytes(total));
            ui.end_row();
            if let Some(allocated) = memory.allocated {
                ui.label("handed out by the driver");
                ui.label(bytes(allocated));
                ui.end_row();
            }
        });
    ui.add_space(6.0);
    let per_position = memory.kv_cache / info.context_size.max(1) as u64;
    let text = format!(
        "{} parameters as {}; keys and values for {} positions, {} each. More is handed out than used, because memory is asked for in blocks.",
        grouped(info.config.parameters()),
        info.dtype,
        info.context_size,
        bytes(per_position)
    );
    ui.label(RichText::new(text).small().weak());
}

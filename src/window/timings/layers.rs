//! A bar a layer, stacked by kernel, beside what the layer is: OpenELM's layers are unequal by design.

use egui::{Color32, Rect, RichText, Sense, Stroke, pos2, vec2};

use super::run::Sums;
use super::{Selection, bytes, canvas, duration, layer_name};
use crate::checkpoint::Config;
use crate::trace::LayerSum;
use crate::window::theme::{GROUPS, group};

const ROW: f32 = 22.0;

pub fn show(
    ui: &mut egui::Ui,
    sums: &Sums,
    config: Option<&Config>,
    bandwidth: Option<f64>,
    selection: &mut Selection,
) {
    if sums.layers.is_empty() {
        ui.weak("No step of this kind was timed kernel by kernel or layer by layer.");
        return;
    }
    legend(ui);
    let tokens = sums.timed.tokens.max(1) as f64;
    // What is shown of a layer: all of it, or the selected kernel.
    let shown = |layer: &LayerSum| -> f64 {
        let kernels = layer.kernels.iter();
        let wanted = kernels.filter(|kernel| selection.kernel.is_none_or(|k| k == kernel.kernel));
        wanted.map(|kernel| kernel.sum.duration_ns as f64).sum()
    };
    let layers: Vec<&LayerSum> = sums
        .layers
        .iter()
        .filter(|sum| sum.layer.is_some())
        .collect();
    let outside = sums.layers.iter().filter(|sum| sum.layer.is_none());
    let longest = layers.iter().map(|layer| shown(layer)).fold(1.0, f64::max);
    let all_ns: f64 = layers.iter().map(|layer| shown(layer)).sum();
    let all_bytes: u64 = layers.iter().map(|layer| layer.sum.bytes).sum();
    let mut clicked = None;
    for layer in layers.iter().copied().chain(outside) {
        let by_size = layer.layer.map(|_| {
            let share = layer.sum.bytes as f64 / all_bytes.max(1) as f64;
            (all_ns * share / longest) as f32
        });
        let row = Row {
            layer,
            shape: shape(config, layer.layer),
            time: shown(layer),
            longest,
            tokens,
            bandwidth,
            by_size,
        };
        if row.show(ui, selection) {
            clicked = Some(layer.layer);
        }
    }
    if let Some(layer) = clicked {
        let again = selection.layer == Some(layer);
        selection.layer = (!again).then_some(layer);
    }
    ui.add_space(4.0);
    let text = "Microseconds a token. The tick is where a layer would end if its time followed its bytes: \
                OpenELM gives later layers more heads and a wider feed-forward network, so they are slower by design.";
    ui.label(RichText::new(text).small().weak());
}

fn legend(ui: &mut egui::Ui) {
    ui.horizontal_wrapped(|ui| {
        for (name, _, color) in GROUPS {
            let (mark, painter) = ui.allocate_painter(vec2(10.0, 10.0), Sense::hover());
            painter.rect_filled(mark.rect, 1.0, color);
            ui.label(RichText::new(name).small());
        }
    });
}

/// Heads and width of a layer.
fn shape(config: Option<&Config>, layer: Option<u32>) -> String {
    let Some(index) = layer else {
        return "embedding, norm, head".into();
    };
    match config.and_then(|config| config.layers.get(index as usize)) {
        Some(layer) => format!(
            "{}q {}kv · {}",
            layer.q_heads, layer.kv_heads, layer.ffn_dim
        ),
        None => String::new(),
    }
}

struct Row<'a> {
    layer: &'a LayerSum,
    shape: String,
    time: f64,
    longest: f64,
    tokens: f64,
    bandwidth: Option<f64>,
    /// Where the bar would end if time followed bytes, as a share of the longest.
    by_size: Option<f32>,
}

impl Row<'_> {
    /// Draws the row; returns whether it was clicked.
    fn show(&self, ui: &mut egui::Ui, selection: &Selection) -> bool {
        const NUMBER: f32 = 38.0;
        const SHAPE: f32 = 104.0;
        const FIGURES: f32 = 158.0;
        let sum = &self.layer.sum;
        let width = ui.available_width();
        let name = format!(
            "{}: {} a token, {}",
            layer_name(self.layer.layer),
            duration(self.time / self.tokens),
            self.shape
        );
        let (response, painter) = canvas(ui, vec2(width, ROW), Sense::click(), &name);
        let rect = response.rect;
        if selection.layer == Some(self.layer.layer) {
            painter.rect_filled(
                rect,
                2.0,
                ui.visuals().selection.bg_fill.gamma_multiply(0.5),
            );
        } else if response.hovered() {
            painter.rect_filled(rect, 2.0, ui.visuals().faint_bg_color);
        }
        let font = egui::TextStyle::Small.resolve(ui.style());
        let color = ui.visuals().text_color();
        let label = self
            .layer
            .layer
            .map_or("other".into(), |layer| layer.to_string());
        let at = |x: f32| pos2(x, rect.center().y);
        let right = egui::Align2::RIGHT_CENTER;
        painter.text(
            at(rect.left() + NUMBER - 6.0),
            right,
            label,
            font.clone(),
            color,
        );
        // Where there is no room for everything, the bar stays.
        let has_shape = width > 420.0 && self.layer.layer.is_some();
        let left = rect.left() + NUMBER + if width > 420.0 { SHAPE } else { 0.0 };
        if has_shape {
            let left = egui::Align2::LEFT_CENTER;
            let weak = ui.visuals().weak_text_color();
            painter.text(
                at(rect.left() + NUMBER),
                left,
                &self.shape,
                font.clone(),
                weak,
            );
        }
        let bar_end = rect.right() - FIGURES;
        let full = (bar_end - left).max(20.0);
        let mut x = left;
        let scale = full / self.longest as f32;
        let mut groups = [0.0_f64; GROUPS.len()];
        for kernel in &self.layer.kernels {
            if selection
                .kernel
                .is_none_or(|wanted| wanted == kernel.kernel)
            {
                groups[group(kernel.kernel)] += kernel.sum.duration_ns as f64;
            }
        }
        for (time, (_, _, color)) in groups.iter().zip(GROUPS) {
            let end = (x + *time as f32 * scale).min(left + full);
            let part =
                Rect::from_min_max(pos2(x, rect.top() + 3.0), pos2(end, rect.bottom() - 3.0));
            painter.rect_filled(part, 0.0, color);
            x = end;
        }
        if self.time > self.longest {
            // The head is several times as large as a layer: its bar is cut.
            let cut = pos2(left + full - 10.0, rect.center().y);
            let center = egui::Align2::CENTER_CENTER;
            painter.text(cut, center, "»", font.clone(), Color32::BLACK);
        }
        if let Some(share) = self.by_size {
            let x = left + full * share.min(1.0);
            let stroke = Stroke::new(1.5, ui.visuals().strong_text_color());
            painter.vline(x, rect.y_range(), stroke);
        }
        let rate = sum.gb_per_s();
        let mut figures = format!("{}  {rate:.1} GB/s", duration(self.time / self.tokens));
        if let Some(best) = self.bandwidth {
            figures += &format!("  {:.0} %", 100.0 * rate * 1e9 / best);
        }
        painter.text(at(rect.right() - 4.0), right, figures, font, color);
        let clicked = response.clicked();
        response.on_hover_ui(|ui| self.details(ui));
        clicked
    }

    /// Everything about the layer.
    fn details(&self, ui: &mut egui::Ui) {
        ui.strong(format!("{}  {}", layer_name(self.layer.layer), self.shape));
        let sum = &self.layer.sum;
        ui.label(format!(
            "{} moved a token, {:.2} GB/s, {:.2} GFLOP/s",
            bytes((sum.bytes as f64 / self.tokens) as u64),
            sum.gb_per_s(),
            sum.gflops()
        ));
        for kernel in &self.layer.kernels {
            ui.label(format!(
                "{}: {} a token",
                kernel.kernel,
                duration(kernel.sum.duration_ns as f64 / self.tokens)
            ));
        }
    }
}

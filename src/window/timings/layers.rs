//! A bar a layer, stacked by kernel, beside what the layer is: OpenELM's layers are unequal by design.

use egui::{Color32, Rect, Sense, Stroke, pos2, vec2};

use super::axis::Scale;
use super::picture::{self, BELOW};
use super::selection::Selection;

use crate::trace::units::{bytes, duration, giga, layer_name, share};
use crate::trace::{GROUPS, LayerShape, LayerSum, Peaks, Sum, Totals, group};
use crate::window::action::Action;
use crate::window::theme::{self, group_color};
use crate::window::widgets::canvas;

/// Heights of a row, and of what stands below all of them.
const LOWEST: f32 = 18.0;
const HIGHEST: f32 = 40.0;
const NOTE: f32 = 44.0;

/// Width of a layer's number, its shape and its figures; with less than `ROOMY` there is no room for shapes.
const NUMBER: f32 = 38.0;
const SHAPE: f32 = 120.0;
const FIGURES: f32 = 166.0;
const FEWER_FIGURES: f32 = 112.0;
const ROOMY: f32 = 420.0;

pub fn show(
    ui: &mut egui::Ui,
    room: f32,
    sums: &Totals,
    shapes: &[LayerShape],
    peaks: Option<Peaks>,
    selection: &Selection,
    actions: &mut Vec<Action>,
) {
    let top = ui.cursor().top();
    let tokens = sums.timed.tokens.max(1) as f64;
    let all = sums
        .layers
        .iter()
        .filter_map(|layer| Shown::of(layer, selection.kernel));
    // Outside the layers comes last.
    let (layers, outside): (Vec<Shown<'_>>, Vec<_>) =
        all.partition(|shown| shown.of.layer.is_some());
    if layers.is_empty() && outside.is_empty() {
        picture::nothing(ui, picture::NOT_DETAILED);
        return;
    }
    picture::legend(ui, picture::groups_of(&sums.layers));
    let count = layers.len().max(1) as f64;
    let sum = |of: fn(&Sum) -> u64| layers.iter().map(|layer| of(&layer.sum)).sum::<u64>() as f64;
    let (all_ns, all_bytes) = (sum(|sum| sum.duration_ns), sum(Sum::bytes).max(1.0));
    // Where a layer would end if time followed bytes.
    let by_size = |shown: &Shown<'_>| all_ns * shown.sum.bytes() as f64 / all_bytes;
    let longest = layers
        .iter()
        .map(|shown| by_size(shown).max(shown.sum.duration_ns as f64))
        .fold(1.0, f64::max);
    head(ui);
    let rows = (layers.len() + outside.len()) as f32;
    let used = ui.cursor().top() - top + NOTE + BELOW;
    let height = ((room - used) / rows).clamp(LOWEST, HIGHEST);
    let mut clicked = None;
    let spacing = std::mem::take(&mut ui.spacing_mut().item_spacing.y);
    for shown in layers.iter().chain(&outside) {
        let is_layer = shown.of.layer.is_some();
        let row = Row {
            shown,
            height,
            shape: shape(shapes, shown.of.layer),
            longest,
            tokens,
            bandwidth: peaks.map(|peaks| peaks.bytes_per_s),
            by_size: is_layer.then(|| (by_size(shown) / longest) as f32),
            against_mean: is_layer.then(|| {
                let bytes = shown.sum.bytes() as f64 * count / all_bytes;
                let time = shown.sum.duration_ns as f64 * count / all_ns.max(1.0);
                (bytes, time)
            }),
        };
        if row.show(ui, selection) {
            clicked = Some(shown.of.layer);
        }
    }
    time_axis(ui, longest / tokens);
    ui.spacing_mut().item_spacing.y = spacing;
    if let Some(layer) = clicked {
        let again = selection.layer == Some(layer);
        let layer = (!again).then_some(layer);
        actions.push(Action::Select(Selection {
            layer,
            ..*selection
        }));
    }
    let text = "The tick is where a layer would end if its time followed its bytes: OpenELM gives later layers more heads and a \
                wider feed-forward network, so they are slower by design.";
    ui.label(theme::aside(text));
}

/// Where bars begin and end in a picture of that place.
fn bar_range(rect: Rect) -> egui::Rangef {
    let (shape, figures) = match rect.width() > ROOMY {
        true => (SHAPE, FIGURES),
        false => (0.0, FEWER_FIGURES),
    };
    let left = rect.left() + NUMBER + shape;
    egui::Rangef::new(left, (rect.right() - figures).max(left + 20.0))
}

/// The time that bars stand for.
fn time_axis(ui: &mut egui::Ui, longest: f64) {
    let size = vec2(ui.available_width(), BELOW);
    let (response, painter) = canvas(ui, size, Sense::hover(), "Time a token");
    let bars = bar_range(response.rect);
    let area = Rect::from_x_y_ranges(bars, response.rect.top()..=response.rect.top());
    let scale = Scale {
        left: bars.min,
        right: bars.max,
        low: 0.0,
        high: longest,
    };
    picture::marks_below(ui, &painter, area, &scale, "", picture::time_mark);
}

/// A layer with what is shown of it: all of it, or the selected kernel.
struct Shown<'a> {
    of: &'a LayerSum,
    sum: Sum,
}

impl<'a> Shown<'a> {
    /// `None` where the layer has no such kernel.
    fn of(layer: &'a LayerSum, kernel: Option<&str>) -> Option<Self> {
        let wanted = layer.kernels.iter();
        let wanted = wanted.filter(|sum| kernel.is_none_or(|kernel| kernel == sum.kernel));
        let sum = wanted.map(|kernel| kernel.sum).reduce(|a, b| a.and(&b))?;
        Some(Self { of: layer, sum })
    }
}

/// What the columns are.
fn head(ui: &mut egui::Ui) {
    let (response, painter) = canvas(
        ui,
        vec2(ui.available_width(), 14.0),
        Sense::hover(),
        "Columns",
    );
    let rect = response.rect;
    let font = egui::TextStyle::Small.resolve(ui.style());
    let color = ui.visuals().weak_text_color();
    let text = |x: f32, align, text: &str| {
        let at = pos2(x, rect.center().y);
        painter.text(at, align, text, font.clone(), color);
    };
    let (left, right) = (egui::Align2::LEFT_CENTER, egui::Align2::RIGHT_CENTER);
    text(rect.left(), left, "layer");
    if rect.width() > ROOMY {
        text(rect.left() + NUMBER, left, "heads · FFN width");
        text(rect.left() + NUMBER + SHAPE, left, "kernels");
    }
    let figures = match rect.width() > ROOMY {
        true => "a token · bandwidth · of peak",
        false => "a token · of peak",
    };
    text(rect.right() - 4.0, right, figures);
}

/// Heads and width of a layer.
fn shape(shapes: &[LayerShape], layer: Option<u32>) -> String {
    let Some(index) = layer else {
        return "embedding, norm, head".into();
    };
    match shapes.get(index as usize) {
        Some(layer) => format!(
            "{} q, {} kv · {}",
            layer.q_heads, layer.kv_heads, layer.ffn_dim
        ),
        None => String::new(),
    }
}

struct Row<'a> {
    shown: &'a Shown<'a>,
    height: f32,
    shape: String,
    longest: f64,
    tokens: f64,
    bandwidth: Option<f64>,
    /// Where the bar would end if time followed bytes, as a share of the longest.
    by_size: Option<f32>,
    /// Bytes and time against those of the mean layer.
    against_mean: Option<(f64, f64)>,
}

impl Row<'_> {
    /// Draws the row; returns whether it was clicked.
    fn show(&self, ui: &mut egui::Ui, selection: &Selection) -> bool {
        let Shown { of, sum } = self.shown;
        let time = sum.duration_ns as f64;
        let width = ui.available_width();
        let name = format!(
            "{}: {} a token, {}",
            layer_name(of.layer),
            duration(time / self.tokens),
            self.shape
        );
        let (response, painter) = canvas(ui, vec2(width, self.height), Sense::click(), &name);
        let rect = response.rect;
        if response.has_focus() {
            picture::focus(ui, &painter, rect);
        }
        if selection.layer == Some(of.layer) {
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
        let label = of.layer.map_or("other".into(), |layer| layer.to_string());
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
        let has_shape = width > ROOMY && of.layer.is_some();
        let bars = bar_range(rect);
        let left = bars.min;
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
        let full = bars.span();
        let mut x = left;
        let scale = full / self.longest as f32;
        let mut groups = [0.0_f64; GROUPS.len()];
        for kernel in &of.kernels {
            if selection
                .kernel
                .is_none_or(|wanted| wanted == kernel.kernel)
            {
                groups[group(kernel.kernel)] += kernel.sum.duration_ns as f64;
            }
        }
        for (time, color) in groups.iter().zip((0..).map(group_color)) {
            let end = (x + *time as f32 * scale).min(left + full);
            let part =
                Rect::from_min_max(pos2(x, rect.top() + 3.0), pos2(end, rect.bottom() - 2.0));
            painter.rect_filled(part, 0.0, color);
            x = end;
        }
        if time > self.longest {
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
        let rate = sum.bytes_per_s();
        let bandwidth = match width > ROOMY {
            true => format!("  {} GB/s", giga(rate)),
            false => String::new(),
        };
        let figures = format!(
            "{}{bandwidth}  {}",
            duration(time / self.tokens),
            share(rate, self.bandwidth)
        );
        painter.text(at(rect.right() - 4.0), right, figures, font, color);
        let clicked = response.clicked();
        response.on_hover_ui(|ui| self.details(ui));
        clicked
    }

    /// Everything about the layer.
    fn details(&self, ui: &mut egui::Ui) {
        let Shown { of, sum } = self.shown;
        ui.strong(format!("{}  {}", layer_name(of.layer), self.shape));
        ui.label(format!(
            "{} read and {} written a token, {} GB/s ({} of the best), {} GFLOP/s",
            bytes((sum.read as f64 / self.tokens) as u64),
            bytes((sum.written as f64 / self.tokens) as u64),
            giga(sum.bytes_per_s()),
            share(sum.bytes_per_s(), self.bandwidth),
            giga(sum.flops_per_s()),
        ));
        if let Some((bytes, time)) = self.against_mean {
            ui.label(format!(
                "{bytes:.2} times the bytes of the mean layer take {time:.2} times its time"
            ));
        }
        for kernel in &of.kernels {
            ui.horizontal(|ui| {
                picture::swatch(ui, theme::kernel_color(kernel.kernel));
                ui.label(format!(
                    "{}: {} a token",
                    kernel.kernel,
                    duration(kernel.sum.duration_ns as f64 / self.tokens)
                ));
            });
        }
        if sum.bytes_per_s() > self.bandwidth {
            ui.label("Faster than memory gives: part of its bytes came from caches.");
        }
        ui.label(theme::aside(picture::BY_DEVICE));
        ui.label(theme::aside(picture::BY_SHAPES));
    }
}

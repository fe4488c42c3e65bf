//! The flame chart of one step: the step, its layers, their kernels. Wheel zooms, dragging pans.

use egui::{Color32, Rect, RichText, Sense, Stroke, pos2, vec2};

use super::run::Run;
use super::selection::Selection;
use crate::trace::units::{bytes, count, duration, giga, layer_name};
use crate::trace::{GROUPS, Phase, Span, Step, Sum};
use crate::window::action::Action;
use crate::window::theme::{group_color, ink_on, kernel_color};
use crate::window::widgets::canvas;

const ROW: f32 = 26.0;

/// The part of the step in sight, as shares of it.
pub struct View {
    start: f64,
    end: f64,
}

impl Default for View {
    fn default() -> Self {
        Self {
            start: 0.0,
            end: 1.0,
        }
    }
}

/// A box of the chart.
struct Bar {
    row: usize,
    start: f64,
    end: f64,
    label: String,
    color: Color32,
    layer: Option<Option<u32>>,
    span: Option<usize>,
}

fn bars(number: usize, step: &Step, spans: &[Span]) -> Vec<Bar> {
    let wall = step.wall.as_secs_f64() * 1e9;
    let end_of = |span: &Span| (span.start_ns + span.duration_ns) as f64;
    let device = spans.iter().map(end_of).fold(0.0, f64::max);
    let mut bars = vec![Bar {
        row: 0,
        start: 0.0,
        end: wall.max(device),
        label: format!(
            "step {number}: {} at position {}",
            count(u64::from(step.tokens), "token"),
            step.position
        ),
        color: Color32::from_gray(110),
        layer: None,
        span: None,
    }];
    let mut first = 0;
    for layer in spans.chunk_by(|a, b| a.layer == b.layer) {
        let even = layer[0].layer.is_none_or(|layer| layer % 2 == 0);
        bars.push(Bar {
            row: 1,
            start: layer[0].start_ns as f64,
            end: layer.iter().map(end_of).fold(0.0, f64::max),
            label: layer[0]
                .layer
                .map_or("other".into(), |layer| format!("layer {layer}")),
            color: Color32::from_gray(if even { 132 } else { 158 }),
            layer: Some(layer[0].layer),
            span: None,
        });
        for (i, span) in layer.iter().enumerate() {
            bars.push(Bar {
                row: 2,
                start: span.start_ns as f64,
                end: end_of(span),
                label: span.kernel.to_owned(),
                color: kernel_color(span.kernel),
                layer: Some(span.layer),
                span: Some(first + i),
            });
        }
        first += layer.len();
    }
    bars
}

impl View {
    pub fn show(
        &mut self,
        ui: &mut egui::Ui,
        run: &Run,
        phase: Phase,
        selection: &Selection,
        actions: &mut Vec<Action>,
    ) {
        let timed = run
            .selected(phase, selection)
            .filter_map(|(number, step)| Some((number, step, step.spans.as_deref()?)));
        let Some((number, step, spans)) = timed.last() else {
            ui.weak("No such step was timed kernel by kernel or layer by layer.");
            return;
        };
        let bars = bars(number, step, spans);
        let total = bars[0].end.max(1.0);
        ui.horizontal_wrapped(|ui| {
            ui.label(format!("Step {number}: {}", duration(total)));
            if ui.small_button("Zoom in").clicked() {
                self.zoom(0.5, 0.5);
            }
            if ui.small_button("Zoom out").clicked() {
                self.zoom(2.0, 0.5);
            }
            if ui.small_button("Whole step").clicked() {
                *self = Self::default();
            }
        });
        let size = vec2(ui.available_width(), 3.0 * ROW + 16.0);
        let name = format!("Flame chart of step {number}");
        let (response, painter) = canvas(ui, size, Sense::click_and_drag(), &name);
        let rect = response.rect;
        self.navigate(ui, &response);
        let width = f64::from(rect.width());
        let x = |ns: f64| {
            let share = (ns / total - self.start) / (self.end - self.start);
            rect.left() + (share * width) as f32
        };
        let font = egui::TextStyle::Small.resolve(ui.style());
        let pointer = response.hover_pos();
        let mut hovered = None;
        for bar in &bars {
            let (left, right) = (x(bar.start), x(bar.end));
            if right < rect.left() || left > rect.right() {
                continue;
            }
            let top = rect.top() + ROW * bar.row as f32;
            let area = Rect::from_min_max(
                pos2(left.max(rect.left()), top),
                pos2(
                    right.min(rect.right()).max(left.max(rect.left()) + 0.5),
                    top + ROW - 2.0,
                ),
            );
            let kernel = bar.span.map(|span| spans[span].kernel);
            let is_off = selection
                .layer
                .is_some_and(|layer| bar.layer.is_some_and(|own| own != layer))
                || selection
                    .kernel
                    .is_some_and(|wanted| kernel.is_some_and(|own| own != wanted));
            let color = if is_off {
                bar.color.gamma_multiply(0.35)
            } else {
                bar.color
            };
            painter.rect_filled(area, 1.0, color);
            if area.width() > 14.0 {
                let ink = if is_off {
                    ui.visuals().text_color()
                } else {
                    ink_on(bar.color)
                };
                // All of it, or the bare number of a layer, or nothing: the beginning of a word says little.
                let number = match bar.layer {
                    Some(Some(layer)) if bar.span.is_none() => layer.to_string(),
                    _ => String::new(),
                };
                for label in [bar.label.clone(), number] {
                    let galley = painter.layout_no_wrap(label, font.clone(), ink);
                    if galley.size().x <= area.width() - 4.0 {
                        let corner =
                            egui::vec2(area.left() + 3.0, area.center().y - galley.size().y / 2.0);
                        painter.galley(corner.to_pos2(), galley, ink);
                        break;
                    }
                }
            }
            if pointer.is_some_and(|pointer| area.contains(pointer)) {
                hovered = Some(bar);
                painter.rect_stroke(
                    area,
                    1.0,
                    Stroke::new(1.5, ui.visuals().strong_text_color()),
                    egui::StrokeKind::Inside,
                );
            }
        }
        self.ruler(ui, &painter, rect, total);
        if let Some(bar) = hovered {
            if response.clicked() {
                actions.push(Action::Select(Selection {
                    layer: bar.layer,
                    kernel: bar.span.map(|span| spans[span].kernel),
                    ..*selection
                }));
            }
            response.on_hover_text(describe(bar, spans));
        }
        ui.add_space(4.0);
        ui.horizontal_wrapped(|ui| {
            for (name, color) in GROUPS
                .iter()
                .map(|(name, _)| *name)
                .zip((0..).map(group_color))
            {
                let (mark, painter) = ui.allocate_painter(vec2(10.0, 10.0), Sense::hover());
                painter.rect_filled(mark.rect, 1.0, color);
                ui.label(RichText::new(name).small());
            }
        });
        ui.label(
            RichText::new("Wheel: zoom. Drag: pan. Click: select a layer or a kernel.")
                .small()
                .weak(),
        );
        if selection.layer.is_some() || selection.kernel.is_some() {
            selected(ui, spans, selection);
        }
    }

    /// Shows `factor` times as much, with what is at `center` (a share of what is shown) staying there.
    fn zoom(&mut self, factor: f64, center: f64) {
        let width = ((self.end - self.start) * factor).clamp(1e-4, 1.0);
        let fixed = self.start + (self.end - self.start) * center;
        self.start = (fixed - width * center).clamp(0.0, 1.0 - width);
        self.end = self.start + width;
    }

    fn navigate(&mut self, ui: &egui::Ui, response: &egui::Response) {
        let width = f64::from(response.rect.width().max(1.0));
        if let Some(pointer) = response.hover_pos() {
            let wheel = ui.input_mut(|input| {
                let wheel = input.smooth_scroll_delta().y + 100.0 * (input.zoom_delta() - 1.0);
                // The panel around must not scroll as well.
                input.smooth_scroll_delta = egui::Vec2::ZERO;
                wheel
            });
            if wheel != 0.0 {
                let center = f64::from(pointer.x - response.rect.left()) / width;
                self.zoom((-f64::from(wheel) / 200.0).exp(), center);
            }
        }
        if response.dragged() {
            let shift = -f64::from(response.drag_delta().x) / width * (self.end - self.start);
            let shift = shift.clamp(-self.start, 1.0 - self.end);
            self.start += shift;
            self.end += shift;
        }
        if response.double_clicked() {
            *self = Self::default();
        }
    }

    fn ruler(&self, ui: &egui::Ui, painter: &egui::Painter, rect: Rect, total: f64) {
        let font = egui::TextStyle::Small.resolve(ui.style());
        let color = ui.visuals().weak_text_color();
        let marks = 5;
        for i in 0..marks {
            let share = i as f64 / f64::from(marks - 1);
            let ns = total * (self.start + (self.end - self.start) * share);
            let x = rect.left() + rect.width() * share as f32;
            let align = match i {
                0 => egui::Align2::LEFT_BOTTOM,
                i if i == marks - 1 => egui::Align2::RIGHT_BOTTOM,
                _ => egui::Align2::CENTER_BOTTOM,
            };
            painter.text(
                pos2(x, rect.bottom()),
                align,
                duration(ns),
                font.clone(),
                color,
            );
        }
    }
}

fn describe(bar: &Bar, spans: &[Span]) -> String {
    let time = duration(bar.end - bar.start);
    match (bar.span.map(|span| &spans[span]), bar.layer) {
        (Some(span), Some(layer)) => {
            let sum = Sum::from(span);
            format!(
                "{} of {}: {time}\n{} moved, {} GB/s, {} GFLOP/s",
                span.kernel,
                layer_name(layer),
                bytes(sum.bytes()),
                giga(sum.bytes_per_s()),
                giga(sum.flops_per_s()),
            )
        }
        (None, Some(layer)) => format!("{}: {time}", layer_name(layer)),
        _ => format!("{}: {time} from submission to the end", bar.label),
    }
}

/// The numbers of what is selected.
fn selected(ui: &mut egui::Ui, spans: &[Span], selection: &Selection) {
    let wanted = spans.iter().filter(|span| {
        selection.layer.is_none_or(|layer| span.layer == layer)
            && selection.kernel.is_none_or(|kernel| span.kernel == kernel)
    });
    ui.separator();
    egui::Grid::new("spans").striped(true).show(ui, |ui| {
        for head in ["kernel", "layer", "time", "bytes", "GB/s", "GFLOP/s"] {
            ui.strong(head);
        }
        ui.end_row();
        for span in wanted {
            let sum = Sum::from(span);
            ui.label(span.kernel);
            ui.label(span.layer.map_or("other".into(), |layer| layer.to_string()));
            ui.label(duration(span.duration_ns as f64));
            ui.label(bytes(sum.bytes()));
            ui.label(giga(sum.bytes_per_s()));
            ui.label(giga(sum.flops_per_s()));
            ui.end_row();
        }
    });
}

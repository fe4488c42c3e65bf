//! The flame chart of one step: the step, its layers, their kernels, along the device's time.

use std::borrow::Cow;

use egui::{Color32, Rect, Stroke, Ui, pos2, vec2};

use super::axis::{AxisView, Extent, Scale, moves};
use super::picture::{self, BELOW};
use super::run::Run;
use super::selection::Selection;
use crate::trace::units::{bytes, count, duration, giga, layer_name};
use crate::trace::{GROUPS, Phase, Span, Step, Sum, group};
use crate::window::action::Action;
use crate::window::theme::{self, group_color, ink_on, kernel_color};
use crate::window::widgets;

/// Heights of a row.
const LOWEST: f32 = 24.0;
const HIGHEST: f32 = 52.0;

/// Spans that are listed below the chart at most.
const LISTED: usize = 12;

/// What is in sight of the step that is shown.
#[derive(Default)]
pub struct View {
    axis: AxisView,
    /// The box that the keyboard is on.
    chosen: usize,
}

/// A box of the chart.
struct Bar<'a> {
    row: usize,
    start: f64,
    end: f64,
    label: Cow<'a, str>,
    color: Color32,
    layer: Option<Option<u32>>,
    span: Option<usize>,
}

fn bars<'a>(step: &Step, spans: &'a [Span]) -> Vec<Bar<'a>> {
    let wall = step.wall.as_secs_f64() * 1e9;
    let end_of = |span: &Span| (span.start_ns + span.duration_ns) as f64;
    let device = spans.iter().map(end_of).fold(0.0, f64::max);
    let mut bars = vec![Bar {
        row: 0,
        start: 0.0,
        end: wall.max(device),
        label: format!(
            "{} at position {}",
            count(u64::from(step.tokens), "token"),
            step.position
        )
        .into(),
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
            label: match layer[0].layer {
                Some(layer) => format!("layer {layer}").into(),
                None => "other".into(),
            },
            color: Color32::from_gray(if even { 132 } else { 158 }),
            layer: Some(layer[0].layer),
            span: None,
        });
        for (i, span) in layer.iter().enumerate() {
            bars.push(Bar {
                row: 2,
                start: span.start_ns as f64,
                end: end_of(span),
                label: span.kernel.into(),
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
        ui: &mut Ui,
        room: f32,
        run: &Run,
        phase: Phase,
        selection: &Selection,
        actions: &mut Vec<Action>,
    ) {
        let mut steps = run.selected(phase, selection).rev();
        let timed = steps.find_map(|(number, step)| Some((number, step, step.spans.as_deref()?)));
        let Some((number, step, spans)) = timed else {
            picture::nothing(ui, picture::NOT_DETAILED);
            return;
        };
        let bars = bars(step, spans);
        let total = bars[0].end.max(1.0);
        let extent = Extent {
            low: 0.0,
            high: total,
            least: (total * 1e-4).max(10.0),
        };
        ui.label(format!("Step {number}: {}", duration(total)));
        let row = ((room - 260.0) / 3.0).clamp(LOWEST, HIGHEST);
        let size = vec2(ui.available_width(), 3.0 * row + BELOW);
        let name = format!("Flame chart of step {number}");
        let (response, painter, area) = picture::plot(ui, size, &name);
        let scale = self
            .axis
            .navigate(ui, &response, area.x_range(), &extent, true);
        for (i, what) in ["step", "layers", "kernels"].into_iter().enumerate() {
            let at = pos2(area.left() - 6.0, area.top() + row * (i as f32 + 0.5));
            let (align, color) = (egui::Align2::RIGHT_CENTER, theme::palette(ui).weak);
            painter.text(at, align, what, picture::small(ui), color);
        }
        let pointer = response.hover_pos();
        let inside = painter.with_clip_rect(area);
        let mut hovered = None;
        for bar in &bars {
            if draw(
                ui, &inside, area, row, &scale, bar, spans, selection, pointer,
            ) {
                hovered = Some(bar);
            }
        }
        picture::marks_below(ui, &painter, area, &scale, "time", picture::time_mark);
        let of = |bar: &Bar<'_>| Selection {
            layer: bar.layer,
            kernel: bar.span.map(|span| spans[span].kernel),
            ..*selection
        };
        // Up and Down go through the boxes; a kernel may be there several times.
        let (_, down) = moves(ui, &response);
        let is_chosen = |bar: &&Bar<'_>| of(bar) == *selection;
        let first = || bars.iter().position(|bar| of(bar) == *selection);
        let chosen = bars.get(self.chosen).filter(is_chosen);
        self.chosen = chosen.map_or_else(|| first().unwrap_or(0), |_| self.chosen);
        if down != 0 {
            let to = (self.chosen as i64 + down).clamp(0, bars.len() as i64 - 1);
            self.chosen = to as usize;
            actions.push(Action::Select(of(&bars[self.chosen])));
        }
        let text = self::describe(&bars[self.chosen], spans);
        widgets::describe(ui, &response, &text);
        if let Some(bar) = hovered {
            if response.clicked() {
                actions.push(Action::Select(of(bar)));
            }
            response.on_hover_text(self::describe(bar, spans));
        }
        let is_there = |of: &usize| spans.iter().any(|span| group(span.kernel) == *of);
        let groups = (0..GROUPS.len()).filter(is_there);
        picture::legend(ui, groups.map(|of| (GROUPS[of].0, group_color(of))));
        list(ui, spans, selection);
    }
}

/// Draws a box, if it is in sight; returns whether the pointer is on it.
#[expect(clippy::too_many_arguments, reason = "what is drawn, and where")]
fn draw(
    ui: &Ui,
    painter: &egui::Painter,
    area: Rect,
    row: f32,
    scale: &Scale,
    bar: &Bar<'_>,
    spans: &[Span],
    selection: &Selection,
    pointer: Option<egui::Pos2>,
) -> bool {
    let (left, right) = (scale.x(bar.start), scale.x(bar.end));
    if right < area.left() || left > area.right() {
        return false;
    }
    let top = area.top() + row * bar.row as f32;
    let left = left.max(area.left());
    let right = right.min(area.right()).max(left + 0.5);
    let place = Rect::from_min_max(pos2(left, top), pos2(right, top + row - 2.0));
    let kernel = bar.span.map(|span| spans[span].kernel);
    let is_off = selection
        .layer
        .is_some_and(|layer| bar.layer.is_some_and(|own| own != layer))
        || selection
            .kernel
            .is_some_and(|wanted| kernel.is_some_and(|own| own != wanted));
    let color = match is_off {
        true => bar.color.gamma_multiply(0.35),
        false => bar.color,
    };
    painter.rect_filled(place, 1.0, color);
    if place.width() > 14.0 {
        let ink = match is_off {
            true => theme::palette(ui).text,
            false => ink_on(bar.color),
        };
        // All of it, or the bare number of a layer, or nothing: the beginning of a word says little.
        let number = match bar.layer {
            Some(Some(layer)) if bar.span.is_none() => layer.to_string(),
            _ => String::new(),
        };
        for label in [bar.label.to_string(), number] {
            let galley = painter.layout_no_wrap(label, picture::small(ui), ink);
            if galley.size().x <= place.width() - 4.0 {
                let corner = pos2(place.left() + 3.0, place.center().y - galley.size().y / 2.0);
                painter.galley(corner, galley, ink);
                break;
            }
        }
    }
    let is_hovered = pointer.is_some_and(|pointer| place.contains(pointer));
    if is_hovered {
        let stroke = Stroke::new(1.5, theme::palette(ui).text);
        painter.rect_stroke(place, 1.0, stroke, egui::StrokeKind::Inside);
    }
    is_hovered
}

fn describe(bar: &Bar<'_>, spans: &[Span]) -> String {
    let time = duration(bar.end - bar.start);
    let text = match (bar.span.map(|span| &spans[span]), bar.layer) {
        (Some(span), Some(layer)) => {
            let sum = Sum::from(span);
            format!(
                "{} of {}: {time}, {} after the first began\n{} moved, {} GB/s, {} GFLOP/s\n{}\n{}",
                span.kernel,
                layer_name(layer),
                duration(bar.start),
                bytes(sum.bytes()),
                giga(sum.bytes_per_s()),
                giga(sum.flops_per_s()),
                picture::BY_DEVICE,
                picture::BY_SHAPES,
            )
        }
        (None, Some(layer)) => {
            let begin = duration(bar.start);
            format!(
                "{}: {time}, {begin} after the first began\n{}",
                layer_name(layer),
                picture::BY_DEVICE
            )
        }
        _ => format!(
            "{}: {time} from submission to the end\n{}",
            bar.label,
            picture::BY_HOST
        ),
    };
    format!(
        "{text}\nClick: it in all views. Drag: move.\n{}",
        picture::MOVES
    )
}

/// The figures of what is selected, longest first; of all where nothing is.
fn list(ui: &mut Ui, spans: &[Span], selection: &Selection) {
    let is_wanted = |span: &&Span| {
        selection.layer.is_none_or(|layer| span.layer == layer)
            && selection.kernel.is_none_or(|kernel| span.kernel == kernel)
    };
    let mut wanted: Vec<&Span> = spans.iter().filter(is_wanted).collect();
    let all = wanted.len();
    wanted.sort_by_key(|span| std::cmp::Reverse(span.duration_ns));
    wanted.truncate(LISTED);
    ui.add_space(theme::GRID);
    let what = match all > wanted.len() {
        true => format!("The longest {LISTED} of {all}"),
        false => "What is selected".to_owned(),
    };
    ui.label(theme::aside(what));
    egui::ScrollArea::horizontal().show(ui, |ui| {
        egui::Grid::new("spans")
            .striped(true)
            .spacing(vec2(14.0, 2.0))
            .min_row_height(16.0)
            .show(ui, |ui| {
                for head in ["kernel", "layer", "µs", "MB", "GB/s", "GFLOP/s"] {
                    ui.label(theme::strong(head).small());
                }
                ui.end_row();
                for span in wanted {
                    let sum = Sum::from(span);
                    for text in [
                        span.kernel.to_owned(),
                        span.layer.map_or("–".into(), |layer| layer.to_string()),
                        picture::figure(span.duration_ns as f64 / 1e3),
                        picture::figure(sum.bytes() as f64 / 1e6),
                        giga(sum.bytes_per_s()),
                        giga(sum.flops_per_s()),
                    ] {
                        ui.label(egui::RichText::new(text).small());
                    }
                    ui.end_row();
                }
            });
    });
}

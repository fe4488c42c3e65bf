//! What pictures share: room for labels, axes with marks, legends, and what says how to use them.

use egui::{
    Align2, Color32, FontId, Painter, Rect, Response, Role, Sense, Stroke, Ui, Vec2, WidgetInfo,
    pos2, vec2,
};

use super::axis::{Scale, keep_arrows};
use crate::trace::units::{duration, ticks};
use crate::trace::{GROUPS, LayerSum, group};
use crate::window::theme::{self, CORNER, group_color};
use crate::window::widgets::canvas;

/// Room at the left for the labels of rows and heights: the same everywhere, so that pictures of steps stand below each other.
pub const LEFT: f32 = 52.0;

/// Room below for the marks of an axis.
pub const BELOW: f32 = 16.0;

/// A colour of a legend stands in a square of this side.
const SWATCH: f32 = 10.0;

/// Said once for each source of a number.
pub const BY_DEVICE: &str = "Time: by the device's own timestamps.";
pub const BY_HOST: &str = "Time: by the host's clock, from submission to the result.";
pub const BY_SHAPES: &str =
    "Bytes: counted from the shapes of weights and cache, each once; not measured.";

/// How pictures are moved, for whoever hovers over them.
pub const MOVES: &str =
    "Wheel or + and -: zoom. Shift and drag, or arrows: move. Double click or 0: all.";

pub fn small(ui: &Ui) -> FontId {
    egui::TextStyle::Small.resolve(ui.style())
}

/// A picture to be moved and chosen in, and the area of it that the marks at its left and below it leave.
pub fn plot(ui: &mut Ui, size: Vec2, name: &str) -> (Response, Painter, Rect) {
    let (response, painter) = canvas(ui, size, Sense::click_and_drag(), name);
    let rect = response.rect;
    let area = Rect::from_min_max(
        pos2(rect.left() + LEFT, rect.top()),
        pos2(rect.right(), rect.bottom() - BELOW),
    );
    ground(ui, &painter, area, &response);
    keep_arrows(ui, &response);
    (response, painter, area)
}

/// The surface of a picture, with the mark of the focus.
pub fn ground(ui: &Ui, painter: &Painter, area: Rect, response: &Response) {
    let palette = theme::palette(ui);
    painter.rect_filled(area, 0.0, palette.field());
    if response.has_focus() {
        focus(ui, painter, response.rect);
    }
}

/// The mark of what the keyboard is on.
pub fn focus(ui: &Ui, painter: &Painter, rect: Rect) {
    let stroke = Stroke::new(2.0, theme::palette(ui).accent);
    painter.rect_stroke(rect, CORNER, stroke, egui::StrokeKind::Inside);
}

/// Marks below a picture, each with its label; `unit` stands before the first.
pub fn marks_below(
    ui: &Ui,
    painter: &Painter,
    area: Rect,
    scale: &Scale,
    unit: &str,
    label: impl Fn(f64) -> String,
) {
    let palette = theme::palette(ui);
    let font = small(ui);
    let y = area.bottom();
    let stroke = Stroke::new(1.0, palette.line);
    painter.hline(area.x_range(), y, stroke);
    let color = palette.weak;
    painter.text(
        pos2(area.left() - 6.0, y + 2.0),
        Align2::RIGHT_TOP,
        unit,
        font.clone(),
        color,
    );
    let most = ((area.width() / 70.0) as usize).max(3);
    let mut free = area.left() - 4.0;
    for value in ticks(scale.low, scale.high, most) {
        let x = scale.x(value);
        painter.vline(x, y..=y + 3.0, stroke);
        let galley = painter.layout_no_wrap(label(value), font.clone(), color);
        let width = galley.size().x;
        // Within the picture, and not over its neighbour.
        let left = (x - width / 2.0).min(area.right() - width);
        let left = left.max(area.left() - 2.0);
        if left > free {
            painter.galley(pos2(left, y + 2.0), galley, color);
            free = left + width + 6.0;
        }
    }
}

/// Heights at the left of a picture, from nothing to `highest`, with faint lines across it; the topmost has the unit.
pub fn marks_left(ui: &Ui, painter: &Painter, area: Rect, highest: f64, unit: &str) {
    let palette = theme::palette(ui);
    let font = small(ui);
    let most = ((area.height() / 18.0) as usize).clamp(1, 5);
    let values = ticks(0.0, highest, most);
    let label = |value: f64| match highest {
        4.0.. => format!("{value:.0}"),
        0.4.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    };
    let last = values.len().saturating_sub(1);
    for (i, value) in values.into_iter().enumerate() {
        let y = area.bottom() - (value / highest) as f32 * area.height();
        let stroke = Stroke::new(1.0, palette.line.gamma_multiply(0.6));
        painter.hline(area.x_range(), y, stroke);
        if value > 0.0 {
            let text = match i == last {
                true => format!("{} {unit}", label(value)),
                false => label(value),
            };
            let at = pos2(area.left() - 6.0, y.max(area.top() + 5.0));
            painter.text(at, Align2::RIGHT_CENTER, text, font.clone(), palette.weak);
        }
    }
}

/// A time as an axis is marked with it.
pub fn time_mark(nanoseconds: f64) -> String {
    let text = duration(nanoseconds.abs());
    let text = text.replace(".00 ", " ").replace(".0 ", " ");
    match nanoseconds {
        0.0 => "0".to_owned(),
        ns if ns < 0.0 => format!("−{text}"),
        _ => text,
    }
}

/// Colours with what they stand for, in a row that wraps.
pub fn legend<'a>(ui: &mut Ui, entries: impl IntoIterator<Item = (&'a str, Color32)>) {
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing = vec2(5.0, 0.0);
        for (name, color) in entries {
            entry(ui, name, color);
        }
    });
}

/// A colour with its name, which stays beside it.
fn entry(ui: &mut Ui, name: &str, color: Color32) {
    let text = theme::palette(ui).text;
    let galley = ui.painter().layout_no_wrap(name.into(), small(ui), text);
    let height = galley.size().y.max(SWATCH);
    let size = vec2(SWATCH + 5.0 + galley.size().x + 4.0, height);
    let (rect, response) = ui.allocate_exact_size(size, Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, name));
    let left = rect.left_center();
    let mark = Rect::from_center_size(left + vec2(SWATCH / 2.0, 0.0), vec2(SWATCH, SWATCH));
    ui.painter().rect_filled(mark, 2.0, color);
    let at = left + vec2(SWATCH + 5.0, -galley.size().y / 2.0);
    ui.painter().galley(at, galley, text);
}

pub fn swatch(ui: &mut Ui, color: Color32) {
    let (mark, painter) = ui.allocate_painter(vec2(SWATCH, SWATCH), Sense::hover());
    painter.rect_filled(mark.rect, 2.0, color);
}

/// The groups of kernels that some layers have, with their colours.
pub fn groups_of(layers: &[LayerSum]) -> Vec<(&'static str, Color32)> {
    let kernels = layers.iter().flat_map(|layer| &layer.kernels);
    let mut is_there = [false; GROUPS.len()];
    for kernel in kernels {
        is_there[group(kernel.kernel)] = true;
    }
    let all = GROUPS.iter().zip((0..).map(group_color)).zip(is_there);
    all.filter(|(_, is_there)| *is_there)
        .map(|(((name, _), color), _)| (*name, color))
        .collect()
}

/// A figure with three digits that count.
pub fn figure(value: f64) -> String {
    match value {
        0.0 => "0".to_owned(),
        value if value < 0.01 => "<0.01".to_owned(),
        value if value < 10.0 => format!("{value:.2}"),
        value if value < 100.0 => format!("{value:.1}"),
        value => format!("{value:.0}"),
    }
}

/// What stands where there is nothing to draw.
pub fn nothing(ui: &mut Ui, why: &str) {
    ui.add_space(2.0 * theme::GRID);
    ui.weak(why);
}

/// Why pictures by layer and kernel are empty.
pub const NOT_DETAILED: &str = "No step of this kind was timed kernel by kernel or layer by layer.";

//! What several views put together from egui's own widgets, in the one look that `theme` describes.

use std::borrow::Cow;
use std::sync::Arc;

use egui::accesskit::Role;
use egui::text::{LayoutJob, TextWrapping};
use egui::{
    Color32, Galley, Rect, Response, RichText, Sense, Stroke, StrokeKind, Vec2, WidgetInfo, pos2,
    vec2,
};

use super::icons::Icon;
use super::theme::{self, CONTROL, CORNER, GRID};

/// Side of an icon on a button.
const ICON: f32 = 16.0;

/// Names an input for screen readers.
pub fn name(ui: &egui::Ui, response: &egui::Response, name: &str) {
    ui.ctx()
        .accesskit_node_builder(response.id, |node| node.set_label(name));
}

/// Tells screen readers what is chosen in a picture, as the pointer is told by what hovers.
pub fn describe(ui: &egui::Ui, response: &egui::Response, text: &str) {
    ui.ctx()
        .accesskit_node_builder(response.id, |node| node.set_description(text));
}

/// A button that is only an icon, for what is at hand but not the matter: without a frame until the pointer or the keyboard is on it.
/// `name` is its tooltip and its name for screen readers; `key` does the same, or is empty.
pub fn icon_button(ui: &mut egui::Ui, icon: Icon, name: &str, key: &str) -> Response {
    icon_toggle(ui, icon, None, name, key)
}

/// As [`icon_button`], for something that is on or off.
pub fn icon_switch(ui: &mut egui::Ui, icon: Icon, is_on: bool, name: &str, key: &str) -> Response {
    icon_toggle(ui, icon, Some(is_on), name, key)
}

fn icon_toggle(
    ui: &mut egui::Ui,
    icon: Icon,
    is_on: Option<bool>,
    name: &str,
    key: &str,
) -> Response {
    let (rect, response) = ui.allocate_exact_size(Vec2::splat(CONTROL), Sense::click());
    let is_enabled = ui.is_enabled();
    response.widget_info(|| match is_on {
        Some(is_on) => WidgetInfo::selected(Role::Button, is_enabled, is_on, name),
        None => WidgetInfo::labeled(Role::Button, is_enabled, name),
    });
    if ui.is_rect_visible(rect) {
        let palette = theme::palette(ui);
        let visuals = *ui.style().interact(&response);
        let is_on = is_on == Some(true);
        if response.hovered() || response.has_focus() {
            let (fill, stroke) = (visuals.bg_fill, focus_ring(ui, &response));
            let inside = StrokeKind::Inside;
            ui.painter().rect(rect, CORNER, fill, stroke, inside);
        }
        let color = match (is_on, response.hovered()) {
            (true, _) => palette.accent,
            (false, true) => palette.text,
            (false, false) => palette.weak,
        };
        let square = Rect::from_center_size(rect.center(), Vec2::splat(ICON));
        icon.paint(ui.painter(), square, dimmed(ui, color));
        if is_on {
            // Not by colour alone.
            let (left, right) = (rect.left() + 6.0, rect.right() - 6.0);
            let stroke = Stroke::new(2.0, palette.accent);
            ui.painter()
                .hline(left..=right, rect.bottom() - 1.0, stroke);
        }
    }
    with_tooltip(response, name, key)
}

/// A button with an icon and words.
pub fn labelled_button(ui: &mut egui::Ui, icon: Icon, label: &str, key: &str) -> Response {
    let room = ui.available_width() - ICON - 5.0 * GRID;
    let galley = text(ui, label, room.max(ICON));
    let size = vec2(ICON + galley.size().x + 5.0 * GRID, CONTROL);
    let (rect, response) = ui.allocate_exact_size(size, Sense::click());
    let is_enabled = ui.is_enabled();
    response.widget_info(|| WidgetInfo::labeled(Role::Button, is_enabled, label));
    if ui.is_rect_visible(rect) {
        let visuals = *ui.style().interact(&response);
        let inside = StrokeKind::Inside;
        let painter = ui.painter();
        painter.rect(rect, CORNER, visuals.bg_fill, visuals.bg_stroke, inside);
        let color = dimmed(ui, theme::palette(ui).text);
        let middle = rect.left() + 2.0 * GRID + ICON / 2.0;
        let square = Rect::from_center_size(pos2(middle, rect.center().y), Vec2::splat(ICON));
        icon.paint(painter, square, color);
        let left = rect.left() + 3.0 * GRID + ICON;
        let top = rect.center().y - galley.size().y / 2.0;
        painter.galley(pos2(left, top), galley, color);
    }
    match key {
        "" => response,
        key => response.on_hover_text(key),
    }
}

/// The one thing that a view is for: there is at most one in each.
pub fn primary(ui: &mut egui::Ui, is_enabled: bool, label: &str, key: &str) -> Response {
    let palette = theme::palette(ui);
    let ink = if is_enabled {
        palette.on_accent
    } else {
        palette.weak
    };
    let mut button = egui::Button::new(theme::strong(label).color(ink)).min_size(vec2(72.0, 32.0));
    if is_enabled {
        button = button.fill(palette.accent);
    }
    let response = ui.add_enabled(is_enabled, button);
    if response.has_focus() {
        // The usual ring would not be seen on the accent.
        let stroke = Stroke::new(2.0, palette.text);
        let (rect, outside) = (response.rect.expand(2.0), StrokeKind::Outside);
        ui.painter().rect_stroke(rect, CORNER, stroke, outside);
    }
    match key {
        "" => response,
        key => response.on_hover_text(key),
    }
}

/// One of several, side by side. Returns what was picked in place of `chosen`.
pub fn segments<T: Copy + PartialEq>(
    ui: &mut egui::Ui,
    chosen: T,
    choices: &[(T, &str)],
) -> Option<T> {
    let mut picked = None;
    let palette = theme::palette(ui);
    let frame = egui::Frame::new()
        .fill(palette.raised)
        .corner_radius(CORNER)
        .inner_margin(egui::Margin::same(2));
    frame.show(ui, |ui| {
        ui.horizontal(|ui| {
            ui.spacing_mut().item_spacing.x = 0.0;
            for (choice, label) in choices {
                if segment(ui, *choice == chosen, label).clicked() && *choice != chosen {
                    picked = Some(*choice);
                }
            }
        });
    });
    picked
}

fn segment(ui: &mut egui::Ui, is_chosen: bool, label: &str) -> Response {
    let palette = theme::palette(ui);
    let galley = text(ui, label, f32::INFINITY);
    let size = vec2(galley.size().x + 5.0 * GRID, CONTROL - 4.0);
    let (rect, response) = ui.allocate_exact_size(size, Sense::click());
    let is_enabled = ui.is_enabled();
    response.widget_info(|| WidgetInfo::selected(Role::RadioButton, is_enabled, is_chosen, label));
    if ui.is_rect_visible(rect) {
        let fill = match (is_chosen, response.hovered()) {
            (true, _) => palette.selected(),
            (false, true) => palette.hovered(),
            (false, false) => Color32::TRANSPARENT,
        };
        let inside = StrokeKind::Inside;
        let stroke = focus_ring(ui, &response);
        ui.painter().rect(rect, CORNER - 1, fill, stroke, inside);
        let color = match is_chosen {
            true => palette.text,
            false => palette.weak,
        };
        let corner = rect.center() - galley.size() / 2.0;
        ui.painter().galley(corner, galley, dimmed(ui, color));
    }
    response
}

/// Something that is on or off, with its label beside it. Returns what it became, if that was changed.
pub fn switch(ui: &mut egui::Ui, is_on: bool, label: &str) -> (Response, Option<bool>) {
    const TRACK: Vec2 = vec2(28.0, 16.0);
    let palette = theme::palette(ui);
    let room = (ui.available_width() - TRACK.x - 2.0 * GRID).max(40.0);
    let font = egui::TextStyle::Button.resolve(ui.style());
    let galley = ui
        .painter()
        .layout(label.to_owned(), font, Color32::PLACEHOLDER, room);
    let size = vec2(
        TRACK.x + 2.0 * GRID + galley.size().x,
        galley.size().y.max(CONTROL - 4.0),
    );
    let (rect, mut response) = ui.allocate_exact_size(size, Sense::click());
    let is_enabled = ui.is_enabled();
    response.widget_info(|| WidgetInfo::selected(Role::CheckBox, is_enabled, is_on, label));
    if ui.is_rect_visible(rect) {
        let track = Rect::from_min_size(pos2(rect.left(), rect.center().y - TRACK.y / 2.0), TRACK);
        let (fill, knob, x) = match is_on {
            true => (palette.accent, palette.on_accent, track.right() - 8.0),
            false => (palette.hovered(), palette.weak, track.left() + 8.0),
        };
        let stroke = match response.has_focus() {
            true => Stroke::new(2.0, palette.text),
            false => Stroke::new(1.0, palette.line),
        };
        let outside = StrokeKind::Outside;
        let painter = ui.painter();
        painter.rect(track, 8, dimmed(ui, fill), stroke, outside);
        painter.circle_filled(pos2(x, track.center().y), 5.0, knob);
        let left = track.right() + 2.0 * GRID;
        let corner = pos2(left, rect.center().y - galley.size().y / 2.0);
        painter.galley(corner, galley, dimmed(ui, palette.text));
    }
    let changed = response.clicked().then_some(!is_on);
    if changed.is_some() {
        response.mark_changed();
    }
    (response, changed)
}

/// The heading of a group of settings or figures.
pub fn section(ui: &mut egui::Ui, title: &str) {
    ui.add_space(3.0 * GRID);
    ui.label(theme::strong(title));
}

/// A surface that is raised from the page, to set something apart.
pub fn card<R>(
    ui: &mut egui::Ui,
    content: impl FnOnce(&mut egui::Ui) -> R,
) -> egui::InnerResponse<R> {
    let palette = theme::palette(ui);
    let frame = egui::Frame::new()
        .fill(palette.raised)
        .stroke(Stroke::new(1.0, palette.line))
        .corner_radius(CORNER + 2)
        .inner_margin(egui::Margin::same(3 * GRID as i8));
    frame.show(ui, content)
}

/// A bar that is filled by a share between 0 and 1, with figures beside it.
pub fn meter(ui: &mut egui::Ui, share: f32, width: f32, figures: &str) -> Response {
    const HEIGHT: f32 = 6.0;
    let palette = theme::palette(ui);
    let share = share.clamp(0.0, 1.0);
    let font = egui::TextStyle::Small.resolve(ui.style());
    let room = (ui.available_width() - width - 2.0 * GRID).max(width);
    let galley = one_line(ui, figures, font, room);
    let size = vec2(width + 2.0 * GRID + galley.size().x, CONTROL);
    let (rect, response) = ui.allocate_exact_size(size, Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(Role::ProgressIndicator, true, figures));
    if ui.is_rect_visible(rect) {
        let top = rect.center().y - HEIGHT / 2.0;
        let track = Rect::from_min_size(pos2(rect.left(), top), vec2(width, HEIGHT));
        let filled = Rect::from_min_size(track.min, vec2(width * share, HEIGHT));
        let color = match share >= 1.0 {
            true => palette.warning,
            false => palette.accent,
        };
        let painter = ui.painter();
        painter.rect_filled(track, 3, palette.hovered());
        painter.rect_filled(filled, 3, color);
        let top = rect.center().y - galley.size().y / 2.0;
        let corner = pos2(track.right() + 2.0 * GRID, top);
        painter.galley(corner, galley, palette.weak);
    }
    response
}

/// Text as buttons have it, in a line of at most `room`, of a colour to be chosen when it is painted.
fn text(ui: &egui::Ui, label: &str, room: f32) -> Arc<Galley> {
    one_line(ui, label, egui::TextStyle::Button.resolve(ui.style()), room)
}

pub fn one_line(ui: &egui::Ui, text: &str, font: egui::FontId, room: f32) -> Arc<Galley> {
    let mut job = LayoutJob::simple_singleline(text.to_owned(), font, Color32::PLACEHOLDER);
    job.wrap = TextWrapping::truncate_at_width(room);
    ui.painter().layout_job(job)
}

/// The mark of what the keyboard is on.
fn focus_ring(ui: &egui::Ui, response: &Response) -> Stroke {
    match response.has_focus() {
        true => Stroke::new(2.0, theme::palette(ui).accent),
        false => Stroke::NONE,
    }
}

/// Less of a colour where nothing can be done.
fn dimmed(ui: &egui::Ui, color: Color32) -> Color32 {
    match ui.is_enabled() {
        true => color,
        false => color.gamma_multiply(0.5),
    }
}

fn with_tooltip(response: Response, name: &str, key: &str) -> Response {
    let name = name.to_owned();
    let key = key.to_owned();
    response.on_hover_ui(move |ui| {
        ui.horizontal(|ui| {
            ui.label(name);
            if !key.is_empty() {
                ui.label(RichText::new(key).weak());
            }
        });
    })
}

/// A line of text to edit, with its label above it. Returns what the text became, if that was changed.
pub fn line(ui: &mut egui::Ui, label: &str, text: &str) -> Option<String> {
    let mut text = Cow::Borrowed(text);
    let edit = egui::TextEdit::singleline(&mut text);
    let has_changed = labelled(ui, label, edit);
    has_changed.then(|| text.into_owned())
}

/// As [`line`], for a text of several lines, of which so many have room without it growing.
pub fn lines(ui: &mut egui::Ui, label: &str, text: &str, rows: usize) -> Option<String> {
    let mut text = Cow::Borrowed(text);
    let edit = egui::TextEdit::multiline(&mut text).desired_rows(rows);
    let has_changed = labelled(ui, label, edit);
    has_changed.then(|| text.into_owned())
}

/// Returns whether the text was changed.
fn labelled(ui: &mut egui::Ui, label: &str, edit: egui::TextEdit<'_>) -> bool {
    let named = ui.label(label);
    let response = ui.add(edit.desired_width(f32::INFINITY));
    response.labelled_by(named.id).changed()
}

/// Space to draw on, with a name for screen readers.
pub fn canvas(
    ui: &mut egui::Ui,
    size: egui::Vec2,
    sense: egui::Sense,
    name: &str,
) -> (egui::Response, egui::Painter) {
    let (response, painter) = ui.allocate_painter(size, sense);
    response.widget_info(|| egui::WidgetInfo::labeled(Role::Image, true, name));
    (response, painter)
}

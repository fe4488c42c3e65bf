//! A conversation in the list: its title, and what can be done with it.

use egui::accesskit::Role;
use egui::{Id, Popup, Rect, Response, Sense, WidgetInfo, pos2, vec2};

use super::super::calendar::Calendar;
use super::super::conversation::Mode;
use super::super::history::Entry;
use super::super::icons::Icon;
use super::super::theme::{self, CONTROL, CORNER, GRID};
use super::super::widgets::{name, one_line};

/// What was asked for at a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    Open,
    Pin,
    Rename,
    Tag,
    Duplicate,
    Delete,
}

/// A conversation in the list has the same id wherever it stands.
pub fn id(entry: &Entry) -> Id {
    Id::unique(("conversation", &entry.id))
}

/// How a row is shown.
pub struct Look<'a> {
    pub is_current: bool,
    /// What is going on with it.
    pub note: Option<&'a str>,
    pub calendar: &'a Calendar,
}

/// Draws a row into `rect`.
pub fn show(
    ui: &mut egui::Ui,
    rect: Rect,
    entry: &Entry,
    look: &Look<'_>,
) -> (Response, Option<Wish>) {
    let id = id(entry);
    let response = ui.interact(rect, id, Sense::click());
    response
        .widget_info(|| WidgetInfo::selected(Role::Button, true, look.is_current, &entry.title));
    let corner = pos2(rect.right() - CONTROL, rect.top());
    let square = Rect::from_min_size(corner, vec2(CONTROL, rect.height()));
    let more = ui.interact(square, id.with("more"), Sense::click());
    more.widget_info(|| {
        WidgetInfo::labeled(Role::Button, true, format!("More about {}", entry.title))
    });
    let is_open = Popup::is_id_open(ui.ctx(), Popup::default_response_id(&more));
    let is_at_hand =
        response.hovered() || response.has_focus() || more.hovered() || more.has_focus();
    paint(
        ui,
        rect,
        square,
        entry,
        look,
        [&response, &more],
        is_at_hand || is_open,
    );

    let mut wish = response.clicked().then_some(Wish::Open);
    if let Some(menu) = Popup::menu(&more).show(|ui| menu(ui, entry)) {
        wish = menu.inner.or(wish);
    }
    response.context_menu(|ui| wish = menu(ui, entry).or(wish));
    if !is_open {
        response
            .clone()
            .on_hover_ui(|ui| about(ui, entry, look.calendar));
    }
    (response, wish)
}

fn paint(
    ui: &egui::Ui,
    rect: Rect,
    square: Rect,
    entry: &Entry,
    look: &Look<'_>,
    [row, more]: [&Response; 2],
    is_at_hand: bool,
) {
    let palette = theme::palette(ui);
    let fill = match (look.is_current, is_at_hand) {
        (true, _) => palette.selected(),
        (false, true) => palette.hovered(),
        (false, false) => egui::Color32::TRANSPARENT,
    };
    let ring = |response: &Response| match response.has_focus() {
        true => egui::Stroke::new(2.0, palette.accent),
        false => egui::Stroke::NONE,
    };
    let inside = egui::StrokeKind::Inside;
    ui.painter().rect(rect, CORNER, fill, ring(row), inside);
    let mut right = rect.right() - 2.0 * GRID;
    if is_at_hand {
        let stroke = ring(more);
        ui.painter().rect_stroke(square, CORNER, stroke, inside);
        let icon = Rect::from_center_size(square.center(), vec2(16.0, 16.0));
        let color = match more.hovered() || more.has_focus() {
            true => palette.text,
            false => palette.weak,
        };
        Icon::More.paint(ui.painter(), icon, color);
        right = square.left();
    }
    let left = rect.left() + 2.0 * GRID;
    if let Some(note) = look.note {
        let font = egui::TextStyle::Small.resolve(ui.style());
        let galley = one_line(ui, note, font, right - left);
        right -= galley.size().x;
        let top = rect.center().y - galley.size().y / 2.0;
        ui.painter().galley(pos2(right, top), galley, palette.weak);
        right -= GRID;
    }
    let font = egui::TextStyle::Button.resolve(ui.style());
    let galley = one_line(ui, &entry.title, font, (right - left).max(8.0));
    let top = rect.center().y - galley.size().y / 2.0;
    ui.painter().galley(pos2(left, top), galley, palette.text);
}

fn menu(ui: &mut egui::Ui, entry: &Entry) -> Option<Wish> {
    let pin = match entry.pinned {
        true => "Unpin",
        false => "Pin to the top",
    };
    let mut wish = None;
    for (label, key, is) in [
        (pin, "", Wish::Pin),
        ("Rename", "F2", Wish::Rename),
        ("Tags…", "", Wish::Tag),
        ("Duplicate", "", Wish::Duplicate),
        ("Delete conversation", "Delete", Wish::Delete),
    ] {
        let mut button = egui::Button::new(label);
        if !key.is_empty() {
            button = button.shortcut_text(key);
        }
        let response = ui.add(button);
        name(ui, &response, label);
        if response.clicked() {
            wish = Some(is);
        }
    }
    wish
}

/// What hovering tells.
fn about(ui: &mut egui::Ui, entry: &Entry, calendar: &Calendar) {
    ui.label(&entry.title);
    let kind = match entry.mode {
        Mode::Chat => "Chat",
        Mode::Completion => "Text",
    };
    let used = calendar.ago(entry.changed);
    ui.label(theme::aside(format!("{kind}, used {used}")));
    ui.label(theme::aside(format!(
        "begun {}",
        calendar.ago(entry.created)
    )));
    if !entry.tags.is_empty() {
        ui.label(theme::aside(format!("#{}", entry.tags.join(" #"))));
    }
}

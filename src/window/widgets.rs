//! What several views put together from egui's own widgets.

use std::borrow::Cow;

/// Names an input for screen readers.
pub fn name(ui: &egui::Ui, response: &egui::Response, name: &str) {
    ui.ctx()
        .accesskit_node_builder(response.id, |node| node.set_label(name));
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
    response.widget_info(|| egui::WidgetInfo::labeled(egui::accesskit::Role::Image, true, name));
    (response, painter)
}

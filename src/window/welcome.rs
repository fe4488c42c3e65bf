//! What an empty conversation shows: what it is for, and something to begin with.

use egui::{Align, FontSelection, Layout, ScrollArea, Sense, Stroke, StrokeKind, vec2};

use super::action::{Action, Overlay};
use super::conversation::Mode;
use super::icons::Icon;
use super::state::State;
use super::theme::{self, CONTROL, CORNER, GRID, READING_WIDTH};

/// Beginnings, for those who just want to see something.
const BEGINNINGS: [&str; 3] = [
    "Once upon a time there was a king",
    "The old woman said to the fox",
    "In the middle of the forest",
];

/// Questions, likewise.
const QUESTIONS: [&str; 3] = [
    "Why is the sky blue?",
    "Name five animals that live in the forest.",
    "Write a short poem about rain.",
];

pub fn show(ui: &mut egui::Ui, state: &State, actions: &mut Vec<Action>) {
    let mode = state.conversation().mode;
    let has_tokenizer = state.has_tokenizer();
    let suggestions = match mode {
        Mode::Completion => BEGINNINGS,
        Mode::Chat => QUESTIONS,
    };
    let (title, sentence) = match mode {
        Mode::Completion => (
            "A text that the model continues",
            "Write how it begins below, or take one of these.",
        ),
        Mode::Chat => ("A chat", "Ask something below, or take one of these."),
    };
    let sentence = match has_tokenizer {
        true => sentence,
        false => "This model has no tokenizer: write token ids, such as 1, 9038, 2501.",
    };
    ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
        let width = (ui.available_width() - 4.0 * GRID).clamp(60.0, READING_WIDTH);
        let left = ((ui.available_width() - width) / 2.0).max(0.0);
        ui.add_space((ui.available_height() * 0.22).max(2.0 * GRID));
        ui.horizontal(|ui| {
            ui.add_space(left);
            ui.allocate_ui_with_layout(vec2(width, 0.0), Layout::top_down(Align::Min), |ui| {
                ui.spacing_mut().item_spacing.y = 2.0 * GRID;
                ui.heading(title);
                ui.weak(sentence);
                ui.add_space(GRID);
                if has_tokenizer {
                    for suggestion in suggestions {
                        if suggested(ui, suggestion, state.can_generate()).clicked() {
                            actions.push(Action::Send(suggestion.to_owned()));
                        }
                    }
                }
                if state.info().is_some_and(|info| info.name == "demo") {
                    ui.add_space(2.0 * GRID);
                    ui.weak(
                        "This is the built-in demo: a tiny model that knows only old fairy tales.",
                    );
                    if ui.link("Get Apple's OpenELM weights…").clicked() {
                        actions.push(Action::ShowOverlay(Overlay::Models));
                    }
                }
            });
        });
    });
}

/// A card that can be clicked.
fn suggested(ui: &mut egui::Ui, text: &str, can: bool) -> egui::Response {
    const ICON: f32 = 14.0;
    let margin = 3.0 * GRID;
    let palette = theme::palette(ui);
    let color = if can { palette.text } else { palette.weak };
    let font = FontSelection::Default.resolve(ui.style());
    let width = ui.available_width();
    let room = width - 2.0 * margin - ICON - 2.0 * GRID;
    let galley = ui.painter().layout(text.to_owned(), font, color, room);
    let height = (galley.size().y + 2.0 * margin).max(CONTROL);
    let sense = if can { Sense::click() } else { Sense::hover() };
    let (rect, response) = ui.allocate_exact_size(vec2(width, height), sense);
    response.widget_info(|| egui::WidgetInfo::labeled(egui::accesskit::Role::Button, can, text));
    if ui.is_rect_visible(rect) {
        let (fill, stroke) = match (response.has_focus(), can && response.hovered()) {
            (true, _) => (palette.hovered(), Stroke::new(2.0, palette.accent)),
            (false, true) => (palette.hovered(), Stroke::new(1.0, palette.weak)),
            (false, false) => (palette.raised, Stroke::new(1.0, palette.line)),
        };
        let painter = ui.painter();
        painter.rect(rect, CORNER + 2, fill, stroke, StrokeKind::Inside);
        let middle = rect.center().y - galley.size().y / 2.0;
        painter.galley(egui::pos2(rect.left() + margin, middle), galley, color);
        let icon = egui::Rect::from_center_size(
            egui::pos2(rect.right() - margin - ICON / 2.0, rect.center().y),
            vec2(ICON, ICON),
        );
        Icon::Forward.paint(painter, icon, palette.weak);
    }
    response
}

//! Answers that are written together: side by side where there is room, until one is chosen to go on from.

use egui::{Align, Frame, Layout, Margin, Rect, Stroke, vec2};

use super::action::Action;
use super::arrangement::Arrangement;
use super::conversation::Mode;
use super::find::Marks;
use super::icons::Icon;
use super::prose::Source;
use super::state::State;
use super::theme::{self, CORNER, GRID, READING_WIDTH};
use super::widgets::{labelled_button, name};
use super::written::written;
use super::{inspector, message};

/// The least that one is wide, and what lies between two.
const LEAST: f32 = 60.0 * GRID;
const GUTTER: f32 = 3.0 * GRID;

/// Within an answer's frame.
const INSET: f32 = 3.0 * GRID;

/// How many of `count` stand side by side.
fn columns(count: usize, room: f32) -> usize {
    let fit = ((room + GUTTER) / (LEAST + GUTTER)) as usize;
    match fit.clamp(1, count.max(1)) {
        // Two above two, rather than three above one.
        3 if count == 4 => 2,
        fit => fit,
    }
}

/// How wide all of them are, where there is `room`.
pub fn width(count: usize, room: f32) -> f32 {
    let columns = columns(count, room) as f32;
    room.min(columns * (READING_WIDTH + 2.0 * INSET + GUTTER) - GUTTER)
}

/// Draws them. Returns where the match is that is looked at.
pub fn show<'a>(
    ui: &mut egui::Ui,
    state: &State,
    arrangement: &mut Arrangement,
    marks: &impl Fn(usize) -> Marks<'a>,
    actions: &mut Vec<Action>,
) -> Option<Rect> {
    let offered = state.offered();
    let columns = columns(offered.len(), ui.available_width());
    let mut matched = None;
    ui.spacing_mut().item_spacing = vec2(GUTTER, GUTTER);
    for (row, answers) in offered.chunks(columns).enumerate() {
        ui.columns(columns, |all| {
            for (i, (ui, at)) in all.iter_mut().zip(answers).enumerate() {
                ui.spacing_mut().item_spacing = vec2(2.0 * GRID, GRID);
                let which = (row * columns + i + 1, offered.len());
                // Columns would stretch lines to both edges.
                let layout = Layout::top_down(Align::Min);
                let of = ui.with_layout(layout, |ui| {
                    let draw = |ui: &mut egui::Ui| {
                        answer(ui, state, arrangement, (*at, which), marks, actions)
                    };
                    ui.push_id(at, draw).inner
                });
                matched = matched.or(of.inner);
            }
        });
    }
    let hint = "Choose one to go on from; the others stay as its branches.";
    ui.label(theme::aside(hint));
    matched
}

fn answer<'a>(
    ui: &mut egui::Ui,
    state: &State,
    arrangement: &mut Arrangement,
    (at, (number, count)): (usize, (usize, usize)),
    marks: &impl Fn(usize) -> Marks<'a>,
    actions: &mut Vec<Action>,
) -> Option<Rect> {
    let palette = theme::palette(ui);
    let conversation = state.conversation();
    let color = match conversation.last() == Some(at) {
        true => palette.accent,
        false => palette.line,
    };
    let frame = Frame::new()
        .fill(palette.field())
        .stroke(Stroke::new(1.5, color))
        .corner_radius(CORNER)
        .inner_margin(Margin::same(INSET as i8));
    let drawn = frame.show(ui, |ui| {
        ui.set_width(ui.available_width());
        let which = format!("Answer {number} of {count}");
        ui.label(theme::strong(which).small().color(palette.weak));
        let matched = text(ui, state, arrangement, at, marks, actions);
        ui.horizontal_wrapped(|ui| {
            let choose = labelled_button(ui, Icon::Check, "Choose", &format!("Alt+{number}"));
            name(ui, &choose, &format!("Choose answer {number}"));
            if choose.clicked() {
                actions.push(Action::Choose(at));
            }
            if state.is_writing(at) {
                ui.label(theme::aside("writing…"));
            } else if let Some(stats) = &conversation.message(at).stats {
                message::figures(ui, stats);
            }
        });
        matched
    });
    drawn.inner
}

fn text<'a>(
    ui: &mut egui::Ui,
    state: &State,
    arrangement: &mut Arrangement,
    at: usize,
    marks: &impl Fn(usize) -> Marks<'a>,
    actions: &mut Vec<Action>,
) -> Option<Rect> {
    let conversation = state.conversation();
    let message = conversation.message(at);
    let is_tinted = state.settings.probabilities && !message.tokens.is_empty();
    if is_tinted || conversation.mode == Mode::Completion {
        let stretches = [(at, 0..message.text.len())];
        return inspector::text(ui, state, &stretches, marks, actions);
    }
    let source = Source {
        text: &message.text,
        marks: marks(at),
    };
    let pieces = arrangement.pieces_of(conversation, at, ui.available_width());
    let mut matched = None;
    for piece in 0..pieces.all.len() {
        let drawn = ui.push_id(piece, |ui| written(ui, source, pieces, piece));
        matched = matched.or(drawn.inner);
    }
    matched
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_stand_side_by_side_as_there_is_room_for() {
        assert_eq!(columns(4, 100.0), 1);
        assert_eq!(columns(2, 500.0), 2);
        assert_eq!(columns(3, 500.0), 2);
        assert_eq!(columns(3, 800.0), 3);
        assert_eq!(columns(4, 800.0), 2);
        assert_eq!(columns(4, 2000.0), 4);
        assert!(width(2, 3000.0) < 1300.0);
    }
}

//! The token strip: one bar a step, grey if only the whole was timed. Click for one step, drag for several.

use egui::{Color32, Pos2, Rect, Sense, Stroke, pos2, vec2};

use super::run::Run;
use super::selection::Selection;
use crate::trace::units::{count, duration};
use crate::trace::{Phase, Step};
use crate::window::action::Action;
use crate::window::widgets::canvas;

const HEIGHT: f32 = 54.0;

/// What a step took a token, in nanoseconds.
fn cost(step: &Step) -> f64 {
    step.wall.as_secs_f64() * 1e9 / f64::from(step.tokens.max(1))
}

pub fn show(
    ui: &mut egui::Ui,
    run: &Run,
    phase: Phase,
    selection: &Selection,
    actions: &mut Vec<Action>,
) {
    let steps: Vec<(usize, &Step)> = run.of_phase(phase).collect();
    let name = format!("Token strip, {}", count(steps.len() as u64, "step"));
    let size = vec2(ui.available_width(), HEIGHT);
    let (response, painter) = canvas(ui, size, Sense::click_and_drag(), &name);
    let rect = response.rect;
    painter.rect_filled(rect, 2.0, ui.visuals().extreme_bg_color);
    if steps.is_empty() {
        return;
    }
    let highest = steps.iter().map(|(_, step)| cost(step)).fold(1.0, f64::max);
    // Wide enough to hit where there are few, a pixel where there are many.
    let slot = (rect.width() / steps.len() as f32).min(14.0);
    let x = |i: usize| rect.left() + slot * i as f32;
    let chosen = |number: usize| {
        selection
            .steps
            .is_none_or(|(first, last)| (first..=last).contains(&number))
    };
    let columns = steps.len().min(rect.width() as usize * 2).max(1);
    let each = steps.len().div_ceil(columns);
    for (i, group) in steps.chunks(each).enumerate() {
        let height = group.iter().map(|(_, step)| cost(step)).fold(0.0, f64::max) / highest;
        let height = (height as f32 * (HEIGHT - 4.0)).max(1.0);
        let is_timed = group.iter().any(|(_, step)| step.spans.is_some());
        let color = match phase {
            // Of those that were timed as a whole there is nothing more to see.
            _ if !is_timed => Color32::from_gray(140),
            Phase::Decode => Color32::from_rgb(86, 180, 233),
            Phase::Prefill => Color32::from_rgb(230, 159, 0),
        };
        let color = match group.iter().any(|(number, _)| chosen(*number)) {
            true => color,
            false => color.gamma_multiply(0.35),
        };
        let gap = if slot * each as f32 > 3.0 { 1.0 } else { 0.0 };
        let bar = Rect::from_min_max(
            pos2(x(i * each), rect.bottom() - height),
            pos2(x((i + 1) * each) - gap, rect.bottom()),
        );
        painter.rect_filled(bar, 0.0, color);
    }
    let stroke = Stroke::new(1.0, ui.visuals().weak_text_color());
    painter.rect_stroke(rect, 2.0, stroke, egui::StrokeKind::Inside);
    let label = format!("{} a token at most", duration(highest));
    let font = egui::TextStyle::Small.resolve(ui.style());
    let color = ui.visuals().text_color();
    let galley = painter.layout_no_wrap(label, font, color);
    let corner = pos2(rect.right() - galley.size().x - 6.0, rect.top() + 2.0);
    let back = Rect::from_min_size(corner, galley.size()).expand(2.0);
    painter.rect_filled(back, 2.0, ui.visuals().extreme_bg_color.gamma_multiply(0.8));
    painter.galley(corner, galley, color);

    let at = |position: Pos2| {
        let i = ((position.x - rect.left()) / slot).max(0.0) as usize;
        steps[i.min(steps.len() - 1)].0
    };
    if let Some(position) = response.interact_pointer_pos() {
        let mut steps = selection.steps;
        if response.clicked() {
            let number = at(position);
            let again = steps == Some((number, number));
            steps = (!again).then_some((number, number));
        } else if response.dragged() {
            let origin = ui.input(|input| input.pointer.press_origin());
            let (a, b) = (at(origin.unwrap_or(position)), at(position));
            steps = Some((a.min(b), a.max(b)));
        }
        if steps != selection.steps {
            actions.push(Action::Select(Selection {
                steps,
                ..*selection
            }));
        }
    }
    if let Some(position) = response.hover_pos() {
        let number = at(position);
        if let Some((_, step)) = steps.iter().find(|(found, _)| *found == number) {
            response.on_hover_text(format!(
                "step {number}, position {}, {}: {}{}",
                step.position,
                count(u64::from(step.tokens), "token"),
                duration(step.wall.as_secs_f64() * 1e9),
                match step.spans {
                    Some(_) => "",
                    None => ", timed as a whole",
                }
            ));
        }
    }
}

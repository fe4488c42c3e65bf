//! The token strip: a bar a step, as high as a token took, grey if only the whole was timed. Below the bars what was proposed, and the
//! texts that shared a step, where there are any.

use egui::{Align2, Color32, Rect, Response, Sense, Shape, Stroke, Ui, pos2, vec2};

use super::axis::{AxisView, Extent, Scale, keep_arrows, moves};
use super::picture::{self, BELOW, LEFT};
use super::run::Run;
use super::selection::Selection;
use crate::trace::units::{count, duration};
use crate::trace::{Phase, Step, bars_end};
use crate::window::action::Action;
use crate::window::theme;
use crate::window::widgets::{canvas, describe};

/// Height of the bars, of what was proposed, and of a text that shared steps.
const BARS: f32 = 58.0;
const PROPOSED: f32 = 16.0;
const LANE: f32 = 13.0;

/// Texts beyond these have no lane of their own.
const MOST_LANES: usize = 8;

/// No bar is wider while all steps are in sight.
const WIDEST: f32 = 14.0;

/// The steps of a phase as an axis: never so few that a bar gets wide.
pub fn extent(run: &Run, phase: Phase, pixels: f32) -> Extent {
    let (first, end) = run.ends(phase).unwrap_or((run.dropped, run.dropped + 1));
    let room = f64::from((pixels / WIDEST).floor().max(1.0));
    Extent {
        low: first as f64,
        high: (end as f64).max(first as f64 + room),
        least: 4.0,
    }
}

/// What a step took for each token that it gained, in nanoseconds.
fn cost(step: &Step) -> f64 {
    step.wall.as_secs_f64() * 1e9 / f64::from(step.gained())
}

/// Neighbouring steps that share a bar.
struct Bar {
    first: usize,
    last: usize,
    highest: f64,
    is_timed: bool,
    is_chosen: bool,
    /// Of the steps together.
    gained: u32,
    refused: u32,
}

fn bars(run: &Run, phase: Phase, selection: &Selection, scale: &Scale) -> Vec<Bar> {
    let each = (1.0 / scale.unit().max(1e-3)).ceil().max(1.0) as usize;
    let (low, high) = (scale.low.floor(), scale.high.ceil());
    let steps = run.of_phase(phase);
    let mut bars: Vec<Bar> = Vec::new();
    for (number, step) in steps {
        if (number as f64) < low || number as f64 >= high {
            continue;
        }
        let own = Bar {
            first: number,
            last: number,
            highest: cost(step),
            is_timed: step.spans.is_some(),
            is_chosen: selection
                .steps
                .is_none_or(|(first, last)| (first..=last).contains(&number)),
            gained: step.gained(),
            refused: step.proposed.saturating_sub(step.accepted),
        };
        match bars.last_mut() {
            Some(bar) if bar.first / each == number / each => {
                bar.last = number;
                bar.highest = bar.highest.max(own.highest);
                bar.is_timed |= own.is_timed;
                bar.is_chosen |= own.is_chosen;
                bar.gained += own.gained;
                bar.refused += own.refused;
            }
            _ => bars.push(own),
        }
    }
    bars
}

/// The texts that shared steps in sight, in the order in which they came; none where every step had one.
fn lanes(run: &Run, bars: &[Bar]) -> Vec<u64> {
    let numbers = bars.iter().flat_map(|bar| bar.first..=bar.last);
    let mut lanes = Vec::new();
    let mut are_shared = false;
    for requests in numbers.map(|number| run.requests_of(number)) {
        are_shared |= requests.len() > 1;
        for request in requests {
            if lanes.len() < MOST_LANES && !lanes.contains(request) {
                lanes.push(*request);
            }
        }
    }
    if !are_shared {
        lanes.clear();
    }
    lanes
}

pub fn show(
    ui: &mut Ui,
    axis: &mut AxisView,
    run: &Run,
    phase: Phase,
    selection: &Selection,
    actions: &mut Vec<Action>,
) {
    let steps = run.of_phase(phase).count();
    let width = ui.available_width();
    let extent = extent(run, phase, width - LEFT);
    // What is in sight decides how much is drawn below the bars, and how much that is decides nothing about what is in sight.
    let before = axis.range(&extent);
    let across = Scale {
        left: 0.0,
        right: width - LEFT,
        low: before.0,
        high: before.1,
    };
    let shown = bars(run, phase, selection, &across);
    let lanes = lanes(run, &shown);
    let are_proposed = shown
        .iter()
        .any(|bar| bar.refused > 0 || bar.gained > bar_steps(bar));
    let are_proposed = are_proposed && phase == Phase::Decode && lanes.is_empty();
    let proposed = if are_proposed { PROPOSED } else { 0.0 };
    let height = BARS + proposed + LANE * lanes.len() as f32 + BELOW;
    let name = format!("Token strip, {}", count(steps as u64, "step"));
    let size = vec2(width, height);
    let (response, painter) = canvas(ui, size, Sense::click_and_drag(), &name);
    let rect = response.rect;
    let plot = Rect::from_min_max(
        pos2(rect.left() + LEFT, rect.top() + 2.0),
        pos2(rect.right(), rect.top() + BARS),
    );
    let all = plot.with_max_y(rect.bottom() - BELOW);
    picture::ground(ui, &painter, all, &response);
    keep_arrows(ui, &response);
    let scale = axis.navigate(ui, &response, plot.x_range(), &extent, false);
    let painter = painter.with_clip_rect(rect);
    if steps == 0 {
        let color = theme::palette(ui).weak;
        let (at, text) = (all.center(), "No step of this kind");
        painter.text(at, Align2::CENTER_CENTER, text, picture::small(ui), color);
        return;
    }
    let highest = highest(&shown);
    let (unit, factor) = match highest {
        // One unit for all heights.
        ns if ns < 1e6 => ("µs", 1e3),
        _ => ("ms", 1e6),
    };
    picture::marks_left(ui, &painter, plot, highest / factor, unit);
    let inside = painter.with_clip_rect(all.expand2(vec2(0.0, 2.0)));
    for bar in &shown {
        draw(ui, &inside, plot, &scale, bar, highest, phase);
    }
    let timed = shown.iter().filter(|bar| bar.is_timed).count();
    if (1..shown.len()).contains(&timed) {
        legend(ui, &inside, plot);
    }
    if are_proposed {
        let band = Rect::from_min_size(plot.left_bottom(), vec2(plot.width(), proposed));
        draw_proposed(ui, &inside, band, &scale, &shown);
        label(ui, &painter, band, "gained");
    }
    for (i, request) in lanes.iter().enumerate() {
        let top = plot.bottom() + proposed + LANE * i as f32;
        let lane = Rect::from_x_y_ranges(plot.x_range(), top + 1.0..=top + LANE);
        let band = lane.shrink2(vec2(0.0, 3.0));
        // In the order in which they came, whatever is in sight.
        let number = run.texts.iter().position(|text| text == request);
        let number = number.unwrap_or(i);
        draw_lane(&inside, band, &scale, run, &shown, *request, number);
        label(ui, &painter, lane, &format!("text {}", number + 1));
    }
    picture::marks_below(ui, &painter, all, &scale, "step", |value| {
        format!("{value:.0}")
    });
    choose(ui, &response, &scale, run, phase, selection, actions);
    hover(response, &scale, run, phase, highest);
}

fn bar_steps(bar: &Bar) -> u32 {
    (bar.last - bar.first + 1) as u32
}

/// The height of the picture: that of the highest bar, but for hiccups.
fn highest(bars: &[Bar]) -> f64 {
    let mut costs: Vec<f64> = bars.iter().map(|bar| bar.highest).collect();
    costs.sort_unstable_by(f64::total_cmp);
    let median = costs.get(costs.len() / 2).copied().unwrap_or(1.0);
    let most = costs.last().copied().unwrap_or(1.0);
    1.08 * bars_end(most, median)
}

fn draw(
    ui: &Ui,
    painter: &egui::Painter,
    plot: Rect,
    scale: &Scale,
    bar: &Bar,
    highest: f64,
    phase: Phase,
) {
    let share = (bar.highest / highest).min(1.0) as f32;
    let height = (share * plot.height()).max(1.0);
    let color = match bar.is_timed {
        true => theme::phase_color(phase),
        // Of those that were timed as a whole there is nothing more to see.
        false => theme::palette(ui).weak.gamma_multiply(0.7),
    };
    let color = match bar.is_chosen {
        true => color,
        false => color.gamma_multiply(0.35),
    };
    let (left, right) = (scale.x(bar.first as f64), scale.x(bar.last as f64 + 1.0));
    let gap = if right - left > 3.0 { 1.0 } else { 0.0 };
    let right = (right - gap).max(left + 0.5);
    let area = Rect::from_min_max(
        pos2(left, plot.bottom() - height),
        pos2(right, plot.bottom()),
    );
    painter.rect_filled(area, 0.0, color);
    if bar.highest > highest {
        // It goes on above.
        let (x, y) = (area.center().x, plot.top());
        let points = vec![
            pos2(x - 3.0, y + 4.0),
            pos2(x + 3.0, y + 4.0),
            pos2(x, y - 1.0),
        ];
        let color = theme::palette(ui).warning;
        painter.add(Shape::convex_polygon(points, color, Stroke::NONE));
    }
}

/// Tokens that each step gained, one above the other, and those that were proposed in vain.
fn draw_proposed(ui: &Ui, painter: &egui::Painter, band: Rect, scale: &Scale, bars: &[Bar]) {
    let palette = theme::palette(ui);
    let each = |bar: &Bar, tokens: u32| tokens as f32 / bar_steps(bar) as f32;
    let most = bars
        .iter()
        .map(|bar| each(bar, bar.gained + bar.refused))
        .fold(2.0, f32::max);
    let tick = (band.height() - 3.0) / most;
    for bar in bars {
        let (left, right) = (scale.x(bar.first as f64), scale.x(bar.last as f64 + 1.0));
        let gap = if right - left > 3.0 { 1.0 } else { 0.0 };
        let part = |from: f32, to: f32, color: Color32| {
            let y = |tokens: f32| band.bottom() - tokens * tick;
            let area = Rect::from_min_max(pos2(left, y(to)), pos2(right - gap, y(from)));
            painter.rect_filled(area, 0.0, color);
            if tick > 3.0 && bar.first == bar.last {
                // Each token by itself.
                for token in from as i32 + 1..to as i32 {
                    let stroke = Stroke::new(1.0, palette.field());
                    painter.hline(left..=right - gap, y(token as f32), stroke);
                }
            }
        };
        let gained = each(bar, bar.gained);
        part(0.0, gained, theme::series(2));
        let refused = gained + each(bar, bar.refused);
        part(gained, refused, palette.line);
    }
}

/// The steps in which a text had a part.
fn draw_lane(
    painter: &egui::Painter,
    lane: Rect,
    scale: &Scale,
    run: &Run,
    bars: &[Bar],
    request: u64,
    index: usize,
) {
    for bar in bars {
        let mut numbers = bar.first..=bar.last;
        if numbers.any(|number| run.requests_of(number).contains(&request)) {
            let x = scale.x(bar.first as f64)..=scale.x(bar.last as f64 + 1.0);
            let area = Rect::from_x_y_ranges(x, lane.y_range());
            painter.rect_filled(area, 0.0, theme::series(index));
        }
    }
}

/// What grey bars are, where there are others too.
fn legend(ui: &Ui, painter: &egui::Painter, plot: Rect) {
    let palette = theme::palette(ui);
    let text = "grey: timed as a whole".to_owned();
    let galley = painter.layout_no_wrap(text, picture::small(ui), palette.text);
    let corner = pos2(plot.right() - galley.size().x - 6.0, plot.top() + 1.0);
    let back = Rect::from_min_size(corner, galley.size()).expand2(vec2(4.0, 0.0));
    painter.rect_filled(back, 2.0, palette.field().gamma_multiply(0.85));
    painter.galley(corner, galley, palette.text);
}

/// What a band is, at its left.
fn label(ui: &Ui, painter: &egui::Painter, band: Rect, text: &str) {
    let at = pos2(band.left() - 6.0, band.center().y);
    let color = theme::palette(ui).weak;
    painter.text(at, Align2::RIGHT_CENTER, text, picture::small(ui), color);
}

/// Steps chosen by the pointer or the keyboard.
fn choose(
    ui: &Ui,
    response: &Response,
    scale: &Scale,
    run: &Run,
    phase: Phase,
    selection: &Selection,
    actions: &mut Vec<Action>,
) {
    let mut steps = chosen(ui, response, scale, run, phase, selection);
    // Up and Down take in more or fewer of those before.
    let (_, fewer) = moves(ui, response);
    if let (Some((begin, last)), Some((first, _))) = (steps, run.ends(phase)) {
        let begin = (begin as i64 + fewer).clamp(first as i64, last.max(first) as i64);
        steps = Some((begin as usize, last));
    }
    if let Some((_, last)) = steps
        && let Some(text) = told(run, phase, last)
    {
        describe(ui, response, &text);
    }
    if steps != selection.steps {
        actions.push(Action::Select(Selection {
            steps,
            ..*selection
        }));
    }
}

/// The steps that are chosen after what the pointer and the keyboard did on a picture along the axis of steps.
pub fn chosen(
    ui: &Ui,
    response: &Response,
    scale: &Scale,
    run: &Run,
    phase: Phase,
    selection: &Selection,
) -> Option<(usize, usize)> {
    let Some((first, end)) = run.ends(phase) else {
        return selection.steps;
    };
    let at = |x: f32| (scale.value(x).max(0.0) as usize).clamp(first, end - 1);
    let mut steps = selection.steps;
    let pointer = response.interact_pointer_pos();
    // What lies at the left is no step.
    if let Some(position) = pointer.filter(|pointer| response.dragged() || pointer.x >= scale.left)
    {
        let is_shifted = ui.input(|input| input.modifiers.shift);
        if response.clicked() {
            let number = at(position.x);
            let again = steps == Some((number, number));
            steps = (!again).then_some((number, number));
        } else if response.dragged() && !is_shifted {
            let origin = ui.input(|input| input.pointer.press_origin());
            let (a, b) = (at(origin.unwrap_or(position).x), at(position.x));
            steps = Some((a.min(b), a.max(b)));
        }
    }
    let (by, _) = moves(ui, response);
    if by != 0 {
        let from = steps.map_or(end as i64 - 1 - by.min(0), |(_, last)| last as i64);
        let number = (from + by).clamp(first as i64, end as i64 - 1) as usize;
        steps = Some((number, number));
    }
    steps
}

/// What there is to say of a step.
fn told(run: &Run, phase: Phase, number: usize) -> Option<String> {
    let step = run.step(number, phase)?;
    let mut text = format!(
        "Step {number}, position {}: {}",
        step.position,
        duration(step.wall.as_secs_f64() * 1e9)
    );
    if step.gained() > 1 {
        text += &format!(
            " for {}, {} each",
            count(u64::from(step.gained()), "token"),
            duration(cost(step))
        );
    }
    if step.proposed > 0 {
        text += &format!(
            "\n{} proposed, {} of them accepted",
            step.proposed, step.accepted
        );
    }
    let requests = run.requests_of(number).len();
    if requests > 1 {
        text += &format!("\nShared by {requests} texts");
    }
    text += match step.spans {
        Some(_) => "\nTimed in detail, which takes a little longer.",
        None => "\nTimed as a whole: grey.",
    };
    Some(text)
}

fn hover(response: Response, scale: &Scale, run: &Run, phase: Phase, highest: f64) {
    let Some(position) = response.hover_pos() else {
        return;
    };
    let number = scale.value(position.x).max(0.0) as usize;
    let Some((step, mut text)) = run.step(number, phase).zip(told(run, phase, number)) else {
        return;
    };
    if cost(step) > highest {
        text += "\nHigher than the picture, which ends at four times the median.";
    }
    text += &format!(
        "\n{}\n{}\nDrag: choose several.",
        picture::BY_HOST,
        picture::MOVES
    );
    response.on_hover_text(text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::TraceMode;
    use std::time::Duration;

    fn step(proposed: u32, accepted: u32, milliseconds: u64) -> Step {
        Step {
            phase: Phase::Decode,
            tokens: 1 + proposed,
            proposed,
            accepted,
            position: 0,
            begin: Duration::ZERO,
            wall: Duration::from_millis(milliseconds),
            mode: TraceMode::Steps,
            spans: None,
        }
    }

    fn scale(pixels: f32, high: f64) -> Scale {
        Scale {
            left: 0.0,
            right: pixels,
            low: 0.0,
            high,
        }
    }

    #[test]
    fn steps_share_bars_where_there_are_many_and_nothing_is_lost() {
        let mut run = Run::default();
        for i in 0..1000 {
            run.push(step(i % 2, i % 2, 1), vec![u64::from(i) % 3]);
        }
        let all = Selection::default();
        let bars = bars(&run, Phase::Decode, &all, &scale(100.0, 1000.0));
        assert_eq!(bars.len(), 100);
        assert_eq!(bars.iter().map(|bar| bar.gained).sum::<u32>(), 1500);
        // One text after the other shares nothing.
        assert_eq!(lanes(&run, &bars), [0; 0]);
        run.push(step(0, 0, 1), vec![1, 7]);
        let bars = super::bars(&run, Phase::Decode, &all, &scale(100.0, 1001.0));
        assert_eq!(lanes(&run, &bars), [0, 1, 2, 7]);
    }

    #[test]
    fn a_hiccup_does_not_flatten_the_rest() {
        let mut run = Run::default();
        for i in 0..20 {
            run.push(step(0, 0, if i == 7 { 900 } else { 10 }), vec![1]);
        }
        let bars = bars(
            &run,
            Phase::Decode,
            &Selection::default(),
            &scale(200.0, 20.0),
        );
        assert!(highest(&bars) < 50e6);
    }
}

//! What an empty panel says: what each view will show, as a picture and a line, and what to do.

use egui::{Color32, Painter, Rect, Sense, Stroke, Ui, pos2, vec2};

use super::selection::Tab;
use crate::trace::TraceMode;
use crate::window::theme::{self, GRID, group_color, series, viridis};

/// The least width of a view's picture, and the heights that it may have.
const CELL: f32 = 220.0;
const LOWEST: f32 = 56.0;
const HIGHEST: f32 = 110.0;

/// Room for the words below a picture.
const WORDS: f32 = 84.0;

const VIEWS: [(Tab, &str); 6] = [
    (
        Tab::Heat,
        "What each layer took in each step: a bright row is a layer that is slow, a bright column a step that was.",
    ),
    (
        Tab::Layers,
        "A bar a layer, by kernel, beside its heads and width, and where it would end if time followed bytes.",
    ),
    (
        Tab::Flame,
        "One step along the device's time, kernel after kernel, and the gaps between them.",
    ),
    (
        Tab::Kernels,
        "Each kernel's time, bytes and operations, how far that is from the adapter's best, and what binds it.",
    ),
    (
        Tab::Memory,
        "What lies on the device, and how fast tokens could come at each format of weights.",
    ),
    (
        Tab::Compare,
        "Two runs: what got slower or faster, and what of that is more than noise.",
    ),
];

pub fn show(ui: &mut Ui, room: f32, trace: TraceMode) {
    ui.add_space(2.0 * GRID);
    let todo = match trace {
        TraceMode::Off => "Nothing is timed: choose under “How it is timed” what is to be.",
        _ => "Write something: every token will be timed.",
    };
    ui.label(theme::strong(todo));
    ui.label(theme::aside(
        "Above the views a strip shows every token, and a sentence says what took the time and why.",
    ));
    ui.add_space(2.0 * GRID);
    let columns = ((ui.available_width() / CELL) as usize).clamp(1, 3);
    let rows = VIEWS.len().div_ceil(columns) as f32;
    let gap = 4.0 * GRID;
    let width = (ui.available_width() + gap) / columns as f32 - gap;
    let height = ((room - 80.0) / rows - WORDS - gap).clamp(LOWEST, HIGHEST);
    for row in VIEWS.chunks(columns) {
        ui.horizontal_top(|ui| {
            ui.spacing_mut().item_spacing.x = gap;
            for (tab, text) in row {
                let size = vec2(width, height + WORDS);
                let layout = egui::Layout::top_down(egui::Align::Min);
                ui.allocate_ui_with_layout(size, layout, |ui| {
                    let (mark, painter) = ui.allocate_painter(vec2(width, height), Sense::hover());
                    miniature(ui, &painter, mark.rect, *tab);
                    let mut job = egui::text::LayoutJob::default();
                    let name = format!("{}: ", tab.name());
                    for part in [theme::strong(name).small(), theme::aside(*text)] {
                        let font = egui::FontSelection::Default;
                        part.append_to(&mut job, ui.style(), font, egui::Align::BOTTOM);
                    }
                    ui.label(job);
                });
            }
        });
        ui.add_space(2.0 * GRID);
    }
}

/// A view as it might look.
fn miniature(ui: &Ui, painter: &Painter, rect: Rect, tab: Tab) {
    let palette = theme::palette(ui);
    painter.rect_filled(rect, 4.0, palette.raised);
    let inside = rect.shrink(6.0);
    let bar = |x: f32, y: f32, width: f32, height: f32, color: Color32| {
        let corner = inside.min + vec2(x, y) * inside.size();
        let size = vec2(width, height) * inside.size();
        painter.rect_filled(Rect::from_min_size(corner, size), 0.0, color);
    };
    match tab {
        Tab::Heat => {
            let (columns, rows) = (12, 6);
            for i in 0..columns * rows {
                let (x, y) = (i % columns, i / columns);
                // Rising downwards, one column slow.
                let share =
                    y as f32 / rows as f32 + if x == 7 { 0.3 } else { 0.04 * (x % 3) as f32 };
                let (width, height) = (1.0 / columns as f32, 1.0 / rows as f32);
                bar(
                    x as f32 * width,
                    y as f32 * height,
                    width,
                    height,
                    viridis(share),
                );
            }
        }
        Tab::Layers => {
            for i in 0..5 {
                let (y, length) = (0.2 * i as f32, 0.3 + 0.17 * i as f32);
                let mut x = 0.0;
                for (group, share) in [(1, 0.25), (3, 0.2), (5, 0.55)] {
                    bar(x, y, share * length, 0.14, group_color(group));
                    x += share * length;
                }
            }
        }
        Tab::Flame => {
            bar(0.0, 0.05, 1.0, 0.24, palette.weak);
            for i in 0..3 {
                let x = 0.34 * i as f32;
                bar(x, 0.37, 0.3, 0.24, palette.line);
                for (j, group) in [1, 3, 5].into_iter().enumerate() {
                    bar(x + 0.1 * j as f32, 0.69, 0.09, 0.24, group_color(group));
                }
            }
        }
        Tab::Kernels => {
            for i in 0..4 {
                let y = 0.06 + 0.25 * i as f32;
                bar(0.0, y, 0.08, 0.14, group_color([5, 1, 3, 7][i]));
                bar(0.14, y + 0.03, 0.3, 0.08, palette.weak);
                bar(0.56, y + 0.03, 0.16, 0.08, palette.line);
                bar(0.82, y + 0.03, 0.16, 0.08, palette.line);
            }
        }
        Tab::Memory => {
            bar(0.0, 0.08, 0.7, 0.3, series(0));
            bar(0.7, 0.08, 0.2, 0.3, series(1));
            bar(0.9, 0.08, 0.1, 0.3, series(2));
            for (i, length) in [0.25, 0.5, 0.9].into_iter().enumerate() {
                bar(0.0, 0.52 + 0.17 * i as f32, length, 0.1, palette.line);
            }
        }
        Tab::Compare => {
            let changes = [0.3, -0.2, 0.42, -0.08, 0.05];
            for (i, change) in changes.into_iter().enumerate() {
                let color = match change {
                    0.1.. => theme::SLOWER,
                    -0.1..0.1 => palette.line,
                    _ => theme::FASTER,
                };
                let left = 0.5 + f32::min(change, 0.0);
                bar(left, 0.2 * i as f32 + 0.02, change.abs(), 0.13, color);
            }
            let stroke = Stroke::new(1.0, palette.weak);
            let top = pos2(inside.center().x, inside.top());
            painter.vline(top.x, inside.y_range(), stroke);
        }
    }
}

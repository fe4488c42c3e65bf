//! The kernel table.

use egui::RichText;
use egui_extras::{Column, TableBuilder};

use super::picture::{self, figure};
use super::selection::Selection;
use crate::trace::units::giga;
use crate::trace::{KernelSum, Peaks, Totals};
use crate::window::action::Action;
use crate::window::theme::{self, kernel_color};

/// Heights of a row.
const LOWEST: f32 = 22.0;
const HIGHEST: f32 = 36.0;

/// Widths of the name, and of the figures after it: fixed, so that numbers can end in line.
const NAME: f32 = 98.0;
const WIDTHS: [f32; 9] = [36.0, 44.0, 52.0, 54.0, 54.0, 42.0, 56.0, 48.0, 66.0];

/// What a column is sorted by.
type Key = fn(&KernelSum) -> f64;

const COLUMNS: [(&str, &str, Key); 8] = [
    ("calls", "Dispatches of all tokens", |k| k.sum.calls as f64),
    (
        "ms",
        "Milliseconds of all calls, by the device's own timestamps",
        |k| k.sum.duration_ns as f64,
    ),
    ("µs each", "Microseconds of a call", |k| {
        k.sum.duration_ns as f64 / k.sum.calls.max(1) as f64
    }),
    ("share %", "Of the time in kernels", |k| {
        k.sum.duration_ns as f64
    }),
    (
        "MB each",
        "Read and written, counted from the shapes of weights and cache, each byte once",
        |k| k.sum.bytes() as f64 / k.sum.calls.max(1) as f64,
    ),
    ("GB/s", "Those bytes in that time", |k| {
        k.sum.bytes_per_s().unwrap_or(0.0)
    }),
    (
        "GFLOP/s",
        "Floating-point operations of products and sums, in that time",
        |k| k.sum.flops_per_s().unwrap_or(0.0),
    ),
    (
        "best %",
        "GB/s against the adapter's measured bandwidth. Above 100: part of the bytes came from caches",
        |k| k.sum.bytes_per_s().unwrap_or(0.0),
    ),
];

/// How the table is sorted.
pub struct View {
    column: usize,
    ascending: bool,
}

/// Ends in line with what is above and below.
fn at_the_right() -> egui::Layout {
    egui::Layout::right_to_left(egui::Align::Center)
}

impl Default for View {
    /// By total time, most first.
    fn default() -> Self {
        Self {
            column: 1,
            ascending: false,
        }
    }
}

impl View {
    pub fn show(
        &mut self,
        ui: &mut egui::Ui,
        room: f32,
        sums: &Totals,
        peaks: Option<Peaks>,
        selection: &Selection,
        actions: &mut Vec<Action>,
    ) {
        let mut rows: Vec<KernelSum> = match selection.layer {
            None => sums.kernels.clone(),
            Some(layer) => {
                let found = sums.layers.iter().find(|sum| sum.layer == layer);
                found.map(|sum| sum.kernels.clone()).unwrap_or_default()
            }
        };
        if rows.is_empty() {
            picture::nothing(ui, picture::NOT_DETAILED);
            return;
        }
        let key = COLUMNS[self.column].2;
        rows.sort_by(|a, b| key(b).total_cmp(&key(a)));
        if self.ascending {
            rows.reverse();
        }
        let height = ((room - 48.0) / rows.len() as f32).clamp(LOWEST, HIGHEST);
        let all: u64 = rows.iter().map(|row| row.sum.duration_ns).sum();
        egui::ScrollArea::horizontal().show(ui, |ui| {
            ui.spacing_mut().item_spacing.x = 2.0;
            let table = TableBuilder::new(ui)
                .striped(true)
                .vscroll(false)
                // The keyboard stops at the names alone.
                .sense(egui::Sense::CLICK)
                .cell_layout(egui::Layout::left_to_right(egui::Align::Center))
                .column(Column::exact(NAME));
            let table = WIDTHS.iter().fold(table, |table, width| {
                table.column(Column::exact(*width))
            });
            let table = table.header(22.0, |mut header| {
                header.col(|ui| {
                    ui.label(theme::strong("kernel").small());
                });
                for (i, (name, hint, _)) in COLUMNS.iter().enumerate() {
                    header.col(|ui| {
                        ui.with_layout(at_the_right(), |ui| self.head(ui, i, name, hint));
                    });
                }
                header.col(|ui| {
                    ui.add_space(8.0);
                    ui.label(theme::strong("bound by").small()).on_hover_text(
                        "memory, arithmetic: that alone, at the measured best, takes more than half of the time; \
                         overhead: neither (starting up, waiting, unpacking weights)",
                    );
                });
            });
            table.body(|mut body| {
                for row in &rows {
                    body.row(height, |mut line| {
                        line.set_selected(selection.kernel == Some(row.kernel));
                        let mut is_chosen = false;
                        line.col(|ui| {
                            let size = egui::vec2(8.0, 12.0);
                            let (mark, painter) = ui.allocate_painter(size, egui::Sense::hover());
                            painter.rect_filled(mark.rect, 1.0, kernel_color(row.kernel));
                            let name = RichText::new(row.kernel).small();
                            let name = egui::Button::new(name)
                                .frame(false)
                                .wrap_mode(egui::TextWrapMode::Extend);
                            is_chosen = ui.add(name).clicked();
                        });
                        for (i, text) in figures(row, all, peaks).into_iter().enumerate() {
                            line.col(|ui| {
                                let label = egui::Label::new(RichText::new(text).small())
                                    .selectable(false)
                                    .extend();
                                if i == COLUMNS.len() {
                                    ui.add_space(8.0);
                                }
                                // Numbers end in line.
                                let layout = match i < COLUMNS.len() {
                                    true => at_the_right(),
                                    false => egui::Layout::left_to_right(egui::Align::Center),
                                };
                                ui.with_layout(layout, |ui| ui.add(label));
                            });
                        }
                        if is_chosen || line.response().clicked() {
                            let again = selection.kernel == Some(row.kernel);
                            let kernel = (!again).then_some(row.kernel);
                            actions.push(Action::Select(Selection {
                                kernel,
                                ..*selection
                            }));
                        }
                    });
                }
            });
        });
    }

    fn head(&mut self, ui: &mut egui::Ui, column: usize, name: &str, hint: &str) {
        let arrow = match (self.column == column, self.ascending) {
            (false, _) => "",
            (true, true) => " ↑",
            (true, false) => " ↓",
        };
        let text = theme::strong(format!("{name}{arrow}")).small();
        let button = egui::Button::new(text).frame(false);
        if ui.add(button).on_hover_text(hint).clicked() {
            self.ascending = self.column == column && !self.ascending;
            self.column = column;
        }
    }
}

fn figures(row: &KernelSum, all: u64, peaks: Option<Peaks>) -> [String; 9] {
    let sum = &row.sum;
    let calls = sum.calls.max(1);
    let rate = sum.bytes_per_s();
    [
        sum.calls.to_string(),
        figure(sum.duration_ns as f64 / 1e6),
        figure(sum.duration_ns as f64 / 1e3 / calls as f64),
        format!("{:.1}", 100.0 * sum.duration_ns as f64 / all.max(1) as f64),
        figure(sum.bytes() as f64 / 1e6 / calls as f64),
        giga(rate),
        giga(sum.flops_per_s()),
        rate.zip(peaks).map_or(String::new(), |(rate, peaks)| {
            format!("{:.0}", 100.0 * rate / peaks.bytes_per_s)
        }),
        peaks.map_or(String::new(), |peaks| {
            sum.bound_by(&peaks).name().to_owned()
        }),
    ]
}

//! The kernel table.

use egui::RichText;
use egui_extras::{Column, TableBuilder};

use super::run::Sums;
use super::selection::Selection;
use crate::trace::units::{bytes, duration, giga, share};
use crate::trace::{KernelSum, Peaks};
use crate::window::action::Action;
use crate::window::theme::kernel_color;

/// Of the text: ten columns must fit beside a chat.
const SIZE: f32 = 12.0;

/// Widths of the name, and of the figures after it: fixed, so that numbers can end in line.
const NAME: f32 = 92.0;
const WIDTHS: [f32; 9] = [36.0, 58.0, 52.0, 44.0, 54.0, 44.0, 56.0, 48.0, 58.0];

/// What a column is sorted by.
type Key = fn(&KernelSum) -> f64;

const COLUMNS: [(&str, &str, Key); 8] = [
    ("calls", "Dispatches", |k| k.sum.calls as f64),
    ("total", "Time of all calls", |k| k.sum.duration_ns as f64),
    ("mean", "Time of a call", |k| {
        k.sum.duration_ns as f64 / k.sum.calls.max(1) as f64
    }),
    ("share", "Of the time in kernels", |k| {
        k.sum.duration_ns as f64
    }),
    ("bytes", "Read and written, a call", |k| {
        k.sum.bytes() as f64 / k.sum.calls.max(1) as f64
    }),
    ("GB/s", "Bytes a second", |k| {
        k.sum.bytes_per_s().unwrap_or(0.0)
    }),
    ("GFLOP/s", "Floating-point operations a second", |k| {
        k.sum.flops_per_s().unwrap_or(0.0)
    }),
    (
        "of best",
        "GB/s against the adapter's measured bandwidth",
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
        sums: &Sums,
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
            ui.weak("No step of this kind was timed kernel by kernel or layer by layer.");
            return;
        }
        let key = COLUMNS[self.column].2;
        rows.sort_by(|a, b| key(b).total_cmp(&key(a)));
        if self.ascending {
            rows.reverse();
        }
        let all: u64 = rows.iter().map(|row| row.sum.duration_ns).sum();
        egui::ScrollArea::horizontal().show(ui, |ui| {
            ui.spacing_mut().item_spacing.x = 3.0;
            let table = TableBuilder::new(ui)
                .striped(true)
                .vscroll(false)
                .sense(egui::Sense::click())
                .cell_layout(egui::Layout::left_to_right(egui::Align::Center))
                .column(Column::exact(NAME));
            let table = WIDTHS.iter().fold(table, |table, width| {
                table.column(Column::exact(*width))
            });
            let table = table.header(22.0, |mut header| {
                header.col(|ui| {
                    ui.label(RichText::new("kernel").size(SIZE).strong());
                });
                for (i, (name, hint, _)) in COLUMNS.iter().enumerate() {
                    header.col(|ui| {
                        ui.with_layout(at_the_right(), |ui| self.head(ui, i, name, hint));
                    });
                }
                header.col(|ui| {
                    ui.label(RichText::new("bound by").size(SIZE).strong()).on_hover_text(
                        "memory, arithmetic: that alone, at the measured best, takes more than half of the time; \
                         overhead: neither (starting up, waiting, unpacking weights)",
                    );
                });
            });
            table.body(|mut body| {
                for row in &rows {
                    body.row(20.0, |mut line| {
                        line.set_selected(selection.kernel == Some(row.kernel));
                        line.col(|ui| {
                            let size = egui::vec2(8.0, 12.0);
                            let (mark, painter) = ui.allocate_painter(size, egui::Sense::hover());
                            painter.rect_filled(mark.rect, 1.0, kernel_color(row.kernel));
                            let name = RichText::new(row.kernel).size(SIZE);
                            ui.add(egui::Label::new(name).selectable(false).extend());
                        });
                        for (i, text) in figures(row, all, peaks).into_iter().enumerate() {
                            line.col(|ui| {
                                let label = egui::Label::new(RichText::new(text).size(SIZE))
                                    .selectable(false)
                                    .extend();
                                // Numbers end in line.
                                let layout = match i < COLUMNS.len() {
                                    true => at_the_right(),
                                    false => egui::Layout::left_to_right(egui::Align::Center),
                                };
                                ui.with_layout(layout, |ui| ui.add(label));
                            });
                        }
                        if line.response().clicked() {
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
            (true, true) => " ^",
            (true, false) => " v",
        };
        let text = RichText::new(format!("{name}{arrow}")).size(SIZE).strong();
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
        duration(sum.duration_ns as f64),
        duration(sum.duration_ns as f64 / calls as f64),
        format!(
            "{:.1} %",
            100.0 * sum.duration_ns as f64 / all.max(1) as f64
        ),
        bytes(sum.bytes() / calls),
        giga(rate),
        giga(sum.flops_per_s()),
        share(rate, peaks.map(|peaks| peaks.bytes_per_s)),
        peaks.map_or(String::new(), |peaks| {
            sum.bound_by(&peaks).name().to_owned()
        }),
    ]
}

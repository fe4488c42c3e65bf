//! The kernel table.

use egui::RichText;
use egui_extras::{Column, TableBuilder};

use super::run::Sums;
use super::{Selection, bytes, duration};
use crate::trace::{KernelSum, Sum};
use crate::window::theme::kernel_color;

/// Of the text: ten columns must fit beside a chat.
const SIZE: f32 = 12.0;

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
        k.sum.bytes as f64 / k.sum.calls.max(1) as f64
    }),
    ("GB/s", "Bytes a second", |k| k.sum.gb_per_s()),
    ("GFLOP/s", "Floating-point operations a second", |k| {
        k.sum.gflops()
    }),
    (
        "of best",
        "GB/s against the adapter's measured bandwidth",
        |k| k.sum.gb_per_s(),
    ),
];

pub struct Sorting {
    column: usize,
    ascending: bool,
}

impl Default for Sorting {
    /// By total time, most first.
    fn default() -> Self {
        Self {
            column: 1,
            ascending: false,
        }
    }
}

/// What holds a kernel back, as far as these numbers tell.
fn bound_by(sum: &Sum, bandwidth: Option<f64>) -> &'static str {
    let Some(best) = bandwidth else { return "" };
    let share = sum.gb_per_s() * 1e9 / best;
    let mean = sum.duration_ns as f64 / sum.calls.max(1) as f64;
    if share > 0.6 {
        "memory"
    } else if share < 0.1 && mean < 100e3 {
        "start-up"
    } else {
        "arithmetic"
    }
}

impl Sorting {
    pub fn show(
        &mut self,
        ui: &mut egui::Ui,
        sums: &Sums,
        bandwidth: Option<f64>,
        selection: &mut Selection,
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
            let table = TableBuilder::new(ui)
                .striped(true)
                .vscroll(false)
                .sense(egui::Sense::click())
                .cell_layout(egui::Layout::left_to_right(egui::Align::Center))
                .column(Column::auto().at_least(90.0))
                .columns(Column::auto().at_least(36.0), COLUMNS.len() + 1);
            let table = table.header(22.0, |mut header| {
                header.col(|ui| {
                    ui.label(RichText::new("kernel").size(SIZE).strong());
                });
                for (i, (name, hint, _)) in COLUMNS.iter().enumerate() {
                    header.col(|ui| self.head(ui, i, name, hint));
                }
                header.col(|ui| {
                    ui.label(RichText::new("bound by").size(SIZE).strong()).on_hover_text(
                        "memory: above 60 % of the measured bandwidth; start-up: little to do and short; arithmetic: the rest",
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
                        for text in figures(row, all, bandwidth) {
                            line.col(|ui| {
                                let label = egui::Label::new(RichText::new(text).size(SIZE))
                                    .selectable(false)
                                    .extend();
                                ui.add(label);
                            });
                        }
                        if line.response().clicked() {
                            let again = selection.kernel == Some(row.kernel);
                            selection.kernel = (!again).then_some(row.kernel);
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

fn figures(row: &KernelSum, all: u64, bandwidth: Option<f64>) -> [String; 9] {
    let sum = &row.sum;
    let calls = sum.calls.max(1);
    let rate = sum.gb_per_s();
    [
        sum.calls.to_string(),
        duration(sum.duration_ns as f64),
        duration(sum.duration_ns as f64 / calls as f64),
        format!(
            "{:.1} %",
            100.0 * sum.duration_ns as f64 / all.max(1) as f64
        ),
        bytes(sum.bytes / calls),
        format!("{rate:.2}"),
        format!("{:.2}", sum.gflops()),
        bandwidth.map_or(String::new(), |best| {
            format!("{:.0} %", 100.0 * rate * 1e9 / best)
        }),
        bound_by(sum, bandwidth).to_owned(),
    ]
}

//! Two runs side by side.

use egui::{ComboBox, RichText};

use super::run::{Run, Sums};
use super::{Selection, duration};
use crate::trace::Phase;

pub fn show(ui: &mut egui::Ui, run: &Run, earlier: &[Run], compared: &mut usize, phase: Phase) {
    let Some(other) = earlier.get(*compared).or(earlier.first()) else {
        ui.weak(
            "There is one run so far: generate again, with another setting or model, to compare.",
        );
        return;
    };
    let choice = ComboBox::from_label("compared with")
        .width(220.0)
        .truncate()
        .selected_text(name(*compared, &other.label))
        .show_ui(ui, |ui| {
            for (i, run) in earlier.iter().enumerate() {
                ui.selectable_value(compared, i, name(i, &run.label));
            }
        });
    drop(choice);
    let sums = |run| Sums::of(run, phase, &Selection::default());
    let (now, before) = (sums(run), sums(other));
    if now.all.steps == 0 || before.all.steps == 0 {
        ui.weak("One of the two has no step of this kind.");
        return;
    }
    ui.add_space(4.0);
    egui::Grid::new("compare")
        .num_columns(4)
        .striped(true)
        .show(ui, |ui| {
            for head in ["a token", "now", "then", "ratio"] {
                ui.strong(head);
            }
            ui.end_row();
            let mut row = |what: &str, now: f64, before: f64| {
                ui.label(what);
                ui.label(duration(now));
                ui.label(duration(before));
                match before > 0.0 && now > 0.0 {
                    true => ui.label(format!("{:.2}x", now / before)),
                    false => ui.weak("only in one"),
                };
                ui.end_row();
            };
            let wall = |sums: &Sums| sums.all.per_token() * 1e9;
            row("step (wall)", wall(&now), wall(&before));
            let mut kernels: Vec<&str> = now.kernels.iter().map(|kernel| kernel.kernel).collect();
            for kernel in &before.kernels {
                if !kernels.contains(&kernel.kernel) {
                    kernels.push(kernel.kernel);
                }
            }
            let of = |sums: &Sums, wanted: &str| {
                let found = sums.kernels.iter().find(|kernel| kernel.kernel == wanted);
                let time = found.map_or(0, |kernel| kernel.sum.duration_ns);
                time as f64 / sums.timed.tokens.max(1) as f64
            };
            for kernel in kernels {
                row(kernel, of(&now, kernel), of(&before, kernel));
            }
        });
    ui.label(
        RichText::new("Above 1x: slower now than then.")
            .small()
            .weak(),
    );
}

fn name(index: usize, label: &str) -> String {
    let label: String = label.chars().take(40).collect();
    format!("{} back: {label}", index + 1)
}

//! Two runs side by side.

use egui::{ComboBox, RichText};

use super::record::Record;
use super::run::{Run, Sums, Wall};
use super::selection::Selection;
use crate::trace::units::{count, duration};
use crate::window::action::Action;

pub fn show(ui: &mut egui::Ui, record: &Record, actions: &mut Vec<Action>) {
    let Record {
        run,
        earlier,
        compared,
        phase,
        ..
    } = record;
    let Some(other) = earlier.get(*compared).or(earlier.first()) else {
        ui.weak(
            "There is one run so far: generate again, with another setting or model, to compare.",
        );
        return;
    };
    ui.label(RichText::new(format!("now: {}", name(run))).strong());
    ui.horizontal_wrapped(|ui| {
        let label = ui.label("compared with");
        ComboBox::from_id_salt("compared with")
            .width(260.0)
            .truncate()
            .selected_text(name(other))
            .show_ui(ui, |ui| {
                for (i, run) in earlier.iter().enumerate() {
                    let label = format!("{} back, {}", i + 1, name(run));
                    if ui.selectable_label(*compared == i, label).clicked() {
                        actions.push(Action::Compare(i));
                    }
                }
            })
            .response
            .labelled_by(label.id);
    });
    let sums = |run| Sums::of(run, *phase, &Selection::default());
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
            let mut row = |what: &str, now: Option<f64>, before: Option<f64>| {
                ui.label(what);
                for time in [now, before] {
                    ui.label(time.map_or("–".to_owned(), duration));
                }
                match now.zip(before) {
                    Some((now, before)) if before > 0.0 => {
                        ui.label(format!("{:.2}x", now / before))
                    }
                    Some(_) => ui.label(""),
                    None => ui.weak("only in one"),
                };
                ui.end_row();
            };
            // All steps, and those that were timed in detail: not the same, where that costs something.
            let wall = |wall: &Wall| (wall.steps > 0).then(|| wall.per_token() * 1e9);
            row("step (wall)", wall(&now.all), wall(&before.all));
            row("timed in detail", wall(&now.timed), wall(&before.timed));
            let mut kernels: Vec<&str> = now.kernels.iter().map(|kernel| kernel.kernel).collect();
            for kernel in &before.kernels {
                if !kernels.contains(&kernel.kernel) {
                    kernels.push(kernel.kernel);
                }
            }
            let of = |sums: &Sums, wanted: &str| {
                let found = sums.kernels.iter().find(|kernel| kernel.kernel == wanted);
                found.map(|kernel| kernel.sum.duration_ns as f64 / sums.timed.tokens.max(1) as f64)
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

fn name(run: &Run) -> String {
    let label: String = run.label.chars().take(40).collect();
    let steps = count((run.steps.len() + run.dropped) as u64, "step");
    format!("{label}, {steps}")
}

//! The panel: what is timed, a summary, the token strip, and one view below them.

use egui::{ComboBox, RichText, ScrollArea};

use super::record::Record;
use super::run::Sums;
use super::selection::{Selection, Tab};
use super::{compare, flame, heat, kernels, layers, memory, strip};
use crate::trace::units::{count, layer_name};
use crate::trace::{Phase, TraceMode};
use crate::window::action::{Action, Export, Picture};
use crate::window::pictures;
use crate::window::settings::{Setting, Settings};
use crate::window::theme;
use crate::window::widgets::name;

/// What only the panel needs, and what it has worked out from the record: neither is read elsewhere.
#[derive(Default)]
pub struct TimingsView {
    sums: Sums,
    flame: flame::View,
    heat: heat::View,
    kernels: kernels::View,
}

impl TimingsView {
    pub fn show(
        &mut self,
        ui: &mut egui::Ui,
        record: &Record,
        settings: &Settings,
        actions: &mut Vec<Action>,
    ) {
        let Record {
            run,
            phase,
            selection,
            tab,
            ..
        } = record;
        ui.add_space(2.0);
        controls(ui, record, settings, actions);
        self.sums.update(run, *phase, selection);
        summary(ui, record, &self.sums);
        strip::show(ui, run, *phase, selection, actions);
        chips(ui, selection, actions);
        ui.horizontal_wrapped(|ui| {
            for (choice, name) in Tab::ALL {
                if ui.selectable_label(*tab == choice, name).clicked() {
                    actions.push(Action::ShowTab(choice));
                }
            }
        });
        ui.separator();
        if run.steps.is_empty() && !matches!(tab, Tab::Memory | Tab::Compare) {
            ui.weak("Nothing has been timed yet: have the model write something.");
            return;
        }
        let peaks = record.run_peaks();
        let config = run.info.as_ref().map(|info| &info.config);
        ScrollArea::vertical()
            .id_salt(("view", *tab as u8))
            .auto_shrink(false)
            .show(ui, |ui| match tab {
                Tab::Heat => self.heat.show(ui, run, *phase, selection, actions),
                Tab::Flame => self.flame.show(ui, run, *phase, selection, actions),
                Tab::Layers => layers::show(ui, &self.sums, config, peaks, selection, actions),
                Tab::Kernels => self.kernels.show(ui, &self.sums, peaks, selection, actions),
                Tab::Memory => memory::show(ui, record),
                Tab::Compare => compare::show(ui, record, actions),
            });
    }
}

fn controls(ui: &mut egui::Ui, record: &Record, settings: &Settings, actions: &mut Vec<Action>) {
    ui.horizontal_wrapped(|ui| {
        let modes = [
            (TraceMode::Kernels, "kernels"),
            (TraceMode::Layers, "layers"),
            (TraceMode::Steps, "steps"),
            (TraceMode::Off, "off"),
        ];
        let shown = modes.iter().find(|(mode, _)| *mode == settings.trace);
        let choice = ComboBox::from_id_salt("trace mode")
            .width(64.0)
            .selected_text(shown.map_or("", |(_, name)| name))
            .show_ui(ui, |ui| {
                for (mode, name) in modes {
                    if ui.selectable_label(settings.trace == mode, name).clicked() {
                        actions.push(Action::Set(Setting::Trace(mode)));
                    }
                }
            });
        name(ui, &choice.response, "Trace mode");
        choice
            .response
            .on_hover_text("How finely the next run is timed");
        let every = ui
            .selectable_label(settings.trace_all, "Every step")
            .on_hover_text("Time all steps in detail but one in sixteen, whatever it costs; otherwise so many that the model gets 4 % slower at most, and the others as a whole");
        if every.clicked() {
            actions.push(Action::Set(Setting::TraceAll(!settings.trace_all)));
        }
        ui.separator();
        for (phase, name) in [(Phase::Decode, "Decode"), (Phase::Prefill, "Prefill")] {
            if ui.selectable_label(record.phase == phase, name).clicked() {
                actions.push(Action::ShowPhase(phase));
            }
        }
        let pause = ui
            .selectable_label(record.is_paused, "Pause")
            .on_hover_text("Keep what is shown; what comes now is not timed");
        if pause.clicked() {
            actions.push(Action::PauseTiming(!record.is_paused));
        }
        ui.menu_button("Export trace", |ui| {
            pictures::menu(ui, Picture::Timings, actions);
            for (label, export) in [
                ("HTML report…", Export::TraceHtml),
                ("Chrome trace (Perfetto)…", Export::TraceChrome),
                ("CSV…", Export::TraceCsv),
                ("JSON…", Export::TraceJson),
            ] {
                if ui.button(label).clicked() {
                    actions.push(Action::Save(export));
                }
            }
        });
    });
}

/// What a token costs, what of it is known, and what knowing it costs.
fn summary(ui: &mut egui::Ui, record: &Record, sums: &Sums) {
    let run = &record.run;
    if let Some(info) = run.info.as_deref().or(record.info.as_deref()) {
        let mut text = format!("{} · {}", info.adapter.name, info.adapter.driver);
        if let Some(peaks) = record.peaks_of(Some(info)) {
            text += &format!(
                " · at best {:.1} GB/s read, {:.0} GFLOP/s{}",
                peaks.bytes_per_s / 1e9,
                peaks.flops_per_s / 1e9,
                if peaks.is_estimated {
                    " (estimated)"
                } else {
                    ""
                }
            );
        }
        ui.add(egui::Label::new(RichText::new(text).small().weak()).truncate());
    }
    let Sums { all, timed, .. } = sums;
    if all.steps == 0 {
        return;
    }
    let mut text = format!(
        "{}, {}: {:.2} ms a token",
        count(all.steps as u64, "step"),
        count(all.tokens, "token"),
        1e3 * all.per_token(),
    );
    if timed.steps > 0 {
        let wall = 1e3 * timed.per_token();
        let device = 1e3 * sums.device_s / timed.tokens.max(1) as f64;
        let gap = (wall - device).max(0.0);
        text += &match timed.steps == all.steps {
            true => ", ".to_owned(),
            false => format!(". {} timed in detail: {wall:.2} ms a token, ", timed.steps),
        };
        text += &format!(
            "{device:.2} ms in kernels, {gap:.2} ms ({:.0} %) between and around them",
            100.0 * gap / wall.max(1e-9)
        );
    } else {
        text += " (approximate)";
    }
    ui.label(text);
    if sums.has_no_clock {
        ui.colored_label(
                theme::warning(ui),
                "This adapter has no timestamps, or none that make sense: only whole steps are timed, by the host's clock. Approximate.",
            );
    }
    let mut costs = Vec::new();
    let (traced, untraced) = (&run.traced, &run.untraced);
    if let (Some(with), Some(without)) = (traced.mean(), untraced.mean()) {
        let cost = with - without;
        let share = traced.count() / (traced.count() + untraced.count());
        let percent = 100.0 * cost / without.max(1e-9);
        let cost = match percent {
            1.0.. => format!("{:.2} ms ({percent:+.0} %)", 1e3 * cost),
            _ => "too little to be seen".to_owned(),
        };
        costs.push(format!(
            "timing a token in detail costs {cost}, and {:.0} % of them are timed",
            100.0 * share
        ));
    }
    if let Some(frame) = record.frame.mean() {
        costs.push(format!("a frame of this window {:.1} ms", 1e3 * frame));
    }
    if !costs.is_empty() {
        ui.label(RichText::new(costs.join(" · ")).small().weak());
    }
    if run.dropped > 0 {
        let text = format!("the first {} steps were let go", run.dropped);
        ui.label(RichText::new(text).small().weak());
    }
}

/// What is selected, each with a button that ends it.
fn chips(ui: &mut egui::Ui, selection: &Selection, actions: &mut Vec<Action>) {
    if *selection == Selection::default() {
        return;
    }
    ui.horizontal_wrapped(|ui| {
        ui.label("Only");
        let mut chip = |label: String, rest: Selection| {
            if ui.small_button(label).clicked() {
                actions.push(Action::Select(rest));
            }
        };
        if let Some((first, last)) = selection.steps {
            let label = match first == last {
                true => format!("step {first} ×"),
                false => format!("steps {first} to {last} ×"),
            };
            let steps = None;
            chip(
                label,
                Selection {
                    steps,
                    ..*selection
                },
            );
        }
        if let Some(layer) = selection.layer {
            let label = format!("{} ×", layer_name(layer));
            let layer = None;
            chip(
                label,
                Selection {
                    layer,
                    ..*selection
                },
            );
        }
        if let Some(kernel) = selection.kernel {
            let label = format!("{kernel} ×");
            let kernel = None;
            chip(
                label,
                Selection {
                    kernel,
                    ..*selection
                },
            );
        }
        chip("Show all".to_owned(), Selection::default());
    });
}

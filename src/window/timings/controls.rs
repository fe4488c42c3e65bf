//! The one row of controls: which phase, pause, and how it is timed.

use egui::{Popup, PopupCloseBehavior, Ui};

use super::record::Record;
use crate::trace::{Phase, TraceMode};
use crate::window::action::{Action, Export, Picture};
use crate::window::icons::Icon;
use crate::window::pictures;
use crate::window::settings::{Setting, Settings};
use crate::window::theme::{self, GRID};
use crate::window::widgets::{icon_button, icon_switch, segments, switch};

pub fn show(ui: &mut Ui, record: &Record, settings: &Settings, actions: &mut Vec<Action>) {
    ui.horizontal(|ui| {
        let phases = [(Phase::Decode, "Decode"), (Phase::Prefill, "Prefill")];
        if let Some(phase) = segments(ui, record.phase, &phases) {
            actions.push(Action::ShowPhase(phase));
        }
        let pause = icon_switch(ui, Icon::Pause, record.is_paused, "Pause", "");
        if pause
            .on_hover_text("Keep what is shown; what comes now is not timed")
            .clicked()
        {
            actions.push(Action::PauseTiming(!record.is_paused));
        }
        let how = icon_button(ui, Icon::Settings, "How it is timed", "");
        Popup::menu(&how)
            .close_behavior(PopupCloseBehavior::CloseOnClickOutside)
            .show(|ui| menu(ui, settings, actions));
        let share = icon_button(ui, Icon::Export, "Export timings", "");
        Popup::menu(&share).show(|ui| exports(ui, actions));
        if settings.trace == TraceMode::Off {
            ui.label(theme::aside("Timing is off"));
        } else if record.is_paused {
            ui.label(theme::aside("Paused"));
        }
    });
}

fn menu(ui: &mut Ui, settings: &Settings, actions: &mut Vec<Action>) {
    ui.set_max_width(300.0);
    ui.label(theme::strong("How finely the next run is timed"));
    for (mode, label) in [
        (TraceMode::Kernels, "Kernel by kernel"),
        (TraceMode::Layers, "Layer by layer"),
        (TraceMode::Steps, "Whole steps"),
        (TraceMode::Off, "Not at all"),
    ] {
        if ui.radio(settings.trace == mode, label).clicked() {
            actions.push(Action::Set(Setting::Trace(mode)));
        }
    }
    ui.add_space(GRID);
    let (every, changed) = switch(ui, settings.trace_all, "Every step");
    every.on_hover_text(
        "Time all steps in detail but one in sixteen, whatever it costs; otherwise so many that the model gets 4 % slower at most, and the others as a whole",
    );
    if let Some(all) = changed {
        actions.push(Action::Set(Setting::TraceAll(all)));
    }
}

/// Pictures and pages for people, and traces for programs.
fn exports(ui: &mut Ui, actions: &mut Vec<Action>) {
    ui.set_max_width(300.0);
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
    ui.separator();
    if ui.button("Open a trace (JSON)…").clicked() {
        actions.push(Action::Import);
    }
}

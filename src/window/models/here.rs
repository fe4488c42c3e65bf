//! Models that are on this machine: what they are, what they need, and whether that is there.

use egui::{Align, Layout};

use super::super::action::Action;
use super::super::catalog::{AUTOMATIC, Choice, Facts, Listed, Place, count, size};
use super::super::state::State;
use super::super::theme::{self, GRID};
use super::super::widgets::{card, name};
use super::picture;
use crate::dtype::Dtype;

/// Width of the pictures.
const PICTURE: f32 = 180.0;

/// With less width the figures come below the picture.
const ROOMY: f32 = 420.0;

pub fn show(ui: &mut egui::Ui, state: &State, actions: &mut Vec<Action>) {
    for listed in &state.catalog.models {
        ui.push_id(&listed.model, |ui| {
            card(ui, |ui| {
                ui.set_width(ui.available_width());
                model(ui, state, listed, actions);
            });
        });
        ui.add_space(GRID);
    }
    if state.catalog.is_searching {
        ui.label(theme::aside("Looking for models…"));
    }
}

fn model(ui: &mut egui::Ui, state: &State, listed: &Listed, actions: &mut Vec<Action>) {
    // What is loaded says its name, and was asked for by one.
    let is_loaded = state.info().is_some_and(|info| info.name == listed.model)
        || state.info().is_some() && state.loaded == listed.model;
    ui.horizontal(|ui| {
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            let label = if is_loaded { "Load again" } else { "Load" };
            let can = listed.facts.is_ok();
            let response = ui.add_enabled(can, egui::Button::new(label));
            name(ui, &response, &format!("{label} {}", listed.model));
            if response.clicked() {
                actions.push(Action::Load(listed.model.clone()));
            }
            if is_loaded {
                ui.label(theme::aside("loaded"));
            }
            ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                ui.add(egui::Label::new(theme::strong(title(listed))).truncate())
                    .on_hover_text(&listed.model);
            });
        });
    });
    let place = match listed.place {
        Place::BuiltIn => "built in".to_owned(),
        Place::Folder => format!("{} on disk", size(listed.bytes)),
        Place::Cache => format!("{} in the hub's cache", size(listed.bytes)),
    };
    match &listed.facts {
        Ok(facts) => {
            let what = match listed.place {
                Place::BuiltIn => facts.stored.to_string(),
                _ => format!("{} in {}", facts.stored, facts.container),
            };
            ui.label(theme::aside(format!(
                "{} parameters · {what} · {place} · context {}",
                count(facts.parameters),
                facts.context
            )));
            ui.add_space(GRID);
            if ui.available_width() < ROOMY {
                shape(ui, facts);
                memory(ui, state, facts);
            } else {
                ui.horizontal_top(|ui| {
                    ui.vertical(|ui| {
                        ui.set_width(PICTURE);
                        shape(ui, facts);
                    });
                    ui.add_space(2.0 * GRID);
                    ui.vertical(|ui| memory(ui, state, facts));
                });
            }
        }
        Err(problem) => {
            ui.label(theme::aside(place));
            let color = theme::warning(ui);
            ui.colored_label(color, format!("Cannot be loaded: {problem}"));
        }
    }
}

/// Its name: of a folder the last part, which the hint tells whole.
fn title(listed: &Listed) -> &str {
    let is_path = listed.place == Place::Folder;
    let last = listed.model.rsplit(['/', '\\']).next();
    last.filter(|last| is_path && !last.is_empty())
        .unwrap_or(&listed.model)
}

fn shape(ui: &mut egui::Ui, facts: &Facts) {
    picture::show(ui, facts, ui.available_width().min(PICTURE));
    ui.spacing_mut().item_spacing.y = 0.0;
    picture::legend(ui, facts);
}

/// What it needs in each format, and what that means here.
fn memory(ui: &mut egui::Ui, state: &State, facts: &Facts) {
    let (room, context) = (state.catalog.room, state.settings.context_size);
    let hint = "Weights, and the KV cache of the whole context. Activations come on top: tens of megabytes.";
    ui.spacing_mut().interact_size.y = 0.0;
    ui.spacing_mut().item_spacing.y = 0.0;
    let grid = egui::Grid::new("memory").num_columns(3).striped(false);
    grid.spacing(egui::vec2(4.0 * GRID, 0.0)).show(ui, |ui| {
        for dtype in formats(facts) {
            let Some(need) = facts.need(dtype, context) else {
                continue;
            };
            let format = facts.on_device(dtype).name();
            let is_chosen = state.settings.dtype() == dtype;
            ui.label(match is_chosen {
                true => theme::strong(format).small(),
                false => theme::aside(format),
            });
            let response = ui.label(theme::aside(size(need)));
            response.on_hover_text(hint);
            ui.label(theme::aside(match room {
                None => "",
                Some(room) if Facts::fits(need, room) => "fits",
                Some(_) => "does not fit",
            }));
            ui.end_row();
        }
    });
    ui.add_space(GRID);
    let there = match room {
        Some(room) => format!("Memory for a model: {}.", size(room)),
        None => "Memory for a model: unknown; this adapter's driver does not tell.".into(),
    };
    ui.label(theme::aside(there));
    ui.label(theme::aside(chosen(state, facts)));
}

/// The formats that are offered: as stored first, without saying that twice.
fn formats(facts: &Facts) -> Vec<Option<Dtype>> {
    let stored = facts.on_device(None);
    let others = Dtype::ALL.into_iter().filter(|dtype| *dtype != stored);
    std::iter::once(None).chain(others.map(Some)).collect()
}

/// The format that it will have, and why.
fn chosen(state: &State, facts: &Facts) -> String {
    if let Some(dtype) = state.settings.dtype() {
        return format!("Loads as {dtype}, as chosen below.");
    }
    let stored = facts.on_device(None);
    match facts.choice(state.catalog.room, state.settings.context_size) {
        Choice::Fits(None) => format!("Auto: {stored} fits."),
        Choice::Fits(Some(dtype)) => {
            format!("Auto: {dtype}, since {stored} does not fit.")
        }
        Choice::Unknown => {
            let smaller: Vec<&str> = AUTOMATIC
                .iter()
                .flatten()
                .map(|dtype| dtype.name())
                .collect();
            format!(
                "Auto: {stored}; {} if that does not fit.",
                smaller.join(", then ")
            )
        }
        Choice::TooLarge => "Auto: not even q4 fits; a smaller context takes less.".into(),
    }
}

//! The bar at the top: model, context gauge, what is shown.

use egui::{Align, Layout};

use super::action::{Action, Overlay};
use super::icons::Icon;
use super::settings::Setting;
use super::state::{ModelState, State};
use super::theme::{self, GRID};
use super::widgets::{icon_switch, labelled_button, meter, name};

pub fn show(ui: &mut egui::Ui, state: &State, actions: &mut Vec<Action>) {
    ui.add_space(GRID);
    let from_right = Layout::right_to_left(Align::Center);
    ui.horizontal(|ui| {
        let shows = state.shows_sidebar();
        let sidebar = icon_switch(ui, Icon::Sidebar, shows, "Conversations", "Ctrl+B");
        if sidebar.clicked() {
            actions.push(Action::ToggleSidebar);
        }
        ui.with_layout(from_right, |ui| {
            switches(ui, state, actions);
            ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                model(ui, state, actions);
                if !state.is_narrow {
                    gauge(ui, state);
                }
            });
        });
    });
    if state.is_narrow && state.info().is_some() {
        ui.horizontal(|ui| gauge(ui, state));
    }
    ui.add_space(GRID);
}

/// From the right.
fn switches(ui: &mut egui::Ui, state: &State, actions: &mut Vec<Action>) {
    ui.spacing_mut().item_spacing.x = GRID;
    let shows = state.shows_timings();
    let timings = icon_switch(ui, Icon::Bars, shows, "Timings", "Ctrl+T");
    if timings.clicked() {
        actions.push(Action::ToggleTimings);
    }
    let tints = state.settings.probabilities;
    let probabilities = icon_switch(ui, Icon::Tint, tints, "Probabilities", "Ctrl+P");
    let hint = "Tint the text by how probable it was; click a token for its alternatives";
    if probabilities.on_hover_text(hint).clicked() {
        actions.push(Action::Set(Setting::Probabilities(!tints)));
    }
    let finds = state.find.is_some();
    let find = icon_switch(ui, Icon::Find, finds, "Find", "Ctrl+F");
    if find.clicked() {
        actions.push(match finds {
            true => Action::CloseFind,
            false => Action::OpenFind,
        });
    }
    let shows = state.is_shown(Overlay::Prompt);
    let prompt = icon_switch(ui, Icon::Braces, shows, "Prompt", "");
    let hint = "Show exactly what the model is given";
    if prompt.on_hover_text(hint).clicked() {
        actions.push(match shows {
            true => Action::HideOverlay(Overlay::Prompt),
            false => Action::ShowOverlay(Overlay::Prompt),
        });
    }
}

fn model(ui: &mut egui::Ui, state: &State, actions: &mut Vec<Action>) {
    match &state.model {
        ModelState::Ready(info) => {
            let label = format!("{} · {}", info.name, info.dtype);
            let response = labelled_button(ui, Icon::Model, &label, "Ctrl+O");
            name(ui, &response, &format!("Model: {label}"));
            let response = response.on_hover_text(format!(
                "{} ({}, {})\nloaded in {:.2} s",
                info.adapter.name, info.adapter.backend, info.adapter.driver, info.load_s
            ));
            if response.clicked() {
                actions.push(Action::ShowOverlay(Overlay::Models));
            }
        }
        ModelState::None => {
            if labelled_button(ui, Icon::Model, "Choose a model", "Ctrl+O").clicked() {
                actions.push(Action::ShowOverlay(Overlay::Models));
            }
        }
        ModelState::Loading {
            name,
            is_download,
            done,
            total,
        } => {
            let what = match is_download {
                true => "Downloading",
                false => "Loading",
            };
            let text = match total {
                0 => format!("{what} {name}"),
                _ => format!(
                    "{what} {name}: {} of {} MB",
                    done / 1_000_000,
                    total / 1_000_000
                ),
            };
            let share = *done as f32 / (*total).max(1) as f32;
            meter(ui, share, 120.0, &text);
            if ui.button("Cancel loading").clicked() {
                actions.push(Action::CancelLoading);
            }
        }
    }
}

/// How much of the context is used, and how fast it is being filled.
fn gauge(ui: &mut egui::Ui, state: &State) {
    let Some(info) = state.info() else { return };
    let running = state.running.as_ref();
    let used = state.positions_in_use();
    let mut speed = None;
    if let Some(running) = running
        && let Some(answer) = running.furthest()
    {
        let (done, all) = answer.prompt;
        if answer.generated() > 1 {
            speed = running.rate().map(|rate| format!("{rate:.1} tok/s"));
        } else if all > 0 {
            speed = Some(format!("prompt {done} of {all}"));
        }
    }
    let share = used as f32 / info.context_size.max(1) as f32;
    let text = format!("{used} / {}", info.context_size);
    meter(ui, share, 72.0, &text).on_hover_text("Positions in use of those that the context has");
    if share >= 1.0 {
        ui.colored_label(theme::warning(ui), "context full");
    }
    if let Some(speed) = speed {
        ui.label(theme::strong(speed));
    }
}

/// Says what happens to what hangs over the window.
pub fn drop_hint(ui: &egui::Ui) {
    if ui.input(|input| input.raw.hovered_files.is_empty()) {
        return;
    }
    let layer = egui::LayerId::new(egui::Order::Foreground, egui::Id::unique("drop"));
    let painter = ui.ctx().layer_painter(layer);
    let rect = ui.ctx().content_rect();
    painter.rect_filled(rect, 0.0, egui::Color32::from_black_alpha(180));
    painter.text(
        rect.center(),
        egui::Align2::CENTER_CENTER,
        "Drop a model's folder to load it, conversations to import, a trace or a text",
        egui::TextStyle::Heading.resolve(ui.style()),
        egui::Color32::WHITE,
    );
}

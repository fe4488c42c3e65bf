//! The bar at the top: model, context gauge, what is shown.

use egui::{Align, Layout, ProgressBar, RichText};

use super::action::{Action, Overlay};
use super::settings::Setting;
use super::state::{ModelState, State};
use super::theme;

pub fn show(ui: &mut egui::Ui, state: &State, actions: &mut Vec<Action>) {
    ui.add_space(3.0);
    ui.horizontal_wrapped(|ui| {
        if ui
            .selectable_label(state.shows_sidebar(), "Conversations")
            .on_hover_text("Ctrl+B")
            .clicked()
        {
            actions.push(Action::ToggleSidebar);
        }
        model(ui, state, actions);
        gauge(ui, state);
        let layout = Layout::right_to_left(Align::Center);
        if state.is_narrow {
            switches(ui, state, actions);
        } else {
            ui.with_layout(layout, |ui| switches(ui, state, actions));
        }
    });
    ui.add_space(3.0);
}

fn switches(ui: &mut egui::Ui, state: &State, actions: &mut Vec<Action>) {
    if ui
        .selectable_label(state.shows_timings(), "Timings")
        .on_hover_text("What every layer costs (Ctrl+T)")
        .clicked()
    {
        actions.push(Action::ToggleTimings);
    }
    let probabilities = state.settings.probabilities;
    if ui
        .selectable_label(probabilities, "Probabilities")
        .on_hover_text(
            "Tint the text by how probable it was; click a token for its alternatives (Ctrl+P)",
        )
        .clicked()
    {
        actions.push(Action::Set(Setting::Probabilities(!probabilities)));
    }
    let shows_prompt = state.is_shown(Overlay::Prompt);
    if ui
        .selectable_label(shows_prompt, "Prompt")
        .on_hover_text("Show exactly what the model is given")
        .clicked()
    {
        actions.push(match shows_prompt {
            true => Action::HideOverlay(Overlay::Prompt),
            false => Action::ShowOverlay(Overlay::Prompt),
        });
    }
}

fn model(ui: &mut egui::Ui, state: &State, actions: &mut Vec<Action>) {
    match &state.model {
        ModelState::Ready(info) => {
            let label = format!("Model: {} · {}", info.name, info.dtype);
            let response = ui.button(label).on_hover_text(format!(
                "{} ({}, {})\nloaded in {:.2} s",
                info.adapter.name, info.adapter.backend, info.adapter.driver, info.load_s
            ));
            if response.clicked() {
                actions.push(Action::ShowOverlay(Overlay::Models));
            }
        }
        ModelState::None => {
            if ui.button("Choose a model").clicked() {
                actions.push(Action::ShowOverlay(Overlay::Models));
            }
        }
        ModelState::Loading {
            name,
            is_download,
            done,
            total,
        } => {
            let share = *done as f32 / (*total).max(1) as f32;
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
            ui.add(ProgressBar::new(share).desired_width(260.0).text(text));
            if ui.small_button("Cancel loading").clicked() {
                actions.push(Action::CancelLoading);
            }
        }
    }
}

/// How much of the context is used, and how fast it is being filled.
fn gauge(ui: &mut egui::Ui, state: &State) {
    let Some(info) = state.info() else { return };
    let mut used = state.positions;
    let mut speed = None;
    if let Some(running) = &state.running {
        used = running.prompt.1 + running.tokens;
        if let Some(first) = running.first_token
            && running.tokens > 1
        {
            let rate = (running.tokens - 1) as f64 / first.elapsed().as_secs_f64().max(1e-3);
            speed = Some(format!("{rate:.1} tok/s"));
        } else if running.prompt.1 > 0 {
            speed = Some(format!(
                "prompt {} of {}",
                running.prompt.0, running.prompt.1
            ));
        }
    }
    let share = used as f32 / info.context_size.max(1) as f32;
    let bar = ProgressBar::new(share)
        .desired_width(120.0)
        .text(RichText::new(format!("{used} / {}", info.context_size)).small());
    ui.add(bar)
        .on_hover_text("Positions in use of those that the model has");
    if share >= 1.0 {
        let color = theme::warning(ui);
        ui.colored_label(color, "context full");
    }
    if let Some(speed) = speed {
        ui.label(RichText::new(speed).strong());
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
        "Drop a model's folder to load it",
        egui::TextStyle::Heading.resolve(ui.style()),
        egui::Color32::WHITE,
    );
}

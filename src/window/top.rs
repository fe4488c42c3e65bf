//! The bar at the top: model, context gauge, what is shown. And the small dialogs.

use egui::{Align, Layout, ProgressBar, RichText};

use super::app::{Action, App, ModelState};
use super::conversation::Mode;
use crate::engine::Stage;

pub fn show(ui: &mut egui::Ui, app: &mut App, actions: &mut Vec<Action>) {
    ui.add_space(3.0);
    ui.horizontal_wrapped(|ui| {
        let shows = match app.is_narrow {
            true => app.narrow == super::app::NarrowView::Sidebar,
            false => app.settings.sidebar,
        };
        if ui
            .selectable_label(shows, "Conversations")
            .on_hover_text("Ctrl+B")
            .clicked()
        {
            actions.push(Action::ToggleSidebar);
        }
        model(ui, app, actions);
        gauge(ui, app);
        let layout = Layout::right_to_left(Align::Center);
        if app.is_narrow {
            switches(ui, app, actions);
        } else {
            ui.with_layout(layout, |ui| switches(ui, app, actions));
        }
    });
    ui.add_space(3.0);
}

fn switches(ui: &mut egui::Ui, app: &mut App, actions: &mut Vec<Action>) {
    let shows = match app.is_narrow {
        true => app.narrow == super::app::NarrowView::Timings,
        false => app.settings.timings,
    };
    if ui
        .selectable_label(shows, "Timings")
        .on_hover_text("What every layer costs (Ctrl+T)")
        .clicked()
    {
        actions.push(Action::ToggleTimings);
    }
    ui.toggle_value(&mut app.settings.probabilities, "Probabilities")
        .on_hover_text(
            "Tint the text by how probable it was; click a token for its alternatives (Ctrl+P)",
        );
    if ui
        .selectable_label(app.shows_prompt, "Prompt")
        .on_hover_text("Show exactly what the model is given")
        .clicked()
    {
        app.shows_prompt = !app.shows_prompt;
    }
}

fn model(ui: &mut egui::Ui, app: &App, actions: &mut Vec<Action>) {
    match &app.model {
        ModelState::Ready(info) => {
            let label = format!("Model: {} · {}", info.name, info.dtype);
            let response = ui.button(label).on_hover_text(format!(
                "{} ({}, {})\nloaded in {:.2} s",
                info.adapter.name, info.adapter.backend, info.adapter.driver, info.load_s
            ));
            if response.clicked() {
                actions.push(Action::ShowModels);
            }
        }
        ModelState::None => {
            if ui.button("Choose a model").clicked() {
                actions.push(Action::ShowModels);
            }
        }
        ModelState::Loading {
            name,
            stage,
            done,
            total,
            ..
        } => {
            let share = *done as f32 / (*total).max(1) as f32;
            let what = match stage {
                Stage::Download => "Downloading",
                Stage::Upload => "Loading",
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
fn gauge(ui: &mut egui::Ui, app: &App) {
    let Some(info) = app.info() else { return };
    let mut used = app.positions;
    let mut speed = None;
    if let Some(running) = app.running() {
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
        let color = super::theme::warning(ui);
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

/// What lies over the rest when asked for.
pub fn dialogs(ui: &egui::Ui, app: &mut App) {
    let context = ui.ctx().clone();
    if app.shows_prompt {
        let prompt = app.prompt();
        let mut open = true;
        egui::Window::new("Exact prompt")
            .open(&mut open)
            .default_size([520.0, 360.0])
            .max_size(context.content_rect().size() - egui::vec2(24.0, 60.0))
            .show(&context, |ui| {
                ui.horizontal(|ui| {
                    let what = match app.conversation().mode {
                        Mode::Chat => format!("template `{}`", app.template().name),
                        Mode::Completion => "no template: the text itself".to_owned(),
                    };
                    ui.weak(format!("{} tokens, {what}", app.positions));
                    if ui.small_button("Copy prompt").clicked() {
                        ui.ctx().copy_text(prompt.clone());
                    }
                });
                egui::ScrollArea::vertical()
                    .auto_shrink(false)
                    .show(ui, |ui| {
                        // Only its end can be laid out at once when it is very long.
                        let start = prompt.floor_char_boundary(prompt.len().saturating_sub(20_000));
                        if start > 0 {
                            ui.weak(format!("({start} bytes before this)"));
                        }
                        ui.label(RichText::new(&prompt[start..]).monospace());
                    });
            });
        app.shows_prompt = open;
    }
    if app.shows_shortcuts {
        let mut open = true;
        egui::Window::new("Keyboard")
            .open(&mut open)
            .resizable(false)
            .show(&context, |ui| {
                let room = context.content_rect().size() - egui::vec2(40.0, 80.0);
                let scroll = egui::ScrollArea::both()
                    .max_width(room.x)
                    .max_height(room.y);
                scroll.show(ui, |ui| {
                    egui::Grid::new("shortcuts").striped(true).show(ui, |ui| {
                        for (keys, what) in SHORTCUTS {
                            ui.monospace(keys);
                            ui.label(what);
                            ui.end_row();
                        }
                    });
                });
            });
        app.shows_shortcuts = open;
    }
}

const SHORTCUTS: [(&str, &str); 13] = [
    ("Enter", "send, or continue the text"),
    ("Shift+Enter", "new line"),
    ("Escape", "close this, or stop"),
    ("Ctrl+N", "begin something new"),
    ("Ctrl+O", "choose a model"),
    ("Ctrl+R", "regenerate"),
    (
        "Ctrl+Z, Ctrl+Shift+Z",
        "undo and redo edits and deletions (outside text boxes)",
    ),
    ("Ctrl+P", "probabilities"),
    ("Ctrl+T", "timings"),
    (
        "Ctrl+1 to 6",
        "heat map, layers, flame, kernels, memory, compare",
    ),
    ("Ctrl+B", "conversations and settings"),
    ("Ctrl+S", "save as Markdown"),
    ("F1", "this list"),
];

//! How large everything is: said for a moment after it was changed, and set in the settings.

use egui::{Align2, Area, Order};

use super::action::Action;
use super::settings::{Setting, ZOOM};
use super::theme;
use super::widgets::{card, name};

/// How long it is said, in seconds.
const MOMENT: f64 = 1.5;

/// What only the hint needs.
#[derive(Default)]
pub struct ZoomHint {
    /// What it was in the last frame.
    last: Option<f32>,
    until: f64,
}

impl ZoomHint {
    pub fn show(&mut self, ui: &egui::Ui, zoom: f32) {
        let now = ui.input(|input| input.time);
        if self.last.replace(zoom).is_some_and(|last| last != zoom) {
            self.until = now + MOMENT;
        }
        if now >= self.until {
            return;
        }
        let area = Area::new(egui::Id::unique("zoom"))
            .order(Order::Foreground)
            .interactable(false)
            .anchor(Align2::CENTER_CENTER, egui::Vec2::ZERO);
        area.show(ui.ctx(), |ui| {
            card(ui, |ui| ui.label(theme::strong(percent(zoom))));
        });
        let left = std::time::Duration::from_secs_f64(self.until - now);
        ui.ctx().request_repaint_after(left);
    }
}

/// Buttons that make everything smaller or larger.
pub fn control(ui: &mut egui::Ui, zoom: f32, actions: &mut Vec<Action>) {
    ui.horizontal(|ui| {
        for (sign, what, key, step) in [
            ("−", "Smaller", "Ctrl −", -0.1),
            ("+", "Larger", "Ctrl +", 0.1),
        ] {
            let to = (((zoom + step) * 10.0).round() / 10.0).clamp(ZOOM.0, ZOOM.1);
            let response = ui.add_enabled(to != zoom, egui::Button::new(sign));
            name(ui, &response, what);
            if response.on_hover_text(format!("{what} ({key})")).clicked() {
                actions.push(Action::Set(Setting::Zoom(to)));
            }
        }
        ui.label(percent(zoom));
    });
}

fn percent(zoom: f32) -> String {
    format!("Zoom {:.0} %", 100.0 * zoom)
}

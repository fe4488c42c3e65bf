//! A page that lies over the rest until it is closed: by its button, by Escape, or by a click beside it.

use egui::{Align, Layout, vec2};

use super::action::{Action, Overlay};
use super::icons::Icon;
use super::theme::{self, GRID};
use super::widgets::icon_button;

pub struct Dialog<'a> {
    pub overlay: Overlay,
    pub title: &'a str,
    /// What its button to close is called.
    pub close: &'a str,
    pub most_width: f32,
}

impl Dialog<'_> {
    pub fn show(
        &self,
        ui: &egui::Ui,
        actions: &mut Vec<Action>,
        content: impl FnOnce(&mut egui::Ui, &mut Vec<Action>),
    ) {
        let room = ui.ctx().content_rect().size() - vec2(16.0 * GRID, 16.0 * GRID);
        let frame = egui::Frame::popup(ui.style())
            .fill(theme::palette(ui).page)
            .inner_margin(4.0 * GRID);
        let page = egui::Modal::new(egui::Id::unique(("dialog", self.overlay))).frame(frame);
        let page = page.show(ui.ctx(), |ui| {
            ui.set_width(room.x.min(self.most_width));
            ui.set_max_height(room.y);
            ui.horizontal(|ui| {
                ui.heading(self.title);
                ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                    if icon_button(ui, Icon::Close, self.close, "Escape").clicked() {
                        actions.push(Action::HideOverlay(self.overlay));
                    }
                });
            });
            content(ui, actions);
        });
        // Escape has its own way, which comes to the same.
        if page.backdrop_response.clicked() {
            actions.push(Action::HideOverlay(self.overlay));
        }
    }
}

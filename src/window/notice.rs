//! A small window that says why the other one does not open: for those who began the program by a click and see no terminal.

use egui::{Key, vec2};

use super::theme::{self, GRID};
use super::widgets::primary;

/// Shows a message until it is closed. Where that cannot be done either, the caller's error is all there is.
pub fn show(title: &'static str, text: String) {
    let native = eframe::NativeOptions {
        viewport: egui::ViewportBuilder::default()
            .with_title("OpenELM")
            .with_app_id("openelm")
            .with_inner_size([460.0, 220.0])
            .with_icon(theme::icon()),
        ..Default::default()
    };
    let create = move |context: &eframe::CreationContext<'_>| {
        theme::set_up(&context.egui_ctx);
        Ok(Box::new(Notice { title, text }) as Box<dyn eframe::App>)
    };
    let _ = eframe::run_native("openelm", native, Box::new(create));
}

struct Notice {
    title: &'static str,
    text: String,
}

impl eframe::App for Notice {
    fn clear_color(&self, visuals: &egui::Visuals) -> [f32; 4] {
        theme::cleared(visuals)
    }

    fn ui(&mut self, ui: &mut egui::Ui, _: &mut eframe::Frame) {
        let frame = theme::page().inner_margin(4.0 * GRID);
        let panel = egui::CentralPanel::default().frame(frame);
        let closes = panel.show(ui, |ui| {
            ui.heading(self.title);
            ui.add_space(2.0 * GRID);
            let room = vec2(ui.available_width(), ui.available_height() - 12.0 * GRID);
            egui::ScrollArea::vertical()
                .max_height(room.y.max(0.0))
                .show(ui, |ui| ui.label(&self.text));
            ui.add_space(2.0 * GRID);
            primary(ui, true, "Close", "Escape").clicked()
        });
        if closes.inner || ui.input(|input| input.key_pressed(Key::Escape)) {
            ui.ctx().send_viewport_cmd(egui::ViewportCommand::Close);
        }
    }
}

//! Banners: what went wrong, what can be done about it.

use super::advice::advice;
use super::app::Action;
use super::theme;
use crate::error::Error;

/// With less width the buttons come below the title.
const ROOMY: f32 = 480.0;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Note,
    Problem,
}

/// A message that stays until it is dismissed, or until what it is about is over.
#[derive(Debug, Clone)]
pub struct Banner {
    pub kind: Kind,
    pub title: String,
    pub text: String,
    /// What its button says, and does.
    pub fix: Option<(&'static str, Action)>,
}

impl Banner {
    pub fn problem(title: &str, text: impl ToString) -> Self {
        Self {
            kind: Kind::Problem,
            title: title.to_owned(),
            text: text.to_string(),
            fix: None,
        }
    }

    /// What went wrong, and what can be done about it here.
    pub fn error(title: &str, error: &Error) -> Self {
        match advice(error) {
            Some(advice) => Self::problem(title, format!("{error}. {advice}")),
            None => Self::problem(title, format!("{error}.")),
        }
    }

    pub fn note(title: &str, text: impl ToString) -> Self {
        Self {
            kind: Kind::Note,
            ..Self::problem(title, text)
        }
    }

    pub fn with_fix(mut self, label: &'static str, action: Action) -> Self {
        self.fix = Some((label, action));
        self
    }
}

/// Draws the banners; dismissed ones are gone afterwards.
pub fn show(ui: &mut egui::Ui, banners: &mut Vec<Banner>, actions: &mut Vec<Action>) {
    let mut dismissed = None;
    for (i, banner) in banners.iter().enumerate() {
        let color = match banner.kind {
            Kind::Problem => theme::warning(ui),
            Kind::Note => theme::accent(ui),
        };
        let frame = egui::Frame::group(ui.style())
            .stroke(egui::Stroke::new(1.0, color))
            .fill(ui.visuals().faint_bg_color);
        ui.push_id(("banner", i), |ui| {
            frame.show(ui, |ui| {
                ui.set_width(ui.available_width());
                let mut buttons = |ui: &mut egui::Ui| {
                    if ui.small_button("Dismiss").clicked() {
                        dismissed = Some(i);
                    }
                    if ui.small_button("Copy").clicked() {
                        let text = format!("{}: {}", banner.title, banner.text);
                        ui.ctx().copy_text(text);
                    }
                    if let Some((label, action)) = &banner.fix
                        && ui.small_button(*label).clicked()
                    {
                        actions.push(action.clone());
                        dismissed = Some(i);
                    }
                };
                let title = egui::RichText::new(&banner.title).strong();
                if ui.available_width() < ROOMY {
                    ui.colored_label(color, title);
                    ui.horizontal(buttons);
                } else {
                    ui.horizontal(|ui| {
                        ui.colored_label(color, title);
                        let layout = egui::Layout::right_to_left(egui::Align::Center);
                        ui.with_layout(layout, &mut buttons);
                    });
                }
                // A long message must not push the chat out of sight.
                egui::ScrollArea::vertical()
                    .max_height(72.0)
                    .auto_shrink([false, true])
                    .show(ui, |ui| ui.label(&banner.text));
            });
        });
    }
    if let Some(i) = dismissed {
        banners.remove(i);
    }
}

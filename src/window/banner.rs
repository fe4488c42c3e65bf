//! Banners: what went wrong, what can be done about it.

use super::action::{Action, BannerId};
use super::icons::Icon;
use super::state::{Banner, Kind};
use super::theme::{self, CORNER, GRID};
use super::widgets::icon_button;

/// With less width the buttons come below the title.
const ROOMY: f32 = 480.0;

/// What a banner begins with.
fn title(id: BannerId) -> &'static str {
    match id {
        BannerId::SettingsUnreadable => "Settings",
        BannerId::ConversationsUnreadable => "Conversations that cannot be read",
        BannerId::ConversationUnreadable => "This conversation cannot be read",
        BannerId::ConversationDeleted => "Conversation deleted",
        BannerId::Imported => "Imported",
        BannerId::ImportFailed => "Not imported",
        BannerId::NoText => "Not inserted",
        BannerId::TraceRead => "Trace opened",
        BannerId::ModelWarning => "About this model",
        BannerId::LoadFailed => "The model could not be loaded",
        BannerId::LoadedSmaller => "Loaded with fewer bits a weight",
        BannerId::Pulled => "Downloaded",
        BannerId::PullCancelled => "The download was cancelled",
        BannerId::PullFailed => "The model could not be downloaded",
        BannerId::LoadCancelled => "Loading was cancelled",
        BannerId::DeviceLost => "The GPU device was lost",
        BannerId::Recovered => "Recovered",
        BannerId::EngineStopped => "The engine has stopped",
        BannerId::GenerationFailed => "The model could not go on",
        BannerId::ContextFull => "The context is full",
        BannerId::TurnsLeftOut => "Left out",
        BannerId::EditInProgress => "One at a time",
        BannerId::EditCancelled => "Edit cancelled",
        BannerId::MessageDeleted | BannerId::TemplateDeleted | BannerId::PresetDeleted => "Deleted",
        BannerId::NoFileDialogs => "This desktop has no file dialogs",
        BannerId::Exported => "Saved",
        BannerId::ExportFailed => "Not written",
        BannerId::PictureCopied => "Copied",
        BannerId::NoPicture => "No picture",
        BannerId::NotSaved => "Not saved",
        BannerId::ClosingWouldLose => "Not everything is saved",
    }
}

pub fn show(ui: &mut egui::Ui, banners: &[Banner], actions: &mut Vec<Action>) {
    for (i, banner) in banners.iter().enumerate() {
        ui.push_id(("banner", i), |ui| one(ui, banner, actions));
        ui.add_space(GRID);
    }
}

fn one(ui: &mut egui::Ui, banner: &Banner, actions: &mut Vec<Action>) {
    let color = match banner.kind {
        Kind::Problem => theme::warning(ui),
        Kind::Note => theme::palette(ui).line,
    };
    let frame = egui::Frame::new()
        .stroke(egui::Stroke::new(1.0, color))
        .fill(theme::palette(ui).page)
        .corner_radius(CORNER)
        .inner_margin(egui::Margin::same(2 * GRID as i8));
    frame.show(ui, |ui| {
        ui.set_width(ui.available_width());
        let mut buttons = |ui: &mut egui::Ui| {
            if icon_button(ui, Icon::Close, "Dismiss", "").clicked() {
                actions.push(Action::Dismiss(banner.id));
            }
            if banner.kind == Kind::Problem && icon_button(ui, Icon::Copy, "Copy", "").clicked() {
                let text = format!("{}: {}", title(banner.id), banner.text);
                ui.ctx().copy_text(text);
            }
            if let Some((label, action)) = &banner.fix
                && ui.button(*label).clicked()
            {
                // In this order: what it does may have to tell the same again.
                actions.push(Action::Dismiss(banner.id));
                actions.push(action.clone());
            }
        };
        let title = theme::strong(title(banner.id)).color(match banner.kind {
            Kind::Problem => theme::warning(ui),
            Kind::Note => theme::palette(ui).text,
        });
        if ui.available_width() < ROOMY {
            ui.label(title);
            ui.horizontal(buttons);
        } else {
            ui.horizontal(|ui| {
                ui.label(title);
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
}

//! What menus offer for pictures of a part of the window.

use super::action::{Action, Picture, PictureTo};

/// Two lines of a menu.
pub fn menu(ui: &mut egui::Ui, of: Picture, actions: &mut Vec<Action>) {
    let (what, hint) = match of {
        Picture::Window => ("picture of the window", "The whole window as it is now"),
        Picture::Conversation => (
            "picture of what is in sight",
            "What of the conversation is in sight now; an HTML file has all of it",
        ),
        Picture::Timings => ("picture of the timings", "The timings as they are now"),
    };
    let what_begins = what.replacen('p', "P", 1);
    for (label, to) in [
        (format!("{what_begins} (PNG)…"), PictureTo::File),
        (format!("Copy {what}"), PictureTo::Clipboard),
    ] {
        if ui.button(label).on_hover_text(hint).clicked() {
            actions.push(Action::TakePicture(of, to));
        }
    }
}

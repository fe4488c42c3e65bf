//! What goes into files and comes out of them.

use super::super::action::{Action, Export, Picture};
use super::super::icons::Icon;
use super::super::pictures;
use super::super::widgets::icon_button;

/// Import and export, as a menu behind an icon.
pub fn menu(ui: &mut egui::Ui, actions: &mut Vec<Action>) {
    let more = icon_button(ui, Icon::More, "Import, export and trash", "");
    egui::Popup::menu(&more).show(|ui| {
        for (label, hint, action) in [
            (
                "Import…",
                "Conversations as JSON: our own, ChatGPT's, llama.cpp's, Open WebUI's and LM Studio's; dropping them on the window does the same",
                Action::Import,
            ),
            (
                "Markdown file…",
                "This conversation, to be read (Ctrl+S)",
                Action::Save(Export::ConversationMarkdown),
            ),
            (
                "HTML file, with timings…",
                "This conversation with what each answer took, and the timings of the last run, for any browser",
                Action::Save(Export::ConversationHtml),
            ),
            (
                "JSON file…",
                "This conversation with all its branches, to be imported again",
                Action::Save(Export::ConversationJson),
            ),
            (
                "All as JSON file…",
                "All conversations with all their branches, to be imported again, here or elsewhere",
                Action::Save(Export::AllJson),
            ),
            (
                "Copy as Markdown",
                "This conversation",
                Action::CopyMarkdown,
            ),
        ] {
            if ui.button(label).on_hover_text(hint).clicked() {
                actions.push(action);
            }
        }
        ui.separator();
        let hint = "What was deleted in the last 30 days";
        if ui.button("Trash…").on_hover_text(hint).clicked() {
            actions.push(Action::OpenTrash);
        }
        ui.separator();
        for of in [Picture::Conversation, Picture::Window] {
            pictures::menu(ui, of, actions);
        }
    });
}

//! What lies over the rest when asked for: the exact prompt and the keyboard's shortcuts. Choosing a model has a file of its own.

use egui::RichText;

use super::action::{Action, Overlay};
use super::conversation::Mode;
use super::state::State;

pub fn show(ui: &egui::Ui, state: &State, actions: &mut Vec<Action>) {
    let room = ui.ctx().content_rect().size();
    if state.is_shown(Overlay::Prompt) {
        let mut open = true;
        egui::Window::new("Exact prompt")
            .open(&mut open)
            .default_size([520.0, 360.0])
            .max_size(room - egui::vec2(24.0, 60.0))
            .show(ui.ctx(), |ui| prompt(ui, state));
        if !open {
            actions.push(Action::HideOverlay(Overlay::Prompt));
        }
    }
    if state.is_shown(Overlay::Shortcuts) {
        let mut open = true;
        egui::Window::new("Keyboard")
            .open(&mut open)
            .resizable(false)
            .show(ui.ctx(), |ui| {
                let room = room - egui::vec2(40.0, 80.0);
                let scroll = egui::ScrollArea::both()
                    .max_width(room.x)
                    .max_height(room.y);
                scroll.show(ui, shortcuts);
            });
        if !open {
            actions.push(Action::HideOverlay(Overlay::Shortcuts));
        }
    }
}

fn prompt(ui: &mut egui::Ui, state: &State) {
    let prompt = match state.prompt() {
        Ok(prompt) => prompt.text,
        Err(error) => {
            ui.label(error.to_string());
            return;
        }
    };
    ui.horizontal(|ui| {
        let what = match state.conversation().mode {
            Mode::Chat => format!("template `{}`", state.template().name()),
            Mode::Completion => "no template: the text itself".to_owned(),
        };
        ui.weak(format!("{} tokens, {what}", state.positions));
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
}

fn shortcuts(ui: &mut egui::Ui) {
    egui::Grid::new("shortcuts").striped(true).show(ui, |ui| {
        for (keys, what) in SHORTCUTS {
            ui.monospace(keys);
            ui.label(what);
            ui.end_row();
        }
    });
}

const SHORTCUTS: [(&str, &str); 23] = [
    ("Enter", "send, or continue the text"),
    ("Shift+Enter", "new line"),
    ("Up, Down", "in an empty box: what you sent before"),
    ("Escape", "close this, or stop"),
    ("Ctrl+N", "begin something new"),
    ("Ctrl+O", "choose a model"),
    ("Ctrl+F", "find, here and in all conversations"),
    ("F3, Shift+F3", "next match, previous match"),
    ("Ctrl+R", "regenerate"),
    (
        "Ctrl+Shift+C, Ctrl+Alt+C",
        "copy the last message: as Markdown, as plain text",
    ),
    (
        "Ctrl+Z, Ctrl+Shift+Z",
        "undo and redo what was done last to messages or conversations (outside text boxes)",
    ),
    ("Ctrl+P", "probabilities"),
    ("Ctrl+T", "timings"),
    (
        "Ctrl+1 to 6",
        "heat map, layers, flame, kernels, memory, compare",
    ),
    ("Ctrl +, −, 0", "larger, smaller, as designed"),
    (
        "+, −, 0, arrows, Home, End",
        "zoom and move in a picture of the timings",
    ),
    (
        "Shift+arrows, Up, Down",
        "choose a step there, and a layer in the heat map",
    ),
    ("Ctrl+B", "conversations and settings"),
    (
        "Up, Down, Home, End",
        "through the list of conversations; Enter opens",
    ),
    (
        "F2, Delete",
        "rename or delete the conversation in the list",
    ),
    ("Ctrl+S", "save as Markdown"),
    ("Ctrl+Shift+S", "save a picture of the window"),
    ("F1", "this list"),
];

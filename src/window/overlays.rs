//! What lies over the rest when asked for: the exact prompt and the keyboard's shortcuts. Choosing a model has a file of its own.

use egui::RichText;

use super::action::{Action, Overlay};
use super::conversation::Mode;
use super::dialog::Dialog;
use super::scrolling;
use super::state::State;

/// Width of the column of keys.
const KEYS: f32 = 232.0;

/// The widest that they get.
const MOST_WIDTH: f32 = 640.0;

pub fn show(ui: &egui::Ui, state: &State, actions: &mut Vec<Action>) {
    let page = |overlay, title, close| Dialog {
        overlay,
        title,
        close,
        most_width: MOST_WIDTH,
    };
    if state.is_shown(Overlay::Prompt) {
        let page = page(Overlay::Prompt, "Exact prompt", "Close the exact prompt");
        page.show(ui, actions, |ui, _| prompt(ui, state));
    }
    if state.is_shown(Overlay::Shortcuts) {
        let page = page(Overlay::Shortcuts, "Keyboard", "Close the list of keys");
        page.show(ui, actions, |ui, _| {
            egui::ScrollArea::vertical()
                .auto_shrink([false, true])
                .show_viewport(ui, |ui, viewport| {
                    scrolling::by_page(ui, viewport.height());
                    shortcuts(ui);
                });
        });
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
            Mode::Chat => format!("template {}", state.template().name()),
            Mode::Completion => "no template: the text itself".to_owned(),
        };
        ui.weak(format!("{} tokens, {what}", state.positions));
        if ui.small_button("Copy prompt").clicked() {
            ui.ctx().copy_text(prompt.clone());
        }
    });
    egui::ScrollArea::vertical()
        .auto_shrink(false)
        .show_viewport(ui, |ui, viewport| {
            scrolling::by_page(ui, viewport.height());
            // Only its end can be laid out at once when it is very long.
            let start = prompt.floor_char_boundary(prompt.len().saturating_sub(20_000));
            if start > 0 {
                ui.weak(format!("({start} bytes before this)"));
            }
            ui.label(RichText::new(&prompt[start..]).monospace());
        });
}

fn shortcuts(ui: &mut egui::Ui) {
    // What keys do gets the room that they leave, or at least half; longer texts take more lines.
    let room = ui.available_width();
    let most = (room - KEYS).max(room / 2.0 - 8.0);
    let grid = egui::Grid::new("shortcuts").striped(true);
    grid.max_col_width(most.max(120.0)).show(ui, |ui| {
        for (keys, what) in SHORTCUTS {
            ui.monospace(*keys);
            ui.label(*what);
            ui.end_row();
        }
    });
}

const SHORTCUTS: &[(&str, &str)] = &[
    ("Enter", "send, or continue the text"),
    ("Shift+Enter", "new line"),
    ("Page up, Page down", "through the conversation"),
    ("Up, Down", "in an empty box: what you sent before"),
    ("Escape", "close this, or stop"),
    ("Ctrl+N", "begin something new"),
    ("Ctrl+O", "choose a model"),
    ("Ctrl+F", "find, here and in all conversations"),
    ("F3, Shift+F3", "next match, previous match"),
    ("Ctrl+R", "regenerate"),
    ("Alt+1 to 4", "choose one of several answers"),
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
    (
        "Up, Down",
        "boxes of the flame chart, more or fewer steps of the strip",
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

//! What is dropped on the window: a model, files to import, texts.

use std::path::{Path, PathBuf};

use super::App;
use crate::window::action::{Action, BannerId};
use crate::window::import;
use crate::window::state::Banner;

/// Endings of files that models are made of.
const OF_MODELS: [&str; 6] = ["safetensors", "json", "gguf", "model", "bin", "npz"];

/// What is to be done with what was dropped.
pub(super) fn dropped(ui: &egui::Ui) -> Vec<Action> {
    let paths: Vec<PathBuf> = ui.input(|input| {
        let files = input.raw.dropped_files.iter();
        files.map(|file| file.path().to_owned()).collect()
    });
    let (exported, others): (Vec<_>, Vec<_>) =
        paths.into_iter().partition(|path| is_exported(path));
    let (texts, models): (Vec<_>, Vec<_>) = others.into_iter().partition(|path| is_text(path));
    let mut actions = Vec::new();
    if !exported.is_empty() {
        actions.push(Action::ImportFiles(exported));
    }
    if !texts.is_empty() {
        actions.push(Action::TakeTexts(texts));
    }
    // Only one can be loaded.
    actions.extend(models.first().map(|path| load(path)));
    actions
}

fn load(path: &Path) -> Action {
    // A file of the folder is as good as the folder, unless it is a model by itself.
    let is_model = path.is_dir() || path.extension().is_some_and(|own| own == "gguf");
    let folder = match is_model {
        true => path,
        false => path.parent().unwrap_or(path),
    };
    Action::Load(folder.display().to_string())
}

/// Whether it may be a conversation: models have files of JSON too, but those lie together.
fn is_exported(path: &Path) -> bool {
    let ending = path.extension().unwrap_or_default();
    match ending.to_str() {
        Some("json") => !lies_with_model(path),
        // Other lines of JSON are a text.
        Some("jsonl") => import::is_session(path),
        Some("zip") => true,
        _ => false,
    }
}

/// Whether it may be a text, whatever its name: what is none is told when it is read.
fn is_text(path: &Path) -> bool {
    let ending = path.extension().unwrap_or_default().to_ascii_lowercase();
    let is_of_model = OF_MODELS.iter().any(|of_model| ending == *of_model);
    path.is_file() && !is_of_model && !lies_with_model(path)
}

fn lies_with_model(path: &Path) -> bool {
    ["config.json", "tokenizer.json", "tokenizer_config.json"]
        .iter()
        .any(|name| path.with_file_name(name).exists())
}

impl App {
    /// Adds texts to what is being written in the conversation in sight.
    pub(super) fn take_texts(&mut self, texts: &[String], problems: &[String]) {
        self.state.dismiss(BannerId::NoText);
        if !problems.is_empty() {
            let text = format!(
                "{}. What you were writing is as it was.",
                problems.join("; ")
            );
            self.state.tell(Banner::problem(BannerId::NoText, text));
        }
        if texts.is_empty() {
            return;
        }
        let mut draft = self.state.draft().to_owned();
        for text in texts {
            if !draft.is_empty() && !draft.ends_with('\n') {
                draft.push('\n');
            }
            draft += text;
        }
        self.state.set_draft(draft);
        self.views.chat.focus_composer();
    }
}

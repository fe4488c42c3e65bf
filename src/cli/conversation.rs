//! A conversation in the terminal, and the file that it is kept in.

use std::path::Path;

use anyhow::{Context, Result};
use openelm::ModelFiles;
use openelm::text::{ChatTemplate, Role, Turn};

use super::args::Chat;
use super::output;
use super::template::TemplateChoice;
use super::transcript::{Transcript, TranscriptFile};

/// What was said, how it is written, and where it is kept.
pub struct Conversation {
    /// As it is kept; its turns are questions and answers in turn.
    pub said: Transcript,
    pub template: ChatTemplate,
    /// Where the conversation is saved after every turn.
    pub file: Option<TranscriptFile>,
    /// Whether all of it is in the file, as far as there is one.
    pub is_saved: bool,
    /// How many of the oldest turns the model was not given last.
    pub left_out: usize,
    pub shows_prompt: bool,
}

impl Conversation {
    /// A new one, or the one of a file.
    pub fn begin(arguments: &Chat, files: &ModelFiles) -> Result<Self> {
        let mut said = Transcript::default();
        let file = match arguments.session.as_deref() {
            Some(path) if path.exists() => {
                let (file, read) =
                    TranscriptFile::open(path).context("cannot continue the session")?;
                said = read;
                Some(file)
            }
            Some(path) => Some(TranscriptFile::begin(path).context("cannot begin the session")?),
            None => None,
        };
        let choice = match (&arguments.template, said.template.parse()) {
            (Some(choice), _) => choice.clone(),
            (None, Ok(choice)) if !said.template.is_empty() => choice,
            (None, _) => TemplateChoice::of_model(files, &arguments.model.model)?
                .unwrap_or(TemplateChoice::Plain),
        };
        let template = choice.template(files)?;
        let model = std::mem::replace(&mut said.model, arguments.model.model.clone());
        said.template = choice.lasting().to_string();
        if let Some(system) = &arguments.system {
            said.system = Some(system.clone());
        }
        let chat = Self {
            said,
            template,
            file,
            is_saved: true,
            left_out: 0,
            shows_prompt: arguments.show_prompt,
        };
        output::note(&format!("[template: {}]", chat.template.name()));
        chat.greet(&model);
        // A template may fail only once it is run.
        let mut turns = chat.turns();
        if chat.said.turns.is_empty() {
            turns.push(Turn::new(Role::User, "Hello"));
        }
        chat.template.text(&turns)?;
        Ok(chat)
    }

    /// Says what a conversation from a file is, which `model` was part of.
    fn greet(&self, model: &str) {
        let questions = self.said.turns.len() / 2;
        if let (Some(file), true) = (&self.file, questions > 0) {
            let other = match model == self.said.model {
                true => String::new(),
                false => format!(", held with `{model}`"),
            };
            output::note(&format!(
                "[{}: {questions} questions and answers{other}]",
                file.path().display()
            ));
        }
    }

    pub fn turns(&self) -> Vec<Turn> {
        let system = self
            .said
            .system
            .iter()
            .map(|text| Turn::new(Role::System, text.as_str()));
        system.chain(self.said.turns.iter().cloned()).collect()
    }

    /// Writes the conversation to its file. What goes wrong is told; the conversation is still here.
    pub fn save(&mut self) {
        if let Some(file) = &mut self.file {
            let saved = file.save(&self.said);
            self.is_saved = saved.is_ok();
            if let Err(error) = saved {
                output::note(&format!(
                    "openelm: not saved: {error:#}; /save FILE keeps it elsewhere"
                ));
            }
        }
    }

    /// The last attempt to save what could not be saved before.
    pub fn finish(mut self) -> Result<()> {
        match &mut self.file {
            Some(file) if !self.is_saved => file
                .save(&self.said)
                .context("the conversation is not saved"),
            _ => Ok(()),
        }
    }

    /// Keeps the conversation in another file from now on.
    pub fn save_to(&mut self, path: &Path) -> Result<()> {
        let mut file = TranscriptFile::begin(path)?;
        file.save(&self.said)?;
        output::note(&format!(
            "[saved, now and after every turn: {}]",
            path.display()
        ));
        (self.file, self.is_saved) = (Some(file), true);
        Ok(())
    }

    /// Goes on with the conversation of a file.
    pub fn load(&mut self, path: &Path) -> Result<()> {
        let (file, read) = TranscriptFile::open(path)?;
        let (model, template) = (read.model, read.template);
        self.said.system = read.system;
        self.said.turns = read.turns;
        (self.file, self.is_saved) = (Some(file), true);
        self.greet(&model);
        if template != self.said.template {
            output::note(&format!(
                "[it was written with the template {template}; it goes on with {}]",
                self.said.template
            ));
        }
        Ok(())
    }

    /// Whether something was said that is in no file.
    pub fn would_be_lost(&self) -> bool {
        !self.said.turns.is_empty() && (self.file.is_none() || !self.is_saved)
    }
}

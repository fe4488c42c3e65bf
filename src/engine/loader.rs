//! How a model gets from its name to the device.

use std::path::{Path, PathBuf};

use super::api::{Load, Stage};
#[cfg(feature = "hub")]
use crate::checkpoint::check_config;
use crate::error::Result;
use crate::generate::{Model, ModelFiles};
#[cfg(feature = "hub")]
use crate::hub::{Hub, Settings, Snapshot, TokenizerNeed, Wish, hub_model};
use crate::model::Progress;

/// How far a load has come, told to whoever waits.
pub type Report<'a> = &'a mut dyn FnMut(Stage, Progress);

/// A model's files on this machine.
#[derive(Debug, Clone, Default)]
pub struct Resolved {
    /// What [`ModelFiles::open`] takes.
    pub model: String,
    /// A tokenizer that lies elsewhere. One that was asked for takes its place.
    pub tokenizer: Option<PathBuf>,
    /// Something that is odd but not wrong.
    pub notice: Option<String>,
}

impl From<String> for Resolved {
    fn from(model: String) -> Self {
        Self {
            model,
            ..Self::default()
        }
    }
}

/// How a model gets from its name to the device, each step once: it is found, its files are opened and checked (by the engine), and then it
/// is loaded. The model that was there before stays until the new one's files are known to be good.
pub trait Loader: Send {
    /// Turns what was asked for into files on this machine: downloads them first, say, and tells how far that has come.
    ///
    /// # Errors
    /// Whatever is wrong with it.
    fn resolve(&mut self, load: &Load, report: Report<'_>) -> Result<Resolved> {
        let _ = report;
        Ok(load.model.clone().into())
    }

    /// Puts opened files on a device.
    ///
    /// # Errors
    /// Those of [`ModelFiles::load`].
    fn load(&mut self, files: ModelFiles, load: &Load, report: Report<'_>) -> Result<Model> {
        files.load(&load.options, |done| report(Stage::Upload, done))
    }
}

/// Models that are on this machine.
pub struct LocalLoader;

impl Loader for LocalLoader {}

/// Models that are on this machine, and those of the Hugging Face hub, which are fetched first.
#[cfg(feature = "hub")]
#[derive(Debug, Default)]
pub struct HubLoader {
    /// `None`: as the environment says.
    settings: Option<Settings>,
}

#[cfg(feature = "hub")]
impl HubLoader {
    /// `None`: as the environment says, when the first model is asked for.
    pub fn new(settings: Option<Settings>) -> Self {
        Self { settings }
    }

    fn hub(&self, is_local: bool) -> Result<Hub> {
        let mut settings = match &self.settings {
            Some(settings) => settings.clone(),
            None => Settings::from_env()?,
        };
        settings.offline |= is_local;
        Ok(Hub::new(settings))
    }
}

#[cfg(feature = "hub")]
impl Loader for HubLoader {
    fn resolve(&mut self, load: &Load, report: Report<'_>) -> Result<Resolved> {
        let mut resolved = Resolved::from(load.model.clone());
        let Some(id) = hub_model(&load.model) else {
            if let Some(snapshot) = Snapshot::at(Path::new(&load.model)) {
                resolved.tokenizer = self.hub(true)?.tokenizer_beside(&snapshot);
            }
            return Ok(resolved);
        };
        let wish = Wish {
            id: &id,
            tokenizer: match load.tokenizer {
                Some(_) => TokenizerNeed::Unneeded,
                None => TokenizerNeed::Wanted,
            },
            refresh: false,
            check: &check_config,
            cancel: load.options.cancel.clone(),
        };
        let found = self.hub(load.local)?.model(&wish, &mut |progress| {
            let (done, total) = progress.sum();
            report(Stage::Download, Progress { done, total });
        })?;
        resolved.model = found.folder.to_string_lossy().into_owned();
        match found.tokenizer {
            Ok(tokenizer) => resolved.tokenizer = tokenizer,
            Err(error) => {
                resolved.notice = Some(format!(
                    "There is no tokenizer, so prompts are token ids: {error}."
                ));
            }
        }
        Ok(resolved)
    }
}

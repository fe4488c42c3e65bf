//! How a model gets from its name to the device.

use std::path::PathBuf;

use super::api::{Load, Stage};
use crate::error::Result;
use crate::generate::{Model, ModelFiles};
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

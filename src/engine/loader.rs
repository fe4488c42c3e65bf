//! How a model gets from its name to the device.

use super::api::{Load, Stage};
use crate::error::Result;
use crate::generate::{Model, ModelFiles};
use crate::model::Progress;

/// How far a load has come, told to whoever waits.
pub type Report<'a> = &'a mut dyn FnMut(Stage, Progress);

/// How a model gets from its name to the device, each step once: it is found, its files are opened and checked (by the engine), and then it
/// is loaded. The model that was there before stays until the new one's files are known to be good.
pub trait Loader: Send {
    /// Turns what was asked for into what [`ModelFiles::open`] takes: downloads it first, say, and tells how far that has come.
    ///
    /// # Errors
    /// Whatever is wrong with it.
    fn resolve(&mut self, load: &Load, report: Report<'_>) -> Result<String> {
        let _ = report;
        Ok(load.model.clone())
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

//! Models by their names on the hub.

use std::path::Path;

use super::api::{Load, Stage};
use super::loader::{Loader, Report, Resolved};
use crate::checkpoint::check_config;
use crate::error::Result;
use crate::hub::{Hub, ModelId, ModelRequest, Settings, Snapshot, TokenizerNeed, hub_model};
use crate::model::Progress;

/// Models that are on this machine, and those of the Hugging Face hub, which are fetched first.
#[derive(Debug, Default)]
pub struct HubLoader {
    /// `None`: as the environment says.
    settings: Option<Settings>,
}

impl HubLoader {
    /// `None`: as the environment says, when the first model is asked for.
    pub fn new(settings: Option<Settings>) -> Self {
        Self { settings }
    }

    fn hub(&self, load: &Load, is_local: bool) -> Result<Hub> {
        let mut settings = match &self.settings {
            Some(settings) => settings.clone(),
            None => Settings::from_env()?,
        };
        settings.offline |= is_local;
        if let Some(repo) = &load.tokenizer_repo {
            settings.tokenizer_repo = Some(ModelId::parse(repo)?);
        }
        Ok(Hub::new(settings))
    }
}

impl Loader for HubLoader {
    fn resolve(&mut self, load: &Load, report: Report<'_>) -> Result<Resolved> {
        let mut resolved = Resolved::from(load.model.clone());
        let Some(id) = hub_model(&load.model) else {
            if let Some(snapshot) = Snapshot::at(Path::new(&load.model)) {
                resolved.tokenizer = self.hub(load, true)?.tokenizer_beside(&snapshot);
            }
            return Ok(resolved);
        };
        let request = ModelRequest {
            id: &id,
            tokenizer: match load.tokenizer {
                Some(_) => TokenizerNeed::Unneeded,
                None => TokenizerNeed::Wanted,
            },
            refresh: false,
            check: &check_config,
            cancel: load.options.cancel.clone(),
        };
        let found = self
            .hub(load, load.local)?
            .model(&request, &mut |progress| {
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

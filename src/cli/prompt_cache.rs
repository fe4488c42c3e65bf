//! `--prompt-cache FILE`: what the prompt begins with alike is taken from the file, and the prompt is kept there for the next run.

use std::io::ErrorKind;
use std::path::Path;

use anyhow::Result;
use openelm::{Error, SavedSession, Session};

use super::args::Generate;
use super::output;

pub struct PromptCache<'a> {
    path: &'a Path,
    is_read_only: bool,
    /// Whether f32 was asked for, and not only turned out to be needed.
    is_exact: bool,
    /// Whether prompts are to be multiplied in f16.
    has_f16_prefill: bool,
    saved: Option<SavedSession>,
}

impl<'a> PromptCache<'a> {
    /// Opens the file, if there is one; `None` where none was asked for. What is wrong with it is found out before a model is loaded.
    pub fn open(arguments: &'a Generate) -> Result<Option<Self>> {
        let Some(path) = arguments.prompt_cache.as_deref() else {
            return Ok(None);
        };
        let saved = match SavedSession::open(path) {
            Ok(saved) => Some(saved),
            Err(Error::Read { cause, .. }) if cause.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error.into()),
        };
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        if !folder.unwrap_or(Path::new(".")).is_dir() {
            let (path, cause) = (path.to_owned(), ErrorKind::NotFound.into());
            return Err(Error::Write { path, cause }.into());
        }
        Ok(Some(Self {
            path,
            is_read_only: arguments.prompt_cache_ro,
            is_exact: arguments.model.has_exact_kv(),
            has_f16_prefill: arguments.model.has_f16_prefill(),
            saved,
        }))
    }

    /// How many of a prompt's tokens are in the file. The last one is always computed: what follows it is wanted.
    fn matching(&self, ids: &[u32]) -> usize {
        let matching = self.saved.as_ref().map(|saved| saved.matching(ids));
        matching.unwrap_or(0).min(ids.len().saturating_sub(1))
    }

    /// Gives a session what the file and the prompt begin with alike.
    pub fn restore(&self, session: &mut Session, ids: &[u32]) -> Result<()> {
        if let Some(saved) = &self.saved {
            let restored = session.restore(saved, self.matching(ids))?;
            let (prompt, path) = (ids.len(), self.path.display());
            output::note(&format!(
                "openelm: {restored} of {prompt} prompt tokens come from {path}"
            ));
        }
        Ok(())
    }

    /// Keeps a prompt, if it was computed whole and the file has not got it. A file that has more of it stays as it is.
    pub fn save(&self, session: &mut Session, ids: &[u32]) -> Result<()> {
        let is_kept = self.saved.is_some() && self.matching(ids) + 1 >= ids.len();
        let is_computed = session.prompt_tokens().len() + 1 >= ids.len();
        if self.is_read_only || is_kept || !is_computed {
            return Ok(());
        }
        let path = self.path.display();
        let network = session.model().network();
        let has_changed = network.has_f16_prefill() != self.has_f16_prefill;
        if has_changed || network.has_exact_kv() && !self.is_exact {
            let also = match has_changed {
                true => " --prefill-dtype f32",
                false => "",
            };
            output::note(&format!(
                "openelm: warning: {path} is not written, because its keys and values would be in f32 and the next run begins in f16; with \
                 --kv-dtype f32{also} they are kept"
            ));
            return Ok(());
        }
        let count = session.save(self.path)?;
        if count > 0 {
            output::note(&format!(
                "openelm: {count} prompt tokens are kept in {path}"
            ));
        }
        Ok(())
    }
}

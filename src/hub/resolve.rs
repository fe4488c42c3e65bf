//! Models by their names: from the cache, or fetched into it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::cache::{Cache, Snapshot, missing_file};
use super::client::Client;
use super::gguf;
use super::name::ModelId;
use super::progress::{Progress, Reports};
use super::pull::{Pull, supervise, tokenizer_in, variants};
use super::retry::Cancel;
use super::settings::Settings;
use crate::error::{Error, HubError, Result};

/// Where OpenELM's tokenizer is from, which is Llama 2's.
pub const TOKENIZER_REPO: &str = "meta-llama/Llama-2-7b-hf";

/// Copies of it that others have put on the hub, without a gate.
pub const TOKENIZER_COPIES: [&str; 2] = ["NousResearch/Llama-2-7b-hf", "TheBloke/Llama-2-7B-fp16"];

/// What is done about the tokenizer of a model whose own repository has none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TokenizerNeed {
    /// Without one there is no use in the model.
    Needed,
    /// It is fetched, and the model is good without it.
    #[default]
    Wanted,
    /// It is taken from the cache if it is there.
    Unneeded,
}

/// A model to be had.
pub struct ModelRequest<'a> {
    pub id: &'a ModelId,
    pub tokenizer: TokenizerNeed,
    /// Whether the hub is asked for something newer although the cache has the model.
    pub refresh: bool,
    /// Looks at a folder with all but the weights, before these are fetched.
    pub check: &'a (dyn Fn(&Path) -> Result<()> + Sync),
    /// Ends the work once it is set.
    pub cancel: Option<Arc<AtomicBool>>,
}

/// A model's files on this machine.
#[derive(Debug)]
pub struct Found {
    /// The folder that holds them; of a GGUF file, which is all of a model, the file itself.
    pub folder: PathBuf,
    /// A tokenizer that lies elsewhere; `None`: it lies in the folder, or nowhere. Or why there is none.
    pub tokenizer: Result<Option<PathBuf>>,
    /// Whether the hub, which was not to be asked, may mean another file by this name.
    pub is_guess: bool,
}

/// The model on the hub that a name means, if it means one: neither `demo` nor `shape:NAME`, nothing that is there as a folder or file,
/// and nothing that is called as a file is.
pub fn hub_model(name: &str) -> Option<ModelId> {
    let path = Path::new(name);
    let is_file = path.extension().is_some_and(|ending| ending == "gguf") && !name.contains(':');
    let is_there = is_file || path.symlink_metadata().is_ok();
    ModelId::parse(name).ok().filter(|_| !is_there)
}

/// A hub, and the cache of what it gave.
#[derive(Debug, Clone)]
pub struct Hub {
    settings: Settings,
}

impl Hub {
    pub fn new(settings: Settings) -> Self {
        Self { settings }
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Finds a model in the cache, or fetches it; `progress` is called as bytes arrive.
    ///
    /// # Errors
    /// [`Error::Hub`]; those of the request's `check`; [`Error::Write`] where the cache cannot be written; [`Error::Cancelled`].
    pub fn model(
        &self,
        request: &ModelRequest<'_>,
        progress: &mut dyn FnMut(&Progress),
    ) -> Result<Found> {
        let cached = self.cached(request.id);
        let whole = cached
            .as_deref()
            .and_then(|folder| self.whole(folder, request.id));
        match whole {
            Some((file, is_guess))
                if file.is_file() && (self.settings.offline || !request.refresh && !is_guess) =>
            {
                Ok(Found {
                    folder: file,
                    tokenizer: Ok(None),
                    is_guess,
                })
            }
            Some((folder, _)) if folder.is_dir() && (self.settings.offline || !request.refresh) => {
                self.with_tokenizer(folder, request, progress)
            }
            None if self.settings.offline => {
                let names = cached.as_deref().map(gguf::in_folder).unwrap_or_default();
                if !names.is_empty() {
                    return Err(variants(request.id, names));
                }
                let missing = match cached.and_then(|folder| missing_file(&folder)) {
                    Some(file) => file,
                    None => "the model".to_owned(),
                };
                Err(self.not_offline(request.id, missing))
            }
            // What the name means is worth a question, but not going without.
            Some((file, true)) if file.is_file() && !request.refresh => {
                match self.pull(request, progress) {
                    Err(Error::Hub(HubError::Connection { .. }) | Error::Write { .. }) => {
                        Ok(Found {
                            folder: file,
                            tokenizer: Ok(None),
                            is_guess: true,
                        })
                    }
                    other => other,
                }
            }
            _ => self.pull(request, progress),
        }
    }

    /// A model whose folder is in some cache, by its path: its tokenizer may lie beside it in that cache.
    pub fn tokenizer_beside(&self, snapshot: &Snapshot) -> Option<PathBuf> {
        match tokenizer_in(&snapshot.folder) {
            Some(_) => None,
            None => self.cached_tokenizer(&Cache::new(&snapshot.cache)),
        }
    }

    /// The snapshot of a model that is in the cache, whole or not.
    fn cached(&self, id: &ModelId) -> Option<PathBuf> {
        let repo = self.settings.cache.repo(&id.repo);
        let snapshot = repo.snapshot(&repo.commit(&id.revision)?);
        snapshot.is_dir().then_some(snapshot)
    }

    /// The model that a name means in its snapshot, if it is whole: the snapshot, or a GGUF file in it. Whether that is a guess too: another
    /// file may be meant, because only those are here that somebody named.
    fn whole(&self, snapshot: &Path, id: &ModelId) -> Option<(PathBuf, bool)> {
        const CONFIG: &str = "config.json";
        if id.variant.is_none() && snapshot.join(CONFIG).is_file() {
            let is_whole = missing_file(snapshot).is_none();
            return is_whole.then(|| (snapshot.to_owned(), false));
        }
        let names = gguf::in_folder(snapshot);
        let commit = snapshot.file_name()?.to_str()?;
        let known = self.settings.cache.repo(&id.repo).usual_file(commit);
        let variant = id.variant.as_deref().or(known.as_deref());
        let sure = gguf::choose(&names, Some(variant.unwrap_or(gguf::USUAL)));
        let found = match (sure, &id.variant) {
            (Some(sure), _) => (sure, false),
            (None, Some(_)) => return None,
            (None, None) => (gguf::choose(&names, None)?, true),
        };
        Some((snapshot.join(found.0), found.1))
    }

    /// The tokenizer in `cache` that the settings name, or one of those that are the same.
    fn cached_tokenizer(&self, cache: &Cache) -> Option<PathBuf> {
        let usual = || {
            let names = std::iter::once(TOKENIZER_REPO).chain(TOKENIZER_COPIES);
            names.flat_map(ModelId::parse).collect()
        };
        let named = &self.settings.tokenizer_repo;
        let ids: Vec<ModelId> = named.clone().map_or_else(usual, |id| vec![id]);
        ids.iter().find_map(|id| {
            let repo = cache.repo(&id.repo);
            tokenizer_in(&repo.snapshot(&repo.commit(&id.revision)?))
        })
    }

    /// The whole model in `folder`, with the tokenizer that is requested.
    fn with_tokenizer(
        &self,
        folder: PathBuf,
        request: &ModelRequest<'_>,
        progress: &mut dyn FnMut(&Progress),
    ) -> Result<Found> {
        let cache = &self.settings.cache;
        let is_done = tokenizer_in(&folder).is_some();
        if is_done || request.tokenizer == TokenizerNeed::Unneeded {
            let beside = match is_done {
                true => None,
                false => self.cached_tokenizer(cache),
            };
            let tokenizer = Ok(beside);
            return Ok(Found {
                folder,
                tokenizer,
                is_guess: false,
            });
        }
        let found = match self.cached_tokenizer(cache) {
            Some(path) => Ok(path),
            None => {
                let client = Client::new(&self.settings, Cancel::new(request.cancel.clone()))?;
                supervise(&client, progress, |reports| {
                    self.tokenizer(&client, reports)
                })
            }
        };
        Ok(Found {
            folder,
            tokenizer: as_requested(found, request.tokenizer)?,
            is_guess: false,
        })
    }

    fn pull(
        &self,
        request: &ModelRequest<'_>,
        progress: &mut dyn FnMut(&Progress),
    ) -> Result<Found> {
        let client = Client::new(&self.settings, Cancel::new(request.cancel.clone()))?;
        supervise(&client, progress, |reports| {
            let pull = Pull::begin(&client, reports, &self.settings.cache, request.id)?;
            if let Some(name) = pull.gguf()? {
                let file = pull.file(name)?;
                if request.id.variant.is_none() {
                    pull.set_usual(name);
                }
                pull.finish()?;
                return Ok(Found {
                    folder: file,
                    tokenizer: Ok(None),
                    is_guess: false,
                });
            }
            pull.side_files()?;
            (request.check)(&pull.snapshot())?;
            // Before gigabytes come that may be of no use without it.
            let tokenizer = match pull.has_tokenizer() {
                true => Ok(None),
                false if request.tokenizer == TokenizerNeed::Unneeded => {
                    Ok(self.cached_tokenizer(&self.settings.cache))
                }
                false => as_requested(self.tokenizer(&client, reports), request.tokenizer)?,
            };
            pull.weights()?;
            pull.finish()?;
            Ok(Found {
                folder: pull.snapshot(),
                tokenizer,
                is_guess: false,
            })
        })
    }

    /// A tokenizer from the repository that has it, fetched unless it is in the cache.
    fn tokenizer(&self, client: &Client, reports: &Reports) -> Result<PathBuf> {
        let cache = &self.settings.cache;
        if let Some(path) = self.cached_tokenizer(cache) {
            return Ok(path);
        }
        let id = match &self.settings.tokenizer_repo {
            Some(id) => id.clone(),
            None => ModelId::parse(TOKENIZER_REPO)?,
        };
        if self.settings.offline {
            return Err(self.not_offline(&id, "the tokenizer".into()));
        }
        Pull::one_file(client, reports, cache, &id, "tokenizer.json")
    }

    fn not_offline(&self, id: &ModelId, missing: String) -> Error {
        HubError::Offline {
            repo: id.repo.to_string(),
            missing,
            cache: self.settings.cache.root().display().to_string(),
        }
        .into()
    }
}

/// A tokenizer, or why there is none, which is an error at once where nothing goes without.
fn as_requested(found: Result<PathBuf>, need: TokenizerNeed) -> Result<Result<Option<PathBuf>>> {
    match found {
        Err(error) if need == TokenizerNeed::Needed || matches!(error, Error::Cancelled) => {
            Err(error)
        }
        found => Ok(found.map(Some)),
    }
}

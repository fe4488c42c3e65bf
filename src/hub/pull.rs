//! A repository's files into a snapshot: what a model needs, and nothing else.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use super::cache::{Cache, INDEX, RepoFolder, is_shard, shards};
use super::client::{About, Client};
use super::download::{Meta, fetch};
use super::gguf;
use super::lock::{Hold, Lock};
use super::name::{ModelId, is_component, is_file_name, printable};
use super::progress::{Progress, Reporter, Reports};
use crate::error::{Error, HubError, Result};

/// Files that are fetched side by side.
const PARALLEL: usize = 3;

/// How large a list of files may be.
const MOST_LISTING: u64 = 8 << 20;

const CONFIG: &str = "config.json";
const WEIGHTS: &str = "model.safetensors";
const TOKENIZER: &str = "tokenizer.json";
/// Taken where there is no other.
const SENTENCEPIECE: &str = "tokenizer.model";

/// What a model has beside its weights.
const SIDE_FILES: [&str; 7] = [
    CONFIG,
    "generation_config.json",
    TOKENIZER,
    SENTENCEPIECE,
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
];

/// Runs `work` on a thread of its own, hands its news on, and cuts its connections once it is cancelled.
pub fn supervise<T: Send>(
    client: &Client,
    progress: &mut dyn FnMut(&Progress),
    work: impl FnOnce(&Reports) -> Result<T> + Send,
) -> Result<T> {
    let (news, incoming) = channel();
    std::thread::scope(|scope| {
        let worker = std::thread::Builder::new()
            .name("hub".into())
            .spawn_scoped(scope, move || work(&Reports::new(news)))
            .map_err(Error::Thread)?;
        let mut state = Progress::default();
        loop {
            match incoming.recv_timeout(Duration::from_millis(50)) {
                Ok(news) => {
                    state.take(news);
                    progress(&state);
                }
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {}
            }
            if client.cancel.is_asked() {
                client.shut_down();
                break;
            }
        }
        match worker.join() {
            Ok(outcome) => outcome,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// A repository at one commit, on its way into the cache.
pub struct Pull<'a> {
    client: &'a Client,
    reports: &'a Reports,
    id: &'a ModelId,
    commit: String,
    /// Names of its files, as far as they can be ours.
    listed: Vec<String>,
    folder: RepoFolder,
    /// Kept until all is done: nobody removes the model meanwhile.
    _lock: Lock,
}

/// A file and what the hub says of it.
struct Wanted {
    name: String,
    meta: Meta,
}

impl<'a> Pull<'a> {
    /// Finds out what there is.
    pub fn begin(
        client: &'a Client,
        reports: &'a Reports,
        cache: &Cache,
        id: &'a ModelId,
    ) -> Result<Self> {
        let folder = cache.repo(&id.repo);
        let _lock = share(client, &folder)?;
        let (listed, commit) = listing(client, id)?;
        let mut pull = Self {
            client,
            reports,
            id,
            commit: String::new(),
            listed,
            folder,
            _lock,
        };
        pull.commit =
            match commit {
                Some(commit) => commit,
                None => pull.ask(CONFIG)?.meta.commit.ok_or_else(|| {
                    odd(client, id, "names no commit, and neither does config.json")
                })?,
            };
        Ok(pull)
    }

    /// For a single file, of whose repository nothing else is asked. Returns where it is.
    pub fn one_file(
        client: &'a Client,
        reports: &'a Reports,
        cache: &Cache,
        id: &'a ModelId,
        name: &str,
    ) -> Result<PathBuf> {
        let folder = cache.repo(&id.repo);
        let _lock = share(client, &folder)?;
        let mut pull = Self {
            client,
            reports,
            id,
            commit: id.revision.as_str().to_owned(),
            listed: Vec::new(),
            folder,
            _lock,
        };
        let wanted = pull.ask(name)?;
        pull.commit = match &wanted.meta.commit {
            Some(commit) => commit.clone(),
            None => return Err(odd(client, id, "names no commit")),
        };
        pull.fetch(&[wanted])?;
        pull.finish()?;
        Ok(pull.snapshot().join(name))
    }

    /// The folder that the files come to lie in.
    pub fn snapshot(&self) -> PathBuf {
        self.folder.snapshot(&self.commit)
    }

    pub fn has_tokenizer(&self) -> bool {
        self.has(TOKENIZER) || self.has(SENTENCEPIECE)
    }

    fn has(&self, name: &str) -> bool {
        self.listed.iter().any(|listed| listed == name)
    }

    /// The GGUF file that is meant, if one is: by name, or because there is nothing else.
    pub fn gguf(&self) -> Result<Option<&str>> {
        let variant = self.id.variant.as_deref();
        let is_folder = self.has(CONFIG) && (self.has(WEIGHTS) || self.has(INDEX));
        let names: Vec<String> = self
            .listed
            .iter()
            .filter(|name| gguf::is_model(name))
            .cloned()
            .collect();
        if variant.is_none() && (is_folder || names.is_empty()) {
            return Ok(None);
        }
        let chosen = gguf::choose(&names, variant);
        let listed = self
            .listed
            .iter()
            .find(|name| Some(name.as_str()) == chosen);
        match listed {
            Some(name) => Ok(Some(name)),
            None => Err(variants(self.id, names)),
        }
    }

    /// Remembers that a file is what the repository's name alone means: files that are in the cache do not say what others there are.
    /// Where that cannot be written, the hub is asked again.
    pub fn set_usual(&self, file: &str) {
        let _ = self.folder.set_usual_file(&self.commit, file);
    }

    /// Fetches a single file. Returns where it is.
    pub fn file(&self, name: &str) -> Result<PathBuf> {
        self.fetch(&[self.ask(name)?])?;
        Ok(self.snapshot().join(name))
    }

    /// Fetches all but the weights.
    pub fn side_files(&self) -> Result<()> {
        if !self.has(CONFIG) {
            return Err(HubError::FileNotFound {
                repo: self.id.repo.to_string(),
                revision: self.id.revision.as_str().to_owned(),
                file: CONFIG.to_owned(),
            }
            .into());
        }
        let has_index = self.has(INDEX) && !self.has(WEIGHTS);
        let index = has_index.then_some(INDEX);
        let names = SIDE_FILES.into_iter().chain(index);
        let is_wanted =
            |name: &&str| self.has(name) && (*name != SENTENCEPIECE || !self.has(TOKENIZER));
        let wanted: Vec<&str> = names.filter(is_wanted).collect();
        self.fetch(&self.ask_all(&wanted)?)
    }

    /// Fetches the weights, once the other files are there.
    pub fn weights(&self) -> Result<()> {
        let names = match self.has(WEIGHTS) {
            true => vec![WEIGHTS.to_owned()],
            false if self.has(INDEX) => shards(&self.snapshot().join(INDEX))?,
            false => Vec::new(),
        };
        let absent = names.iter().find(|name| !self.has(name));
        if names.is_empty() || absent.is_some() {
            return Err(HubError::FileNotFound {
                repo: self.id.repo.to_string(),
                revision: self.id.revision.as_str().to_owned(),
                file: absent.map_or(WEIGHTS, |name| name).to_owned(),
            }
            .into());
        }
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        self.fetch(&self.ask_all(&names)?)
    }

    /// Remembers that the revision is this commit, now that all of it is there.
    pub fn finish(&self) -> Result<()> {
        self.folder.set_commit(&self.id.revision, &self.commit)
    }

    fn ask_all(&self, names: &[&str]) -> Result<Vec<Wanted>> {
        names.iter().map(|name| self.ask(name)).collect()
    }

    /// What the hub says of a file.
    fn ask(&self, name: &str) -> Result<Wanted> {
        let meta = Meta::of(self.client, &self.url(name), &self.about(name))?;
        Ok(Wanted {
            name: name.to_owned(),
            meta,
        })
    }

    /// Fetches files side by side, and puts them into the snapshot.
    fn fetch(&self, files: &[Wanted]) -> Result<()> {
        let begin = |file: &Wanted| {
            let total = file.meta.size.unwrap_or(0);
            Mutex::new(Some(self.reports.begin(&file.name, total)))
        };
        let reporters: Vec<Mutex<Option<Reporter>>> = files.iter().map(begin).collect();
        let client = self.client.for_part();
        let next = AtomicUsize::new(0);
        let failure = Mutex::new(None);
        let fail = |error| {
            // The first says what was wrong; the others were only told to stop.
            client.cancel.fail();
            locked(&failure).get_or_insert(error);
        };
        let work = || {
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let (Some(file), Some(reporter)) = (files.get(at), reporters.get(at)) else {
                    return;
                };
                let reporter = locked(reporter).take();
                let fetched = self.fetch_one(&client, file, &|done| {
                    if let Some(reporter) = &reporter {
                        reporter.tell(done);
                    }
                });
                if let Err(error) = fetched {
                    return fail(error);
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..PARALLEL.min(files.len()) {
                let thread = std::thread::Builder::new().name("download".into());
                if let Err(error) = thread.spawn_scoped(scope, work) {
                    fail(Error::Thread(error));
                }
            }
        });
        match failure.into_inner() {
            Ok(None) => Ok(()),
            Ok(Some(error)) => Err(error),
            Err(_) => Err(Error::Cancelled),
        }
    }

    fn fetch_one(&self, client: &Client, file: &Wanted, report: &dyn Fn(u64)) -> Result<()> {
        let (meta, name) = (&file.meta, &file.name);
        fetch(
            client,
            &self.folder,
            &self.url(name),
            &self.about(name),
            meta,
            report,
        )?;
        self.folder.link(&self.commit, name, &meta.etag)
    }

    fn url(&self, file: &str) -> String {
        let revision = match self.commit.as_str() {
            "" => self.id.revision.as_str(),
            commit => commit,
        };
        let repo = self.id.repo.to_string();
        self.client.file_url(&repo, revision, file)
    }

    fn about(&self, file: &str) -> About {
        About {
            file: Some(file.to_owned()),
            ..about(self.id)
        }
    }
}

/// What a lock guards; a thread that panicked while it held it has not left half of anything.
fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn about(id: &ModelId) -> About {
    About {
        repo: id.repo.to_string(),
        revision: id.revision.as_str().to_owned(),
        file: None,
    }
}

fn odd(client: &Client, id: &ModelId, what: &str) -> Error {
    HubError::Answer {
        url: client.listing_url(&id.repo.to_string(), id.revision.as_str()),
        what: what.to_owned(),
    }
    .into()
}

/// Keeps others from removing a repository while something of it is fetched.
fn share(client: &Client, folder: &RepoFolder) -> Result<Lock> {
    loop {
        match Lock::take(&folder.lock_path(), Hold::Shared)? {
            Some(lock) => return Ok(lock),
            None => client.cancel.sleep(Duration::from_millis(100))?,
        }
    }
}

/// The files of a repository that can be a model's, and the commit that they are of.
fn listing(client: &Client, id: &ModelId) -> Result<(Vec<String>, Option<String>)> {
    #[derive(serde::Deserialize)]
    struct Listing {
        sha: Option<String>,
        siblings: Vec<Sibling>,
    }
    #[derive(serde::Deserialize)]
    struct Sibling {
        rfilename: String,
    }
    let url = client.listing_url(&id.repo.to_string(), id.revision.as_str());
    let bytes = client.text(&url, &about(id), MOST_LISTING)?;
    let Listing { sha, siblings } = serde_json::from_slice(&bytes)
        .map_err(|error| odd(client, id, &format!("is no list of files: {error}")))?;
    if let Some(sha) = &sha
        && !is_component(sha)
    {
        return Err(odd(client, id, "names an odd commit"));
    }
    // What lies in a folder of the repository is no part of the model, and a name that leads elsewhere is none.
    let ours = |name: &String| {
        let is_side_file = SIDE_FILES.contains(&&**name) || name == INDEX;
        is_file_name(name) && (is_side_file || is_shard(name) || gguf::is_model(name))
    };
    let names = siblings.into_iter().map(|sibling| sibling.rfilename);
    Ok((names.filter(ours).collect(), sha))
}

/// That no GGUF file is the one that is meant.
pub fn variants(id: &ModelId, files: Vec<String>) -> Error {
    HubError::Variants {
        repo: id.repo.to_string(),
        variant: id.variant.clone(),
        files: files.iter().map(|name| printable(name)).collect(),
    }
    .into()
}

/// The tokenizer in a snapshot, if there is one.
pub fn tokenizer_in(snapshot: &Path) -> Option<PathBuf> {
    let mut paths = [TOKENIZER, SENTENCEPIECE]
        .map(|name| snapshot.join(name))
        .into_iter();
    paths.find(|path| path.is_file())
}

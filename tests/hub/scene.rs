//! A hub with a model on it, and an empty cache.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use openelm::hub::{Cache, Found, Hub, ModelId, ModelRequest, Settings, TokenizerNeed};
use openelm::{Error, HubError};

use crate::common::fixture;
use crate::server::{COMMIT, Server};

pub const REPO: &str = "apple/OpenELM-Tiny-Instruct";
pub const LLAMA: &str = "meta-llama/Llama-2-7b-hf";
pub const WEIGHTS: &str = "model.safetensors";

pub struct Scene {
    pub server: Server,
    pub cache: tempfile::TempDir,
    pub settings: Settings,
}

/// A model in one file, and its tokenizer in the usual repository.
pub fn scene() -> Scene {
    scene_of("openelm-f16")
}

pub fn scene_of(fixture_name: &str) -> Scene {
    let server = Server::start();
    server.put_folder(REPO, &fixture(fixture_name));
    let tokenizer = std::fs::read("assets/demo/tokenizer.json").unwrap();
    server.put(LLAMA, "tokenizer.json", tokenizer);
    let cache = tempfile::tempdir().unwrap();
    let mut settings = Settings::new(&server.endpoint, Cache::new(cache.path())).unwrap();
    settings.retry_delay = Duration::from_millis(2);
    // Whatever else the machine does.
    settings.timeout = Duration::from_secs(120);
    Scene {
        server,
        cache,
        settings,
    }
}

impl Scene {
    pub fn pull(&self) -> openelm::Result<Found> {
        self.pull_named(REPO)
    }

    pub fn pull_named(&self, name: &str) -> openelm::Result<Found> {
        self.model(name, TokenizerNeed::Unneeded, true, None)
    }

    pub fn model(
        &self,
        name: &str,
        tokenizer: TokenizerNeed,
        refresh: bool,
        cancel: Option<Arc<AtomicBool>>,
    ) -> openelm::Result<Found> {
        let id = ModelId::parse(name)?;
        let request = ModelRequest {
            id: &id,
            tokenizer,
            refresh,
            check: &|_| Ok(()),
            cancel,
        };
        Hub::new(self.settings.clone()).model(&request, &mut |_| {})
    }

    /// The hub's error of a pull that fails.
    pub fn failure(&self) -> HubError {
        hub_error(self.pull())
    }

    pub fn repo(&self) -> PathBuf {
        self.cache
            .path()
            .join("models--apple--OpenELM-Tiny-Instruct")
    }

    pub fn snapshot(&self) -> PathBuf {
        self.repo().join("snapshots").join(COMMIT)
    }

    /// Names of the blobs, what is unfinished included.
    pub fn blobs(&self) -> Vec<String> {
        names(&self.repo().join("blobs"))
    }

    /// Asserts that every file of the model is here as it is on the hub.
    pub fn assert_whole(&self) {
        let world = self.server.world.lock().unwrap();
        let files = names(&self.snapshot());
        assert!(files.iter().any(|name| name.ends_with(".safetensors")));
        for name in files {
            let here = std::fs::read(self.snapshot().join(&name)).unwrap();
            assert!(here == world.repos[REPO][&name], "{name} differs");
        }
        let refs = std::fs::read_to_string(self.repo().join("refs/main")).unwrap();
        assert_eq!(refs, COMMIT);
        assert!(!self.blobs().iter().any(|name| name.ends_with("incomplete")));
    }

    /// Asserts that no weights count as being there.
    pub fn assert_no_weights(&self) {
        let files = names(&self.snapshot());
        assert!(!files.iter().any(|name| name.ends_with(".safetensors")));
        assert!(!self.repo().join("refs/main").exists());
        assert!(openelm::hub::missing_file(&self.snapshot()).is_some());
    }
}

pub fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

pub fn hub_error<T>(result: openelm::Result<T>) -> HubError {
    match result {
        Ok(_) => panic!("an error was expected"),
        Err(Error::Hub(error)) => error,
        Err(other) => panic!("an error of the hub was expected: {other}"),
    }
}

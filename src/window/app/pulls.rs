//! Models fetched from the hub while the one that is loaded goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use crate::engine::{HubLoader, Load, Loader};
use crate::error::Result;
use crate::model::LoadOptions;

/// Fetches what is to be loaded, says how far it has come, in bytes of all, and returns what a person should know of it.
pub type Fetch =
    Arc<dyn Fn(&Load, &mut dyn FnMut(u64, u64)) -> Result<Option<String>> + Send + Sync>;

/// What has happened to a model that is fetched.
pub(super) enum News {
    Progress {
        name: String,
        done: u64,
        total: u64,
    },
    Ended {
        name: String,
        result: Result<Option<String>>,
    },
}

/// What fetches, and what is being fetched.
pub(super) struct Pulls {
    fetch: Fetch,
    outbox: Sender<News>,
    news: Receiver<News>,
    /// What ends each, by its name.
    cancels: Vec<(String, Arc<AtomicBool>)>,
    egui: egui::Context,
}

impl Pulls {
    pub(super) fn new(egui: &egui::Context) -> Self {
        let (outbox, news) = channel();
        Self {
            fetch: from_hub(None),
            outbox,
            news,
            cancels: Vec::new(),
            egui: egui.clone(),
        }
    }

    /// Has `fetch` fetch in place of the hub.
    pub(super) fn set(&mut self, fetch: Fetch) {
        self.fetch = fetch;
    }

    /// Begins to fetch a model.
    pub(super) fn begin(
        &mut self,
        name: &str,
        tokenizer_repo: Option<String>,
    ) -> std::io::Result<()> {
        let cancel = Arc::new(AtomicBool::new(false));
        self.cancels.push((name.to_owned(), Arc::clone(&cancel)));
        let (fetch, outbox, egui) = (
            Arc::clone(&self.fetch),
            self.outbox.clone(),
            self.egui.clone(),
        );
        let name = name.to_owned();
        let load = Load {
            model: name.clone(),
            tokenizer_repo,
            options: LoadOptions {
                cancel: Some(cancel),
                ..LoadOptions::default()
            },
            ..Load::default()
        };
        let work = move || {
            let tell = |news| {
                // The window may be gone by now.
                let _ = outbox.send(news);
                egui.request_repaint();
            };
            let mut last = u64::MAX;
            let result = fetch(&load, &mut |done, total| {
                // Not more often than it can be seen.
                let step = done.saturating_mul(500) / total.max(1);
                if std::mem::replace(&mut last, step) != step {
                    tell(News::Progress {
                        name: name.clone(),
                        done,
                        total,
                    });
                }
            });
            tell(News::Ended { name, result });
        };
        let builder = std::thread::Builder::new().name("pull".into());
        builder.spawn(work).map(drop)
    }

    /// Ends one.
    pub(super) fn cancel(&self, name: &str) {
        for (_, cancel) in self.cancels.iter().filter(|(other, _)| other == name) {
            cancel.store(true, Ordering::Relaxed);
        }
    }

    /// What has happened since the last call.
    pub(super) fn poll(&self) -> Option<News> {
        self.news.try_recv().ok()
    }

    /// One has ended.
    pub(super) fn forget(&mut self, name: &str) {
        self.cancels.retain(|(other, _)| other != name);
    }

    /// Ends all.
    pub(super) fn stop(&self) {
        for (_, cancel) in &self.cancels {
            cancel.store(true, Ordering::Relaxed);
        }
    }
}

/// Nobody would see what comes.
impl Drop for Pulls {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Fetches from the hub, as these settings say, or the environment.
pub(super) fn from_hub(settings: Option<crate::hub::Settings>) -> Fetch {
    Arc::new(move |load, report| {
        let mut loader = HubLoader::new(settings.clone());
        let found = loader.resolve(load, &mut |_, progress| {
            report(progress.done, progress.total)
        });
        found.map(|resolved| resolved.notice)
    })
}

//! Models fetched from the hub while the one that is loaded goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use super::App;
use super::events::described;
use crate::engine::{HubLoader, Load, Loader};
use crate::error::{Error, Result};
use crate::model::LoadOptions;
use crate::window::action::{Action, BannerId};
use crate::window::catalog::Pull;
use crate::window::state::Banner;

/// Fetches a model by its name, and says how far it has come, in bytes of all.
pub type Fetch =
    Arc<dyn Fn(&str, &Arc<AtomicBool>, &mut dyn FnMut(u64, u64)) -> Result<()> + Send + Sync>;

/// What has happened to a model that is fetched.
pub(super) enum News {
    Progress { name: String, done: u64, total: u64 },
    Ended { name: String, result: Result<()> },
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

    fn begin(&mut self, name: &str) -> std::io::Result<()> {
        let cancel = Arc::new(AtomicBool::new(false));
        self.cancels.push((name.to_owned(), Arc::clone(&cancel)));
        let (fetch, outbox, egui) = (
            Arc::clone(&self.fetch),
            self.outbox.clone(),
            self.egui.clone(),
        );
        let name = name.to_owned();
        let work = move || {
            let tell = |news| {
                // The window may be gone by now.
                let _ = outbox.send(news);
                egui.request_repaint();
            };
            let mut last = u64::MAX;
            let result = fetch(&name, &cancel, &mut |done, total| {
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

    fn cancel(&self, name: &str) {
        for (_, cancel) in self.cancels.iter().filter(|(other, _)| other == name) {
            cancel.store(true, Ordering::Relaxed);
        }
    }

    /// Ends all.
    pub(super) fn stop(&self) {
        for (_, cancel) in &self.cancels {
            cancel.store(true, Ordering::Relaxed);
        }
    }
}

/// Fetches from the hub, as these settings say, or the environment.
pub(super) fn from_hub(settings: Option<crate::hub::Settings>) -> Fetch {
    Arc::new(move |name, cancel, report| {
        let load = Load {
            model: name.to_owned(),
            options: LoadOptions {
                cancel: Some(Arc::clone(cancel)),
                ..LoadOptions::default()
            },
            ..Load::default()
        };
        let mut loader = HubLoader::new(settings.clone());
        let found = loader.resolve(&load, &mut |_, progress| {
            report(progress.done, progress.total)
        });
        found.map(drop)
    })
}

impl App {
    /// Begins to fetch a model, or goes on with that.
    pub(super) fn pull(&mut self, name: &str) {
        let name = name.trim();
        if crate::hub::hub_model(name).is_none() {
            let text =
                format!("`{name}` is no name on the hub: those are like apple/OpenELM-270M.");
            self.state.tell(Banner::problem(BannerId::PullFailed, text));
            return;
        }
        if self.state.pulls.iter().any(|pull| pull.name == name) {
            return;
        }
        self.state.dismiss(BannerId::PullFailed);
        self.state.dismiss(BannerId::Pulled);
        match self.pulls.begin(name) {
            Ok(()) => self.state.pulls.push(Pull {
                name: name.to_owned(),
                done: 0,
                total: 0,
                is_ending: false,
            }),
            Err(error) => {
                let error = described(&Error::Thread(error));
                self.state
                    .tell(Banner::problem(BannerId::PullFailed, error));
            }
        }
    }

    pub(super) fn cancel_pull(&mut self, name: &str) {
        self.pulls.cancel(name);
        let mut pulls = self.state.pulls.iter_mut();
        if let Some(pull) = pulls.find(|pull| pull.name == name) {
            pull.is_ending = true;
        }
    }

    /// Takes in what has become of models that are fetched.
    pub(super) fn take_pulls(&mut self) {
        while let Ok(news) = self.pulls.news.try_recv() {
            match news {
                News::Progress { name, done, total } => {
                    let mut pulls = self.state.pulls.iter_mut();
                    if let Some(pull) = pulls.find(|pull| pull.name == name) {
                        (pull.done, pull.total) = (done, total);
                    }
                }
                News::Ended { name, result } => self.pulled(&name, result),
            }
        }
    }

    fn pulled(&mut self, name: &str, result: Result<()>) {
        self.state.pulls.retain(|pull| pull.name != name);
        self.pulls.cancels.retain(|(other, _)| other != name);
        let banner = match result {
            Ok(()) => {
                let text = format!("`{name}` is here now.");
                let load = Action::Load(name.to_owned());
                Banner::note(BannerId::Pulled, text).with_fix("Load it", load)
            }
            Err(Error::Cancelled) => {
                let text = format!("`{name}`. What was fetched so far is kept.");
                let again = Action::Pull(name.to_owned());
                Banner::note(BannerId::PullCancelled, text).with_fix("Go on fetching", again)
            }
            Err(error) => {
                let text = format!("`{name}`: {}", described(&error));
                let again = Action::Pull(name.to_owned());
                Banner::problem(BannerId::PullFailed, text).with_fix("Try again", again)
            }
        };
        self.state.tell(banner);
        self.find_models();
    }
}

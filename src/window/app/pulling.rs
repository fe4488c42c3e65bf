//! Models that are fetched, as far as the window shows them.

use super::App;
use super::events::described;
use super::pulls::News;
use crate::error::{Error, Result};
use crate::window::action::{Action, BannerId};
use crate::window::catalog::Pull;
use crate::window::state::Banner;

/// What can be done where the tokenizer is not to be had.
const TOKENIZERS: &str = "The page of models has copies of it by others, and takes a file.";

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
        let tokenizer_repo = self.state.settings.tokenizer_repo.clone();
        match self.pulls.begin(name, tokenizer_repo) {
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
        while let Some(news) = self.pulls.poll() {
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

    fn pulled(&mut self, name: &str, result: Result<Option<String>>) {
        self.state.pulls.retain(|pull| pull.name != name);
        self.pulls.forget(name);
        let banner = match result {
            Ok(notice) => {
                let mut text = format!("`{name}` is here now.");
                if let Some(notice) = notice {
                    text += &format!(" {notice} {TOKENIZERS}");
                }
                let load = Action::Load(name.to_owned());
                Banner::note(BannerId::Pulled, text).with_fix("Load it", load)
            }
            Err(Error::Cancelled) => {
                let text = format!("`{name}`. What has come so far is kept.");
                let again = Action::Pull(name.to_owned());
                Banner::note(BannerId::PullCancelled, text).with_fix("Resume", again)
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

//! What all requests share.

use std::sync::{Arc, RwLock};

use super::api_error::ApiError;
use super::body::Bodies;
use super::jobs::{EventReceiver, Queue, Refused};
use super::live::Live;
use super::metrics::Metrics;
use super::openai::{AskedText, Context};
use super::security::Security;
use super::settings::Settings;
use super::stop::{Phase, Stop};
use super::worker::{Health, SharedHealth};

/// What all requests share.
pub struct App {
    pub settings: Settings,
    pub security: Arc<Security>,
    pub bodies: Bodies,
    pub metrics: Arc<Metrics>,
    pub live: Live,
    pub health: Arc<SharedHealth>,
    pub stop: Stop,
    pub queue: Queue,
    /// Changes only where the model was loaded again.
    pub context: Arc<RwLock<Arc<Context>>>,
}

/// Whether a server takes on something new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    Ready,
    /// The model is loaded, for the first time or again.
    Loading,
    /// It is about to end.
    Draining,
    /// There is no device any more.
    Lost,
}

impl Readiness {
    /// As `/health` says it.
    pub fn status(self) -> &'static str {
        match self {
            Self::Ready => "ok",
            Self::Loading => "loading",
            Self::Draining => "draining",
            Self::Lost => "lost",
        }
    }
}

impl App {
    /// What is served.
    pub fn context(&self) -> Arc<Context> {
        let context = self.context.read();
        Arc::clone(&context.unwrap_or_else(|poison| poison.into_inner()))
    }

    pub fn readiness(&self) -> Readiness {
        match (self.health.get(), self.stop.phase()) {
            (Health::Lost, _) => Readiness::Lost,
            (Health::Loading, _) => Readiness::Loading,
            (Health::Ready, Phase::Serving) => Readiness::Ready,
            (Health::Ready, _) => Readiness::Draining,
        }
    }

    /// Whether something new is taken on.
    ///
    /// # Errors
    /// Why not.
    pub fn check_serving(&self) -> Result<(), ApiError> {
        match self.readiness() {
            Readiness::Ready => Ok(()),
            Readiness::Loading => Err(ApiError::busy(
                "the device was lost, and the model is being loaded again",
            )),
            Readiness::Draining => Err(ApiError::busy("the server is about to end")),
            Readiness::Lost => Err(ApiError::broken(
                "the device was lost; the server has to be started again",
            )),
        }
    }

    /// Asks for texts.
    ///
    /// # Errors
    /// 503 where too many wait.
    pub fn ask(&self, texts: Vec<AskedText>) -> Result<EventReceiver, ApiError> {
        self.check_serving()?;
        self.queue.ask(texts).map_err(|refused| match refused {
            Refused::Full => {
                self.metrics.refused();
                ApiError::busy("as many requests wait as this server lets wait; ask again soon")
            }
            Refused::Gone => {
                ApiError::broken("nobody computes any more; the server has to be started again")
            }
        })
    }
}

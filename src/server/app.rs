//! What all requests share.

use std::sync::{Arc, RwLock};

use super::api_error::ApiError;
use super::body::Bodies;
use super::jobs::{Inlet, Queue, Refused};
use super::live::Live;
use super::metrics::Metrics;
use super::openai::{AskedText, Context};
use super::security::Security;
use super::settings::Settings;
use super::stop::{Phase, Stop};
use super::worker::{Health, Pulse};

/// What all requests share.
pub struct App {
    pub settings: Settings,
    pub security: Arc<Security>,
    pub bodies: Bodies,
    pub metrics: Arc<Metrics>,
    pub live: Live,
    pub pulse: Arc<Pulse>,
    pub stop: Stop,
    pub queue: Queue,
    /// Changes only where the model was loaded again.
    pub context: Arc<RwLock<Arc<Context>>>,
}

impl App {
    /// What is served.
    pub fn context(&self) -> Arc<Context> {
        let context = self.context.read();
        Arc::clone(&context.unwrap_or_else(|poison| poison.into_inner()))
    }

    /// What keeps the server from taking on something; `None`: nothing.
    pub fn trouble(&self) -> Option<&'static str> {
        match (self.pulse.health(), self.stop.phase()) {
            (Health::Lost, _) => Some("lost"),
            (Health::Loading, _) => Some("loading"),
            (Health::Ready, Phase::Serving) => None,
            (Health::Ready, _) => Some("draining"),
        }
    }

    /// Whether something new is taken on.
    ///
    /// # Errors
    /// Why not.
    pub fn check_serving(&self) -> Result<(), ApiError> {
        match self.trouble() {
            None => Ok(()),
            Some("loading") => Err(ApiError::busy(
                "the device was lost, and the model is being loaded again",
            )),
            Some("draining") => Err(ApiError::busy("the server is about to end")),
            Some(_) => Err(ApiError::broken(
                "the device was lost; the server has to be started again",
            )),
        }
    }

    /// Asks for texts.
    ///
    /// # Errors
    /// 503 where too many wait.
    pub fn ask(&self, texts: Vec<AskedText>) -> Result<Inlet, ApiError> {
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

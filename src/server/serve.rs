//! A server from its beginning to its end: a thread that computes, and one that talks to everybody.

use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

use super::app::App;
use super::body::Bodies;
use super::jobs::Queue;
use super::listen::Connections;
use super::live::{Card, Live};
use super::metrics::Metrics;
use super::openai::Context;
use super::router::{loading_router, router};
use super::security::Security;
use super::settings::Settings;
use super::stop::{Phase, Stop};
use super::worker::{Reload, SharedHealth, Worker};
use crate::error::{Error, Result};
use crate::generate::Model;

/// Threads for work that takes long and is not the device's, such as reading large requests.
const HELPERS: usize = 4;

/// How often a server that is to end looks whether it can.
const LOOK: Duration = Duration::from_millis(20);

/// What answers that are made get to be sent.
const FLUSH_TIME: Duration = Duration::from_secs(5);

/// A server that listens.
pub struct Server {
    runtime: Runtime,
    listener: TcpListener,
    settings: Settings,
    reload: Option<Reload>,
    stop: Stop,
}

impl Server {
    /// Listens for requests, and answers none yet: they wait until [`Server::load`] or [`Server::run`].
    ///
    /// # Errors
    /// [`Error::Listen`] or [`Error::Thread`]; [`Error::OpenToAll`] where everybody could use it and nobody said that this is wanted.
    pub fn bind(settings: Settings) -> Result<Self> {
        let Settings { host, port, .. } = &settings;
        let failed = |cause| Error::Listen {
            address: format!("{host}:{port}"),
            cause,
        };
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let addresses: Vec<SocketAddr> = (bare, *port).to_socket_addrs().map_err(failed)?.collect();
        let is_open = addresses.iter().any(|address| !address.ip().is_loopback());
        if is_open && settings.api_keys.is_empty() && !settings.allow_everybody {
            return Err(Error::OpenToAll {
                address: format!("{host}:{port}"),
            });
        }
        let runtime = Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .max_blocking_threads(HELPERS)
            .build()
            .map_err(Error::Thread)?;
        let listener = runtime.block_on(TcpListener::bind(&addresses[..]));
        Ok(Self {
            listener: listener.map_err(failed)?,
            runtime,
            settings,
            reload: None,
            stop: Stop::new(),
        })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// [`Error::Listen`].
    pub fn address(&self) -> Result<SocketAddr> {
        self.listener.local_addr().map_err(|cause| Error::Listen {
            address: self.settings.host.clone(),
            cause,
        })
    }

    /// Whether only those who show a key are served.
    pub fn needs_key(&self) -> bool {
        !self.settings.api_keys.is_empty()
    }

    /// Loads the model again when its device was lost. `reload` is given nothing at first, and where the device is lost again before a token came,
    /// the identity of its adapter: then it loads on another, or fails.
    pub fn reload_with(&mut self, reload: Reload) {
        self.reload = Some(reload);
    }

    /// What tells it to end.
    pub fn stop(&self) -> Stop {
        self.stop.clone()
    }

    /// Loads a model, and meanwhile tells all who ask that there is none yet: 503.
    ///
    /// # Errors
    /// Those of `load`, or [`Error::Listen`].
    pub fn load<E: From<Error>>(
        &self,
        load: impl FnOnce() -> std::result::Result<Model, E>,
    ) -> std::result::Result<Model, E> {
        let security = Arc::new(Security::new(&self.settings, self.address()?.ip()));
        let (limits, loaded) = (self.settings.limits.clone(), Stop::new());
        let connections = Connections::new(loading_router(security), limits, loaded.clone());
        let (runtime, listener) = (&self.runtime, &self.listener);
        std::thread::scope(|scope| {
            // Whatever becomes of the loading.
            let _closed_at_end = CloseAtEnd(&loaded);
            scope.spawn(|| {
                runtime.block_on(async {
                    connections.accept(listener).await;
                    let _ = tokio::time::timeout(FLUSH_TIME, connections.ended()).await;
                });
            });
            load()
        })
    }

    /// Answers requests to a model until it is told to end.
    ///
    /// # Errors
    /// [`Error::Thread`], before anything was answered.
    pub fn run(self, model: Model) -> Result<()> {
        let address = self.address()?;
        let Self {
            runtime,
            listener,
            settings,
            reload,
            stop,
        } = self;
        let (metrics, health) = (Arc::<Metrics>::default(), Arc::<SharedHealth>::default());
        let (queue, jobs) = Queue::new(settings.limits.waiting);
        let context = Arc::new(context(&model, &settings));
        let live = Live::new(Card::new(&context));
        let context = Arc::new(RwLock::new(context));
        let (served, chosen) = (Arc::clone(&context), settings.clone());
        let worker = Worker {
            model,
            jobs,
            metrics: Arc::clone(&metrics),
            live: live.clone(),
            health: Arc::clone(&health),
            reload,
            on_reload: Box::new(move |model| {
                let mut served = served.write().unwrap_or_else(|poison| poison.into_inner());
                *served = Arc::new(self::context(model, &chosen));
            }),
            unread_bytes: settings.limits.unread_bytes,
        };
        let computing = std::thread::Builder::new()
            .name("server texts".into())
            .spawn(move || worker.run())
            .map_err(Error::Thread)?;
        let app = Arc::new(App {
            security: Arc::new(Security::new(&settings, address.ip())),
            bodies: Bodies::new(&settings.limits),
            metrics,
            live,
            health,
            stop,
            queue,
            context,
            settings,
        });
        runtime.block_on(listen(&listener, app));
        drop(listener);
        // Whoever still waits is gone with it, which cancels what goes on.
        runtime.shutdown_background();
        // A panic there was reported by the thread itself.
        let _ = computing.join();
        Ok(())
    }
}

/// Ends connections when it goes.
struct CloseAtEnd<'a>(&'a Stop);

impl Drop for CloseAtEnd<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// What requests are made of and held against.
fn context(model: &Model, settings: &Settings) -> Context {
    let name = settings.served_name.as_deref().unwrap_or(model.name());
    let mut context = Context::new(model, name);
    context.template.clone_from(&settings.chat_template);
    context.is_strict = settings.strict_model;
    context.limits.clone_from(&settings.limits);
    context
}

async fn listen(listener: &TcpListener, app: Arc<App>) {
    let (limits, stop) = (app.settings.limits.clone(), app.stop.clone());
    let drain_time = limits.drain_time;
    let connections = Connections::new(router(app), limits, stop.clone());
    // Until the end the server says that it is about to end.
    tokio::join!(
        connections.accept(listener),
        drain(&connections, &stop, drain_time)
    );
}

/// Waits until it is time to end, and then until all is answered, or for as long as that may take.
async fn drain(connections: &Connections, stop: &Stop, most: Duration) {
    stop.reached(Phase::Draining).await;
    let answered = async {
        while !connections.are_idle() {
            tokio::time::sleep(LOOK).await;
        }
    };
    let is_answered = tokio::time::timeout(most, answered).await.is_ok();
    stop.close();
    // What is not done by then is cut off.
    if is_answered {
        let _ = tokio::time::timeout(FLUSH_TIME, connections.ended()).await;
    }
}

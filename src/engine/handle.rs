//! The engine as its owner sees it.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::JoinHandle;

use super::api::{Command, Event};
use super::loader::{Loader, LocalLoader};
use super::sink::Sink;
use super::worker;
use crate::error::{Error, Result};

/// The worker's other end.
pub struct Engine {
    commands: Option<Sender<Command>>,
    events: Receiver<Event>,
    /// Of what was sent last: dropping the engine must not wait for it.
    cancel: Vec<Arc<AtomicBool>>,
    worker: Option<JoinHandle<()>>,
    has_stopped: Cell<bool>,
}

impl Engine {
    /// Starts the worker. `wake` is called from its thread after every event.
    ///
    /// # Errors
    /// [`Error::Thread`] if the system gives no thread.
    pub fn start(wake: impl Fn() + Send + 'static) -> Result<Self> {
        Self::start_with(wake, LocalLoader)
    }

    /// As [`Engine::start`], with another way to get a model.
    ///
    /// # Errors
    /// As [`Engine::start`].
    pub fn start_with(
        wake: impl Fn() + Send + 'static,
        loader: impl Loader + 'static,
    ) -> Result<Self> {
        let (commands, inbox) = channel();
        let (outbox, events) = channel();
        let sink = Sink::new(outbox, wake);
        let worker = std::thread::Builder::new()
            .name("engine".into())
            .spawn(move || worker::work(inbox, sink, Box::new(loader)))
            .map_err(Error::Thread)?;
        let mut engine = Self::from_channels(commands, events);
        engine.worker = Some(worker);
        Ok(engine)
    }

    /// An engine whose work someone else does: for tests, and for engines elsewhere.
    pub fn from_channels(commands: Sender<Command>, events: Receiver<Event>) -> Self {
        Self {
            commands: Some(commands),
            events,
            cancel: Vec::new(),
            worker: None,
            has_stopped: Cell::new(false),
        }
    }

    /// Has a command done after those sent before.
    pub fn send(&mut self, command: Command) {
        let cancel = match &command {
            Command::Load(load) => load.options.cancel.clone(),
            Command::Generate(request) => request.options.cancel.clone(),
            Command::Count { .. } | Command::Measure => None,
        };
        if let Some(cancel) = cancel {
            // Only what somebody else holds as well can still be going on.
            self.cancel.retain(|flag| Arc::strong_count(flag) > 1);
            self.cancel.push(cancel);
        }
        if let Some(commands) = &self.commands {
            // A worker that is gone is noticed by `poll`.
            let _ = commands.send(command);
        }
    }

    /// The next event, if there is one already.
    pub fn poll(&self) -> Option<Event> {
        match self.events.try_recv() {
            Ok(event) => Some(event),
            Err(TryRecvError::Disconnected) if self.worker.is_some() => {
                (!self.has_stopped.replace(true)).then_some(Event::Stopped)
            }
            Err(_) => None,
        }
    }

    /// The next event; `None` when the worker has ended or none came in time.
    pub fn wait(&self, timeout: std::time::Duration) -> Option<Event> {
        self.events.recv_timeout(timeout).ok()
    }
}

impl Drop for Engine {
    /// Ends what is going on and waits for the worker: a driver must not be left in the middle of something at exit.
    fn drop(&mut self) {
        for cancel in &self.cancel {
            cancel.store(true, Ordering::Relaxed);
        }
        self.commands = None;
        if let Some(worker) = self.worker.take() {
            let _ = worker.join();
        }
    }
}

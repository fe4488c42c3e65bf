//! Where a worker's events go.

use std::sync::mpsc::Sender;

use super::api::Event;

/// Where events go.
pub struct Sink {
    outbox: Sender<Event>,
    wake: Box<dyn Fn() + Send>,
}

impl Sink {
    /// `wake` is called after every event.
    pub fn new(outbox: Sender<Event>, wake: impl Fn() + Send + 'static) -> Self {
        Self {
            outbox,
            wake: Box::new(wake),
        }
    }

    pub fn send(&self, event: Event) {
        if self.outbox.send(event).is_ok() {
            (self.wake)();
        }
    }
}

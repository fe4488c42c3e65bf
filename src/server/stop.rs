//! How a server is told to end.

use tokio::sync::watch;

/// How far ending has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    Serving,
    /// What was asked for is answered, nothing more is taken on.
    Draining,
    /// Connections end with the answers that are on their way.
    Closing,
}

/// Tells a server to end; clones tell the same one.
#[derive(Debug, Clone)]
pub struct Stop(watch::Sender<Phase>);

impl Stop {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(Phase::Serving))
    }

    /// Has the server answer what it was asked, take on nothing more, and end.
    pub fn drain(&self) {
        self.advance(Phase::Draining);
    }

    pub(super) fn close(&self) {
        self.advance(Phase::Closing);
    }

    fn advance(&self, phase: Phase) {
        self.0.send_if_modified(|now| {
            let is_new = *now < phase;
            *now = phase.max(*now);
            is_new
        });
    }

    pub(super) fn phase(&self) -> Phase {
        *self.0.borrow()
    }

    /// Returns when ending has come so far.
    pub(super) async fn reached(&self, phase: Phase) {
        // It fails only where there is no sender, and this is one.
        let _ = self.0.subscribe().wait_for(|now| *now >= phase).await;
    }
}

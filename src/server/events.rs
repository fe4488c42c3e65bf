//! What happens to the texts of a request, for the one that waits for it.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::api_error::ApiError;
use super::event::Event;
use super::jobs::{End, EventReceiver};

/// How long a stream's head may wait for what comes first: until then an error can still be a status.
pub const QUIET: Duration = Duration::from_secs(15);

/// The events of a request's texts. Dropping it cancels what goes on.
pub struct Events {
    receiver: EventReceiver,
    /// When it is too late for the first; `None` once that has come.
    due: Option<Instant>,
}

impl Events {
    pub fn new(receiver: EventReceiver, waiting_time: Duration) -> Self {
        Self {
            receiver,
            due: Instant::now().checked_add(waiting_time),
        }
    }

    /// The next event with the index of its text; `None` when all have ended.
    ///
    /// # Errors
    /// Why no more comes.
    pub async fn next(&mut self) -> Result<Option<(usize, Event)>, ApiError> {
        let next = match self.due {
            None => self.receiver.next().await,
            Some(due) => timeout_at(due, self.receiver.next()).await.map_err(|_| {
                ApiError::busy("the request has waited for its turn as long as this server lets it")
            })?,
        };
        self.due = None;
        match next {
            Ok(event) => Ok(Some(event)),
            Err(End::Done) => Ok(None),
            Err(End::Cut) => Err(ApiError::new(
                408,
                "the text was not taken in as fast as it was written",
            )),
            Err(End::Gone) => Err(ApiError::broken(
                "nobody computes any more; the server has to be started again",
            )),
        }
    }

    /// The next event, if it is there.
    pub fn try_next(&mut self) -> Option<(usize, Event)> {
        self.receiver.try_next()
    }
}

//! Requests for texts: from a body to texts that are asked for, and from their events to an answer, whole or as it comes.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::Request;
use axum::http::Version;
use axum::response::Response;
use tokio::time::{Instant, timeout_at};

use super::answer::{self, broken, busy};
use super::api_error::ApiError;
use super::app::App;
use super::body::apart;
use super::event::Event;
use super::jobs::{End, Inlet};
use super::openai::{Asked, Context, Reply};
use super::socket::Socket;
use super::sse;

/// How long a stream's head may wait for what comes first: until then an error can still be a status.
pub const QUIET: Duration = Duration::from_secs(15);

/// Reads a request for texts.
pub type Parse = fn(&[u8], &Context) -> Result<Asked, ApiError>;

/// Answers a request for texts.
///
/// # Errors
/// Whatever is wrong with it, or with the server.
pub async fn generate(app: &App, request: Request, parse: Parse) -> Result<Response, ApiError> {
    app.check_serving()?;
    let peer = Peer::of(&request);
    let context = app.context();
    let read = async |body: Bytes| apart(move || parse(&body, &context)).await;
    let asked = app.bodies.read(request, read).await?;
    let texts = asked.texts.into_iter().map(|mut text| {
        text.options.max_time = app.settings.limits.running_time.or(text.options.max_time);
        text
    });
    let inlet = app.ask(texts.collect())?;
    let events = Events::new(inlet, app.settings.limits.waiting_time);
    match asked.is_stream {
        true => stream(events, asked.reply, peer).await,
        false => whole(events, asked.reply, peer).await,
    }
}

async fn whole(mut events: Events, mut reply: Reply, peer: Peer) -> Result<Response, ApiError> {
    let collect = async {
        while let Some((index, event)) = events.next().await? {
            reply.event(index, event)?;
        }
        Ok(answer::json(reply.end().concat()))
    };
    tokio::select! {
        done = collect => done,
        () = peer.gone() => Err(closed()),
    }
}

async fn stream(mut events: Events, reply: Reply, peer: Peer) -> Result<Response, ApiError> {
    let first = tokio::select! {
        first = tokio::time::timeout(QUIET, events.next()) => match first {
            Ok(first) => first?,
            Err(_) => None,
        },
        () = peer.gone() => return Err(closed()),
    };
    Ok(sse::response(first, events, reply, peer.socket))
}

/// Nobody reads it.
fn closed() -> ApiError {
    ApiError::new(400, "the connection was closed before the answer")
}

/// Whoever waits for an answer.
struct Peer {
    socket: Option<Arc<Socket>>,
    version: Version,
}

impl Peer {
    fn of(request: &Request) -> Self {
        Self {
            socket: request.extensions().get().cloned(),
            version: request.version(),
        }
    }

    async fn gone(&self) {
        match &self.socket {
            Some(socket) => socket.gone(self.version).await,
            None => std::future::pending().await,
        }
    }
}

/// The events of a request's texts. Dropping it cancels what goes on.
pub struct Events {
    inlet: Inlet,
    /// When it is too late for the first; `None` once that has come.
    due: Option<Instant>,
}

impl Events {
    fn new(inlet: Inlet, waiting_time: Duration) -> Self {
        Self {
            inlet,
            due: Instant::now().checked_add(waiting_time),
        }
    }

    /// The next event with the index of its text; `None` when all have ended.
    ///
    /// # Errors
    /// Why no more comes.
    pub async fn next(&mut self) -> Result<Option<(usize, Event)>, ApiError> {
        let next = match self.due {
            None => self.inlet.next().await,
            Some(due) => timeout_at(due, self.inlet.next()).await.map_err(|_| {
                busy("the request has waited for its turn as long as this server lets it")
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
            Err(End::Gone) => Err(broken(
                "nobody computes any more; the server has to be started again",
            )),
        }
    }

    /// The next event, if it is there.
    pub fn try_next(&mut self) -> Option<(usize, Event)> {
        self.inlet.try_next()
    }
}

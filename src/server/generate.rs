//! Requests for texts: from a body to texts that are asked for, and from their events to an answer, whole or as it comes.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::Request;
use axum::http::Version;
use axum::response::Response;

use super::answer;
use super::api_error::ApiError;
use super::app::App;
use super::body::apart;
use super::events::{Events, QUIET};
use super::openai::{Asked, Context, Reply};
use super::socket::Socket;
use super::sse;

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
    let receiver = app.ask(texts.collect())?;
    let events = Events::new(receiver, app.settings.limits.waiting_time);
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
        Ok(answer::json(reply.end().unwrap_or_default()))
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

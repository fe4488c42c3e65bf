//! An answer as it comes: server-sent events.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use hyper::body::Frame;

use super::answer;
use super::api_error::ApiError;
use super::event::Event;
use super::events::{Events, QUIET};
use super::openai::Reply;
use super::socket::{Closed, Socket};

/// Clients pass it over. It keeps proxies from ending a connection that only waits.
const COMMENT: &str = ": waiting\n\n";

const DONE: &str = "data: [DONE]\n\n";

/// Bytes that are sent as one piece at most, where more has come than was sent.
const PIECE: usize = 16 << 10;

/// An answer that begins with what has come `first`.
pub fn response(
    first: Option<(usize, Event)>,
    events: Events,
    reply: Reply,
    socket: Option<Arc<Socket>>,
) -> Response {
    let stream = Stream {
        first,
        events,
        reply,
        watch: Box::pin(closed(socket.clone())),
        socket,
    };
    let body = Body::new(Pieces(Some(Box::pin(stream.next()))));
    let mut response = answer::typed("text/event-stream", body);
    let headers = response.headers_mut();
    let fixed = HeaderValue::from_static;
    headers.insert(header::CACHE_CONTROL, fixed("no-cache"));
    // nginx would keep it back.
    headers.insert("x-accel-buffering", fixed("no"));
    response
}

type Waiting<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What is sent, and how it goes on.
type Piece = (Bytes, Option<Stream>);

struct Stream {
    first: Option<(usize, Event)>,
    events: Events,
    reply: Reply,
    socket: Option<Arc<Socket>>,
    /// Ends when the peer sends no more, and then when it has turned out to be gone.
    watch: Waiting<Closed>,
}

async fn closed(socket: Option<Arc<Socket>>) -> Closed {
    match socket {
        Some(socket) => socket.closed().await,
        None => std::future::pending().await,
    }
}

impl Stream {
    async fn next(mut self) -> Piece {
        let mut text = String::new();
        if let Some((index, event)) = self.first.take()
            && let Err(error) = self.take(index, event, &mut text)
        {
            return failed(text, &error);
        }
        while text.is_empty() {
            tokio::select! {
                next = self.events.next() => {
                    let taken = match next {
                        Ok(Some((index, event))) => self.take(index, event, &mut text),
                        Ok(None) => return self.end(),
                        Err(error) => Err(error),
                    };
                    if let Err(error) = taken {
                        return failed(text, &error);
                    }
                }
                () = tokio::time::sleep(QUIET) => text += COMMENT,
                closed = self.watch.as_mut() => match (closed, self.socket.take()) {
                    (Closed::Side, Some(socket)) => {
                        // Whoever has only ended its side takes this in. Whoever is gone says so.
                        self.watch = Box::pin(async move {
                            socket.broken().await;
                            Closed::Broken
                        });
                        text += COMMENT;
                    }
                    _ => return (Bytes::new(), None),
                },
            }
        }
        while text.len() < PIECE
            && let Some((index, event)) = self.events.try_next()
        {
            if let Err(error) = self.take(index, event, &mut text) {
                return failed(text, &error);
            }
        }
        (text.into(), Some(self))
    }

    fn take(&mut self, index: usize, event: Event, text: &mut String) -> Result<(), ApiError> {
        for chunk in self.reply.event(index, event)? {
            push(text, &chunk);
        }
        Ok(())
    }

    fn end(self) -> Piece {
        let mut text = String::new();
        if let Some(chunk) = self.reply.end() {
            push(&mut text, &chunk);
        }
        ((text + DONE).into(), None)
    }
}

fn push(text: &mut String, json: &str) {
    *text += "data: ";
    *text += json;
    *text += "\n\n";
}

fn failed(mut text: String, error: &ApiError) -> Piece {
    push(&mut text, &error.to_json());
    ((text + DONE).into(), None)
}

/// The pieces of a stream as a body.
struct Pieces(Option<Waiting<Piece>>);

impl hyper::body::Body for Pieces {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let Some(waiting) = &mut self.0 else {
            return Poll::Ready(None);
        };
        let (bytes, stream) = ready!(waiting.as_mut().poll(context));
        self.0 = stream.map(|stream| Box::pin(stream.next()) as Waiting<Piece>);
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }
}

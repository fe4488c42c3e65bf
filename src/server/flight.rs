//! The body of an answer, as long as which a request is under way.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use hyper::body::{Frame, SizeHint};

use super::socket::InFlight;

/// A body with what is to be dropped when it has been handed over, or nobody wants it any more.
pub struct Watched {
    body: Body,
    _flight: InFlight,
}

impl Watched {
    pub fn new(body: Body, flight: InFlight) -> Self {
        Self {
            body,
            _flight: flight,
        }
    }
}

impl hyper::body::Body for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

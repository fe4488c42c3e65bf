//! A connection: requests one after the other, each within its time.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1::Builder;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;

use super::flight::Watched;
use super::settings::Limits;
use super::socket::{Io, Overdue, Socket};
use super::stop::{Phase, Stop};

/// The least that hyper can have for a head.
const LEAST_HEADER_BYTES: usize = 8192;

/// What a peer may go on sending after an answer that ends the connection.
const LINGER_TIME: Duration = Duration::from_secs(5);
const LINGER_BYTES: usize = 64 << 20;

/// An answer to a head that did not come to its end.
const HEAD_TOO_SLOW: &str = concat!(
    r#"{"error":{"message":"the head of the request did not come to its end in time","#,
    r#""type":"invalid_request_error","param":null,"code":null}}"#
);

/// Answers what comes over a connection until its end.
pub async fn serve(socket: Arc<Socket>, io: Io, router: Router, limits: &Limits, stop: Stop) {
    let router = TowerToHyperService::new(router);
    let service = service_fn(|mut request: Request<Incoming>| {
        let flight = socket.begin();
        request.extensions_mut().insert(Arc::clone(&socket));
        let answer = router.call(request);
        async move {
            let answer = match answer.await {
                Ok(answer) => answer,
                Err(never) => match never {},
            };
            Ok::<_, Infallible>(answer.map(|body: Body| Watched::new(body, flight)))
        }
    });
    // Heads are measured once they are read; this is for those that are far too large, or without an end.
    let most_read = limits.header_bytes.saturating_mul(2);
    let mut builder = Builder::new();
    builder
        .timer(TokioTimer::new())
        // It counts the time between requests too. The socket knows better.
        .header_read_timeout(None)
        .max_buf_size(most_read.max(LEAST_HEADER_BYTES))
        // Whether a peer that has ended its side is gone is found out by those who care.
        .half_close(true);
    let mut connection = Box::pin(builder.serve_connection(TokioIo::new(io), service));
    let mut tick = tokio::time::interval(tick(limits));
    let mut is_closing = false;
    loop {
        tokio::select! {
            _ = connection.as_mut() => break,
            () = socket.given_up() => return,
            () = stop.reached(Phase::Closing), if !is_closing => {
                is_closing = true;
                connection.as_mut().graceful_shutdown();
            }
            _ = tick.tick() => match socket.overdue(limits) {
                None => {}
                Some(Overdue::Idle | Overdue::Stalled) => return,
                Some(Overdue::Head) => {
                    let length = HEAD_TOO_SLOW.len();
                    let head = format!(
                        "HTTP/1.1 408 Request Timeout\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
                         connection: close\r\nx-content-type-options: nosniff\r\n\r\n"
                    );
                    // Whether anybody reads it or not.
                    let _ = socket.send_now((head + HEAD_TOO_SLOW).as_bytes());
                    break;
                }
            },
        }
    }
    // The side that is written to ends with it: the peer need not wait for what does not come.
    drop(connection);
    socket.sent();
    tokio::select! {
        () = socket.linger(LINGER_TIME, LINGER_BYTES) => {}
        () = socket.given_up() => {}
        () = stop.reached(Phase::Closing) => {}
    }
}

/// How often a connection's times are looked at: often enough for the shortest.
fn tick(limits: &Limits) -> Duration {
    let shortest = limits
        .header_time
        .min(limits.keep_alive)
        .min(limits.stalled_time);
    (shortest / 8).clamp(Duration::from_millis(10), Duration::from_secs(1))
}

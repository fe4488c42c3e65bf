//! A request's body: JSON, of bounded size, within its time.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, header};
use http_body_util::BodyExt;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use super::api_error::ApiError;
use super::settings::Limits;
use super::socket::Socket;
use crate::excerpt::excerpt;

/// Bodies up to this need not wait for others, nor do larger ones before so much has come: who only announces much holds up nobody.
const SMALL: usize = 64 << 10;

/// Bodies of the largest size that may be held at a time, before anybody knows what is in them.
const LARGEST_AT_A_TIME: usize = 8;

/// Reads bodies, and sees to it that they are not too many at once.
pub struct Bodies {
    /// KiB that larger bodies may take together.
    room: Semaphore,
    most_bytes: usize,
    most_time: Duration,
}

impl Bodies {
    pub fn new(limits: &Limits) -> Self {
        let room = kib(limits.body_bytes) as usize * LARGEST_AT_A_TIME;
        Self {
            room: Semaphore::new(room.min(Semaphore::MAX_PERMITS)),
            most_bytes: limits.body_bytes,
            most_time: limits.body_time,
        }
    }

    /// Reads the body of a request, and hands it to `use_it`: as long as that takes, it counts as held.
    ///
    /// # Errors
    /// 400, 408, 413 or 415, and those of `use_it`.
    pub async fn read<T>(
        &self,
        request: Request,
        use_it: impl AsyncFnOnce(Bytes) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        let (head, body) = request.into_parts();
        check_type(&head.headers)?;
        check_encoding(&head.headers)?;
        let length = content_length(&head.headers);
        if length.is_some_and(|length| length > self.most_bytes as u64) {
            return Err(self.too_large());
        }
        let most = length.map_or(self.most_bytes, |length| length as usize);
        let read = timeout(self.most_time, self.collect(body, most));
        let (bytes, _room) = read.await.map_err(|_| {
            ApiError::new(
                408,
                "the body of the request did not come to its end in time",
            )
        })??;
        if let Some(socket) = head.extensions.get::<Arc<Socket>>() {
            socket.has_body();
        }
        use_it(bytes).await
    }

    /// The bytes of a body that has `most` of them, and the room that they take.
    async fn collect(
        &self,
        mut body: Body,
        most: usize,
    ) -> Result<(Bytes, Option<SemaphorePermit<'_>>), ApiError> {
        let mut all = Vec::new();
        let mut room = None;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| {
                ApiError::new(
                    400,
                    format!("the body of the request did not come whole: {error}"),
                )
            })?;
            // Trailers say nothing.
            let Ok(data) = frame.into_data() else {
                continue;
            };
            if all.len() + data.len() > self.most_bytes {
                return Err(self.too_large());
            }
            if room.is_none() && all.len() + data.len() > SMALL {
                room = self.room.acquire_many(kib(most)).await.ok();
            }
            all.extend_from_slice(&data);
        }
        Ok((all.into(), room))
    }

    fn too_large(&self) -> ApiError {
        let most = self.most_bytes;
        ApiError::new(
            413,
            format!(
                "the body of the request is larger than the {most} bytes that this server takes"
            ),
        )
    }
}

fn kib(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX)
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    let length = headers.get(header::CONTENT_LENGTH)?;
    length.to_str().ok()?.parse().ok()
}

/// A page of another site may send text, or a form, without asking anybody. JSON it may not.
fn check_type(headers: &HeaderMap) -> Result<(), ApiError> {
    let kind = headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let (essence, _) = kind.split_once(';').unwrap_or((kind, ""));
    match essence.trim().eq_ignore_ascii_case("application/json") {
        true => Ok(()),
        false => Err(ApiError::new(
            415,
            "the request needs the header `Content-Type: application/json`",
        )),
    }
}

/// What is packed would be read as it is.
fn check_encoding(headers: &HeaderMap) -> Result<(), ApiError> {
    for encoding in headers.get_all(header::CONTENT_ENCODING) {
        let encoding = String::from_utf8_lossy(encoding.as_bytes());
        if !encoding.trim().eq_ignore_ascii_case("identity") {
            let message = format!(
                "the body has the Content-Encoding `{}`; this server takes it as it is, without one",
                excerpt(&encoding)
            );
            return Err(ApiError::new(415, message));
        }
    }
    Ok(())
}

/// Does what takes long on another thread: other connections go on meanwhile.
///
/// # Errors
/// Those of `work`; 500 where it panics.
pub async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(failed) if failed.is_cancelled() => Err(ApiError::busy("the server is about to end")),
        Err(_) => Err(ApiError::new(500, "the server failed at this request")),
    }
}

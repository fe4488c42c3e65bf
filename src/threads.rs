//! Work in threads of its own, or one after the other where there are none: in a browser; and waiting, which is impossible there.

use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::thread::{self, scope};

use crate::error::{Error, Result};

/// Whether the system starts threads. Asking one that does not would panic.
pub const EXIST: bool = !cfg!(all(target_family = "wasm", target_os = "unknown"));

/// Does `work` on all of `parts` at once; what it returns for each, in order, is an error where it panicked.
pub fn each<P: Send, T: Send>(
    parts: impl Iterator<Item = P>,
    work: impl Fn(P) -> T + Sync,
) -> Vec<thread::Result<T>> {
    if !EXIST {
        return parts.map(|part| Ok(work(part))).collect();
    }
    let work = &work;
    scope(|scope| {
        let threads: Vec<_> = parts.map(|part| scope.spawn(move || work(part))).collect();
        threads.into_iter().map(|thread| thread.join()).collect()
    })
}

/// Does `work` while this thread is busy with `meanwhile`. What `work` returns is an error where it panicked.
pub fn beside<T: Send, U>(
    work: impl FnOnce() -> T + Send,
    meanwhile: impl FnOnce() -> U,
) -> (thread::Result<T>, U) {
    if !EXIST {
        return (Ok(work()), meanwhile());
    }
    scope(|scope| {
        let thread = scope.spawn(work);
        let done = meanwhile();
        (thread.join(), done)
    })
}

/// Waits for a promise of the driver. In a browser, which keeps none as long as anybody waits, that is an error unless it is kept already.
///
/// # Errors
/// [`Error::Misuse`] where there are no threads and the promise is not kept yet.
pub fn block_on<T>(promise: impl Future<Output = T>) -> Result<T> {
    if EXIST {
        return Ok(pollster::block_on(promise));
    }
    match pin!(promise).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(kept) => Ok(kept),
        Poll::Pending => Err(Error::Misuse(
            "nothing can wait for the device here; only what is asynchronous works".into(),
        )),
    }
}

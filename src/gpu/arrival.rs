//! Bytes on their way from the device to the host: asked for as soon as they are submitted, and awaited without blocking anybody else.

use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};

use super::device::Gpu;
use crate::error::{Error, Result};
use crate::threads::block_on;

type Mapped = std::result::Result<(), wgpu::BufferAsyncError>;

/// Tells when a buffer is mapped. Clones tell of the same.
#[derive(Clone)]
pub struct Notice {
    submission: wgpu::SubmissionIndex,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    mapped: Option<Mapped>,
    wakers: Vec<Waker>,
}

/// Owned by the callback: one that is dropped without being called will not be called any more.
struct Callback(Arc<Mutex<State>>);

impl Notice {
    /// Asks for the first `bytes` bytes of `buffer` to be mapped once `submission`, the last one that uses it, is done.
    pub fn of_mapping(
        buffer: &wgpu::Buffer,
        mode: wgpu::MapMode,
        bytes: u64,
        submission: wgpu::SubmissionIndex,
    ) -> Self {
        let state = Arc::default();
        let callback = Callback(Arc::clone(&state));
        let slice = buffer.slice(..bytes);
        slice.map_async(mode, move |mapped| callback.settle(mapped));
        Self { submission, state }
    }

    /// Until the buffer is mapped, or certain not to be: whoever reads it then is told.
    ///
    /// # Errors
    /// As [`Gpu::wait`].
    pub async fn arrived(&self, gpu: &Gpu) -> Result<()> {
        // Nobody polls the device but who waits for it, except in a browser, which does so itself.
        gpu.wait(Some(self.submission.clone()))?;
        let mapped = poll_fn(|context| {
            let mut state = self
                .state
                .lock()
                .unwrap_or_else(|poison| poison.into_inner());
            match &state.mapped {
                Some(mapped) => Poll::Ready(mapped.clone()),
                // Another thread that waits on the same device has been handed the callback and will call it.
                None => {
                    state.wakers.push(context.waker().clone());
                    Poll::Pending
                }
            }
        });
        mapped.await.or_else(|_| gpu.check())
    }

    fn has_failed(&self) -> bool {
        let state = self
            .state
            .lock()
            .unwrap_or_else(|poison| poison.into_inner());
        matches!(state.mapped, Some(Err(_)))
    }
}

impl Callback {
    fn settle(&self, mapped: Mapped) {
        let mut state = self.0.lock().unwrap_or_else(|poison| poison.into_inner());
        state.mapped.get_or_insert(mapped);
        let wakers = std::mem::take(&mut state.wakers);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl Drop for Callback {
    fn drop(&mut self) {
        self.settle(Err(wgpu::BufferAsyncError));
    }
}

/// What a [`Readback`](super::Readback) will hold. Dropped, it gives the buffer back to the device.
pub struct Arrival {
    buffer: wgpu::Buffer,
    bytes: u64,
    notice: Notice,
}

impl Arrival {
    pub fn new(buffer: &wgpu::Buffer, bytes: u64, submission: wgpu::SubmissionIndex) -> Self {
        Self {
            buffer: buffer.clone(),
            bytes,
            notice: Notice::of_mapping(buffer, wgpu::MapMode::Read, bytes, submission),
        }
    }

    /// To be awaited by whoever does not hold the arrival itself.
    pub fn notice(&self) -> Notice {
        self.notice.clone()
    }

    /// Waits for the bytes and hands them to `read`.
    ///
    /// # Errors
    /// As [`Notice::arrived`].
    pub fn read<T>(self, gpu: &Gpu, read: impl FnOnce(&[u8]) -> T) -> Result<T> {
        block_on(self.notice.arrived(gpu))??;
        let view = self
            .buffer
            .get_mapped_range(0..self.bytes)
            .map_err(|error| gpu.cause_of(Error::Gpu(format!("readback not mapped: {error}"))))?;
        Ok(read(&view))
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        if !self.notice.has_failed() {
            self.buffer.unmap();
        }
    }
}

//! How long work goes on: until it is done, cancelled, or has failed too often.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};

/// The longest that a server may ask us to wait.
const MOST_WAIT: Duration = Duration::from_secs(60);

/// Whether the work is still wanted.
#[derive(Debug, Clone, Default)]
pub struct Cancel {
    /// Set by whoever asked for it.
    asked: Option<Arc<AtomicBool>>,
    /// Set when a part of the work has failed, and the rest is in vain.
    failed: Arc<AtomicBool>,
}

impl Cancel {
    pub fn new(asked: Option<Arc<AtomicBool>>) -> Self {
        Self {
            asked,
            failed: Arc::default(),
        }
    }

    /// The same for a part of the work that may fail by itself.
    pub fn for_part(&self) -> Self {
        Self::new(self.asked.clone())
    }

    pub fn fail(&self) {
        self.failed.store(true, Ordering::Relaxed);
    }

    /// Whether whoever asked for it does not want it any more.
    pub fn is_asked(&self) -> bool {
        let asked = self.asked.as_ref();
        asked.is_some_and(|flag| flag.load(Ordering::Relaxed))
    }

    pub fn is_set(&self) -> bool {
        self.is_asked() || self.failed.load(Ordering::Relaxed)
    }

    /// # Errors
    /// [`Error::Cancelled`].
    pub fn check(&self) -> Result<()> {
        match self.is_set() {
            true => Err(Error::Cancelled),
            false => Ok(()),
        }
    }

    /// # Errors
    /// [`Error::Cancelled`], as soon as it is.
    pub fn sleep(&self, time: Duration) -> Result<()> {
        let begin = Instant::now();
        while let Some(left) = time.checked_sub(begin.elapsed()) {
            self.check()?;
            std::thread::sleep(left.min(Duration::from_millis(50)));
        }
        self.check()
    }
}

/// Waits longer after each failure.
pub struct Backoff {
    delay: Duration,
    failures: u32,
}

impl Backoff {
    pub fn new(delay: Duration) -> Self {
        Self { delay, failures: 0 }
    }

    /// Whether another try is worth it after `most` failures, this one included; if so, waits as long as is good, or as was asked.
    ///
    /// # Errors
    /// [`Error::Cancelled`].
    pub fn again(&mut self, most: u32, asked: Option<Duration>, cancel: &Cancel) -> Result<bool> {
        self.failures += 1;
        let usual = self.delay.saturating_mul(1 << (self.failures - 1).min(6));
        let wait = asked.unwrap_or(usual);
        if self.failures >= most || wait > MOST_WAIT {
            return Ok(false);
        }
        cancel.sleep(wait)?;
        Ok(true)
    }

    /// Something has come: the failures before do not count.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

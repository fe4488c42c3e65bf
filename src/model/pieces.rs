//! A long prefill is cut into submissions of bounded time, so that the desktop that shares the GPU stays alive.

use std::collections::VecDeque;
use std::time::Duration;

use web_time::Instant;

use crate::error::Result;
use crate::gpu::Gpu;

/// About how long a submission of a prefill may take.
const SUBMISSION_TIME: Duration = Duration::from_millis(50);

/// Multiply-adds a second to begin with, before anything was measured: what a slow software adapter does.
pub const FIRST_RATE: f64 = 2e9;

/// Submissions of a prefill in flight: one runs while the next waits.
pub const IN_FLIGHT: usize = 2;

/// How many operations, of so many multiply-adds each, fit a submission of `budget`, at least one, and what they add up to.
pub fn piece(costs: impl IntoIterator<Item = u64>, budget: u64) -> (usize, u64) {
    let (mut count, mut macs) = (0, 0);
    for cost in costs {
        if macs > 0 && macs + cost > budget {
            break;
        }
        (count, macs) = (count + 1, macs + cost);
    }
    (count, macs)
}

/// The submissions that a prefill was cut into, and how fast they run.
pub struct Pieces {
    pub in_flight: VecDeque<(wgpu::SubmissionIndex, u64)>,
    pub rate: f64,
    /// When the first was submitted.
    pub begin: Option<Instant>,
    last_end: Option<Instant>,
}

impl Pieces {
    pub fn new(rate: f64) -> Self {
        Self {
            in_flight: VecDeque::new(),
            rate,
            begin: None,
            last_end: None,
        }
    }

    /// Multiply-adds that fit a submission.
    pub fn budget(&self) -> u64 {
        (self.rate * SUBMISSION_TIME.as_secs_f64()) as u64
    }

    pub fn push(&mut self, submission: wgpu::SubmissionIndex, macs: u64) {
        self.begin.get_or_insert_with(Instant::now);
        if self.in_flight.is_empty() {
            self.last_end = Some(Instant::now());
        }
        self.in_flight.push_back((submission, macs));
    }

    pub fn wait_for_oldest(&mut self, gpu: &Gpu) -> Result<()> {
        let Some((submission, macs)) = self.in_flight.pop_front() else {
            return Ok(());
        };
        gpu.wait(Some(submission))?;
        let now = Instant::now();
        if let Some(begin) = self.last_end.replace(now) {
            self.learn(macs, now - begin);
        }
        Ok(())
    }

    /// Goes halfway to the rate that was seen: one hiccup must not decide.
    fn learn(&mut self, macs: u64, time: Duration) {
        let seen = macs as f64 / time.as_secs_f64().max(1e-6);
        self.rate = (self.rate + seen) / 2.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_is_what_fits_but_at_least_one_operation() {
        assert_eq!(piece([3, 4, 5], 7), (2, 7));
        assert_eq!(piece([3, 4, 5], 6), (1, 3));
        assert_eq!(piece([9, 1], 5), (1, 9));
        assert_eq!(piece([0, 9, 1], 5), (2, 9));
        assert_eq!(piece([3, 4], u64::MAX), (2, 7));
        // What has cost nothing so far may be followed by anything: an operation is never left over.
        assert_eq!(piece([0, 0], 0), (2, 0));
    }

    #[test]
    fn the_budget_follows_the_device() {
        let mut pieces = Pieces::new(FIRST_RATE);
        assert_eq!(pieces.budget(), 100_000_000);
        pieces.learn(1_000_000_000, Duration::from_millis(100));
        assert_eq!(pieces.budget(), 300_000_000);
        // Two waits that took no time at all do not make it infinite.
        pieces.learn(1_000_000, Duration::ZERO);
        assert!(pieces.rate.is_finite());
        for _ in 0..40 {
            pieces.learn(50_000_000, Duration::from_millis(50));
        }
        assert!((49_000_000..51_000_000).contains(&pieces.budget()));
    }
}

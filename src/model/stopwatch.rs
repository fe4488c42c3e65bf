//! How long dispatches take on the device: by its own clock where it has timestamps. Elsewhere by the host's clock, less what an empty
//! submission takes, which is an estimate.

use super::time::{Timed, submit_nothing};
use crate::error::Result;
use crate::gpu::{Gpu, Timer};

/// Measurements shorter than this say little: a dispatch's start and end would count.
const TELLING: f64 = 5e-3;

/// Dispatches of a run at most.
const MOST_DISPATCHES: usize = 4096;

/// Runs whose median counts.
const RUNS: usize = 7;

/// The middle half of the runs lies within this part of their median where the machine is quiet.
const QUIET: f64 = 0.1;

/// Times that a measurement is begun anew because others were busy.
const ATTEMPTS: usize = 3;

/// Measures dispatches, one kind at a time.
pub struct Stopwatch<'a> {
    gpu: &'a Gpu,
    timer: Option<Timer>,
    /// Seconds of an empty submission, by the host's clock.
    empty: f64,
}

/// What a measurement came to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    /// Of one dispatch.
    pub seconds: f64,
    /// Whether runs agreed with each other, so that it is worth remembering.
    pub is_quiet: bool,
}

impl<'a> Stopwatch<'a> {
    /// # Errors
    /// Those of the device.
    pub fn new(gpu: &'a Gpu) -> Result<Self> {
        Self::with_timer(gpu, gpu.timer(1))
    }

    /// With a timer or, as where the adapter has no timestamps, without.
    ///
    /// # Errors
    /// Those of the device.
    pub(super) fn with_timer(gpu: &'a Gpu, timer: Option<Timer>) -> Result<Self> {
        let empty = (0..RUNS).map(|_| submit_nothing(gpu).map(|time| time.as_secs_f64()));
        Ok(Self {
            empty: quartiles(empty.collect::<Result<_>>()?)[1],
            gpu,
            timer,
        })
    }

    /// Whether it was the host's clock.
    pub fn is_estimated(&self) -> bool {
        self.timer.is_none()
    }

    /// The time of a dispatch of `timed`: repeated until a run is long enough, the median of several runs, and of several attempts the
    /// shortest, until one of them was quiet.
    ///
    /// # Errors
    /// Those of the device.
    pub fn measure(&mut self, timed: &mut Timed<'_>) -> Result<Reading> {
        timed.dispatches = 1;
        // The first run pays for what the driver puts off until then.
        self.run(timed)?;
        loop {
            let seconds = self.run(timed)?;
            if seconds >= TELLING || timed.dispatches >= MOST_DISPATCHES {
                break;
            }
            let wanted = (timed.dispatches as f64 * 1.2 * TELLING / seconds.max(1e-9)).ceil();
            let most = (16 * timed.dispatches).min(MOST_DISPATCHES);
            timed.dispatches = (wanted as usize).clamp(timed.dispatches + 1, most);
        }
        let mut best = Reading {
            seconds: f64::INFINITY,
            is_quiet: false,
        };
        for _ in 0..ATTEMPTS {
            let runs: Result<Vec<f64>> = (0..RUNS).map(|_| self.run(timed)).collect();
            let [low, median, high] = quartiles(runs?);
            best.seconds = best.seconds.min(median / timed.dispatches as f64);
            best.is_quiet = high - low < QUIET * median;
            if best.is_quiet {
                break;
            }
        }
        // Faster than any clock tells.
        best.seconds = best.seconds.max(1e-9);
        Ok(best)
    }

    /// Seconds of a run, more than none.
    fn run(&mut self, timed: &Timed<'_>) -> Result<f64> {
        if let Some(timer) = &self.timer {
            if let Some(seconds) = timed.run_by(self.gpu, timer)? {
                return Ok(seconds);
            }
            // Timestamps that make no sense once are not asked again.
            self.timer = None;
        }
        let seconds = timed.run(self.gpu)?.as_secs_f64() - self.empty;
        Ok(seconds.max(1e-9))
    }
}

/// A quarter of the numbers lies below the first, half below the second, three quarters below the third.
fn quartiles(mut numbers: Vec<f64>) -> [f64; 3] {
    numbers.sort_by(f64::total_cmp);
    let last = numbers.len().saturating_sub(1);
    [1, 2, 3].map(|quarter| numbers.get(quarter * last / 4).copied().unwrap_or(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_are_of_the_sorted_numbers() {
        assert_eq!(quartiles(vec![5.0, 1.0, 4.0, 2.0, 3.0]), [2.0, 3.0, 4.0]);
        assert_eq!(quartiles(vec![7.0]), [7.0; 3]);
        assert_eq!(quartiles(vec![]), [0.0; 3]);
    }
}

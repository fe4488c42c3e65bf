//! Which tokens are timed in detail, where that costs time: as many as a budget allows.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::mode::TraceMode;

/// While every step is traced, every so many tokens the device may run ahead without it: the difference is what tracing costs.
const CONTROL_EVERY: usize = 16;

/// Tokens to look at before it is decided how many can be traced.
const FIRST_LOOK: usize = 8;

/// How a request is to be traced.
#[derive(Debug, Clone, Default)]
pub struct TracePlan {
    pub mode: TraceMode,
    /// While it is set nothing is timed.
    pub pause: Arc<AtomicBool>,
    /// How much longer a token may take on average for being traced, such as 0.05; so only some are, where that costs more.
    /// `None`: all steps are traced but one in sixteen, which tell what tracing costs.
    pub budget: Option<f64>,
}

/// Follows a plan token by token, from what tracing is seen to cost.
pub struct Rationing {
    plan: TracePlan,
    /// Tokens so far.
    count: usize,
    /// Whether a detailed step is to come, and has not come yet.
    is_due: bool,
    /// Seconds and number of tokens, traced and not.
    traced: (f64, usize),
    untraced: (f64, usize),
}

impl Rationing {
    pub fn new(plan: TracePlan) -> Self {
        Self {
            is_due: plan.mode.is_detailed(),
            plan,
            count: 0,
            traced: (0.0, 0),
            untraced: (0.0, 0),
        }
    }

    /// How finely the next step is to be timed. A step in detail has to wait for those that are under way, so it stays due until it came.
    pub fn mode(&self) -> TraceMode {
        match self.plan.mode {
            _ if self.plan.pause.load(Ordering::Relaxed) => TraceMode::Off,
            mode if self.is_due || mode == TraceMode::Off => mode,
            _ => TraceMode::Steps,
        }
    }

    /// Takes in a token that took so many seconds. The first one's step was the prompt's, which says nothing.
    pub fn add(&mut self, traced: bool, seconds: f64) {
        if self.count > 0 {
            let (sum, count) = match traced {
                true => &mut self.traced,
                false => &mut self.untraced,
            };
            *sum += seconds;
            *count += 1;
        }
        self.count += 1;
        self.is_due &= !traced;
        self.is_due |= self.plan.mode.is_detailed() && self.traces(self.count);
    }

    /// How many tokens apart those are that are traced.
    fn interval(&self) -> usize {
        let (Some(budget), (with, m @ 1..), (without, n @ 1..)) =
            (self.plan.budget, self.traced, self.untraced)
        else {
            return 1;
        };
        let cost = (with / m as f64) / (without / n as f64).max(1e-9) - 1.0;
        (cost / budget).ceil().clamp(1.0, 64.0) as usize
    }

    fn traces(&self, count: usize) -> bool {
        match self.plan.budget {
            // Both kinds in turn, until it is known what they cost.
            Some(_) if count <= FIRST_LOOK => count % 2 == 1,
            Some(_) if self.interval() > 1 => count.is_multiple_of(self.interval()),
            _ => count % CONTROL_EVERY != CONTROL_EVERY - 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of a thousand tokens are traced when that makes them `cost` times slower.
    fn traced(budget: Option<f64>, cost: f64) -> usize {
        let mut rationing = Rationing::new(TracePlan {
            mode: TraceMode::Kernels,
            budget,
            ..TracePlan::default()
        });
        let mut traces = |_| {
            let traced = rationing.mode().is_detailed();
            rationing.add(traced, if traced { 1.0 + cost } else { 1.0 });
            traced
        };
        (0..=1000)
            .map(&mut traces)
            .skip(1)
            .filter(|traced| *traced)
            .count()
    }

    #[test]
    fn tracing_keeps_to_its_budget() {
        assert_eq!(traced(None, 5.0), 1000 - 1000 / 16);
        assert!(traced(Some(0.05), 0.01) > 900, "what costs nothing is done");
        for cost in [0.2, 0.7, 3.0] {
            let share = traced(Some(0.05), cost) as f64 / 1000.0;
            assert!(share * cost < 0.07 && share > 0.01, "{share} at {cost}");
        }
    }

    #[test]
    fn a_pause_stops_all_timing() {
        let plan = TracePlan {
            mode: TraceMode::Layers,
            ..TracePlan::default()
        };
        let rationing = Rationing::new(plan.clone());
        assert_eq!(rationing.mode(), TraceMode::Layers);
        plan.pause.store(true, Ordering::Relaxed);
        assert_eq!(rationing.mode(), TraceMode::Off);
    }
}

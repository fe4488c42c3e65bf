//! Everything added up over some steps of one phase.

use std::borrow::Borrow;

use super::step::{KernelSum, LayerSum, Step};
use super::step::{add_to_kernels, add_to_layers};

/// Some steps by the host's clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, serde::Serialize)]
pub struct Wall {
    pub steps: usize,
    /// Tokens that they gained.
    pub tokens: u64,
    pub seconds: f64,
}

impl Wall {
    fn add(&mut self, step: &Step) {
        self.steps += 1;
        self.tokens += u64::from(step.gained());
        self.seconds += step.wall.as_secs_f64();
    }

    /// Seconds a token.
    pub fn per_token(&self) -> f64 {
        self.seconds / self.tokens.max(1) as f64
    }
}

/// Sums over some steps, to which more can be added.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Totals {
    /// What lies outside the layers first.
    pub layers: Vec<LayerSum>,
    /// In the order in which a step runs them.
    pub kernels: Vec<KernelSum>,
    /// All steps.
    pub all: Wall,
    /// Those that the device's clock has timed, which `layers` and `kernels` add up.
    pub timed: Wall,
    /// Seconds within their dispatches.
    pub device_s: f64,
    /// Steps for which the device was asked for its clock.
    pub asked: usize,
    /// Tokens that were proposed, and those of them that were accepted.
    pub proposed: u64,
    pub accepted: u64,
}

impl Totals {
    pub fn of<S: Borrow<Step>>(steps: impl IntoIterator<Item = S>) -> Self {
        let mut totals = Self::default();
        for step in steps {
            totals.add(step.borrow());
        }
        totals
    }

    pub fn add(&mut self, step: &Step) {
        self.all.add(step);
        self.proposed += u64::from(step.proposed);
        self.accepted += u64::from(step.accepted);
        self.asked += usize::from(step.mode.is_detailed());
        let Some(spans) = &step.spans else { return };
        self.timed.add(step);
        for span in spans {
            self.device_s += 1e-9 * span.duration_ns as f64;
            add_to_kernels(&mut self.kernels, span);
            add_to_layers(&mut self.layers, span);
        }
    }

    /// Whether the device was asked for its clock, and had none.
    pub fn has_no_clock(&self) -> bool {
        self.asked > 0 && self.timed.steps == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::made_up::{decode, layer_spans};
    use crate::trace::{by_kernel, by_layer};

    #[test]
    fn sums_grow_to_what_they_are_at_once() {
        let steps: Vec<Step> = (1..5).map(|i| decode(layer_spans(3, i * 10))).collect();
        let totals = Totals::of(&steps);
        assert_eq!(totals.layers, by_layer(&steps));
        assert_eq!(totals.kernels, by_kernel(&steps));
        assert_eq!(totals.all, totals.timed);
        assert!(!totals.has_no_clock());
    }

    #[test]
    fn tokens_proposed_in_vain_are_not_gained() {
        let mut step = decode(Vec::new());
        (step.tokens, step.proposed, step.accepted) = (5, 4, 3);
        assert_eq!(Totals::of([&step]).all.tokens, 4);
    }
}

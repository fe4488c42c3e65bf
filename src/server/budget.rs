//! Which steps are timed in detail while somebody watches: as many as a budget allows.
//!
//! [`Rationing`](crate::trace::Rationing) follows one request, whose tokens all cost alike. Steps of a pool do not, so here each is held
//! against one of its own size, and what it took longer is paid back before the next is timed.

use std::time::Duration;

/// How much longer steps may take on average for being timed.
pub const SHARE: f64 = 0.04;

/// What a step is taken to cost until it is known: as long again as it takes untimed.
const FIRST_GUESS: f64 = 1.0;

/// How much a new measurement counts against those before.
const NEWEST: f64 = 0.2;

/// What timing costs, and what of it is still to be paid back.
#[derive(Debug, Default)]
pub struct Budget {
    /// Seconds.
    debt: f64,
    /// Prompt tokens, texts and seconds of the last step that was not timed.
    untimed: Option<(u64, usize, f64)>,
    /// How much longer a step takes for being timed, as a share.
    cost: Option<f64>,
}

impl Budget {
    /// Whether the next step may be timed.
    pub fn allows(&self) -> bool {
        self.untimed.is_some() && self.debt <= 0.0
    }

    /// As measured; `None`: not yet.
    pub fn cost(&self) -> Option<f64> {
        self.cost
    }

    /// Takes in a step of so many prompt tokens and texts.
    pub fn add(&mut self, is_timed: bool, prompt_tokens: u64, texts: usize, took: Duration) {
        let seconds = took.as_secs_f64();
        if !is_timed {
            self.untimed = Some((prompt_tokens, texts, seconds));
            self.debt = (self.debt - SHARE * seconds).max(0.0);
            return;
        }
        // A step of its own size must come before the next is timed.
        if let Some((tokens, others, usual)) = self.untimed.take()
            && (tokens, others) == (prompt_tokens, texts)
            && usual > 0.0
        {
            let cost = (seconds / usual - 1.0).max(0.0);
            let before = self.cost.unwrap_or(cost);
            self.cost = Some(before + NEWEST * (cost - before));
        }
        let cost = self.cost.unwrap_or(FIRST_GUESS);
        self.debt += seconds * cost / (1.0 + cost);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: Duration = Duration::from_millis(10);

    /// Steps of one kind, of which a timed one takes `slower` times as long; how much longer all took for it, as a share.
    fn spent(slower: f64, steps: usize) -> (Budget, f64) {
        let mut budget = Budget::default();
        let (mut all, mut usual) = (0.0, 0.0);
        for _ in 0..steps {
            let is_timed = budget.allows();
            let took = STEP.mul_f64(if is_timed { slower } else { 1.0 });
            budget.add(is_timed, 0, 1, took);
            all += took.as_secs_f64();
            usual += STEP.as_secs_f64();
        }
        (budget, all / usual - 1.0)
    }

    #[test]
    fn all_steps_take_little_longer_for_those_that_are_timed() {
        for slower in [1.02, 1.5, 3.0, 10.0] {
            let (budget, share) = spent(slower, 20_000);
            assert!(share <= 1.05 * SHARE, "{slower}: {share}");
            // And not much less than is allowed, where timing costs that.
            assert!(share > 0.5 * SHARE || slower < 1.1, "{slower}: {share}");
            assert!((budget.cost().unwrap() - (slower - 1.0)).abs() < 1e-6);
        }
    }

    #[test]
    fn the_first_step_and_those_of_another_size_teach_nothing() {
        let mut budget = Budget::default();
        assert!(!budget.allows());
        budget.add(false, 0, 1, STEP);
        assert!(budget.allows());
        budget.add(true, 32, 1, 10 * STEP);
        assert_eq!(budget.cost(), None);
        assert!(!budget.allows());
    }
}

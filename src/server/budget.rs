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

//! Whether it pays to propose tokens, and how many: a running estimate of what they gain against what they cost.

/// How much of what was counted stays when more comes.
const KEEP: f64 = 0.8;

/// How far an estimate of time goes towards a value below and above it: what takes longer is mostly something else, such as a driver that
/// compiles a kernel at its first use.
const FALL: f64 = 0.5;
const RISE: f64 = 0.1;

/// Opportunities that pass between two tries where nothing pays; doubled with every try in vain.
const FIRST_PATIENCE: u32 = 8;
const MOST_PATIENCE: u32 = 128;

/// What a step costs, in any unit: with no proposed token, and for each that is proposed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cost {
    /// Not known beforehand: estimated from how long steps take.
    Measured,
    /// Known, relative to a step without: the same text then follows from the same seed, whatever the clock says.
    Given(f64),
}

/// The estimate.
#[derive(Debug, Clone)]
pub struct Payoff {
    /// Proposed tokens that were accepted and those that were refused, the latest counting most.
    accepted: f64,
    refused: f64,
    is_measured: bool,
    plain: Option<f64>,
    extra: Option<f64>,
    patience: u32,
    passed: u32,
}

impl Payoff {
    pub fn new(cost: Cost) -> Self {
        let (plain, extra) = match cost {
            Cost::Measured => (None, None),
            Cost::Given(extra) => (Some(1.0), Some(extra)),
        };
        Self {
            accepted: 1.5,
            refused: 1.0,
            is_measured: cost == Cost::Measured,
            plain,
            extra,
            patience: FIRST_PATIENCE,
            passed: 0,
        }
    }

    /// Seconds that a step without proposed tokens takes, where that was measured.
    pub fn plain_seconds(&self) -> Option<f64> {
        self.plain.filter(|_| self.is_measured)
    }

    /// Whether nothing is proposed now but for a try from time to time.
    pub fn has_stopped(&self) -> bool {
        self.passed > 0 || self.patience > FIRST_PATIENCE
    }

    /// How many of `most` tokens to propose now.
    pub fn count(&mut self, most: usize) -> usize {
        let (Some(plain), extra) = (self.plain, self.extra) else {
            // What there is to gain is known only after a step without.
            return 0;
        };
        let Some(extra) = extra else {
            return most;
        };
        let best = self.best(most, plain, extra);
        if best > 0 || most == 0 {
            return best;
        }
        self.passed += 1;
        match self.passed >= self.patience {
            true => {
                self.passed = 0;
                self.patience = (2 * self.patience).min(MOST_PATIENCE);
                most.min(2)
            }
            false => 0,
        }
    }

    /// The number with most tokens for its cost.
    fn best(&self, most: usize, plain: f64, extra: f64) -> usize {
        let rate = self.accepted / (self.accepted + self.refused);
        let (mut best, mut highest) = (0, 1.0 / plain);
        // Of tokens with a next one each is accepted only where those before it are.
        let (mut tokens, mut reached) = (1.0, 1.0);
        for count in 1..=most {
            reached *= rate;
            tokens += reached;
            let gain = tokens / (plain + extra * count as f64);
            if gain > highest {
                (best, highest) = (count, gain);
            }
        }
        best
    }

    /// Notes a step.
    pub fn note(&mut self, proposed: usize, accepted: usize, seconds: f64) {
        if proposed > 0 {
            self.accepted = KEEP * self.accepted + accepted as f64;
            self.refused = KEEP * self.refused + f64::from(u8::from(accepted < proposed));
        }
        if accepted > 0 {
            self.patience = FIRST_PATIENCE;
        }
        if !self.is_measured {
            return;
        }
        match (proposed, self.plain) {
            (0, _) => approach(&mut self.plain, seconds),
            (_, Some(plain)) => {
                let each = (seconds - plain).max(0.0) / proposed as f64;
                approach(&mut self.extra, each);
            }
            (_, None) => {}
        }
    }
}

fn approach(estimate: &mut Option<f64>, value: f64) {
    let before = estimate.unwrap_or(value);
    let part = if value < before { FALL } else { RISE };
    *estimate = Some(before + part * (value - before));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes steps with `most` tokens to propose, of which the first `good` are right; returns how many were proposed in each.
    fn steps(
        payoff: &mut Payoff,
        count: usize,
        most: usize,
        good: usize,
        extra: f64,
    ) -> Vec<usize> {
        let step = |_| {
            let proposed = payoff.count(most);
            let seconds = 1.0 + extra * proposed as f64;
            payoff.note(proposed, proposed.min(good), seconds);
            proposed
        };
        (0..count).map(step).collect()
    }

    #[test]
    fn what_is_accepted_is_proposed_in_full() {
        let mut payoff = Payoff::new(Cost::Measured);
        let counts = steps(&mut payoff, 20, 10, 10, 0.2);
        assert_eq!(counts[0], 0, "the first step is to be measured");
        assert!(counts[1..].iter().all(|count| *count >= 9), "{counts:?}");
        assert_eq!(counts[10..], [10; 10]);
        assert!(!payoff.has_stopped());
        assert_eq!(payoff.plain_seconds(), Some(1.0));
    }

    #[test]
    fn what_is_refused_shrinks_stops_and_is_tried_ever_more_rarely() {
        let mut payoff = Payoff::new(Cost::Measured);
        let counts = steps(&mut payoff, 2000, 10, 0, 0.2);
        let tries: Vec<usize> = (0..2000).filter(|step| counts[*step] > 0).collect();
        assert!(tries.len() < 30, "{tries:?}");
        assert!(payoff.has_stopped());
        let cost: f64 = counts.iter().map(|count| 0.2 * *count as f64).sum();
        assert!(cost < 0.02 * 2000.0, "{cost}");
        // It comes back when the text repeats itself again.
        let counts = steps(&mut payoff, 400, 10, 10, 0.2);
        assert_eq!(counts[counts.len() - 1], 10);
        assert!(!payoff.has_stopped());
    }

    #[test]
    fn the_number_follows_from_how_many_are_right_and_what_they_cost() {
        let settled = |extra, good| {
            let mut payoff = Payoff::new(Cost::Given(extra));
            let counts = steps(&mut payoff, 60, 10, good, extra);
            counts[counts.len() - 1]
        };
        assert_eq!(settled(0.05, 10), 10);
        let (few, many) = (settled(0.3, 3), settled(0.05, 3));
        assert!(0 < few && few < many, "{few} {many}");
        assert_eq!(
            settled(2.0, 10),
            0,
            "one for twice the cost of one gains nothing"
        );
    }
}

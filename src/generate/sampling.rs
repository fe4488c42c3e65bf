//! Logits to the next token: processors, then the greatest of what they leave, or warpers and a draw.

use rand_core::{RngCore, SeedableRng};
use rand_pcg::Pcg64Mcg;

use super::params::SamplingParams;
use super::processors::{Processors, Span};
use super::warpers::Warpers;
use crate::error::{Error, Result};

/// A seed from the clock, short enough for a person to type again.
pub fn clock_seed() -> u64 {
    web_time::SystemTime::now()
        .duration_since(web_time::UNIX_EPOCH)
        .map_or(0, |now| (now.as_nanos() % 1_000_000_007) as u64)
}

/// A token with its probability (natural logarithm, of the full softmax) and raw logit.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Candidate {
    pub id: u32,
    pub logprob: f32,
    pub logit: f32,
}

/// `ln(sum(exp(logits)))`, in f64; what turns a logit into a log-probability when subtracted.
pub fn log_sum_exp(logits: &[f32]) -> f64 {
    let highest = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    let sum: f64 = logits.iter().map(|x| (f64::from(*x) - highest).exp()).sum();
    highest + sum.ln()
}

/// The `count` tokens with the highest logits, highest first; the lower id first among equals. `log_sum` is that of all logits.
pub fn top_candidates(logits: &[f32], count: usize, log_sum: f64) -> Vec<Candidate> {
    let count = count.min(logits.len());
    if count == 0 {
        return Vec::new();
    }
    let mut order: Vec<u32> = (0..logits.len() as u32).collect();
    order.select_nth_unstable_by(count - 1, |a, b| by_logit(logits, *a, *b));
    order.truncate(count);
    order.sort_unstable_by(|a, b| by_logit(logits, *a, *b));
    order
        .into_iter()
        .map(|id| Candidate {
            id,
            logit: logits[id as usize],
            logprob: (f64::from(logits[id as usize]) - log_sum) as f32,
        })
        .collect()
}

/// Higher logit first, then lower id. NaN counts as lowest.
fn by_logit(logits: &[f32], a: u32, b: u32) -> std::cmp::Ordering {
    let value = |id: u32| {
        let x = logits[id as usize];
        if x.is_nan() { f32::NEG_INFINITY } else { x }
    };
    value(b).total_cmp(&value(a)).then(a.cmp(&b))
}

/// A token that was proposed.
pub struct Draft {
    pub id: u32,
    /// What it was drawn from, `[vocab]`; empty where no chance had a part.
    pub probabilities: Vec<f32>,
}

impl Draft {
    /// A token that nothing else could have been in the place of.
    pub fn certain(id: u32) -> Self {
        Self {
            id,
            probabilities: Vec::new(),
        }
    }
}

/// Chooses tokens on the host; holds the random numbers' state and scratch memory. `shaders/sample_pick.wgsl` does the same on the
/// device, for the more common parameters.
pub struct Sampler {
    is_random: bool,
    rng: Pcg64Mcg,
    processors: Processors,
    warpers: Warpers,
    logits: Vec<f32>,
}

impl Sampler {
    /// For a text that begins from nothing, and that nothing ends.
    pub fn new(sampling: SamplingParams) -> Self {
        Self::within(&sampling, Span::default())
    }

    /// For a text of which it is known where it begins and what ends it.
    pub(crate) fn within(sampling: &SamplingParams, span: Span) -> Self {
        Self {
            is_random: sampling.temperature > 0.0,
            rng: Pcg64Mcg::seed_from_u64(sampling.seed),
            processors: Processors::new(sampling, span),
            warpers: Warpers::new(sampling),
            logits: Vec::new(),
        }
    }

    /// The next token after `history` (prompt and text so far), given the raw logits `[vocab]`.
    ///
    /// # Errors
    /// As [`Sampler::choose`].
    pub fn sample(&mut self, logits: &[f32], history: &[u32]) -> Result<u32> {
        let uniform = match self.is_random() {
            true => self.uniform(),
            false => 0.0,
        };
        self.choose(logits, history, uniform)
    }

    pub(super) fn processors(&self) -> &Processors {
        &self.processors
    }

    /// Whether chance has a part: every token then takes one random number.
    pub fn is_random(&self) -> bool {
        self.is_random
    }

    /// The next random number in [0, 1).
    pub fn uniform(&mut self) -> f32 {
        // 24 bits: every value is exact in f32 and below 1.
        (self.rng.next_u32() >> 8) as f32 / (1 << 24) as f32
    }

    /// As [`Sampler::sample`] with the random number in [0, 1) given: of the tokens that the cuts keep, the one in whose share of their
    /// probability it falls, in the order of ids.
    ///
    /// # Errors
    /// [`Error::NotANumber`] where a logit is none; where a token was to be drawn [`Error::NothingToChoose`] if all are forbidden, and
    /// [`Error::NothingToWeigh`] if settings made a logit infinite.
    pub fn choose(&mut self, logits: &[f32], history: &[u32], uniform: f32) -> Result<u32> {
        self.weigh(logits, history)?;
        match self.is_random {
            false => Ok(argmax(&self.logits)),
            true => draw(&self.logits, uniform).ok_or(Error::NothingToChoose),
        }
    }

    /// The next token after `history`, for another sampler to [`verify`](Self::verify).
    ///
    /// # Errors
    /// As [`Sampler::choose`].
    pub(crate) fn draft(&mut self, logits: &[f32], history: &[u32]) -> Result<Draft> {
        let mut draft = Draft::certain(self.sample(logits, history)?);
        if self.is_random {
            let total = sum(&self.logits);
            let probability = |weight: &f32| (f64::from(*weight) / total) as f32;
            draft.probabilities = self.logits.iter().map(probability).collect();
        }
        Ok(draft)
    }

    /// As [`Sampler::choose`] where `draft` was proposed: with probability min(1, p / q) it is the token, p being what the token would be
    /// drawn from here and q what it was drawn from; else the token is drawn from max(0, p - q). Together that is p, whatever q is
    /// (Leviathan, Kalman and Matias, 2023). A draft without chance is the token where the same would be chosen.
    ///
    /// # Errors
    /// As [`Sampler::choose`].
    pub(crate) fn verify(
        &mut self,
        logits: &[f32],
        history: &[u32],
        draft: &Draft,
        uniform: f32,
    ) -> Result<u32> {
        let id = draft.id as usize;
        let (true, Some(q)) = (self.is_random, draft.probabilities.get(id)) else {
            return self.choose(logits, history, uniform);
        };
        self.weigh(logits, history)?;
        let total = sum(&self.logits);
        let p = self.logits.get(id).map_or(0.0, |weight| f64::from(*weight)) / total;
        if f64::from(self.uniform()) * f64::from(*q) < p {
            return Ok(draft.id);
        }
        for (weight, q) in self.logits.iter_mut().zip(&draft.probabilities) {
            *weight = (f64::from(*weight) / total - f64::from(*q)).max(0.0) as f32;
        }
        // Nothing is left only where p and q are the same but for rounding.
        Ok(draw(&self.logits, uniform).unwrap_or(draft.id))
    }

    /// Puts in place of the logits what processors make of them, or, where chance has a part, what warpers leave of each token's
    /// probability, up to a factor.
    fn weigh(&mut self, logits: &[f32], history: &[u32]) -> Result<()> {
        if !self.processors.remove_invalid_values() {
            refuse_nan(logits)?;
        }
        self.logits.clear();
        self.logits.extend_from_slice(logits);
        self.processors.apply(&mut self.logits, history);
        if !self.is_random {
            return Ok(());
        }
        // What processors can make of numbers, and what has no probability.
        let is_wrong = |x: f32| x.is_nan() || x == f32::INFINITY;
        if let Some(id) = self.logits.iter().position(|logit| is_wrong(*logit)) {
            return Err(match is_wrong(logits[id]) {
                true => Error::NotANumber { id: id as u32 },
                false => Error::NothingToWeigh,
            });
        }
        self.warpers.apply(&mut self.logits);
        let highest = self.logits.iter().copied().reduce(f32::max);
        let highest = highest.filter(|logit| logit.is_finite());
        let highest = highest.ok_or(Error::NothingToChoose)?;
        for logit in &mut self.logits {
            *logit = (*logit - highest).exp();
        }
        Ok(())
    }
}

/// The token in whose share of the weights `[vocab]` a number in [0, 1) falls, in the order of ids; `None` where none has any.
fn draw(weights: &[f32], uniform: f32) -> Option<u32> {
    let mut picked = None;
    let mut left = f64::from(uniform) * sum(weights);
    for (id, weight) in (0..).zip(weights) {
        if *weight > 0.0 {
            picked = Some(id);
            if left < f64::from(*weight) {
                break;
            }
            left -= f64::from(*weight);
        }
    }
    picked
}

fn sum(weights: &[f32]) -> f64 {
    weights.iter().map(|weight| f64::from(*weight)).sum()
}

fn refuse_nan(logits: &[f32]) -> Result<()> {
    match logits.iter().position(|logit| logit.is_nan()) {
        Some(id) => Err(Error::NotANumber { id: id as u32 }),
        None => Ok(()),
    }
}

/// The first of the greatest; a NaN is the greatest of all, as PyTorch has it.
fn argmax(logits: &[f32]) -> u32 {
    let (mut best, mut highest) = (0, f32::NEG_INFINITY);
    for (id, logit) in (0..).zip(logits) {
        if logit.is_nan() {
            return id;
        }
        if *logit > highest {
            (best, highest) = (id, *logit);
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greedy_takes_the_first_of_the_highest() {
        let mut sampler = Sampler::new(SamplingParams::default());
        assert_eq!(sampler.choose(&[1.0, 3.0, 3.0], &[], 0.0).unwrap(), 1);
        assert_eq!(
            sampler.choose(&[f32::NEG_INFINITY; 3], &[], 0.0).unwrap(),
            0
        );
    }

    #[test]
    fn what_is_no_number_is_never_a_token() {
        let mut warm = SamplingParams {
            temperature: 1.0,
            ..SamplingParams::default()
        };
        for sampling in [SamplingParams::default(), warm.clone()] {
            let error = Sampler::new(sampling).choose(&[0.0, f32::NAN], &[], 0.5);
            assert!(matches!(error, Err(Error::NotANumber { id: 1 })));
        }
        let drawn = |logits: &[f32]| Sampler::new(warm.clone()).choose(logits, &[], 0.5);
        let infinite = drawn(&[f32::INFINITY, 0.0]);
        assert!(matches!(infinite, Err(Error::NotANumber { id: 0 })));
        let mut biased = warm.clone();
        biased.processors.sequence_bias = vec![(vec![0], f32::INFINITY)];
        let biased = Sampler::new(biased).choose(&[1.0, 0.0], &[], 0.5);
        assert!(matches!(biased, Err(Error::NothingToWeigh)), "{biased:?}");
        let forbidden = drawn(&[f32::NEG_INFINITY; 2]);
        assert!(matches!(forbidden, Err(Error::NothingToChoose)));
        warm.processors.remove_invalid_values = true;
        let logits = [f32::NAN, f32::INFINITY, 1.0];
        assert_eq!(Sampler::new(warm).choose(&logits, &[], 0.5).unwrap(), 1);
    }

    #[test]
    fn picks_follow_the_probabilities() {
        let warm = SamplingParams {
            temperature: 1.0,
            seed: 7,
            ..SamplingParams::default()
        };
        let logits = [0.5f32, 0.25, 0.25].map(f32::ln);
        let mut sampler = Sampler::new(warm);
        let mut counts = [0; 3];
        for _ in 0..4000 {
            counts[sampler.sample(&logits, &[]).unwrap() as usize] += 1;
        }
        assert!((1850..2150).contains(&counts[0]), "{counts:?}");
        assert!((850..1150).contains(&counts[1]), "{counts:?}");
    }

    #[test]
    fn log_probabilities_sum_to_one() {
        let logits: Vec<f32> = (0..100).map(|i| (i as f32 * 0.37).sin() * 9.0).collect();
        let sum: f64 = top_candidates(&logits, 100, log_sum_exp(&logits))
            .iter()
            .map(|c| f64::from(c.logprob).exp())
            .sum();
        assert!((sum - 1.0).abs() < 1e-5);
    }
}

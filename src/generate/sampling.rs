//! Logits to the next token: repetition penalty, temperature, top-k, top-p, min-p, in the order of Hugging Face's `generate`.

use rand_core::{RngCore, SeedableRng};
use rand_pcg::Pcg64Mcg;

use crate::checkpoint::GenerationDefaults;
use crate::error::{Error, Result};

/// How to choose tokens.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Sampling {
    /// 0: the most probable token, always.
    pub temperature: f32,
    /// Only the so many most probable tokens; 0: all.
    pub top_k: u32,
    /// Only the most probable tokens that together reach this probability; 1: all.
    pub top_p: f32,
    /// Only tokens at least this fraction as probable as the most probable one; 0: all.
    pub min_p: f32,
    /// Divides the positive and multiplies the negative logits of tokens that occurred; 1: off.
    pub repetition_penalty: f32,
    /// Of the random numbers; the same seed gives the same text.
    pub seed: u64,
}

impl Default for Sampling {
    /// Greedy.
    fn default() -> Self {
        Self {
            temperature: 0.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            repetition_penalty: 1.0,
            seed: 0,
        }
    }
}

impl Sampling {
    /// As a checkpoint's `generation_config.json` asks; greedy unless it says `do_sample`.
    pub fn from_defaults(defaults: &GenerationDefaults) -> Self {
        let greedy = Self::default();
        let repetition_penalty = defaults.repetition_penalty.unwrap_or(1.0);
        if defaults.do_sample != Some(true) {
            return Self {
                repetition_penalty,
                ..greedy
            };
        }
        Self {
            temperature: defaults.temperature.unwrap_or(1.0),
            top_k: defaults.top_k.unwrap_or(0),
            top_p: defaults.top_p.unwrap_or(1.0),
            repetition_penalty,
            ..greedy
        }
    }

    /// # Errors
    /// [`Error::Option`] that names the setting and its range.
    pub fn check(&self) -> Result<()> {
        let in_range = |name: &str, value: f32, low: f32, high: f32| {
            if (low..=high).contains(&value) {
                Ok(())
            } else {
                Err(Error::Option(format!(
                    "{name} is {value}; {low} to {high} is possible"
                )))
            }
        };
        in_range("temperature", self.temperature, 0.0, 100.0)?;
        in_range("top-p", self.top_p, 0.0, 1.0)?;
        in_range("min-p", self.min_p, 0.0, 1.0)?;
        in_range("repetition-penalty", self.repetition_penalty, 0.01, 100.0)
    }
}

/// A seed from the clock, short enough for a person to type again.
pub fn clock_seed() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
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

/// The `count` tokens with the highest logits, highest first; the lower id first among equals.
pub fn top_candidates(logits: &[f32], count: usize) -> Vec<Candidate> {
    let total = log_sum_exp(logits);
    let mut order: Vec<u32> = (0..logits.len() as u32).collect();
    let count = count.min(order.len());
    if count == 0 {
        return Vec::new();
    }
    order.select_nth_unstable_by(count - 1, |a, b| by_logit(logits, *a, *b));
    order.truncate(count);
    order.sort_unstable_by(|a, b| by_logit(logits, *a, *b));
    order
        .into_iter()
        .map(|id| Candidate {
            id,
            logit: logits[id as usize],
            logprob: (f64::from(logits[id as usize]) - total) as f32,
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

/// Chooses tokens; holds the random numbers' state and scratch memory.
pub struct Sampler {
    sampling: Sampling,
    rng: Pcg64Mcg,
    logits: Vec<f32>,
    /// Which ids the repetition penalty has been applied to in this call.
    penalized: Vec<bool>,
    order: Vec<u32>,
    weights: Vec<f32>,
}

impl Sampler {
    pub fn new(sampling: Sampling) -> Self {
        Self {
            rng: Pcg64Mcg::seed_from_u64(sampling.seed),
            sampling,
            logits: Vec::new(),
            penalized: Vec::new(),
            order: Vec::new(),
            weights: Vec::new(),
        }
    }

    /// The next token after `history` (prompt and text so far), given the raw logits `[vocab]`.
    pub fn sample(&mut self, logits: &[f32], history: &[u32]) -> u32 {
        let uniform = if self.sampling.temperature > 0.0 {
            // 24 bits: every value is exact in f32 and below 1.
            (self.rng.next_u32() >> 8) as f32 / (1 << 24) as f32
        } else {
            0.0
        };
        self.choose(logits, history, uniform)
    }

    /// As [`Sampler::sample`] with the uniform number in [0, 1) given.
    pub fn choose(&mut self, logits: &[f32], history: &[u32], uniform: f32) -> u32 {
        self.logits.clear();
        self.logits.extend_from_slice(logits);
        self.penalize(history);
        if self.sampling.temperature <= 0.0 {
            return argmax(&self.logits);
        }
        self.keep_candidates();
        self.pick(uniform)
    }

    /// Once for each distinct id of the history.
    fn penalize(&mut self, history: &[u32]) {
        let penalty = self.sampling.repetition_penalty;
        if penalty == 1.0 {
            return;
        }
        self.penalized.clear();
        self.penalized.resize(self.logits.len(), false);
        for id in history {
            let id = *id as usize;
            if id < self.logits.len() && !self.penalized[id] {
                self.penalized[id] = true;
                let logit = &mut self.logits[id];
                *logit = if *logit < 0.0 {
                    *logit * penalty
                } else {
                    *logit / penalty
                };
            }
        }
    }

    /// Fills `order` with the candidates, most probable first, and `weights` with their probabilities up to a factor.
    fn keep_candidates(&mut self) {
        let Sampling {
            temperature,
            top_k,
            top_p,
            min_p,
            ..
        } = self.sampling;
        let logits = &self.logits;
        self.order.clear();
        self.order.extend(0..logits.len() as u32);
        let top_k = top_k as usize;
        if top_k > 0 && top_k < self.order.len() {
            self.order
                .select_nth_unstable_by(top_k - 1, |a, b| by_logit(logits, *a, *b));
            self.order.truncate(top_k);
        }
        self.order.sort_unstable_by(|a, b| by_logit(logits, *a, *b));
        let highest = logits[self.order[0] as usize];
        self.weights.clear();
        self.weights.extend(self.order.iter().map(|id| {
            let weight = ((logits[*id as usize] - highest) / temperature).exp();
            if weight.is_nan() { 0.0 } else { weight }
        }));
        if top_p < 1.0 {
            let total: f32 = self.weights.iter().sum();
            let mut reached = 0.0;
            let beyond = self.weights.iter().position(|weight| {
                let enough = reached >= top_p * total;
                reached += weight;
                enough
            });
            self.weights.truncate(beyond.unwrap_or(usize::MAX).max(1));
        }
        if min_p > 0.0 {
            // Weights fall, and the first is 1.
            let kept = self.weights.iter().take_while(|w| **w >= min_p).count();
            self.weights.truncate(kept.max(1));
        }
        self.order.truncate(self.weights.len());
    }

    fn pick(&self, uniform: f32) -> u32 {
        let total: f32 = self.weights.iter().sum();
        let mut left = uniform * total;
        for (id, weight) in self.order.iter().zip(&self.weights) {
            if left < *weight {
                return *id;
            }
            left -= weight;
        }
        self.order[0]
    }
}

fn argmax(logits: &[f32]) -> u32 {
    let mut best = 0;
    for (id, logit) in logits.iter().enumerate() {
        if *logit > logits[best] || logits[best].is_nan() {
            best = id;
        }
    }
    best as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(sampling: Sampling, logits: &[f32], history: &[u32], uniform: f32) -> u32 {
        Sampler::new(sampling).choose(logits, history, uniform)
    }

    #[test]
    fn greedy_takes_the_first_of_the_highest() {
        assert_eq!(choose(Sampling::default(), &[1.0, 3.0, 3.0], &[], 0.0), 1);
        assert_eq!(choose(Sampling::default(), &[f32::NAN, 3.0], &[], 0.0), 1);
    }

    #[test]
    fn the_penalty_counts_an_id_once_and_pushes_both_signs_down() {
        let sampling = Sampling {
            repetition_penalty: 2.0,
            ..Sampling::default()
        };
        let mut sampler = Sampler::new(sampling);
        sampler.choose(&[4.0, -1.0, 3.0], &[0, 0, 1], 0.0);
        assert_eq!(sampler.logits, [2.0, -2.0, 3.0]);
    }

    #[test]
    fn cuts_keep_what_they_say() {
        // Probabilities 0.5, 0.25, 0.125, 0.125.
        let logits = [0.5f32, 0.25, 0.125, 0.125].map(f32::ln);
        let kept = |sampling: Sampling| {
            let mut sampler = Sampler::new(sampling);
            sampler.choose(&logits, &[], 0.0);
            sampler.order.clone()
        };
        let warm = Sampling {
            temperature: 1.0,
            ..Sampling::default()
        };
        assert_eq!(kept(warm.clone()).len(), 4);
        assert_eq!(
            kept(Sampling {
                top_k: 3,
                ..warm.clone()
            }),
            [0, 1, 2]
        );
        assert_eq!(
            kept(Sampling {
                top_p: 0.7,
                ..warm.clone()
            }),
            [0, 1]
        );
        assert_eq!(
            kept(Sampling {
                top_p: 0.0,
                ..warm.clone()
            }),
            [0]
        );
        assert_eq!(
            kept(Sampling {
                min_p: 0.3,
                ..warm.clone()
            }),
            [0, 1]
        );
    }

    #[test]
    fn picks_follow_the_probabilities() {
        let warm = Sampling {
            temperature: 1.0,
            seed: 7,
            ..Sampling::default()
        };
        let logits = [0.5f32, 0.25, 0.25].map(f32::ln);
        let mut sampler = Sampler::new(warm);
        let mut counts = [0; 3];
        for _ in 0..4000 {
            counts[sampler.sample(&logits, &[]) as usize] += 1;
        }
        assert!((1850..2150).contains(&counts[0]), "{counts:?}");
        assert!((850..1150).contains(&counts[1]), "{counts:?}");
    }

    #[test]
    fn log_probabilities_sum_to_one() {
        let logits: Vec<f32> = (0..100).map(|i| (i as f32 * 0.37).sin() * 9.0).collect();
        let sum: f64 = top_candidates(&logits, 100)
            .iter()
            .map(|c| f64::from(c.logprob).exp())
            .sum();
        assert!((sum - 1.0).abs() < 1e-5);
    }
}

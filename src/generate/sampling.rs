//! Logits to the next token: repetition penalty, temperature, top-k, top-p, min-p, in the order of Hugging Face's `generate`.

use rand_core::{RngCore, SeedableRng};
use rand_pcg::Pcg64Mcg;

use crate::checkpoint::GenerationDefaults;
use crate::error::{Error, Result};

/// Sampling parameters: how to choose tokens.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SamplingParams {
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

impl Default for SamplingParams {
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

impl SamplingParams {
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
    /// [`Error::OptionOutOfRange`] that names the setting and its range.
    pub fn check(&self) -> Result<()> {
        let in_range = |name: &'static str, value: f32, low: f32, high: f32| {
            if (low..=high).contains(&value) {
                Ok(())
            } else {
                Err(Error::OptionOutOfRange {
                    name,
                    value,
                    low,
                    high,
                })
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
    let count = count.min(logits.len());
    if count == 0 {
        return Vec::new();
    }
    let total = log_sum_exp(logits);
    let mut order: Vec<u32> = (0..logits.len() as u32).collect();
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

/// Chooses tokens on the host; holds the random numbers' state and scratch memory. `shaders/sample_pick.wgsl` does the same on the
/// device.
pub struct Sampler {
    sampling: SamplingParams,
    rng: Pcg64Mcg,
    logits: Vec<f32>,
    /// Which ids the repetition penalty has been applied to in this call.
    penalized: Vec<bool>,
    /// Logits while a cut is looked for.
    sorted: Vec<f32>,
    /// What is left of each token's probability after the cuts, up to a factor.
    weights: Vec<f32>,
}

impl Sampler {
    pub fn new(sampling: SamplingParams) -> Self {
        Self {
            rng: Pcg64Mcg::seed_from_u64(sampling.seed),
            sampling,
            logits: Vec::new(),
            penalized: Vec::new(),
            sorted: Vec::new(),
            weights: Vec::new(),
        }
    }

    /// The next token after `history` (prompt and text so far), given the raw logits `[vocab]`.
    pub fn sample(&mut self, logits: &[f32], history: &[u32]) -> u32 {
        let uniform = match self.is_random() {
            true => self.uniform(),
            false => 0.0,
        };
        self.choose(logits, history, uniform)
    }

    /// Whether chance has a part: every token then takes one random number.
    pub fn is_random(&self) -> bool {
        self.sampling.temperature > 0.0
    }

    /// The next random number in [0, 1).
    pub fn uniform(&mut self) -> f32 {
        // 24 bits: every value is exact in f32 and below 1.
        (self.rng.next_u32() >> 8) as f32 / (1 << 24) as f32
    }

    /// As [`Sampler::sample`] with the random number in [0, 1) given: of the tokens that the cuts keep, the one in whose share of their
    /// probability it falls, in the order of ids.
    pub fn choose(&mut self, logits: &[f32], history: &[u32], uniform: f32) -> u32 {
        self.logits.clear();
        self.logits.extend(logits.iter().map(|x| match x.is_nan() {
            true => f32::NEG_INFINITY,
            false => *x,
        }));
        self.penalize(history);
        let best = argmax(&self.logits);
        if !self.is_random() {
            return best;
        }
        self.weigh(self.logits[best as usize]);
        self.pick(best, uniform)
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

    /// Fills `weights`: the probability of what the cuts keep, 0 for all others. A cut is a logit, and what lies at or above it stays;
    /// so equals stay or go together.
    fn weigh(&mut self, highest: f32) {
        let SamplingParams {
            temperature,
            top_k,
            top_p,
            min_p,
            ..
        } = self.sampling;
        let weight = |logit: f32| ((logit - highest) / temperature).exp();
        self.sorted.clear();
        self.sorted.extend_from_slice(&self.logits);
        let mut cut = f32::NEG_INFINITY;
        let top_k = top_k as usize;
        if top_k > 0 && top_k < self.sorted.len() {
            let by_value = |a: &f32, b: &f32| b.total_cmp(a);
            cut = *self.sorted.select_nth_unstable_by(top_k - 1, by_value).1;
            self.sorted.retain(|logit| *logit >= cut);
        }
        if top_p < 1.0 {
            self.sorted.sort_unstable_by(|a, b| b.total_cmp(a));
            let total: f64 = self.sorted.iter().map(|x| f64::from(weight(*x))).sum();
            let mut reached = 0.0;
            let last = self.sorted.iter().find(|logit| {
                reached += f64::from(weight(**logit));
                reached >= f64::from(top_p) * total
            });
            cut = last.copied().unwrap_or(cut);
        }
        self.weights.clear();
        self.weights.extend(self.logits.iter().map(|logit| {
            let weight = weight(*logit);
            let is_kept = *logit >= cut && weight >= min_p;
            if is_kept { weight } else { 0.0 }
        }));
    }

    fn pick(&self, best: u32, uniform: f32) -> u32 {
        let total: f64 = self.weights.iter().map(|weight| f64::from(*weight)).sum();
        let mut left = f64::from(uniform) * total;
        let mut picked = best;
        for (id, weight) in (0..).zip(&self.weights) {
            if *weight > 0.0 {
                picked = id;
                if left < f64::from(*weight) {
                    break;
                }
                left -= f64::from(*weight);
            }
        }
        picked
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

    fn choose(sampling: SamplingParams, logits: &[f32], history: &[u32], uniform: f32) -> u32 {
        Sampler::new(sampling).choose(logits, history, uniform)
    }

    #[test]
    fn greedy_takes_the_first_of_the_highest() {
        assert_eq!(
            choose(SamplingParams::default(), &[1.0, 3.0, 3.0], &[], 0.0),
            1
        );
        assert_eq!(
            choose(SamplingParams::default(), &[f32::NAN, 3.0], &[], 0.0),
            1
        );
    }

    #[test]
    fn the_penalty_counts_an_id_once_and_pushes_both_signs_down() {
        let sampling = SamplingParams {
            repetition_penalty: 2.0,
            ..SamplingParams::default()
        };
        let mut sampler = Sampler::new(sampling);
        sampler.choose(&[4.0, -1.0, 3.0], &[0, 0, 1], 0.0);
        assert_eq!(sampler.logits, [2.0, -2.0, 3.0]);
    }

    #[test]
    fn cuts_keep_what_they_say() {
        // Probabilities 0.5, 0.25, 0.125, 0.125.
        let logits = [0.5f32, 0.25, 0.125, 0.125].map(f32::ln);
        let kept = |sampling: SamplingParams| {
            let mut sampler = Sampler::new(sampling);
            sampler.choose(&logits, &[], 0.0);
            let ids = (0..4).filter(|id| sampler.weights[*id] > 0.0);
            ids.collect::<Vec<_>>()
        };
        let warm = SamplingParams {
            temperature: 1.0,
            ..SamplingParams::default()
        };
        assert_eq!(kept(warm.clone()).len(), 4);
        // The third and fourth are equals.
        for (top_k, ids) in [(1, &[0][..]), (2, &[0, 1]), (3, &[0, 1, 2, 3])] {
            assert_eq!(
                kept(SamplingParams {
                    top_k,
                    ..warm.clone()
                }),
                ids
            );
        }
        assert_eq!(
            kept(SamplingParams {
                top_p: 0.7,
                ..warm.clone()
            }),
            [0, 1]
        );
        assert_eq!(
            kept(SamplingParams {
                top_p: 0.0,
                ..warm.clone()
            }),
            [0]
        );
        assert_eq!(
            kept(SamplingParams {
                min_p: 0.3,
                ..warm.clone()
            }),
            [0, 1]
        );
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

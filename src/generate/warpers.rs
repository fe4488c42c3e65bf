//! What sampling does to logits before a token is drawn: temperature and the cuts, in the order of Hugging Face's `generate`. What is cut
//! becomes minus infinity; at least one token stays.

use super::params::SamplingParams;
use super::processors::log_softmax;

/// The warpers of a text, with scratch memory.
pub struct Warpers {
    sampling: SamplingParams,
    /// What the least probable tokens may have together, to be cut by top-p.
    tail: f32,
    probabilities: Vec<f32>,
    /// Tokens in some order, see [`order`].
    order: Vec<u64>,
    /// Logits while the k-th is looked for.
    highest: Vec<f32>,
}

impl Warpers {
    pub fn new(sampling: &SamplingParams) -> Self {
        Self {
            tail: (1.0 - decimal(sampling.top_p)) as f32,
            sampling: sampling.clone(),
            probabilities: Vec::new(),
            order: Vec::new(),
            highest: Vec::new(),
        }
    }

    /// Cuts and scales logits `[vocab]`.
    pub fn apply(&mut self, logits: &mut [f32]) {
        let temperature = self.sampling.divisor();
        if temperature != 1.0 {
            logits.iter_mut().for_each(|logit| *logit /= temperature);
        }
        if self.sampling.top_k > 0 {
            self.top_k(logits);
        }
        if self.sampling.top_p < 1.0 {
            self.top_p(logits);
        }
        if self.sampling.min_p > 0.0 {
            self.min_p(logits);
        }
        if self.sampling.typical_p < 1.0 {
            self.typical_p(logits);
        }
        if self.sampling.epsilon_cutoff > 0.0 {
            self.cut_below(self.sampling.epsilon_cutoff, logits);
        }
        if self.sampling.eta_cutoff > 0.0 {
            self.eta_cutoff(logits);
        }
        if self.sampling.processors.renormalize_logits {
            log_softmax(logits);
        }
    }

    /// Equals of the k-th stay too.
    fn top_k(&mut self, logits: &mut [f32]) {
        let top_k = self.sampling.top_k as usize;
        if top_k >= logits.len() {
            return;
        }
        self.highest.clear();
        self.highest.extend_from_slice(logits);
        let descending = |a: &f32, b: &f32| b.total_cmp(a);
        let least = *self.highest.select_nth_unstable_by(top_k - 1, descending).1;
        cut(logits, |_, logit| logit < least);
    }

    /// Adds probabilities up from the least probable token on; of equals the lower id goes first.
    fn top_p(&mut self, logits: &mut [f32]) {
        softmax(logits, &mut self.probabilities);
        order(&mut self.order, logits.iter().copied().enumerate());
        let all_but_best = self.order.len().saturating_sub(1);
        let mut sum = 0.0;
        for key in &self.order[..all_but_best] {
            let id = id(*key);
            sum += f64::from(self.probabilities[id]);
            if sum as f32 > self.tail {
                break;
            }
            logits[id] = f32::NEG_INFINITY;
        }
    }

    fn min_p(&mut self, logits: &mut [f32]) {
        softmax(logits, &mut self.probabilities);
        let best = self.probabilities.iter().copied().fold(0.0, f32::max);
        let least = self.sampling.min_p * best;
        let probabilities = &self.probabilities;
        cut(logits, |id, _| probabilities[id] < least);
    }

    /// Orders tokens by how far their information is from the expected one.
    fn typical_p(&mut self, logits: &mut [f32]) {
        softmax(logits, &mut self.probabilities);
        let mut informations = logits.to_vec();
        log_softmax(&mut informations);
        let entropy = entropy(&informations);
        for information in &mut informations {
            *information = (-*information - entropy).abs();
        }
        let possible = informations.iter().copied().enumerate();
        order(&mut self.order, possible.filter(|(_, far)| far.is_finite()));
        let mut sum = 0.0;
        let last = self.order.iter().find(|key| {
            sum += f64::from(self.probabilities[id(**key)]);
            sum as f32 >= self.sampling.typical_p
        });
        if let Some(farthest) = last.map(|key| informations[id(*key)]) {
            cut(logits, |id, _| informations[id] > farthest);
        }
    }

    fn eta_cutoff(&mut self, logits: &mut [f32]) {
        let mut informations = logits.to_vec();
        log_softmax(&mut informations);
        let epsilon = self.sampling.eta_cutoff;
        let typical = epsilon.sqrt() * (-entropy(&informations)).exp();
        self.cut_below(epsilon.min(typical), logits);
    }

    /// Cuts what is less probable than `least`, but for the most probable token and its equals.
    fn cut_below(&mut self, least: f32, logits: &mut [f32]) {
        softmax(logits, &mut self.probabilities);
        let best = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let probabilities = &self.probabilities;
        cut(logits, |id, logit| {
            probabilities[id] < least && logit < best
        });
    }
}

fn cut(logits: &mut [f32], is_cut: impl Fn(usize, f32) -> bool) {
    for (id, logit) in logits.iter_mut().enumerate() {
        if is_cut(id, *logit) {
            *logit = f32::NEG_INFINITY;
        }
    }
}

/// The number that a person wrote: 0.9, not what f32 makes of it. 1 less that many is then the same f32 that it is in Python.
fn decimal(x: f32) -> f64 {
    x.to_string().parse().unwrap_or(f64::from(x))
}

fn softmax(logits: &[f32], probabilities: &mut Vec<f32>) {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    probabilities.clear();
    probabilities.extend(logits.iter().map(|logit| (logit - highest).exp()));
    let sum: f64 = probabilities.iter().map(|p| f64::from(*p)).sum();
    let sum = sum as f32;
    probabilities.iter_mut().for_each(|p| *p /= sum);
}

/// Of log-probabilities; those of minus infinity count as nothing.
fn entropy(log_probabilities: &[f32]) -> f32 {
    let possible = log_probabilities.iter().filter(|x| x.is_finite());
    let sum: f64 = possible.map(|x| f64::from(x.exp() * x)).sum();
    -sum as f32
}

/// Fills `order` with values and ids, lowest value first, then lowest id: as integers, which sort fast. Minus infinity is left out.
fn order(order: &mut Vec<u64>, values: impl Iterator<Item = (usize, f32)>) {
    let key = |(id, value): (usize, f32)| {
        // The integers of floats in the order of the floats.
        let bits = value.to_bits();
        let bits = bits ^ (((bits as i32 >> 31) as u32) | 0x8000_0000);
        u64::from(bits) << 32 | id as u64
    };
    order.clear();
    order.extend(
        values
            .filter(|(_, value)| *value > f32::NEG_INFINITY)
            .map(key),
    );
    order.sort_unstable();
}

/// The id of a key.
fn id(key: u64) -> usize {
    key as u32 as usize
}

//! What is done to the raw logits before a token is chosen, greedy or not, in the order of Hugging Face's `generate`.

use std::collections::HashMap;

use super::params::{ProcessorParams, SamplingParams, is_end};

/// Where a text begins, how long it may become and what ends it: several processors follow from that.
#[derive(Debug, Clone, Default)]
pub struct Span {
    /// Ids of the prompt.
    pub prompt: usize,
    /// Ids of prompt and text, at most.
    pub max_length: usize,
    /// Ids that end the text; empty where nothing does.
    pub eos: Vec<u32>,
}

/// The processors of a text. They keep nothing from token to token, so any position can be asked for in any order.
pub struct Processors {
    repetition_penalty: f32,
    params: ProcessorParams,
    span: Span,
    bias: Bias,
    bad_words: Bias,
    /// Which ids occurred, while that is looked up.
    seen: Vec<bool>,
}

impl Processors {
    pub fn new(sampling: &SamplingParams, mut span: Span) -> Self {
        span.eos.sort_unstable();
        span.eos.dedup();
        let mut params = sampling.processors.clone();
        let bias = Bias::new(std::mem::take(&mut params.sequence_bias));
        let mut words = std::mem::take(&mut params.bad_words_ids);
        words.retain(|ids| !is_end(ids, &span.eos));
        let forbidden = |ids| (ids, f32::NEG_INFINITY);
        Self {
            repetition_penalty: sampling.repetition_penalty,
            bias,
            bad_words: Bias::new(words.into_iter().map(forbidden)),
            params,
            span,
            seen: Vec::new(),
        }
    }

    /// Whether a NaN among the logits is taken for 0.
    pub fn remove_invalid_values(&self) -> bool {
        self.params.remove_invalid_values
    }

    /// Whether they do no more than the repetition penalty, forbid repetitions, and what [`forbidden`](Self::forbidden) says.
    pub fn only_forbid(&self) -> bool {
        let rest = ProcessorParams {
            no_repeat_ngram_size: 0,
            min_length: 0,
            min_new_tokens: None,
            suppress_tokens: Vec::new(),
            begin_suppress_tokens: Vec::new(),
            ..self.params.clone()
        };
        rest == ProcessorParams::default()
            && self.bias.is_empty()
            && self.bad_words.longer.is_empty()
    }

    /// What can change in what is forbidden after `len` ids: that the text may not end yet, and that it begins.
    pub fn phase(&self, len: usize) -> (bool, bool) {
        (self.may_not_end(len), self.begins(len))
    }

    /// Ids that cannot follow `len` ids, whichever those are.
    pub fn forbidden(&self, len: usize) -> Vec<u32> {
        let (may_not_end, begins) = self.phase(len);
        let words = self.bad_words.singles.iter().map(|(id, _)| *id);
        let mut ids: Vec<u32> = words
            .chain(self.params.suppress_tokens.iter().copied())
            .collect();
        if may_not_end {
            ids.extend(&self.span.eos);
        }
        if begins {
            ids.extend(&self.params.begin_suppress_tokens);
        }
        ids
    }

    fn may_not_end(&self, len: usize) -> bool {
        let until = match self.params.min_new_tokens {
            Some(tokens) => self.span.prompt.saturating_add(tokens),
            None => self.params.min_length,
        };
        len < until
    }

    fn begins(&self, len: usize) -> bool {
        // What is forced onto a lone bos is not yet the beginning of a text.
        let forced = self.span.prompt == 1 && self.params.forced_bos_token_id.is_some();
        len == self.span.prompt + usize::from(forced)
    }

    /// Changes the logits `[vocab]` of what follows `ids`, prompt and text so far.
    pub fn apply(&mut self, logits: &mut [f32], ids: &[u32]) {
        let (may_not_end, begins) = self.phase(ids.len());
        let (params, span) = (&self.params, &self.span);
        self.bias.apply(logits, ids);
        penalize(self.repetition_penalty, logits, ids, &mut self.seen);
        forbid_ngrams(params.no_repeat_ngram_size, logits, ids);
        self.bad_words.apply(logits, ids);
        if may_not_end {
            forbid(&span.eos, logits);
        }
        if let (Some(id), 1) = (params.forced_bos_token_id, ids.len()) {
            force(&[id], logits);
        }
        if !params.forced_eos_token_ids.is_empty() && ids.len() + 1 == span.max_length {
            force(&params.forced_eos_token_ids, logits);
        }
        if params.remove_invalid_values {
            logits.iter_mut().for_each(|logit| *logit = valid(*logit));
        }
        if let Some((start, factor)) = params.exponential_decay_length_penalty {
            decay(start, factor, logits, ids, span);
        }
        forbid(&params.suppress_tokens, logits);
        if begins {
            forbid(&params.begin_suppress_tokens, logits);
        }
        if params.renormalize_logits {
            log_softmax(logits);
        }
    }
}

/// What is added to the logit of a sequence's last id where its others have just been written.
struct Bias {
    singles: Vec<(u32, f32)>,
    longer: Vec<(Vec<u32>, f32)>,
    /// What is added to each id, `[vocab]`: that of the singles, but for as long as it is applied.
    sums: Vec<f32>,
    /// Sums before those of longer sequences.
    before: Vec<(usize, f32)>,
}

impl Bias {
    /// Of a sequence that is there twice the last bias counts.
    fn new(pairs: impl IntoIterator<Item = (Vec<u32>, f32)>) -> Self {
        let mut place = HashMap::new();
        let mut distinct: Vec<(Vec<u32>, f32)> = Vec::new();
        for (ids, bias) in pairs {
            let at = *place.entry(ids.clone()).or_insert(distinct.len());
            match distinct.get_mut(at) {
                Some(there) => there.1 = bias,
                None => distinct.push((ids, bias)),
            }
        }
        let (singles, longer): (Vec<_>, Vec<_>) =
            distinct.into_iter().partition(|(ids, _)| ids.len() == 1);
        let single = |(ids, bias): (Vec<u32>, f32)| Some((*ids.first()?, bias));
        Self {
            singles: singles.into_iter().filter_map(single).collect(),
            longer,
            sums: Vec::new(),
            before: Vec::new(),
        }
    }

    fn is_empty(&self) -> bool {
        self.singles.is_empty() && self.longer.is_empty()
    }

    fn apply(&mut self, logits: &mut [f32], ids: &[u32]) {
        if self.is_empty() {
            return;
        }
        if self.sums.len() != logits.len() {
            self.sums = vec![0.0; logits.len()];
            for (id, bias) in &self.singles {
                if let Some(sum) = self.sums.get_mut(*id as usize) {
                    *sum = *bias;
                }
            }
        }
        for (sequence, bias) in &self.longer {
            let Some((last, others)) = sequence.split_last() else {
                continue;
            };
            // As long as the text would be: then it is the whole of it, which does not count.
            if sequence.len() <= ids.len()
                && ids.ends_with(others)
                && let Some(sum) = self.sums.get_mut(*last as usize)
            {
                self.before.push((*last as usize, *sum));
                *sum += bias;
            }
        }
        if self.singles.is_empty() && self.before.is_empty() {
            return;
        }
        for (logit, sum) in logits.iter_mut().zip(&self.sums) {
            *logit += sum;
        }
        while let Some((id, sum)) = self.before.pop() {
            self.sums[id] = sum;
        }
    }
}

/// Once for each distinct id.
fn penalize(penalty: f32, logits: &mut [f32], ids: &[u32], seen: &mut Vec<bool>) {
    if penalty == 1.0 {
        return;
    }
    seen.clear();
    seen.resize(logits.len(), false);
    for id in ids {
        let id = *id as usize;
        if let (Some(logit), Some(false)) = (logits.get_mut(id), seen.get(id)) {
            seen[id] = true;
            *logit = match *logit < 0.0 {
                true => *logit * penalty,
                false => *logit / penalty,
            };
        }
    }
}

/// Forbids what followed the last `size - 1` ids wherever they occurred before.
fn forbid_ngrams(size: usize, logits: &mut [f32], ids: &[u32]) {
    if size == 0 || size > ids.len() {
        return;
    }
    let last = &ids[ids.len() + 1 - size..];
    for ngram in ids.windows(size) {
        if let Some(id) = ngram.strip_prefix(last) {
            forbid(id, logits);
        }
    }
}

fn forbid(ids: &[u32], logits: &mut [f32]) {
    for id in ids {
        if let Some(logit) = logits.get_mut(*id as usize) {
            *logit = f32::NEG_INFINITY;
        }
    }
}

/// Forbids all but `ids`.
fn force(ids: &[u32], logits: &mut [f32]) {
    logits.fill(f32::NEG_INFINITY);
    for id in ids {
        if let Some(logit) = logits.get_mut(*id as usize) {
            *logit = 0.0;
        }
    }
}

fn valid(logit: f32) -> f32 {
    match logit.is_nan() {
        true => 0.0,
        false => logit.clamp(f32::MIN, f32::MAX),
    }
}

/// `s + |s| * (factor^n - 1)` for what ends the text, `n` ids beyond where that begins. Of an end that is forbidden this makes a NaN, as
/// it does in Hugging Face's, and there a NaN is the greatest of all logits.
fn decay(start: i64, factor: f64, logits: &mut [f32], ids: &[u32], span: &Span) {
    let beyond = (ids.len() as i64).saturating_sub(start.saturating_add(span.prompt as i64));
    if beyond <= 0 {
        return;
    }
    let growth = (factor.powf(beyond as f64) - 1.0) as f32;
    for id in &span.eos {
        if let Some(logit) = logits.get_mut(*id as usize) {
            *logit += logit.abs() * growth;
        }
    }
}

/// Logits to log-probabilities.
pub(super) fn log_softmax(logits: &mut [f32]) {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|x| f64::from((x - highest).exp())).sum();
    let log_sum = (sum as f32).ln();
    for logit in logits {
        *logit = *logit - highest - log_sum;
    }
}

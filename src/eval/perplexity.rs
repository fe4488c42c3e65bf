//! Perplexity of a text in sliding windows, and how far one model's predictions of it are from another's.

use std::ops::Range;

use crate::error::{Error, Result, in_range};
use crate::generate::{GenerateOptions, Model, Session, log_sum_exp};

/// Positions whose logits are held at once, of each of two models: what a step hands out at most.
const LOGITS_ROWS: usize = 32;

/// Windows over a text, as Hugging Face's page on the perplexity of models of fixed length has them: each begins `stride` ids after the
/// one before it, has up to `context` ids, and scores those that no window before it had. The first id of a window is never scored, so
/// every id but the text's first is where `stride` is less than `context`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Windows {
    context: usize,
    stride: usize,
}

/// What a window feeds, and which ids it scores; both as indices of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Window {
    fed: Range<usize>,
    scored: Range<usize>,
}

/// How well a model predicts a text.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[non_exhaustive]
pub struct Perplexity {
    /// Ids of the text, begin-of-text included.
    pub tokens: usize,
    /// Those that were scored.
    pub scored: usize,
    /// Sum of their negative log-probabilities, in nats.
    pub nll: f64,
}

/// How far the predictions of a model are from those of a reference.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Comparison {
    pub reference: Perplexity,
    pub other: Perplexity,
    /// Kullback-Leibler divergence of the other's prediction from the reference's, in nats, over the scored positions.
    pub divergence: Divergence,
    /// At how many of the scored positions both have the same most probable id (the first where several are).
    pub same_top: usize,
}

#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Divergence {
    pub mean: f64,
    pub median: f64,
    /// 99 of 100 are less.
    pub percentile_99: f64,
    pub max: f64,
}

impl Windows {
    /// The usual stride of windows of `context` ids: 512, or half of them.
    pub fn usual_stride(context: usize) -> usize {
        (context / 2).clamp(1, 512)
    }

    /// # Errors
    /// [`Error::OptionOutOfRange`] for a context that `model` has not, or a stride that leaves ids out.
    pub fn new(context: usize, stride: usize, model: &Model) -> Result<Self> {
        let [length, step] = [context, stride].map(|count| count as f32);
        in_range("context", length, 2.0, model.context_size() as f32)?;
        in_range("stride", step, 1.0, length)?;
        Ok(Self { context, stride })
    }

    pub fn context(self) -> usize {
        self.context
    }

    pub fn stride(self) -> usize {
        self.stride
    }

    /// The windows of a text of `count` ids.
    fn over(self, count: usize) -> Vec<Window> {
        let (mut windows, mut begin, mut done) = (Vec::new(), 0, 0);
        while done < count {
            let end = count.min(begin + self.context);
            windows.push(Window {
                fed: begin..end,
                scored: done.max(begin + 1)..end,
            });
            (begin, done) = (begin + self.stride, end);
        }
        windows
    }
}

impl Perplexity {
    /// e to the mean negative log-probability.
    pub fn value(&self) -> f64 {
        self.nll_per_token().exp()
    }

    /// Mean negative log-probability, in nats.
    pub fn nll_per_token(&self) -> f64 {
        self.nll / self.scored as f64
    }

    /// What a byte of the text costs, in bits, if ids that were not scored cost as much as others; which tokenizer a model has makes no
    /// difference to it.
    pub fn bits_per_byte(&self, bytes: usize) -> f64 {
        let tokens = self.tokens.saturating_sub(1) as f64;
        self.nll_per_token() * tokens / bytes as f64 / std::f64::consts::LN_2
    }
}

/// The perplexity of a text. Calls `progress` with how many ids were fed, of how many, after each step.
///
/// # Errors
/// [`Error::Text`] for a text without an id to score; those of [`Session::generate`] and its iterator.
pub fn perplexity(
    model: &Model,
    ids: &[u32],
    windows: Windows,
    mut progress: impl FnMut(usize, usize),
) -> Result<Perplexity> {
    let mut session = model.session()?;
    let mut found = begin(ids)?;
    each_window(ids, windows, |window, before, total| {
        let fed = &ids[window.fed.clone()];
        let options = GenerateOptions::scoring(window.scored.start - window.fed.start, 0);
        let mut generation = session.generate(fed, &options)?;
        generation.prefill(|done, _| progress(before + done, total))?;
        if let Some(token) = generation.next() {
            token?;
        }
        for token in generation.prompt_logprobs() {
            found.nll -= f64::from(token.logprob);
            found.scored += 1;
        }
        progress(before + fed.len(), total);
        Ok(())
    })?;
    Ok(found)
}

/// Compares the predictions of two models for a text, position by position: no more than a few rows of logits are held at once. Calls
/// `progress` as [`perplexity`] does.
///
/// # Errors
/// As [`perplexity`], and [`Error::Misuse`] for models whose vocabularies differ in size.
pub fn compare(
    reference: &Model,
    other: &Model,
    ids: &[u32],
    windows: Windows,
    mut progress: impl FnMut(usize, usize),
) -> Result<Comparison> {
    let sizes = [reference, other].map(|model| model.config().vocab_size);
    if sizes[0] != sizes[1] {
        return Err(Error::Misuse(format!(
            "models with vocabularies of {} and {} ids cannot be compared",
            sizes[0], sizes[1]
        )));
    }
    let mut sessions = [reference.session()?, other.session()?];
    let mut found = [begin(ids)?; 2];
    let (mut divergences, mut same_top) = (Vec::new(), 0);
    each_window(ids, windows, |window, before, total| {
        let fed = &ids[window.fed.clone()];
        sessions.iter_mut().for_each(|session| session.rewind(0));
        let mut next = window.scored.start - window.fed.start;
        while next < fed.len() {
            let end = fed.len().min(next + LOGITS_ROWS);
            let [reference, other] = &mut sessions;
            // What predicts an id are the logits after the one before it.
            let rows = Rows::new(reference, &fed[..end - 1], next - 1)?;
            let others = Rows::new(other, &fed[..end - 1], next - 1)?;
            for (target, (a, b)) in fed[next..end].iter().zip(rows.iter().zip(others.iter())) {
                let sums = [log_sum(a)?, log_sum(b)?];
                for ((found, row), sum) in found.iter_mut().zip([a, b]).zip(sums) {
                    let logit = row.get(*target as usize);
                    let logit = logit.ok_or(Error::TokenOutOfRange {
                        id: *target,
                        vocab_size: row.len(),
                    })?;
                    found.nll += sum - f64::from(*logit);
                    found.scored += 1;
                }
                divergences.push(divergence((a, sums[0]), (b, sums[1])) as f32);
                same_top += usize::from(top(a) == top(b));
            }
            next = end;
            progress(before + end, total);
        }
        Ok(())
    })?;
    let [reference, other] = found;
    Ok(Comparison {
        reference,
        other,
        divergence: Divergence::of(divergences),
        same_top,
    })
}

/// A text that is to be scored.
fn begin(ids: &[u32]) -> Result<Perplexity> {
    match ids.len() {
        0 | 1 => Err(Error::Text(
            "the text has no token that another one comes before, so there is nothing to score"
                .into(),
        )),
        tokens => Ok(Perplexity {
            tokens,
            ..Perplexity::default()
        }),
    }
}

/// Calls `score` for each window, with how many ids were fed before it, and are in all. The first id of a text may be all that a window
/// would have, which then has nothing to score.
fn each_window(
    ids: &[u32],
    windows: Windows,
    mut score: impl FnMut(Window, usize, usize) -> Result<()>,
) -> Result<()> {
    let windows = windows.over(ids.len());
    let total = windows.iter().map(|window| window.fed.len()).sum();
    let mut before = 0;
    for window in windows {
        let fed = window.fed.len();
        if !window.scored.is_empty() {
            score(window, before, total)?;
        }
        before += fed;
    }
    Ok(())
}

/// Rows of logits.
struct Rows {
    logits: Vec<f32>,
    vocab_size: usize,
}

impl Rows {
    fn new(session: &mut Session, ids: &[u32], first: usize) -> Result<Self> {
        Ok(Self {
            logits: session.logits_from(ids, first)?,
            vocab_size: session.model().config().vocab_size,
        })
    }

    fn iter(&self) -> impl Iterator<Item = &[f32]> {
        self.logits.chunks_exact(self.vocab_size)
    }
}

/// The logarithm of the sum of what a row's softmax is of.
fn log_sum(row: &[f32]) -> Result<f64> {
    match row.iter().position(|logit| !logit.is_finite()) {
        Some(id) => Err(Error::NotANumber { id: id as u32 }),
        None => Ok(log_sum_exp(row)),
    }
}

/// The first of the most probable ids.
fn top(row: &[f32]) -> usize {
    let ids = row.iter().enumerate();
    let (id, _) = ids.fold((0, f32::NEG_INFINITY), |best, (id, logit)| {
        if *logit > best.1 { (id, *logit) } else { best }
    });
    id
}

/// Kullback-Leibler divergence of `other` from `reference`, each a row with its sum.
fn divergence(reference: (&[f32], f64), other: (&[f32], f64)) -> f64 {
    let pairs = reference.0.iter().zip(other.0);
    let terms = pairs.map(|(a, b)| {
        let (a, b) = (f64::from(*a) - reference.1, f64::from(*b) - other.1);
        a.exp() * (a - b)
    });
    // Rounding may leave less than nothing.
    terms.sum::<f64>().max(0.0)
}

impl Divergence {
    fn of(mut values: Vec<f32>) -> Self {
        values.sort_unstable_by(f32::total_cmp);
        let sum: f64 = values.iter().map(|value| f64::from(*value)).sum();
        Self {
            mean: sum / values.len() as f64,
            median: percentile(&values, 0.5),
            percentile_99: percentile(&values, 0.99),
            max: percentile(&values, 1.0),
        }
    }
}

/// Of sorted values, linearly between the two nearest.
fn percentile(sorted: &[f32], part: f64) -> f64 {
    let place = part * sorted.len().saturating_sub(1) as f64;
    let at = |index: f64| sorted.get(index as usize).map_or(0.0, |x| f64::from(*x));
    let low = at(place.floor());
    low + (at(place.ceil()) - low) * place.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn windows(context: usize, stride: usize, count: usize) -> Vec<(Range<usize>, Range<usize>)> {
        let windows = Windows { context, stride }.over(count);
        windows
            .into_iter()
            .map(|window| (window.fed, window.scored))
            .collect()
    }

    #[test]
    fn every_id_but_the_first_is_scored_once() {
        assert_eq!(windows(8, 4, 6), [(0..6, 1..6)]);
        assert_eq!(
            windows(8, 4, 15),
            [(0..8, 1..8), (4..12, 8..12), (8..15, 12..15)]
        );
        for (context, stride, count) in [(2, 1, 9), (7, 3, 50), (7, 6, 50), (9, 1, 10), (5, 2, 5)] {
            let scored: Vec<usize> = windows(context, stride, count)
                .into_iter()
                .flat_map(|(_, scored)| scored)
                .collect();
            let expected: Vec<usize> = (1..count).collect();
            assert_eq!(scored, expected, "{context} {stride} {count}");
        }
    }

    #[test]
    fn windows_side_by_side_score_all_but_their_first() {
        assert_eq!(windows(4, 4, 9), [(0..4, 1..4), (4..8, 5..8), (8..9, 9..9)]);
    }

    #[test]
    fn percentiles_lie_between_values() {
        let values = Divergence::of(vec![4.0, 1.0, 3.0, 2.0]);
        assert_eq!((values.mean, values.median, values.max), (2.5, 2.5, 4.0));
        assert!((values.percentile_99 - 3.97).abs() < 1e-9);
        let one = Divergence::of(vec![0.5]);
        assert_eq!((one.median, one.percentile_99), (0.5, 0.5));
    }

    #[test]
    fn divergence_is_as_by_hand() {
        let rows = [[0.0f32, 0.0], [1.0f32, 0.0]];
        let sums = rows.map(|row| log_sum(&row).unwrap());
        let q = 1.0 / (1.0 + (-1.0f64).exp());
        let by_hand = 0.5 * (0.5 / q).ln() + 0.5 * (0.5 / (1.0 - q)).ln();
        let found = divergence((&rows[0], sums[0]), (&rows[1], sums[1]));
        assert!((found - by_hand).abs() < 1e-7, "{found} {by_hand}");
        assert_eq!(divergence((&rows[1], sums[1]), (&rows[1], sums[1])), 0.0);
        assert_eq!(top(&[1.0, 3.0, 3.0]), 1);
    }
}

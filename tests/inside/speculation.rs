//! Drawn text keeps its distribution, whatever is proposed.

use crate::generate::{Sampler, SamplingParams};

const VOCAB: usize = 6;
const DRAWS: usize = 20_000;

/// Logits of a model, and of an assistant that is often wrong.
const TARGET: [f32; VOCAB] = [1.0, 0.2, -0.5, 2.0, -1.0, 0.0];
const ASSISTANT: [f32; VOCAB] = [0.0, 1.5, -0.5, 0.5, 1.0, -2.0];

fn sampler(seed: u64, top_k: u32) -> Sampler {
    let mut sampling = SamplingParams::default();
    (sampling.temperature, sampling.seed, sampling.top_k) = (0.9, seed, top_k);
    Sampler::new(sampling)
}

/// How far `count` is from what [`TARGET`] gives: chi-square, with five degrees of freedom or, after top-k, fewer.
fn distance(counts: [usize; VOCAB], top_k: u32) -> f64 {
    let mut sorted = TARGET;
    sorted.sort_by(|a, b| b.total_cmp(a));
    let least = sorted[top_k as usize - 1];
    let weight = TARGET.map(|x| {
        if x < least {
            0.0
        } else {
            f64::from(x / 0.9).exp()
        }
    });
    let total: f64 = weight.iter().sum();
    let terms = weight.iter().zip(counts).map(|(weight, count)| {
        let expected = weight / total * DRAWS as f64;
        match expected {
            0.0 => {
                if count > 0 {
                    f64::INFINITY
                } else {
                    0.0
                }
            }
            _ => (count as f64 - expected).powi(2) / expected,
        }
    });
    terms.sum()
}

/// Beyond this lies a chi-square of five degrees of freedom once in ten million times.
const UNLIKELY: f64 = 41.0;

#[test]
fn verified_tokens_have_the_distribution_of_the_model() {
    for top_k in [6, 4, 2] {
        let (mut target, mut assistant) = (sampler(1, top_k), sampler(2, 6));
        let (mut counts, mut accepted) = ([0; VOCAB], 0);
        for _ in 0..DRAWS {
            let draft = assistant.draft(&ASSISTANT, &[]).unwrap();
            let uniform = target.uniform();
            let id = target.verify(&TARGET, &[], &draft, uniform).unwrap();
            counts[id as usize] += 1;
            accepted += usize::from(id == draft.id);
        }
        assert!(
            accepted > DRAWS / 10 && accepted < DRAWS * 9 / 10,
            "{accepted}"
        );
        let distance = distance(counts, top_k);
        assert!(distance < UNLIKELY, "{counts:?} {distance}");
    }
}

/// The test above would notice: what is refused is drawn from the model's own distribution, not from what is left of it.
#[test]
fn a_wrong_residual_is_noticed() {
    let (mut target, mut assistant) = (sampler(1, 6), sampler(2, 6));
    let mut counts = [0; VOCAB];
    for _ in 0..DRAWS {
        let draft = assistant.draft(&ASSISTANT, &[]).unwrap();
        let (uniform, another) = (target.uniform(), target.uniform());
        let verified = target.verify(&TARGET, &[], &draft, uniform).unwrap();
        let id = match verified == draft.id {
            true => verified,
            false => target.choose(&TARGET, &[], another).unwrap(),
        };
        counts[id as usize] += 1;
    }
    assert!(distance(counts, 6) > 10.0 * UNLIKELY, "{counts:?}");
}

/// A draft without chance stands exactly where the same token would have been drawn, so the text is the same.
#[test]
fn a_certain_draft_changes_nothing() {
    let mut target = sampler(3, 6);
    for id in 0..VOCAB as u32 {
        for step in 0..50 {
            let uniform = step as f32 / 50.0;
            let draft = crate::generate::Draft::certain(id);
            let verified = target.verify(&TARGET, &[], &draft, uniform).unwrap();
            assert_eq!(verified, target.choose(&TARGET, &[], uniform).unwrap());
        }
    }
}

//! Apple's own code in f32, against ours: probabilities, the next tokens, and greedy continuations, on the fixtures and the demo
//! model, from buffers and from textures, with an exact and with an f16 cache.

use super::common::{self, goldens, ids, load, numbers};
use super::steps;
use openelm::kernels::BatchClass;
use openelm::{
    ComputePath, GenerateOptions, Model, SampleOn, SamplingParams, Session, Tune, log_sum_exp,
};
use serde_json::Value;

/// Below this, the two most probable tokens are too close to call.
const MARGIN: f64 = 5e-3;

fn greedy(session: &mut Session, prompt: &[u32], count: usize, penalty: f32) -> Vec<u32> {
    let mut options = GenerateOptions::default();
    options.max_tokens = Some(count);
    options.ignore_eos = true;
    options.sample_on = Some(SampleOn::Device);
    options.sampling = SamplingParams::default();
    options.sampling.repetition_penalty = penalty;
    let generation = session.generate(prompt, &options).unwrap();
    generation.map(|token| token.unwrap().id).collect()
}

/// The most probable id after each of `ids` from `first` on, all of them fed as they are.
fn most_probable(model: &Model, ids: &[u32], first: usize) -> Vec<u32> {
    // As a session would compute them: the prompt, then one by one.
    let given = steps::logits(model, ids, &[16], BatchClass::Prompt);
    given[first..]
        .iter()
        .map(|logits| {
            let best = (0..logits.len()).max_by(|a, b| logits[*a].total_cmp(&logits[*b]));
            best.unwrap() as u32
        })
        .collect()
}

pub fn check(model: &Model, golden: &Value, tolerance: f64, penalized: usize) {
    let mut session = model.session().unwrap();
    for case in golden["cases"].as_array().unwrap() {
        let prompt = ids(&case["ids"]);
        let score = session.score(&prompt, 10).unwrap();
        let expected = numbers(&case["token_logprobs"]);
        assert_eq!(score.logprobs.len(), expected.len() + 1);
        assert_eq!(score.logprobs[0], None);
        for (actual, expected) in score.logprobs[1..].iter().zip(&expected) {
            let error = (f64::from(actual.unwrap()) - expected).abs();
            assert!(error < tolerance, "log-probability off by {error}");
        }
        let top = case["top"].as_array().unwrap();
        assert_eq!(score.next.len(), top.len());
        let all: Vec<f32> = numbers(&case["last_logits"])
            .iter()
            .map(|x| *x as f32)
            .collect();
        // Where a golden holds the first logits only, there is no sum over all.
        let is_whole = all.len() == model.config().vocab_size;
        for (ours, theirs) in score.next.iter().zip(top) {
            assert_eq!(u64::from(ours.id), theirs[0].as_u64().unwrap());
            let logit = theirs[1].as_f64().unwrap();
            let error = (f64::from(ours.logit) - logit).abs();
            assert!(error < tolerance, "logit off by {error}");
            if is_whole {
                let logprob = logit - log_sum_exp(&all);
                let error = (f64::from(ours.logprob) - logprob).abs();
                assert!(error < tolerance, "log-probability off by {error}");
            }
        }

        // Every step that was not too close to call, after the very ids that came before it.
        let margins = numbers(&case["greedy_margin"]);
        let expected = ids(&case["greedy"]);
        let mut fed = prompt.clone();
        fed.extend(&expected);
        let found = most_probable(model, &fed[..fed.len() - 1], prompt.len() - 1);
        assert_eq!(found.len(), expected.len());
        for ((found, expected), margin) in found.iter().zip(&expected).zip(&margins) {
            assert!(found == expected || *margin <= MARGIN);
        }
        // And by itself, up to the first that was.
        let sure = margins.iter().position(|margin| *margin <= MARGIN);
        let sure = sure.unwrap_or(margins.len());
        let actual = greedy(&mut session, &prompt, sure, 1.0);
        assert_eq!(actual, expected[..sure]);
        assert!(sure > 0 || margins.is_empty());

        let expected = ids(&case["greedy_repetition_penalty_1_2"]);
        let actual = greedy(&mut session, &prompt, penalized, 1.2);
        assert_eq!(actual, expected[..penalized], "with a penalty of 1.2");
    }
}

#[test]
fn exact_cache_from_textures() {
    for (path, golden) in goldens() {
        check(
            &load(&path, Some(ComputePath::Software), true),
            &golden,
            2e-3,
            48,
        );
    }
}

#[test]
fn exact_cache_from_buffers() {
    for (path, golden) in goldens() {
        check(
            &load(&path, Some(ComputePath::Gpu), true),
            &golden,
            2e-3,
            48,
        );
    }
}

#[test]
fn f16_cache() {
    for (path, golden) in goldens() {
        for source in ComputePath::ALL {
            check(&load(&path, Some(source), false), &golden, 1e-2, 8);
        }
    }
}

/// Layouts that tuning could choose.
#[test]
fn other_layouts() {
    for (path, golden) in goldens() {
        for source in ComputePath::ALL {
            let mut options = common::options(Some(source), true);
            options.tune = Tune::Fixed(common::other_tuning(source));
            check(&Model::load(&path, &options).unwrap(), &golden, 2e-3, 48);
        }
    }
}

/// Whatever is chosen by measurement, and weights widened to f32.
#[test]
fn measured_source_and_f32_weights() {
    for (path, golden) in goldens() {
        let mut options = common::options(None, true);
        options.tune = Tune::Auto;
        options.dtype = Some(openelm::Dtype::F32);
        check(&Model::load(&path, &options).unwrap(), &golden, 2e-3, 48);
    }
}

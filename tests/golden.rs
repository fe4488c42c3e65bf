//! Apple's own code in f32, against ours: probabilities, the next tokens, and greedy continuations, on the fixtures and the demo
//! model, from buffers and from textures, with an exact and with an f16 cache.

mod common;

use common::{goldens, ids, load, numbers};
use openelm::{GenerateOptions, Model, Sampling, Session, WeightSource};
use serde_json::Value;

/// Below this, the two most probable tokens are too close to call.
const MARGIN: f64 = 5e-3;

fn greedy(session: &mut Session<'_>, prompt: &[u32], count: usize, penalty: f32) -> Vec<u32> {
    let mut options = GenerateOptions::default();
    options.max_tokens = Some(count);
    options.ignore_eos = true;
    options.sampling = Sampling::default();
    options.sampling.repetition_penalty = penalty;
    let generation = session.generate(prompt, &options).unwrap();
    generation.map(|token| token.unwrap().id).collect()
}

fn check(model: &Model, golden: &Value, tolerance: f64) {
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
        for (ours, theirs) in score.next.iter().zip(top) {
            assert_eq!(u64::from(ours.id), theirs[0].as_u64().unwrap());
            let error = (f64::from(ours.logit) - theirs[1].as_f64().unwrap()).abs();
            assert!(error < tolerance, "logit off by {error}");
        }

        // Up to where a step was too close to call; what follows depends on it.
        let margins = numbers(&case["greedy_margin"]);
        let sure = margins
            .iter()
            .position(|m| *m <= MARGIN)
            .unwrap_or(margins.len());
        let expected = ids(&case["greedy"]);
        let actual = greedy(&mut session, &prompt, sure, 1.0);
        assert_eq!(actual, expected[..sure]);
        assert!(sure > 0 || margins.is_empty());

        let expected = ids(&case["greedy_repetition_penalty_1_2"]);
        let actual = greedy(&mut session, &prompt, 8, 1.2);
        assert_eq!(actual, expected[..8], "with a repetition penalty of 1.2");
    }
}

#[test]
fn exact_cache_from_textures() {
    for (path, golden) in goldens() {
        check(
            &load(&path, Some(WeightSource::Texture), true),
            &golden,
            2e-3,
        );
    }
}

#[test]
fn exact_cache_from_buffers() {
    for (path, golden) in goldens() {
        check(
            &load(&path, Some(WeightSource::Buffer), true),
            &golden,
            2e-3,
        );
    }
}

#[test]
fn f16_cache() {
    for (path, golden) in goldens() {
        for source in WeightSource::ALL {
            check(&load(&path, Some(source), false), &golden, 1e-2);
        }
    }
}

/// Whatever is chosen by measurement, and weights widened to f32.
#[test]
fn measured_source_and_f32_weights() {
    for (path, golden) in goldens() {
        let mut options = common::options(None, true);
        options.dtype = Some(openelm::Dtype::F32);
        check(&Model::load(&path, &options).unwrap(), &golden, 2e-3);
    }
}

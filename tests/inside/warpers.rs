//! The warpers leave of logits what Hugging Face's leave: on vectors with and without equal logits, each warper alone and several together.

use super::common;
use openelm::generate::{GenerationConfig, SamplingParams, Warpers};
use serde_json::Value;

/// The probabilities of tokens after the warpers.
fn probabilities(sampling: &SamplingParams, logits: &[f32]) -> Vec<f64> {
    let mut logits = logits.to_vec();
    Warpers::new(sampling).apply(&mut logits);
    let best = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    let weights: Vec<f64> = logits
        .iter()
        .map(|x| (f64::from(*x) - best).exp())
        .collect();
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|weight| weight / sum).collect()
}

fn sampling(kwargs: &Value) -> SamplingParams {
    let mut config = GenerationConfig::default();
    config.do_sample = true;
    config.top_k = 0;
    for (key, value) in kwargs.as_object().unwrap() {
        config.set(key, value).unwrap();
    }
    SamplingParams::from(&config)
}

#[test]
fn what_is_left_is_what_hugging_face_leaves() {
    let cases = std::fs::read(common::fixture("warpers.json")).unwrap();
    let cases: Vec<Value> = serde_json::from_slice(&cases).unwrap();
    assert!(cases.len() > 60);
    for case in &cases {
        let logits: Vec<f32> = case["logits"]
            .as_array()
            .unwrap()
            .iter()
            .map(|x| x.as_f64().map_or(f32::NEG_INFINITY, |x| x as f32))
            .collect();
        let sampling = sampling(&case["kwargs"]);
        let found = probabilities(&sampling, &logits);
        let kept: Vec<usize> = (0..logits.len()).filter(|id| found[*id] > 0.0).collect();
        let expected: Vec<usize> = match &case["kept"] {
            Value::Null => (0..logits.len())
                .filter(|id| logits[*id].is_finite())
                .collect(),
            ids => common::ids(ids).iter().map(|id| *id as usize).collect(),
        };
        // Which of several equals go is anybody's choice.
        let sorted = |ids: &[usize]| {
            let mut kept: Vec<f32> = ids.iter().map(|id| logits[*id]).collect();
            kept.sort_by(f32::total_cmp);
            kept
        };
        assert_eq!(sorted(&kept), sorted(&expected), "{}", case["kwargs"]);
        if case["ties"] == false {
            assert_eq!(kept, expected, "{}", case["kwargs"]);
        }
        let weight = |id: &usize| (f64::from(logits[*id]) / f64::from(sampling.temperature)).exp();
        let sum: f64 = kept.iter().map(weight).sum();
        for id in &kept {
            let error = (found[*id] - weight(id) / sum).abs();
            assert!(error < 1e-6, "{}: {error}", case["kwargs"]);
        }
    }
}

/// Whatever is asked for, the most probable token is there, and nothing that was forbidden comes back.
#[test]
fn something_is_always_left() {
    let shapes: [&[f32]; 4] = [
        &[0.0; 7],
        &[f32::NEG_INFINITY, 3.0, f32::NEG_INFINITY],
        &[1e30, -1e30, 0.0],
        &[-5.0],
    ];
    let settings = [
        serde_json::json!({"top_p": 1e-6}),
        serde_json::json!({"top_k": 1}),
        serde_json::json!({"min_p": 1.0}),
        serde_json::json!({"typical_p": 1e-3}),
        serde_json::json!({"epsilon_cutoff": 0.999}),
        serde_json::json!({"eta_cutoff": 0.999}),
        serde_json::json!({"temperature": 1e-3, "top_k": 3, "top_p": 0.1, "min_p": 0.9, "typical_p": 0.1,
            "epsilon_cutoff": 0.9, "eta_cutoff": 0.9, "renormalize_logits": true}),
    ];
    for logits in shapes {
        for setting in &settings {
            let found = probabilities(&sampling(setting), logits);
            let best = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            assert!(
                found
                    .iter()
                    .zip(logits)
                    .any(|(p, x)| *p > 0.0 && *x == best)
            );
            assert!(
                found
                    .iter()
                    .zip(logits)
                    .all(|(p, x)| *p == 0.0 || x.is_finite())
            );
        }
    }
}

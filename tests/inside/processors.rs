//! What each processor does to logits, where it begins and ends, and in which order they come: as in Hugging Face's `generate`.

use openelm::generate::{GenerationConfig, Processors, SamplingParams, Span};
use serde_json::{Value, json};

const OFF: f32 = f32::NEG_INFINITY;

/// Logits of what follows `ids`, of which the first two are the prompt and which may become eight; id 3 ends a text.
fn processed(kwargs: Value, ids: &[u32], logits: &[f32]) -> Vec<f32> {
    let span = Span {
        prompt: 2,
        max_length: 8,
        eos: vec![3],
    };
    within(span, kwargs, ids, logits)
}

fn within(span: Span, kwargs: Value, ids: &[u32], logits: &[f32]) -> Vec<f32> {
    let pairs = kwargs.as_object().unwrap().iter();
    let pairs = pairs.map(|(key, value)| (key.as_str(), value));
    let sampling = SamplingParams::from(&GenerationConfig::from_pairs(pairs).unwrap());
    let mut processors = Processors::new(&sampling, span);
    let mut result = logits.to_vec();
    processors.apply(&mut result, ids);
    // Nothing is left over from one place to the next.
    let mut again = logits.to_vec();
    processors.apply(&mut again, ids);
    assert!(
        result
            .iter()
            .zip(&again)
            .all(|(a, b)| a.to_bits() == b.to_bits())
    );
    result
}

const PLAIN: [f32; 5] = [1.0, -2.0, 0.5, 4.0, 0.0];

#[test]
fn a_bias_is_added_where_a_sequence_would_be_completed() {
    let bias = json!({"sequence_bias": [[[0], 1.5], [[1, 2], -1.0], [[0, 1, 2], 10.0], [[2], 0.25], [[0], 3.0]]});
    let by = |ids: &[u32]| processed(bias.clone(), ids, &PLAIN);
    // Of equal sequences the last counts.
    assert_eq!(by(&[4, 4]), [4.0, -2.0, 0.75, 4.0, 0.0]);
    assert_eq!(by(&[4, 4, 1]), [4.0, -2.0, -0.25, 4.0, 0.0]);
    assert_eq!(by(&[4, 0, 1]), [4.0, -2.0, 9.75, 4.0, 0.0]);
    // A sequence that would be the whole text does not count.
    assert_eq!(by(&[0, 1]), [4.0, -2.0, -0.25, 4.0, 0.0]);
    assert_eq!(by(&[1]), [4.0, -2.0, 0.75, 4.0, 0.0]);
}

#[test]
fn repetition_is_penalized_once_for_each_id() {
    let penalty = json!({"repetition_penalty": 2.0});
    let found = processed(penalty, &[0, 0, 1, 4, 99], &PLAIN);
    assert_eq!(found, [0.5, -4.0, 0.5, 4.0, 0.0]);
}

#[test]
fn ngrams_do_not_occur_twice() {
    let by = |size: i64, ids: &[u32]| {
        let found = processed(json!({"no_repeat_ngram_size": size}), ids, &[0.0; 5]);
        (0..5).filter(|id| found[*id] == OFF).collect::<Vec<_>>()
    };
    assert_eq!(by(1, &[0, 2, 2]), [0, 2]);
    assert_eq!(by(2, &[0, 1, 0, 2, 0]), [1, 2]);
    assert_eq!(by(3, &[0, 1, 2, 0, 1]), [2]);
    assert_eq!(by(3, &[0, 0, 0]), [0]);
    assert_eq!(by(3, &[0, 0]), [0; 0]);
    assert_eq!(by(4, &[0, 1]), [0; 0]);
    assert_eq!(by(0, &[0, 0]), [0; 0]);
    assert_eq!(by(-2, &[0, 0]), [0; 0]);
    assert_eq!(by(i64::MAX, &[0, 0]), [0; 0]);
}

#[test]
fn bad_words_are_not_completed_and_the_end_is_none() {
    let words = json!({"bad_words_ids": [[0], [1, 2], [3], [3, 3]]});
    let by = |ids: &[u32]| processed(words.clone(), ids, &PLAIN);
    assert_eq!(by(&[4, 4]), [OFF, -2.0, 0.5, 4.0, 0.0]);
    assert_eq!(by(&[4, 1]), [OFF, -2.0, OFF, 4.0, 0.0]);
    assert_eq!(by(&[4, 3]), [OFF, -2.0, 0.5, OFF, 0.0]);
}

#[test]
fn a_text_does_not_end_before_its_least_length() {
    let ends = |kwargs: Value, len: usize| processed(kwargs, &vec![4; len], &PLAIN)[3] != OFF;
    for (kwargs, first) in [
        (json!({"min_length": 4}), 4),
        (json!({"min_length": 1}), 2),
        (json!({"min_new_tokens": 3}), 5),
        // It replaces the other, also where it is shorter.
        (json!({"min_length": 7, "min_new_tokens": 1}), 3),
        (json!({"min_length": 7, "min_new_tokens": 0}), 2),
        (json!({"min_length": 4, "min_new_tokens": null}), 4),
        (json!({"min_length": -3}), 2),
    ] {
        for len in 2..8 {
            assert_eq!(ends(kwargs.clone(), len), len >= first, "{kwargs} {len}");
        }
    }
    // Nothing ends it: nothing is forbidden. Several do: all are.
    let span = |eos: Vec<u32>| Span {
        prompt: 2,
        max_length: 8,
        eos,
    };
    let long = json!({"min_length": 9});
    assert_eq!(within(span(vec![]), long.clone(), &[4, 4], &PLAIN), PLAIN);
    let several = within(span(vec![0, 3, 77]), long, &[4, 4], &PLAIN);
    assert_eq!(several, [OFF, -2.0, 0.5, OFF, 0.0]);
}

#[test]
fn first_and_last_ids_can_be_forced() {
    let forced = json!({"forced_bos_token_id": 2, "forced_eos_token_id": [0, 3]});
    assert_eq!(
        processed(forced.clone(), &[4], &PLAIN),
        [OFF, OFF, 0.0, OFF, OFF]
    );
    assert_eq!(processed(forced.clone(), &[4; 6], &PLAIN), PLAIN);
    assert_eq!(
        processed(forced, &[4; 7], &PLAIN),
        [0.0, OFF, OFF, 0.0, OFF]
    );
}

#[test]
fn the_end_becomes_more_probable() {
    let decay = |start: i64, factor: f64, len: usize, logit: f32| {
        let kwargs = json!({"exponential_decay_length_penalty": [start, factor]});
        processed(kwargs, &vec![4; len], &[0.0, 0.0, 0.0, logit])[3]
    };
    assert_eq!(decay(1, 2.0, 3, 4.0), 4.0);
    assert_eq!(decay(1, 2.0, 4, 4.0), 8.0);
    assert_eq!(decay(1, 2.0, 5, -4.0), 8.0);
    assert_eq!(decay(-2, 1.5, 2, 4.0), 9.0);
    assert_eq!(decay(1, 0.5, 5, 4.0), 1.0);
}

#[test]
fn ids_can_be_suppressed_everywhere_or_at_the_beginning() {
    let kwargs = json!({"suppress_tokens": [1, -1, 99], "begin_suppress_tokens": [2, 3]});
    assert_eq!(
        processed(kwargs.clone(), &[4, 4], &PLAIN),
        [1.0, OFF, OFF, OFF, 0.0]
    );
    assert_eq!(
        processed(kwargs, &[4, 4, 4], &PLAIN),
        [1.0, OFF, 0.5, 4.0, 0.0]
    );
    // Behind a bos alone what is forced comes first.
    let kwargs = json!({"begin_suppress_tokens": [2], "forced_bos_token_id": 1});
    let alone = Span {
        prompt: 1,
        max_length: 8,
        eos: vec![],
    };
    let by = |ids: &[u32]| within(alone.clone(), kwargs.clone(), ids, &PLAIN);
    assert_eq!(by(&[4]), [OFF, 0.0, OFF, OFF, OFF]);
    assert_eq!(by(&[4, 1]), [1.0, -2.0, OFF, 4.0, 0.0]);
}

#[test]
fn what_is_no_number_can_be_removed() {
    let logits = [f32::NAN, f32::INFINITY, OFF, 4.0];
    let found = processed(json!({"remove_invalid_values": true}), &[4, 4], &logits);
    assert_eq!(found, [0.0, f32::MAX, f32::MIN, 4.0]);
}

/// A bias comes before the penalty, which comes before what is forbidden; what is forced comes after that, and what is suppressed last.
#[test]
fn the_order_is_that_of_hugging_face() {
    let kwargs = json!({
        "suppress_tokens": [0], "repetition_penalty": 2.0, "sequence_bias": [[[1], 3.0], [[3], -8.0]],
        "bad_words_ids": [[2]], "min_length": 7,
    });
    let found = processed(kwargs, &[1, 3], &PLAIN);
    assert_eq!(found, [OFF, 0.5, OFF, OFF, 0.0]);
    let forced = json!({"forced_eos_token_id": 3, "bad_words_ids": [[3, 3]], "min_length": 9});
    assert_eq!(
        processed(forced, &[3; 7], &PLAIN),
        [OFF, OFF, OFF, 0.0, OFF]
    );
    let both = json!({"forced_eos_token_id": 3, "suppress_tokens": [3]});
    assert_eq!(processed(both, &[4; 7], &PLAIN), [OFF; 5]);
}

#[test]
fn log_probabilities_order_as_logits_do() {
    let found = processed(json!({"renormalize_logits": true}), &[4, 4], &PLAIN);
    let sum: f64 = found.iter().map(|x| f64::from(*x).exp()).sum();
    assert!((sum - 1.0).abs() < 1e-6);
    assert!((found[3] - found[0] - 3.0).abs() < 1e-6);
}

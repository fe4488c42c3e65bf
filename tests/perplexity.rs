//! Perplexity is what scores say it is, and comparing a model with itself finds no difference.
#![cfg(feature = "eval")]

mod common;

use openelm::eval::perplexity::{Windows, compare, perplexity};
use openelm::{ComputePath, Dtype, Error, Model};

/// Enough for three windows and a part of one.
fn text(model: &Model, tokens: usize) -> Vec<u32> {
    let text = std::fs::read_to_string(common::fixture("valid.txt")).unwrap();
    let mut ids = model.encode(&text[..6000]).unwrap();
    assert!(ids.len() >= tokens);
    ids.truncate(tokens);
    ids
}

fn load(dtype: Dtype) -> Model {
    let mut options = common::options(Some(ComputePath::Software), true);
    options.dtype = Some(dtype);
    Model::load("demo", &options).unwrap()
}

#[test]
fn a_window_that_holds_all_gives_the_mean_of_the_scores() {
    let model = load(Dtype::F16);
    let ids = text(&model, 90);
    let windows = Windows::new(128, 64, &model).unwrap();
    let found = perplexity(&model, &ids, windows, |_, _| {}).unwrap();
    let score = model.session().unwrap().score(&ids, 0).unwrap();
    let logprobs: Vec<f64> = score
        .logprobs
        .into_iter()
        .flatten()
        .map(f64::from)
        .collect();
    assert_eq!((found.tokens, found.scored), (90, logprobs.len()));
    let mean = -logprobs.iter().sum::<f64>() / logprobs.len() as f64;
    assert_eq!(found.nll_per_token(), mean);
    assert_eq!(found.value(), mean.exp());
    let bits = mean / std::f64::consts::LN_2;
    assert!((found.bits_per_byte(89) - bits).abs() < 1e-12);
}

#[test]
fn windows_score_each_token_after_those_before_it_in_its_window() {
    let model = load(Dtype::F16);
    let ids = text(&model, 150);
    let mut fed = Vec::new();
    let windows = Windows::new(64, 32, &model).unwrap();
    let found = perplexity(&model, &ids, windows, |done, total| fed.push((done, total))).unwrap();
    assert_eq!(found.scored, 149);
    let mut session = model.session().unwrap();
    let mut nll = 0.0;
    for (begin, end, from) in [(0, 64, 1), (32, 96, 64), (64, 128, 96), (96, 150, 128)] {
        let score = session.score(&ids[begin..end], 0).unwrap();
        for logprob in &score.logprobs[from - begin..] {
            nll -= f64::from(logprob.unwrap());
        }
    }
    assert!((found.nll - nll).abs() < 1e-9, "{} {nll}", found.nll);
    assert!(
        fed.is_sorted() && fed.last() == Some(&(246, 246)),
        "{fed:?}"
    );
}

#[test]
fn only_what_differs_diverges() {
    let reference = load(Dtype::F32);
    let ids = text(&reference, 140);
    let windows = Windows::new(80, 40, &reference).unwrap();
    let alone = perplexity(&reference, &ids, windows, |_, _| {}).unwrap();
    let against = |dtype| {
        let other = load(dtype);
        let comparison = compare(&reference, &other, &ids, windows, |_, _| {}).unwrap();
        // The device sums up in another order than the host.
        let of_reference = comparison.reference;
        assert_eq!(of_reference.scored, alone.scored);
        assert!((of_reference.nll - alone.nll).abs() < 1e-3);
        comparison
    };
    let same = against(Dtype::F32);
    assert_eq!(same.reference, same.other);
    assert_eq!(same.same_top, same.reference.scored);
    let kl = same.divergence;
    assert_eq!((kl.mean, kl.max), (0.0, 0.0));
    let (q8, q4) = (against(Dtype::Q8), against(Dtype::Q4));
    let (near, far) = (q8.divergence, q4.divergence);
    assert!(0.0 < near.mean && near.mean < 0.01, "{near:?}");
    assert!(near.mean < far.mean && far.mean < 0.5, "{far:?}");
    for kl in [near, far] {
        assert!(kl.median <= kl.percentile_99 && kl.percentile_99 <= kl.max);
    }
    assert!(q4.same_top < q8.same_top && q8.same_top < same.same_top + 1);
}

#[test]
fn windows_that_leave_something_out_are_refused() {
    let model = load(Dtype::F16);
    for (context, stride, name) in [
        (1, 1, "context"),
        (model.context_size() + 1, 1, "context"),
        (64, 0, "stride"),
        (64, 65, "stride"),
    ] {
        match Windows::new(context, stride, &model) {
            Err(Error::OptionOutOfRange { name: found, .. }) => assert_eq!(found, name),
            other => panic!("{other:?}"),
        }
    }
    let windows = Windows::new(64, 64, &model).unwrap();
    for ids in [&[][..], &[1]] {
        let found = perplexity(&model, ids, windows, |_, _| {});
        assert!(matches!(found, Err(Error::Text(_))));
    }
    let wrong = [1, 5, 1 << 30];
    let found = perplexity(&model, &wrong, windows, |_, _| {});
    assert!(matches!(found, Err(Error::TokenOutOfRange { .. })));
    let found = compare(&model, &model, &wrong, windows, |_, _| {});
    assert!(matches!(found, Err(Error::TokenOutOfRange { .. })));
}

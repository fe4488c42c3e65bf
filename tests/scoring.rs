//! Ids of a prompt are scored on the device as the host would score them from the logits, whatever else is computed beside them.

#![allow(
    clippy::field_reassign_with_default,
    reason = "options are filled as users of the library fill them"
)]

mod common;

use std::collections::BTreeMap;

use openelm::{
    ComputePath, Error, Finish, GenerateOptions, Model, PoolEvent, PromptLogprobs, Result, Text,
    log_sum_exp,
};

type Request = (Vec<u32>, GenerateOptions);

fn scoring(from: usize, top: usize, tokens: usize) -> GenerateOptions {
    let mut options = GenerateOptions::default();
    options.max_tokens = Some(tokens);
    options.prompt_logprobs = Some(PromptLogprobs { from, top });
    options.ignore_eos = true;
    options
}

fn run(model: &Model, requests: &[Request]) -> BTreeMap<usize, Result<Text>> {
    let (mut pool, mut waiting) = (model.text_pool(), (0..).zip(requests));
    let mut texts = BTreeMap::new();
    loop {
        while !pool.is_full()
            && let Some((index, (ids, options))) = waiting.next()
        {
            pool.push(index, ids.clone(), options.clone());
        }
        if pool.is_empty() {
            return texts;
        }
        texts.extend(pool.step(|_, _| {}).unwrap());
    }
}

fn prompt(model: &Model) -> Vec<u32> {
    let text = "Once upon a time there was a little girl who lived in a village near the forest.";
    model.encode(text).unwrap().repeat(3)
}

#[test]
fn scores_are_those_of_the_logits() {
    for path in [ComputePath::Software, ComputePath::Gpu] {
        let model = common::load("demo", Some(path), true);
        let mut ids = prompt(&model)[..50].to_vec();
        // What the model would say, once.
        let mut session = model.session().unwrap();
        let best = most_probable(session.next_logits(&ids[..30]).unwrap());
        ids[30] = best;
        let text = run(&model, &[(ids.clone(), scoring(1, 20, 0))])
            .remove(&0)
            .unwrap()
            .unwrap();
        assert_eq!(text.prompt_logprobs.len(), ids.len() - 1);
        assert_eq!(
            (text.finish, text.ids.len()),
            (Some(Finish::Length), 0),
            "{path:?}"
        );
        for (index, scored) in (1..).zip(&text.prompt_logprobs) {
            let logits = session.next_logits(&ids[..index]).unwrap();
            let log_sum = log_sum_exp(logits);
            let expected = f64::from(logits[ids[index] as usize]) - log_sum;
            assert_eq!(scored.id, ids[index]);
            assert!((f64::from(scored.logprob) - expected).abs() < 1e-5);
            assert_eq!(scored.is_greedy, most_probable(logits) == ids[index]);
            assert_eq!(scored.top.len(), 20);
            assert_eq!(scored.top[0].id, most_probable(logits));
            let mut sorted: Vec<usize> = (0..logits.len()).collect();
            sorted.sort_by(|a, b| logits[*b].total_cmp(&logits[*a]).then(a.cmp(b)));
            for (candidate, id) in scored.top.iter().zip(sorted) {
                assert_eq!(candidate.id as usize, id);
                assert_eq!(candidate.logit, logits[id]);
            }
        }
        assert!(text.prompt_logprobs[29].is_greedy);
    }
}

/// The most probable id, the lowest among equals.
fn most_probable(logits: &[f32]) -> u32 {
    let ids = 0..logits.len() as u32;
    ids.rev()
        .max_by(|a, b| logits[*a as usize].total_cmp(&logits[*b as usize]))
        .unwrap()
}

#[test]
fn company_and_shared_prefixes_change_no_bit() {
    for path in [ComputePath::Software, ComputePath::Gpu] {
        let model = common::load("demo", Some(path), false);
        let ids = prompt(&model);
        // Scores alone, scores with a text behind them, and texts without.
        let requests: Vec<Request> = (0..24)
            .map(|index: usize| {
                let mut ids = ids[..20 + (11 * index) % 30].to_vec();
                let context = ids.len();
                ids.extend((0..1 + index % 5).map(|extra| 50 + (index + extra) as u32));
                let options = match index % 3 {
                    0 => scoring(context, 0, 0),
                    1 => scoring(1 + index, 5, 4),
                    _ => {
                        let mut options = scoring(1, 0, 6);
                        options.prompt_logprobs = None;
                        options
                    }
                };
                (ids, options)
            })
            .collect();
        for (index, text) in run(&model, &requests) {
            let text = text.unwrap();
            let alone = run(&model, &requests[index..=index])
                .remove(&0)
                .unwrap()
                .unwrap();
            assert_eq!(text.prompt_logprobs, alone.prompt_logprobs, "{path:?}");
            assert_eq!(text.ids, alone.ids);
            let scored = requests[index].1.prompt_logprobs;
            let expected = scored.map_or(0, |scored| requests[index].0.len() - scored.from);
            assert_eq!(text.prompt_logprobs.len(), expected);
        }
    }
}

#[test]
fn a_prompt_may_fill_the_context_where_nothing_follows_it() {
    let model = common::load("demo", None, false);
    let context = model.context_size();
    let ids: Vec<u32> = (0..2 * context as u32).map(|i| 5 + i % 90).collect();
    let request = |len, tokens| (ids[..len].to_vec(), scoring(len - 1, 0, tokens));
    let requests = [
        request(context + 1, 0),
        request(context, 1),
        request(context + 2, 0),
        request(context + 1, 1),
        request(context, 2),
    ];
    let texts = run(&model, &requests);
    assert_eq!(texts[&0].as_ref().unwrap().prompt_logprobs.len(), 1);
    let one = texts[&1].as_ref().unwrap();
    assert_eq!((one.ids.len(), one.finish), (1, Some(Finish::Length)));
    for index in 2..5 {
        let error = texts[&index].as_ref().unwrap_err();
        assert!(matches!(error, Error::PromptTooLong { .. }), "{index}");
    }
}

#[test]
fn a_context_is_computed_once_for_all_that_follows_it() {
    let model = common::load("demo", None, false);
    let context = prompt(&model)[..40].to_vec();
    let request = |index: u32| {
        let ids = [&context[..], &[60 + index, 7, 9]].concat();
        (ids, scoring(40, 0, 0))
    };
    let requests: Vec<Request> = (0..12).map(request).collect();
    let texts = run(&model, &requests);
    let computed: Vec<usize> = texts
        .values()
        .map(|text| text.as_ref().unwrap().timing.prefill_tokens)
        .collect();
    // Of the first all but the last id; of others from the context's last id on, whose logits score what follows.
    assert_eq!(computed[0], 42);
    assert!(computed[1..].iter().all(|count| *count == 3));
}

#[test]
fn events_come_in_order_and_once() {
    let model = common::load("demo", None, false);
    let ids = prompt(&model).repeat(2)[..70].to_vec();
    let mut pool = model.text_pool();
    pool.push((), ids, scoring(60, 2, 3));
    let mut events = Vec::new();
    while !pool.is_empty() {
        pool.step(|(), event| {
            events.push(match event {
                PoolEvent::Begun { cached } => format!("begun {cached}"),
                PoolEvent::Prefill { done, total } => format!("prefill {done} of {total}"),
                PoolEvent::Prompt(scores) => format!("prompt {}", scores.len()),
                PoolEvent::Token(_) => "token".to_owned(),
                _ => "other".to_owned(),
            });
        })
        .unwrap();
    }
    assert_eq!(events[0], "begun 0");
    let prefill = events
        .iter()
        .rposition(|event| event.starts_with("prefill"));
    assert_eq!(events[prefill.unwrap()], "prefill 70 of 70");
    assert_eq!(
        events[prefill.unwrap() + 1..],
        ["prompt 10", "token", "token", "token"]
    );
}

#[test]
fn what_cannot_be_scored_is_said() {
    let model = common::load("demo", None, false);
    let ids = vec![1, 5, 9];
    let texts = run(
        &model,
        &[
            (ids.clone(), scoring(0, 0, 0)),
            (ids.clone(), scoring(1, PromptLogprobs::MOST_TOP + 1, 0)),
            (ids, scoring(3, 0, 0)),
        ],
    );
    for (index, words) in [
        (
            0,
            "`prompt_logprobs.from` is 0; a whole number from 1 is possible",
        ),
        (1, "`prompt_logprobs.top` is 21; 0 to 20 is possible"),
    ] {
        let error = texts[&index].as_ref().unwrap_err();
        assert_eq!(error.to_string(), words);
    }
    // Nothing is left to score.
    assert!(texts[&2].as_ref().unwrap().prompt_logprobs.is_empty());
}

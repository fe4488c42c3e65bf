//! Texts that are written side by side are, to the id, what each would be alone; what is wrong with one is its own affair.

#![allow(
    clippy::field_reassign_with_default,
    reason = "options are filled as users of the library fill them"
)]

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use openelm::{
    ComputePath, Error, Finish, GenerateOptions, Model, PoolEvent, Result, Speculation, Text,
};

type Request = (Vec<u32>, GenerateOptions);

/// Writes all, as many at once as there can be; tells how many tokens came of each.
fn write(model: &Model, requests: &[Request]) -> BTreeMap<usize, (Result<Text>, usize)> {
    let (mut pool, mut waiting) = (model.text_pool(), (0..).zip(requests));
    let (mut texts, mut counts) = (BTreeMap::new(), vec![0; requests.len()]);
    loop {
        while !pool.is_full()
            && let Some((index, (ids, options))) = waiting.next()
        {
            pool.push(index, ids.clone(), options.clone());
        }
        if pool.is_empty() {
            return texts;
        }
        let count = |index: &mut usize, event: PoolEvent<'_>| {
            counts[*index] += usize::from(matches!(event, PoolEvent::Token(_)));
        };
        for (index, text) in pool.step(count).unwrap() {
            assert!(texts.insert(index, (text, counts[index])).is_none());
        }
    }
}

fn alone(model: &Model, (ids, options): &Request) -> Vec<u32> {
    let mut session = model.session().unwrap();
    let mut generation = session.generate(ids, options).unwrap();
    assert!(generation.by_ref().all(|token| token.is_ok()));
    generation.ids().to_vec()
}

fn options(tokens: usize, seed: u64) -> GenerateOptions {
    let mut options = GenerateOptions::default();
    options.max_tokens = Some(tokens);
    options.sampling.seed = seed;
    options.sampling.temperature = (seed % 3) as f32 * 0.5;
    options.ignore_eos = true;
    options
}

/// Prompts of many lengths, most of which begin alike, one as another does, or with what another goes on with.
fn requests(model: &Model, count: usize) -> Vec<Request> {
    let text = model
        .encode("There was once a king who had three sons. The eldest")
        .unwrap();
    let mut requests: Vec<Request> = (0..count)
        .map(|index| {
            let mut ids = text.repeat(4)[..1 + (7 * index) % 50].to_vec();
            ids.extend((0..index % 4).map(|extra| 100 + (index + extra) as u32));
            (ids, options(1 + index % 9, index as u64))
        })
        .collect();
    let follows = alone(model, &requests[4]);
    requests[5].0 = [&requests[4].0[..], &follows].concat();
    requests[6].0 = requests[4].0.clone();
    requests
}

#[test]
fn company_changes_no_text() {
    company(ComputePath::Gpu);
}

#[test]
fn company_changes_no_text_from_textures_too() {
    company(ComputePath::Software);
}

fn company(path: ComputePath) {
    let model = common::load("demo", Some(path), false);
    let requests = requests(&model, 40);
    let texts = write(&model, &requests);
    assert_eq!(texts.len(), requests.len());
    for (index, (text, count)) in texts {
        let (text, request) = (text.unwrap(), &requests[index]);
        assert_eq!(text.ids, alone(&model, request), "{path:?} {index}");
        assert_eq!((text.ids.len(), text.logprobs.len()), (count, count));
        assert_eq!(text.finish, Some(Finish::Length));
        assert_eq!(text.seed, index as u64);
    }
}

#[test]
fn what_prompts_begin_with_alike_is_computed_once() {
    let model = common::load("demo", None, false);
    let shared: Vec<u32> = (0..300).map(|i| 5 + i % 90).collect();
    let request = |index: u32| ([&shared[..], &[200 + index, 7]].concat(), options(3, 0));
    let requests: Vec<Request> = (0..40).map(request).collect();
    let texts = write(&model, &requests);
    let computed = |(text, _): &(Result<Text>, usize)| text.as_ref().unwrap().timing.prefill_tokens;
    let computed: usize = texts.values().map(computed).sum();
    assert_eq!(computed, 302 + 39 * 2);
}

/// Of one prompt, however short, texts share all but the last id.
#[test]
fn texts_of_one_prompt_compute_it_once() {
    let model = common::load("demo", None, false);
    let requests: Vec<Request> = (0..4)
        .map(|seed| (vec![1, 5, 9], options(3, seed)))
        .collect();
    let texts = write(&model, &requests);
    let computed = texts
        .values()
        .map(|(text, _)| text.as_ref().unwrap().timing.prefill_tokens);
    assert_eq!(computed.collect::<Vec<_>>(), [3, 1, 1, 1]);
}

#[test]
fn what_is_wrong_with_one_is_its_own_affair() {
    let model = common::load("demo", None, false);
    let fine = (vec![1, 9], options(4, 0));
    let mut strange = options(4, 0);
    strange.sampling.top_p = 7.0;
    let requests = [
        fine.clone(),
        (vec![], options(4, 0)),
        (vec![1, 4096], options(4, 0)),
        (vec![1; 512], options(4, 0)),
        (vec![1; 5000], options(4, 0)),
        (vec![1], strange),
        fine.clone(),
    ];
    let texts = write(&model, &requests);
    for index in [0, 6] {
        let text = texts[&index].0.as_ref().unwrap();
        assert_eq!(text.ids, alone(&model, &fine));
    }
    let error = |index| texts[&index].0.as_ref().unwrap_err();
    assert!(matches!(error(1), Error::EmptyPrompt));
    assert!(matches!(error(2), Error::TokenOutOfRange { id: 4096, .. }));
    assert!(matches!(error(3), Error::PromptTooLong { tokens: 512, .. }));
    assert!(matches!(
        error(4),
        Error::PromptTooLong { tokens: 5000, .. }
    ));
    assert!(matches!(error(5), Error::OptionOutOfRange { .. }));
}

#[test]
fn each_is_cancelled_by_itself() {
    let model = common::load("demo", None, false);
    let mut pool = model.text_pool();
    let flag = Arc::new(AtomicBool::new(false));
    let mut cancelled = options(400, 0);
    cancelled.cancel = Some(Arc::clone(&flag));
    pool.push("ends", vec![1, 9], cancelled);
    pool.push("goes on", vec![1, 9], options(20, 0));
    let (mut ended, mut heard_after) = (Vec::new(), 0);
    while !pool.is_empty() {
        let has_ended = flag.load(Ordering::Relaxed);
        let mut count = 0;
        for (name, text) in pool
            .step(|name, _| {
                count += 1;
                heard_after += usize::from(has_ended && *name == "ends");
            })
            .unwrap()
        {
            ended.push((name, text.unwrap()));
        }
        flag.fetch_or(count > 0, Ordering::Relaxed);
    }
    // With its last token it gives out what it has held back.
    assert!(heard_after <= 1, "{heard_after}");
    assert_eq!(
        (ended[0].0, ended[0].1.finish),
        ("ends", Some(Finish::Cancelled))
    );
    assert_eq!((ended[1].0, ended[1].1.ids.len()), ("goes on", 20));
}

/// There is room for one context: texts that together need more wait for each other, and no token is told twice.
#[test]
fn where_memory_is_short_fewer_are_written_at_once() {
    let usual = common::load("demo", None, false);
    let network = usual.network();
    let mut limited = common::options(None, false);
    limited.memory_limit =
        Some(network.weight_bytes() + network.kv_cache_bytes() + network.scratch_bytes());
    let model = Model::load("demo", &limited).unwrap();
    let request = |index: u64| (vec![1 + index as u32; 90], options(40, index));
    let requests: Vec<Request> = (0..8).map(request).collect();
    let texts = write(&model, &requests);
    for (index, (text, count)) in texts {
        let text = text.unwrap();
        assert_eq!((text.ids.len(), count), (40, 40));
        assert_eq!(text.ids, alone(&usual, &requests[index]));
    }
}

#[test]
fn speculation_changes_no_text_in_company_either() {
    let model = common::load("demo", None, false);
    let mut config = openelm::GenerationConfig::default();
    config.set("prompt_lookup_num_tokens", &3.into()).unwrap();
    let lookup = config.prompt_lookup().unwrap();
    let mut requests = requests(&model, 36);
    let plain = write(&model, &requests);
    for (_, options) in &mut requests {
        options.speculation = Some(Speculation::PromptLookup(lookup));
    }
    for (index, (text, _)) in write(&model, &requests) {
        let expected = &plain[&index].0.as_ref().unwrap().ids;
        assert_eq!(&text.unwrap().ids, expected, "{index}");
    }
}

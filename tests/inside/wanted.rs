//! Rows of a prompt that nothing is wanted after leave the last layer early: that must change no bit of the others, and save what it can.

use super::common;
use openelm::kernels::BatchClass::{Generated, Prompt};
use openelm::model::{Batch, Sequence, TokenSource, Wants};
use openelm::trace::{Span, TraceMode};
use openelm::{ComputePath, Dtype, Model, Tune};

/// The demo on a path, in layouts that tuning may choose.
fn models(path: ComputePath) -> Vec<(String, Model)> {
    let mut models = Vec::new();
    let float = (Dtype::Bf16, Some(common::other_tuning(path)));
    let int8 = (Dtype::Q8, common::int8_tuning(path));
    for (dtype, tuning) in [float, int8] {
        let Some(tuning) = tuning else { continue };
        let mut options = common::options(Some(path), false);
        options.dtype = Some(dtype);
        options.tune = Tune::Fixed(tuning);
        let model = Model::load("demo", &options).unwrap();
        models.push((format!("{path:?} {dtype}"), model));
    }
    models
}

const COUNT: usize = 40;

/// Two texts, of which the second is generated from its tenth token on.
fn ids(text: usize) -> Vec<u32> {
    (0..COUNT as u32)
        .map(|i| (i * i * 5 + i * 31 + 7 * text as u32 + 3) % 200)
        .collect()
}

fn class(text: usize, at: usize) -> openelm::kernels::BatchClass {
    match text == 1 && at >= 10 {
        true => Generated,
        false => Prompt,
    }
}

/// Steps of rows of both texts in turns, `size` of each; logits by text and position where `is_wanted`.
fn together(
    model: &Model,
    size: usize,
    is_wanted: impl Fn(usize, usize) -> bool,
) -> [Vec<Vec<f32>>; 2] {
    let mut sequences = [0, 1].map(|_| Sequence::new(model.network()).unwrap());
    let mut all = [0, 1].map(|_| vec![Vec::new(); COUNT]);
    for start in (0..COUNT).step_by(size) {
        let mut batch = Batch::default();
        let mut places = Vec::new();
        for text in [0, 1] {
            for at in start..COUNT.min(start + size) {
                let wants = match is_wanted(text, at) {
                    true => Wants::Logits,
                    false => Wants::Nothing,
                };
                let token = TokenSource::Id(ids(text)[at]);
                sequences[text]
                    .push(&mut batch, token, None, class(text, at), wants)
                    .unwrap();
                places.push((text, at));
            }
        }
        let network = model.network();
        let ticket = network.submit(&batch, TraceMode::Off).unwrap();
        let is_valid = network.read(&ticket, |row, result| match result {
            openelm::model::RowResult::Logits(logits) => {
                let (text, at) = places[row];
                all[text][at] = logits.to_vec();
            }
            _ => panic!("only logits were asked for"),
        });
        assert!(is_valid.unwrap());
    }
    all
}

#[test]
fn wanted_rows_have_the_same_bits_whatever_leaves_early() {
    bits_stay(ComputePath::Gpu);
}

#[test]
fn wanted_rows_have_the_same_bits_in_textures_too() {
    bits_stay(ComputePath::Software);
}

fn bits_stay(path: ComputePath) {
    for (name, model) in models(path) {
        let whole = together(&model, 1, |_, _| true);
        let patterns: [fn(usize, usize) -> bool; 5] = [
            |_, _| true,
            |_, at| at == COUNT - 1,
            |text, at| text == 1 && at % 3 == 0,
            |text, at| (at * 7 + text * 5) % 4 == 1,
            |text, at| text == 0 && at % 5 == 0 || at % 13 == 0,
        ];
        for (pattern, is_wanted) in patterns.iter().enumerate() {
            // One by one takes longest, and two patterns tell.
            let sizes = [1, 3, 6, 13].into_iter();
            for size in sizes.filter(|size| *size > 1 || [1, 3].contains(&pattern)) {
                let some = together(&model, size, is_wanted);
                for text in [0, 1] {
                    for at in 0..COUNT {
                        let expected = match is_wanted(text, at) {
                            true => &whole[text][at],
                            false => &Vec::new(),
                        };
                        assert_eq!(
                            &some[text][at], expected,
                            "{name}, pattern {pattern}, {size} rows, text {text}, position {at}"
                        );
                    }
                }
            }
        }
    }
}

/// What the last layer of a step of eight rows took, and what it multiplied.
fn last_layer(model: &Model, wanted: usize) -> Option<Vec<Span>> {
    let mut sequence = Sequence::new(model.network()).unwrap();
    let mut batch = Batch::default();
    for (i, id) in ids(0)[..8].iter().enumerate() {
        let wants = match i < 8 - wanted {
            true => Wants::Nothing,
            false => Wants::Logits,
        };
        sequence
            .push(&mut batch, TokenSource::Id(*id), None, Prompt, wants)
            .unwrap();
    }
    let ticket = model.network().submit(&batch, TraceMode::Kernels).unwrap();
    let last = model.config().layers.len() as u32 - 1;
    let mut spans = ticket.timed?.spans?;
    spans.retain(|span| span.layer == Some(last));
    Some(spans)
}

#[test]
fn the_last_layer_ends_at_its_cache_for_rows_without_results() {
    for (name, model) in ComputePath::ALL.into_iter().flat_map(models) {
        // Without timestamps there is nothing to see.
        let Some(none) = last_layer(&model, 0) else {
            continue;
        };
        let names = |spans: &[Span]| spans.iter().map(|span| span.kernel).collect::<Vec<_>>();
        assert!(
            !names(&none).contains(&"proj_2"),
            "{name}: {:?}",
            names(&none)
        );
        assert!(names(&none).contains(&"qkv"), "{name}: {:?}", names(&none));
        let flops = |wanted: usize| -> u64 {
            let spans = last_layer(&model, wanted).unwrap();
            let proj_2 = spans.iter().find(|span| span.kernel == "proj_2");
            proj_2.unwrap().flops
        };
        if model.network().path() == ComputePath::Software {
            assert_eq!(8 * flops(1), flops(8), "{name}");
        }
    }
}

//! Keys and values to the host and back, wherever in the pool their rows lie.

use super::common;
use super::core::{ids, wide_values};
use super::steps::{add, run};
use openelm::kernels::BatchClass::{Generated, Prompt};
use openelm::model::{Batch, Sequence, TokenSource, Wants, kv_row_bytes};
use openelm::trace::TraceMode;
use openelm::{ComputePath, Dtype, LoadOptions, Model, Tune, Tuning};
use proptest::prelude::*;

/// Layers of different widths, whose rows divide no row of a texture.
const CONFIG: &str = r#"{"model_type":"openelm","num_transformer_layers":2,"model_dim":64,"vocab_size":128,"head_dim":24,
    "num_query_heads":[5,7],"num_kv_heads":[5,7],"ffn_dim_divisor":8,"ffn_multipliers":[1.0,2.0],
    "normalize_qk_projections":true,"share_input_output_layers":true,"max_context_length":700}"#;

/// What a sequence's keys and values are to be: noise that follows from a number.
fn bytes(model: &Model, seed: u64, count: usize) -> Vec<u8> {
    let exact = model.network().has_exact_kv();
    let position: u64 = kv_row_bytes(model.config(), exact).iter().sum();
    let noise = common::noise(seed, count * position as usize / 4);
    bytemuck::cast_slice(&noise).to_vec()
}

fn write(sequence: &mut Sequence, count: usize, bytes: &[u8]) {
    let mut rest = bytes;
    let ids: Vec<u32> = (0..count as u32).map(|id| id % 128).collect();
    let written = sequence.write_kv(&ids, |piece| {
        let (now, later) = rest.split_at(piece.len());
        piece.copy_from_slice(now);
        rest = later;
        Ok(())
    });
    assert!(written.unwrap() && rest.is_empty());
    assert_eq!(sequence.prompt_ids(), ids);
}

fn read(sequence: &Sequence, count: usize) -> Vec<u8> {
    let mut all = Vec::new();
    let read = sequence.read_kv(count, |piece| {
        all.extend(piece);
        Ok(())
    });
    assert!(read.unwrap());
    all
}

/// The first `part` of `count` positions of what [`read`] gives.
fn beginning(model: &Model, all: &[u8], count: usize, part: usize) -> Vec<u8> {
    let exact = model.network().has_exact_kv();
    let mut at = 0;
    let mut some = Vec::new();
    for row in kv_row_bytes(model.config(), exact) {
        some.extend(&all[at..at + part * row as usize]);
        at += count * row as usize;
    }
    some
}

/// Sequences come, fork, shrink and go, so that rows lie anywhere and the pool grows; all of them hold what was written.
#[test]
fn rows_come_back_as_they_were_written() {
    let folder = common::synthetic(CONFIG, &[Dtype::F16]);
    let folder = folder.path().to_string_lossy().into_owned();
    for path in ComputePath::ALL {
        for exact in [false, true] {
            let model = common::load(&folder, Some(path), exact);
            let cases = ProptestConfig {
                cases: 3,
                failure_persistence: None,
                rng_seed: common::seed(12),
                ..ProptestConfig::default()
            };
            proptest!(cases, |(turns in prop::collection::vec((0..4u8, 0..8usize, 1..400usize), 12))| {
                let mut kept: Vec<(Sequence, usize, Vec<u8>)> = Vec::new();
                for (seed, (what, which, count)) in (1..).zip(turns) {
                    let which = which.checked_rem(kept.len()).unwrap_or(0);
                    match what {
                        1 if !kept.is_empty() => drop(kept.swap_remove(which)),
                        2 if !kept.is_empty() => {
                            let (parent, whole, all) = &kept[which];
                            let part = count.min(*whole);
                            let some = beginning(&model, all, *whole, part);
                            kept.push((parent.fork(part).unwrap(), part, some));
                        }
                        3 if !kept.is_empty() => {
                            let (sequence, whole, all) = &mut kept[which];
                            let part = count.min(*whole);
                            sequence.truncate(part).unwrap();
                            *all = beginning(&model, all, *whole, part);
                            *whole = part;
                        }
                        _ => {
                            let mut sequence = Sequence::new(model.network()).unwrap();
                            let bytes = bytes(&model, seed, count);
                            write(&mut sequence, count, &bytes);
                            kept.push((sequence, count, bytes));
                        }
                    }
                }
                for (sequence, count, bytes) in &kept {
                    prop_assert!(read(sequence, *count) == *bytes, "{:?} {}", path, exact);
                }
            });
        }
    }
}

#[test]
fn what_fails_half_way_leaves_nothing() {
    let model = common::load("demo", None, false);
    let mut sequence = Sequence::new(model.network()).unwrap();
    let mut batch = Batch::default();
    add(&mut sequence, &mut batch, &[1, 2, 3], 3, Prompt);
    run(&model, &batch);
    let mut pieces = 0;
    let failed = sequence.write_kv(&[4; 50], |_| {
        pieces += 1;
        match pieces {
            4 => Err(openelm::Error::Cancelled),
            _ => Ok(()),
        }
    });
    assert!(failed.is_err());
    assert!(sequence.ids().is_empty() && sequence.len().unwrap() == 0);
    // It is of use again.
    let mut batch = Batch::default();
    add(&mut sequence, &mut batch, &[1, 2, 3], 3, Prompt);
    run(&model, &batch);
    assert_eq!(sequence.ids(), [1, 2, 3]);
    assert!(sequence.read_kv(65, |_| Ok(())).is_err(), "one too many");
}

/// Only what was computed as a prompt counts as one, up to the first row that was not.
#[test]
fn generated_rows_are_no_prompt() {
    let model = common::load("demo", None, false);
    let mut sequence = Sequence::new(model.network()).unwrap();
    let push = |sequence: &mut Sequence, ids: &[u32], class| {
        let mut batch = Batch::default();
        add(sequence, &mut batch, ids, ids.len(), class);
        run(&model, &batch);
    };
    push(&mut sequence, &[1, 2, 3], Prompt);
    push(&mut sequence, &[4, 5], Generated);
    push(&mut sequence, &[6], Prompt);
    assert_eq!(sequence.ids(), [1, 2, 3, 4, 5, 6]);
    assert_eq!(sequence.prompt_ids(), [1, 2, 3]);
    let mut fork = sequence.fork(2).unwrap();
    push(&mut fork, &[7], Prompt);
    assert_eq!(fork.prompt_ids(), [1, 2, 7]);
    sequence.truncate(3).unwrap();
    push(&mut sequence, &[8], Prompt);
    assert_eq!(sequence.prompt_ids(), [1, 2, 3, 8]);
    sequence.truncate(1).unwrap();
    push(&mut sequence, &[9], Generated);
    assert_eq!(sequence.prompt_ids(), [1]);
}

/// A prompt's keys and values have the same bytes whatever kernel sizes are tuned to, and however long the context is; the one thing that
/// changes them is told apart.
#[test]
fn tuning_changes_no_saved_byte() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("session");
    for path in ComputePath::ALL {
        for dtype in [Dtype::Bf16, Dtype::Q8] {
            let bytes = |tune, context_size| {
                let mut options = common::options(Some(path), false);
                options.can_save = true;
                options.dtype = Some(dtype);
                options.tune = tune;
                options.context_size = context_size;
                let model = Model::load("demo", &options).unwrap();
                let mut session = model.session().unwrap();
                session.prefill(&ids(&model, 5, 170), |_, _| true).unwrap();
                assert_eq!(session.save(&file).unwrap(), 170);
                std::fs::read(&file).unwrap()
            };
            let other = common::other_tuning(path);
            let alone = Tuning {
                subgroups: false,
                ..other
            };
            let usual = bytes(Tune::Off, None);
            assert!(
                usual == bytes(Tune::Fixed(alone), Some(300)),
                "{path:?} {dtype}"
            );
            let together = bytes(Tune::Fixed(other), None);
            if let Some(int8) = common::int8_tuning(path) {
                let int8 = bytes(Tune::Fixed(int8), Some(300));
                assert!(together == int8, "{path:?} {dtype}");
            }
            assert_eq!(together != usual, other.subgroups, "{path:?} {dtype}");
        }
    }
}

/// Steps of a prompt have no results that would tell that something did not fit f16; saving finds out.
#[test]
fn what_does_not_fit_f16_is_not_saved() {
    let model = wide_values();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("session");
    for path in ComputePath::ALL {
        let mut options = common::options(Some(path), false);
        options.can_save = true;
        options.dtype = Some(Dtype::F32);
        let load =
            |options: &LoadOptions| Model::load(&model.path().to_string_lossy(), options).unwrap();
        let model = load(&options);
        let prompt = ids(&model, 2, 80);
        let mut session = model.session().unwrap();
        let mut sequence = Sequence::new(model.network()).unwrap();
        let mut batch = Batch::default();
        for id in &prompt[..16] {
            let token = TokenSource::Id(*id);
            sequence
                .push(&mut batch, token, None, Prompt, Wants::Nothing)
                .unwrap();
        }
        model.network().submit(&batch, TraceMode::Off).unwrap();
        assert!(!model.network().has_exact_kv(), "nobody has noticed");
        assert_eq!(sequence.prompt_ids().len(), 16);
        model.network().settle().unwrap();
        assert!(model.network().take_widened() && sequence.prompt_ids().is_empty());
        assert_eq!(session.save(&file).unwrap(), 0);
        assert!(!file.exists(), "there was nothing to keep");
        // From here on keys and values are f32, as where that is asked for.
        let logits = session.next_logits(&prompt).unwrap().to_vec();
        assert_eq!(session.save(&file).unwrap(), 80);
        let saved = openelm::SavedSession::open(&file).unwrap();
        options.exact_kv = true;
        let mut exact = load(&options).session().unwrap();
        assert_eq!(exact.restore(&saved, 79).unwrap(), 79);
        assert_eq!(exact.next_logits(&prompt).unwrap(), logits);
        // One that begins in f16 is not given them.
        options.exact_kv = false;
        let mut narrow = load(&options).session().unwrap();
        let error = narrow.restore(&saved, 79).unwrap_err();
        assert!(error.to_string().contains("in f32"), "{error}");
        std::fs::remove_file(&file).unwrap();
    }
}

//! The core: rows of several sequences a step, forks, device-chosen tokens, what may not be stepped, and what a step may not make.

use super::common::{self, noise};
use super::steps::{add, logits, run};
use openelm::kernels::BatchClass::{Generated, Prompt};
use openelm::model::{Batch, ChoiceParams, RowResult, Sequence, TokenSource, Wants};
use openelm::trace::TraceMode;
use openelm::{ComputePath, Dtype, Error, GenerateOptions, Model, PromptLogprobs, SampleOn, Tune};
use proptest::prelude::*;

pub fn ids(model: &Model, seed: u64, count: usize) -> Vec<u32> {
    let vocab = model.config().vocab_size as f32;
    let noise = noise(seed, count);
    noise
        .iter()
        .map(|x| (x.abs() * vocab) as u32 % vocab as u32)
        .collect()
}

/// Models of every format that tests can afford, with the layouts that tuning may choose.
fn models() -> Vec<(String, Model)> {
    let mut models = Vec::new();
    for path in ComputePath::ALL {
        let float = Tune::Fixed(common::other_tuning(path));
        let int8 = common::int8_tuning(path).map(Tune::Fixed);
        let formats = [
            (Dtype::Bf16, Some(float)),
            (Dtype::Q4, Some(float)),
            (Dtype::Q8, int8),
        ];
        for (dtype, tune) in formats {
            let Some(tune) = tune else { continue };
            let mut options = common::options(Some(path), false);
            options.dtype = Some(dtype);
            options.tune = tune;
            let name = format!("{path:?} {dtype}");
            models.push((name, Model::load("demo", &options).unwrap()));
        }
    }
    models
}

/// A row's logits are the same, to the bit, whatever else is in its steps: sequences, classes, cuts and forks at random.
#[test]
fn random_batches_change_no_bit() {
    for (name, model) in models() {
        let prompts: Vec<Vec<u32>> = (0..4)
            .map(|i| ids(&model, 100 + i, 24 + 5 * i as usize))
            .collect();
        // The first part of each is a prompt, the rest is generated.
        let given = [9, 17, 1, 30];
        let class = |sequence: usize, at: usize| match at < given[sequence] {
            true => Prompt,
            false => Generated,
        };
        let alone: Vec<Vec<Vec<f32>>> = (0..4)
            .map(|i| {
                let mut sequence = Sequence::new(model.network()).unwrap();
                let mut all = Vec::new();
                for (at, id) in prompts[i].iter().enumerate() {
                    let mut batch = Batch::default();
                    add(&mut sequence, &mut batch, &[*id], 1, class(i, at));
                    all.extend(run(&model, &batch));
                }
                all
            })
            .collect();
        let cases = ProptestConfig {
            cases: 4,
            failure_persistence: None,
            rng_seed: common::seed(11),
            ..ProptestConfig::default()
        };
        proptest!(cases, |(turns in prop::collection::vec((0..4usize, 1..9usize), 60..90))| {
            let new = || Sequence::new(model.network()).unwrap();
            let mut sequences: Vec<Sequence> = (0..4).map(|_| new()).collect();
            let mut done = [0; 4];
            for turn in turns.chunks(3) {
                let mut batch = Batch::default();
                let mut owners = Vec::new();
                for (i, count) in turn.iter().copied() {
                    for _ in 0..count {
                        if let Some(id) = prompts[i].get(done[i]) {
                            let class = class(i, done[i]);
                            if add(&mut sequences[i], &mut batch, &[*id], 1, class) == 1 {
                                owners.push((i, done[i]));
                                done[i] += 1;
                            }
                        }
                    }
                }
                if owners.is_empty() {
                    continue;
                }
                for ((i, at), row) in owners.into_iter().zip(run(&model, &batch)) {
                    prop_assert!(row == alone[i][at], "{} sequence {} position {}", name, i, at);
                }
                // A fork goes on in place of its parent.
                let (i, count) = turn[0];
                if count > 6 {
                    sequences[i] = sequences[i].fork(usize::MAX).unwrap();
                }
            }
        });
    }
}

#[test]
fn a_fork_shares_what_was_computed_and_writes_its_own() {
    let model = common::load("demo", None, false);
    let text = ids(&model, 3, 60);
    let whole = logits(&model, &text, &[60], Prompt);
    let mut parent = Sequence::new(model.network()).unwrap();
    let mut batch = Batch::default();
    add(&mut parent, &mut batch, &text[..32], 32, Prompt);
    run(&model, &batch);
    let mut fork = parent.fork(20).unwrap();
    assert_eq!(fork.ids(), &text[..20]);
    // Another text in the fork leaves the parent as it is.
    let mut batch = Batch::default();
    add(&mut fork, &mut batch, &[5, 6, 7], 3, Prompt);
    run(&model, &batch);
    drop(fork);
    let mut rest = Vec::new();
    while rest.len() < 28 {
        let mut batch = Batch::default();
        add(
            &mut parent,
            &mut batch,
            &text[32 + rest.len()..],
            28,
            Prompt,
        );
        rest.extend(run(&model, &batch));
    }
    assert_eq!(rest, whole[32..]);
}

fn choice() -> Wants {
    Wants::Choice {
        params: ChoiceParams::greedy(2),
        history: None,
        forbidden: None,
    }
}

fn begun(history: &[u32]) -> Wants {
    Wants::Choice {
        params: ChoiceParams::greedy(2),
        history: Some(history.to_vec()),
        forbidden: Some(Vec::new()),
    }
}

fn push(
    sequence: &mut Sequence,
    batch: &mut Batch,
    token: TokenSource,
    wants: Wants,
) -> openelm::Result<()> {
    sequence.push(batch, token, None, Generated, wants)
}

/// Whatever else steps a sequence ends its run of chosen tokens, and no step reaches beyond the context.
#[test]
fn a_run_of_chosen_tokens_ends_when_anything_else_steps() {
    let mut options = common::options(None, false);
    options.context_size = Some(8);
    let model = Model::load("demo", &options).unwrap();
    let network = model.network();
    let submit = |batch: &Batch| network.submit(batch, TraceMode::Off);
    let mut sequence = Sequence::new(network).unwrap();
    let mut batch = Batch::default();
    push(&mut sequence, &mut batch, TokenSource::Id(1), begun(&[1])).unwrap();
    submit(&batch).unwrap();
    let mut batch = Batch::default();
    push(&mut sequence, &mut batch, TokenSource::Chosen, choice()).unwrap();
    submit(&batch).unwrap();
    // A token of the host's in between.
    let mut batch = Batch::default();
    push(
        &mut sequence,
        &mut batch,
        TokenSource::Id(3),
        Wants::Nothing,
    )
    .unwrap();
    submit(&batch).unwrap();
    let mut batch = Batch::default();
    push(&mut sequence, &mut batch, TokenSource::Chosen, choice()).unwrap();
    let error = submit(&batch).map(drop).unwrap_err();
    assert!(error.to_string().contains("position 3"), "{error}");
    // Up to the last position, and not one more.
    for position in 3..8 {
        let mut batch = Batch::default();
        let history = begun(&[1]);
        push(&mut sequence, &mut batch, TokenSource::Id(3), history).unwrap();
        submit(&batch).unwrap();
        assert_eq!(sequence.len().unwrap(), position + 1);
    }
    let mut batch = Batch::default();
    let beyond = push(&mut sequence, &mut batch, TokenSource::Chosen, choice());
    assert!(beyond.and_then(|()| submit(&batch).map(drop)).is_err());
    network.gpu().check().unwrap();
}

#[test]
fn steps_that_cannot_be_taken() {
    let model = common::load("demo", None, false);
    let network = model.network();
    let mut sequence = Sequence::new(network).unwrap();
    let refused = |batch: &Batch| network.submit(batch, TraceMode::Off).map(drop).unwrap_err();
    assert!(matches!(refused(&Batch::default()), Error::Misuse(_)));
    let mut batch = Batch::default();
    push(
        &mut sequence,
        &mut batch,
        TokenSource::Id(4096),
        Wants::Nothing,
    )
    .unwrap();
    assert!(matches!(
        refused(&batch),
        Error::TokenOutOfRange { id: 4096, .. }
    ));
    // Twice the same batch: the second does not follow what the sequence holds.
    let mut batch = Batch::default();
    push(
        &mut sequence,
        &mut batch,
        TokenSource::Id(1),
        Wants::Nothing,
    )
    .unwrap();
    network.submit(&batch, TraceMode::Off).unwrap();
    assert!(refused(&batch).to_string().contains("position 0"));
    // A sequence that is gone.
    let mut batch = Batch::default();
    push(
        &mut sequence,
        &mut batch,
        TokenSource::Id(1),
        Wants::Nothing,
    )
    .unwrap();
    drop(sequence);
    assert!(refused(&batch).to_string().contains("no longer there"));
    network.gpu().check().unwrap();
}

/// Several sequences whose tokens the device chooses, steps ahead of the host, give what each gives alone.
#[test]
fn the_device_chooses_for_several_sequences() {
    for path in ComputePath::ALL {
        let model = common::load("demo", Some(path), false);
        let network = model.network();
        let prompts = [&[1, 1946, 761][..], &[1, 5, 9, 12], &[1]];
        let mut sequences: Vec<Sequence> = prompts
            .iter()
            .map(|_| Sequence::new(network).unwrap())
            .collect();
        let mut tickets = Vec::new();
        for step in 0..6 {
            let mut batch = Batch::default();
            let mut owners = Vec::new();
            for (i, sequence) in sequences.iter_mut().enumerate() {
                if step > 0 {
                    push(sequence, &mut batch, TokenSource::Chosen, choice()).unwrap();
                } else {
                    add(
                        sequence,
                        &mut batch,
                        prompts[i],
                        prompts[i].len() - 1,
                        Prompt,
                    );
                    owners.extend(vec![None; prompts[i].len() - 1]);
                    let last = TokenSource::Id(prompts[i][prompts[i].len() - 1]);
                    let wants = begun(prompts[i]);
                    sequence
                        .push(&mut batch, last, None, Prompt, wants)
                        .unwrap();
                }
                owners.push(Some(i));
            }
            tickets.push((network.submit(&batch, TraceMode::Off).unwrap(), owners));
        }
        let mut chosen = vec![Vec::new(); 3];
        for (ticket, owners) in tickets {
            network
                .read(&ticket, |row, result| {
                    if let (RowResult::Choice(choice), Some(owner)) = (result, owners[row]) {
                        chosen[owner].push(choice.id);
                    }
                })
                .unwrap();
        }
        for (prompt, chosen) in prompts.iter().zip(chosen) {
            let mut options = GenerateOptions::default();
            options.max_tokens = Some(6);
            options.ignore_eos = true;
            options.sample_on = Some(SampleOn::Host);
            let mut session = model.session().unwrap();
            let alone = session.generate(prompt, &options).unwrap();
            let alone: Vec<u32> = alone.map(|token| token.unwrap().id).collect();
            assert_eq!(chosen, alone, "{path:?}");
        }
    }
}

/// No buffer, texture, bind group or pipeline is made inside a step.
#[test]
fn steps_make_no_objects() {
    for path in ComputePath::ALL {
        let model = common::load("demo", Some(path), false);
        let mut session = model.session().unwrap();
        let mut options = GenerateOptions::default();
        options.max_tokens = Some(40);
        options.ignore_eos = true;
        let prompt = ids(&model, 8, 100);
        for sample_on in [SampleOn::Host, SampleOn::Device] {
            options.sample_on = Some(sample_on);
            session.rewind(0);
            let before = model.network().gpu().objects_made();
            let count = session.generate(&prompt, &options).unwrap().count();
            assert_eq!(count, 40);
            assert_eq!(
                model.network().gpu().objects_made(),
                before,
                "{path:?} {sample_on:?}"
            );
        }
    }
}

/// A second session costs rows, not another set of activations, and the pool grows for it.
#[test]
fn sessions_share_activations_and_the_pool_grows() {
    let model = common::load("demo", None, false);
    let prompt = ids(&model, 5, 400);
    let scratch = model.network().scratch_bytes();
    let before = model.network().kv_cache_bytes();
    let mut sessions: Vec<_> = (0..4).map(|_| model.session().unwrap()).collect();
    let expected = sessions[0].next_logits(&prompt).unwrap().to_vec();
    for session in &mut sessions[1..] {
        assert_eq!(session.next_logits(&prompt).unwrap(), expected);
    }
    assert!(model.network().kv_cache_bytes() >= 3 * before);
    assert_eq!(model.network().scratch_bytes(), scratch);
    // Moving rows has lost nothing.
    let again = [prompt.clone(), vec![7]].concat();
    let longer = sessions[0].next_logits(&again).unwrap().to_vec();
    assert_eq!(sessions[3].next_logits(&again).unwrap(), longer);
}

/// What one session cannot have is its own trouble: the others go on.
#[test]
fn a_session_that_finds_no_room_does_not_harm_others() {
    let mut options = common::options(None, false);
    let model = Model::load("demo", &options).unwrap();
    let kv = model.network().kv_cache_bytes();
    options.memory_limit =
        Some(model.network().weight_bytes() + model.network().scratch_bytes() + kv + (64 << 10));
    let model = Model::load("demo", &options).unwrap();
    let limit = options.memory_limit.unwrap() - model.network().weight_bytes();
    let prompt = ids(&model, 5, 500);
    let mut sessions = Vec::new();
    let error = loop {
        let mut session = model.session().unwrap();
        match session.prefill(&prompt, |_, _| true) {
            Ok(_) => sessions.push(session),
            Err(error) => break error,
        }
        assert!(model.network().kv_cache_bytes() <= limit);
    };
    assert!(matches!(error, Error::OutOfMemory { .. }), "{error}");
    assert!(!sessions.is_empty());
    let longer = [prompt.clone(), vec![7]].concat();
    for session in &mut sessions {
        session.next_logits(&longer).unwrap();
    }
    sessions.clear();
    model.session().unwrap().next_logits(&prompt).unwrap();
}

/// Values beyond f16 are noticed, said once, and the text is that of f32.
#[test]
fn keys_and_values_beyond_f16_become_f32() {
    let folder = wide_values();
    let path = folder.path().to_string_lossy().into_owned();
    for compute_path in ComputePath::ALL {
        for sample_on in [SampleOn::Host, SampleOn::Device] {
            let text = |exact| {
                let mut options = common::options(Some(compute_path), exact);
                options.dtype = Some(Dtype::F32);
                let model = Model::load(&path, &options).unwrap();
                let mut session = model.session().unwrap();
                let mut options = GenerateOptions::default();
                options.max_tokens = Some(12);
                options.sample_on = Some(sample_on);
                let prompt = ids(&model, 2, 40);
                let tokens = session.generate(&prompt, &options).unwrap();
                let tokens: Vec<u32> = tokens.map(|token| token.unwrap().id).collect();
                let logits = session.next_logits(&prompt).unwrap().to_vec();
                let widened = model.network().take_widened();
                assert!(!model.network().take_widened(), "said once");
                (tokens, logits, widened)
            };
            let (exact, exact_logits, widened) = text(true);
            assert!(!widened);
            let (ours, logits, widened) = text(false);
            assert!(widened, "{compute_path:?}");
            assert_eq!((ours, logits), (exact, exact_logits));
        }
    }
}

/// Where keys and values in f32 are more than may be used, whoever needs them is told so, each time.
#[test]
fn what_cannot_become_f32_is_an_error() {
    let folder = wide_values_of(&[5]);
    let path = folder.path().to_string_lossy().into_owned();
    let mut options = common::options(Some(ComputePath::Gpu), false);
    options.dtype = Some(Dtype::F32);
    let model = Model::load(&path, &options).unwrap();
    let network = model.network();
    let bytes = network.weight_bytes() + network.kv_cache_bytes() + network.scratch_bytes();
    options.memory_limit = Some(bytes + 4096);
    let model = Model::load(&path, &options).unwrap();
    for _ in 0..2 {
        let error = model.session().unwrap().next_logits(&[1, 5]).map(drop);
        assert!(matches!(error, Err(Error::OutOfMemory { .. })), "{error:?}");
    }
    assert!(!model.network().take_widened());
}

/// What one session's values make f32 is another's as well, which may be between two steps of its prompt or of its text.
#[test]
fn what_others_make_f32_is_computed_again() {
    let folder = wide_values_of(&[5]);
    let path = folder.path().to_string_lossy().into_owned();
    let load = |compute_path, exact| {
        let mut options = common::options(Some(compute_path), exact);
        options.dtype = Some(Dtype::F32);
        Model::load(&path, &options).unwrap()
    };
    let prompt: Vec<u32> = (0..80).map(|index| 6 + index % 100).collect();
    for compute_path in ComputePath::ALL {
        let exact = load(compute_path, true);
        let logits = exact
            .session()
            .unwrap()
            .next_logits(&prompt)
            .unwrap()
            .to_vec();

        let model = load(compute_path, false);
        let (mut a, mut b) = (model.session().unwrap(), model.session().unwrap());
        let mut steps = 0;
        let go_on = |_, _| {
            steps += 1;
            if steps == 1 {
                b.next_logits(&[1, 5]).unwrap();
            }
            true
        };
        a.prefill(&prompt, go_on).unwrap();
        assert!(model.network().take_widened());
        assert_eq!(a.tokens(), prompt);
        assert_eq!(a.next_logits(&prompt).unwrap(), logits, "{compute_path:?}");

        for sample_on in [SampleOn::Host, SampleOn::Device] {
            let mut options = GenerateOptions::default();
            options.max_tokens = Some(12);
            options.sample_on = Some(sample_on);
            options.prompt_logprobs = Some(PromptLogprobs { from: 1, top: 0 });
            let text = |model: &Model, at: usize| {
                let (mut a, mut b) = (model.session().unwrap(), model.session().unwrap());
                let mut text = Vec::new();
                let mut tokens = a.generate(&prompt[..20], &options).unwrap();
                while let Some(token) = tokens.next().transpose().unwrap() {
                    text.push(token.id);
                    if text.len() == at {
                        b.next_logits(&[1, 5]).unwrap();
                    }
                }
                let scored = tokens.prompt_logprobs().iter().map(|token| token.id);
                assert_eq!(scored.collect::<Vec<_>>(), prompt[1..20]);
                text
            };
            let model = load(compute_path, false);
            assert_eq!(
                text(&model, 4),
                text(&exact, 4),
                "{compute_path:?} {sample_on:?}"
            );
            assert!(model.network().take_widened());
        }
    }
}

/// A small model with values 2^17 times as large, and output projections that take it back.
pub fn wide_values() -> tempfile::TempDir {
    wide_values_of(&[])
}

/// The same, where only these ids have such values, if there are any.
fn wide_values_of(wide: &[usize]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let config = r#"{"model_type":"openelm","num_transformer_layers":2,"model_dim":64,"vocab_size":128,"head_dim":16,
        "num_query_heads":[4,4],"num_kv_heads":[2,2],"ffn_dim_divisor":8,"ffn_multipliers":[1.0,2.0],
        "normalize_qk_projections":true,"share_input_output_layers":true,"max_context_length":96}"#;
    std::fs::write(folder.path().join("config.json"), config).unwrap();
    let mut tensors = common::synthetic_tensors(config, &[Dtype::F32]);
    for (name, (_, shape, bytes)) in &mut tensors {
        let mut values: Vec<f32> = bytemuck::pod_collect_to_vec(bytes);
        if !wide.is_empty() {
            if name.ends_with("token_embeddings.weight") {
                for (id, row) in values.chunks_exact_mut(shape[1]).enumerate() {
                    row[0] = if wide.contains(&id) { 8.0 } else { 0.0 };
                }
            } else if name.ends_with("layers.0.attn.qkv_proj.weight") {
                let from = shape[0] - 2 * 16;
                let rows = values.chunks_exact_mut(shape[1]).skip(from);
                rows.for_each(|row| row[0] = 131_072.0);
            }
        } else if name.ends_with("qkv_proj.weight") {
            let from = (shape[0] - 2 * 16) * shape[1];
            values[from..].iter_mut().for_each(|x| *x *= 131_072.0);
        } else if name.ends_with("out_proj.weight") {
            values.iter_mut().for_each(|x| *x /= 131_072.0);
        }
        *bytes = common::encode(&values, Dtype::F32);
    }
    let file = common::safetensors(&tensors);
    std::fs::write(folder.path().join("model.safetensors"), file).unwrap();
    folder
}

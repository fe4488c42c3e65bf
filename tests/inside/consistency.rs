//! Things that must not matter: how a prompt is cut into steps, where weights lie, how they are split, what a session did
//! before. And shapes that the published models do not have.

use super::common::{self, load, noise, synthetic};
use super::steps::logits;
use openelm::gpu::Readback;
use openelm::kernels::BatchClass::{self, Generated, Prompt};
use openelm::{ComputePath, Dtype, GenerateOptions, Gpu, LoadOptions, Model, Tune};

const CONTEXT: usize = 96;

/// Odd in every way that a configuration allows: widths that fill no block or tile, groups of 3, head_dim 6 and 80.
pub const ODD: [&str; 5] = [
    r#"{"model_type":"openelm","num_transformer_layers":3,"model_dim":37,"vocab_size":101,"head_dim":6,"num_gqa_groups":3,
        "num_query_heads":[3,6,9],"num_kv_heads":[1,2,3],"ffn_dim_divisor":5,"ffn_multipliers":[0.5,2.0],
        "normalize_qk_projections":true,"share_input_output_layers":true,"max_context_length":96}"#,
    r#"{"model_type":"openelm","num_transformer_layers":2,"model_dim":96,"vocab_size":257,"head_dim":80,"num_gqa_groups":1,
        "qkv_multipliers":1.5,"ffn_dim_divisor":1,"ffn_multipliers":[1.37,2.11],"ffn_with_glu":false,"activation_fn_name":"gelu",
        "normalize_qk_projections":false,"share_input_output_layers":false,"max_context_length":96}"#,
    r#"{"model_type":"openelm","num_transformer_layers":1,"model_dim":64,"vocab_size":40,"head_dim":256,"num_gqa_groups":5,
        "num_query_heads":[5],"ffn_dim_divisor":7,"ffn_multipliers":3.0,"normalize_qk_projections":true,
        "share_input_output_layers":true,"max_context_length":96}"#,
    // Uniform windows that hold three tokens' input, and one.
    r#"{"model_type":"openelm","num_transformer_layers":2,"model_dim":32,"vocab_size":64,"head_dim":16,"num_gqa_groups":1,
        "num_query_heads":[2,2],"ffn_dim_divisor":1,"ffn_multipliers":[156.25,281.5],"normalize_qk_projections":true,
        "share_input_output_layers":true,"max_context_length":96}"#,
    r#"{"model_type":"openelm","num_transformer_layers":2,"model_dim":2,"vocab_size":3,"head_dim":2,"num_gqa_groups":1,
        "num_query_heads":[1,1],"ffn_dim_divisor":1,"ffn_multipliers":[0.5,0.5],"normalize_qk_projections":true,
        "share_input_output_layers":true,"max_context_length":96}"#,
];

pub fn tokens(model: &Model, count: usize) -> Vec<u32> {
    let vocab = model.config().vocab_size as f32;
    noise(9, count)
        .iter()
        .map(|x| (x.abs() * vocab) as u32 % vocab as u32)
        .collect()
}

pub fn assert_close(a: &[Vec<f32>], b: &[Vec<f32>], tolerance: f32, what: &str) {
    for (position, (a, b)) in a.iter().zip(b).enumerate() {
        let size = a.iter().fold(1.0f32, |most, x| most.max(x.abs()));
        for (x, y) in a.iter().zip(b) {
            let error = (x - y).abs() / size;
            assert!(
                error < tolerance,
                "{what}: position {position}, {x} and {y}"
            );
        }
    }
}

/// What a class gives does not depend on how it is cut, and classes differ by rounding only.
/// What classes may differ by, of the largest logit, where keys and values are f32. Sums in another order, or fused, differ in their last bits.
const EXACT: f32 = 1e-4;

/// The same where they are f16: such a last bit may have one rounded the other way, which is 2^-11 of it (seen on Mesa 25's llvmpipe: 2e-4).
const HALVES: f32 = 5e-4;

fn check_steps(model: &Model, between_classes: f32) {
    let ids = tokens(model, CONTEXT.min(model.context_size()));
    let [generated, prompt] = BatchClass::ALL.map(|class| {
        let one_by_one = logits(model, &ids, &[1], class);
        for sizes in [&[32][..], &[5, 1, 2, 3, 32, 4, 7, 9, 31, 32]] {
            assert_eq!(
                logits(model, &ids, sizes, class),
                one_by_one,
                "{class:?} {sizes:?}"
            );
        }
        one_by_one
    });
    assert_close(
        &generated,
        &prompt,
        between_classes,
        "prefill is not decode",
    );
}

#[test]
fn prefill_equals_decode_on_odd_shapes_and_both_sources_agree() {
    for config in ODD {
        let folder = synthetic(config, &[Dtype::F32, Dtype::F16, Dtype::Bf16]);
        let path = folder.path().to_string_lossy().into_owned();
        let [buffer, texture] = ComputePath::ALL.map(|source| load(&path, Some(source), true));
        check_steps(&buffer, EXACT);
        check_steps(&texture, EXACT);
        let ids = tokens(&buffer, 40);
        let from_buffer = logits(&buffer, &ids, &[7], Prompt);
        let from_texture = logits(&texture, &ids, &[7], Prompt);
        assert_close(&from_buffer, &from_texture, 1e-4, "sources disagree");
    }
}

/// Layouts that tuning could choose give each class the same bits in any company as well.
#[test]
fn other_layouts_do_not_depend_on_company_either() {
    let folder = synthetic(ODD[0], &[Dtype::F32, Dtype::F16, Dtype::Bf16]);
    let odd = folder.path().to_string_lossy().into_owned();
    for (path, exact) in [("demo", false), (&odd, true)] {
        for compute_path in ComputePath::ALL {
            let mut options = common::options(Some(compute_path), exact);
            options.tune = Tune::Fixed(common::other_tuning(compute_path));
            let tolerance = if exact { EXACT } else { HALVES };
            check_steps(&Model::load(path, &options).unwrap(), tolerance);
        }
    }
}

/// Every format of weights, and activations of eight bits: the bits of a row follow from its class alone.
#[test]
fn bits_follow_from_the_class_in_every_format() {
    let fixture = common::fixture("openelm-f16");
    for compute_path in ComputePath::ALL {
        let float = Tune::Fixed(common::other_tuning(compute_path));
        let int8 = common::int8_tuning(compute_path).map(Tune::Fixed);
        let formats = Dtype::ALL.map(|dtype| (dtype, float));
        for (dtype, tune) in formats
            .into_iter()
            .chain(int8.map(|tune| (Dtype::Q8, tune)))
        {
            let mut options = common::options(Some(compute_path), false);
            options.dtype = Some(dtype);
            options.tune = tune;
            let model = Model::load(&fixture.to_string_lossy(), &options).unwrap();
            let ids = tokens(&model, 41);
            for class in BatchClass::ALL {
                let whole = logits(&model, &ids, &[41], class);
                for sizes in [&[16][..], &[17, 1, 1, 16, 1, 5]] {
                    let cut = logits(&model, &ids, sizes, class);
                    assert_eq!(cut, whole, "{compute_path:?} {dtype} {class:?} {sizes:?}");
                }
            }
        }
    }
}

/// Activations of eight bits change what is generated, but not by much, and never a prompt.
#[test]
fn eight_bits_are_for_generated_rows() {
    for compute_path in ComputePath::ALL {
        let Some(tuning) = common::int8_tuning(compute_path) else {
            continue;
        };
        let mut options = common::options(Some(compute_path), false);
        options.dtype = Some(Dtype::Q8);
        options.tune = Tune::Fixed(openelm::Tuning {
            int8: false,
            ..tuning
        });
        let float = Model::load("demo", &options).unwrap();
        options.tune = Tune::Fixed(tuning);
        let model = Model::load("demo", &options).unwrap();
        let ids = tokens(&model, 40);
        let exact = logits(&float, &ids, &[40], Prompt);
        assert_eq!(logits(&model, &ids, &[40], Prompt), exact);
        let quantised = logits(&model, &ids, &[40], Generated);
        assert_ne!(quantised, exact);
        assert_close(&quantised, &exact, 0.1, "eight bits lose too much");
    }
}

/// Where a token's positions begin to be split between workgroups, company still changes nothing.
#[test]
fn few_tokens_are_bit_identical_across_the_first_split() {
    let model = load("demo", Some(ComputePath::Gpu), false);
    let ids = tokens(&model, 150);
    let one_by_one = logits(&model, &ids, &[1], Generated);
    for size in [3, 16] {
        assert_eq!(
            logits(&model, &ids, &[size], Generated),
            one_by_one,
            "{size} a step"
        );
    }
    // And whole attention, as prefill has it, is the same but for rounding.
    assert_close(
        &logits(&model, &ids, &[32], Prompt),
        &one_by_one,
        HALVES,
        "split",
    );
}

/// More rows than one dispatch has workgroups for, and more logits than a step holds rows of.
#[test]
fn a_vast_vocabulary_works_from_both_sources() {
    const VAST: &str = r#"{"model_type":"openelm","num_transformer_layers":1,"model_dim":2,"vocab_size":1048576,"head_dim":2,
        "num_query_heads":[1],"num_kv_heads":[1],"ffn_dim_divisor":1,"ffn_multipliers":[1.0,1.0],"share_input_output_layers":true,
        "max_context_length":8}"#;
    let folder = synthetic(VAST, &[Dtype::F16]);
    let path = folder.path().to_string_lossy().into_owned();
    let ids = [1, 1_048_575, 600_000, 7, 524_289];
    let [buffer, texture] = ComputePath::ALL
        .map(|source| logits(&load(&path, Some(source), true), &ids, &[3, 1], Prompt));
    assert_close(&buffer, &texture, 1e-4, "sources disagree");
    assert_ne!(buffer[0][1_048_575], 0.0);
}

#[test]
fn prefill_equals_decode_on_the_demo_model() {
    for source in ComputePath::ALL {
        check_steps(&load("demo", Some(source), true), EXACT);
    }
}

/// A binding limit far below a tensor's size: the tensor is split, the result is the same.
#[test]
fn split_tensors_give_the_same_logits() {
    let gpu = Gpu::open_with(None, |mut limits| {
        limits.max_storage_buffer_binding_size = 256 << 10;
        limits
    })
    .unwrap();
    let options = common::options(Some(ComputePath::Gpu), true);
    for path in [
        "demo".to_owned(),
        common::fixture("openelm-f16")
            .to_string_lossy()
            .into_owned(),
    ] {
        let checkpoint = openelm::Checkpoint::open(&path).unwrap();
        let mut narrow_options = options.clone();
        narrow_options.context_size = Some(32);
        let narrow = Model::from_parts(checkpoint, gpu.clone(), &narrow_options).unwrap();
        let wide = Model::load(&path, &options).unwrap();
        let ids = tokens(&wide, 20);
        let split = logits(&narrow, &ids, &[9, 1, 10], Prompt);
        let whole = logits(&wide, &ids, &[9, 1, 10], Prompt);
        assert_close(&split, &whole, 1e-5, "split");
    }
}

/// The limits that WebGPU guarantees everywhere, and uniform bindings too small for textures to be of use.
#[test]
fn least_adapters_work() {
    let least = |mut limits: wgpu::Limits| {
        let floor = wgpu::Limits::default();
        limits.max_storage_buffers_per_shader_stage = 8;
        limits.max_compute_workgroup_storage_size = 16384;
        limits.max_compute_invocations_per_workgroup = 256;
        limits.max_texture_dimension_2d = floor.max_texture_dimension_2d;
        limits.max_uniform_buffers_per_shader_stage = floor.max_uniform_buffers_per_shader_stage;
        limits.max_dynamic_uniform_buffers_per_pipeline_layout = 8;
        limits.max_dynamic_storage_buffers_per_pipeline_layout = 4;
        limits.max_storage_buffer_binding_size = 128 << 20;
        limits.max_buffer_size = 256 << 20;
        limits
    };
    let ids = [1, 1946, 761, 261, 507];
    let expected = {
        let model = load("demo", None, true);
        model.session().unwrap().score(&ids, 5).unwrap()
    };
    for (source, uniform_bytes) in [
        (Some(ComputePath::Software), 65536),
        (Some(ComputePath::Gpu), 65536),
        (None, 16384),
    ] {
        let gpu = Gpu::open_with(None, |limits| {
            let mut limits = least(limits);
            limits.max_uniform_buffer_binding_size = uniform_bytes;
            limits
        })
        .unwrap();
        let options = common::options(source, true);
        let model =
            Model::from_parts(openelm::Checkpoint::open("demo").unwrap(), gpu, &options).unwrap();
        if uniform_bytes < 65536 {
            assert_eq!(model.network().path(), ComputePath::Gpu);
        }
        let score = model.session().unwrap().score(&ids, 5).unwrap();
        for (a, b) in score.next.iter().zip(&expected.next) {
            assert_eq!(a.id, b.id);
            assert!((a.logit - b.logit).abs() < 1e-3);
        }
    }
}

#[test]
fn a_session_forgets_what_it_is_told_to_and_reuses_what_it_holds() {
    let model = load("demo", None, false);
    let mut options = GenerateOptions::default();
    options.max_tokens = Some(12);
    let prompt = model.encode("There was once a king").unwrap();
    let run = |session: &mut openelm::Session, prompt: &[u32]| {
        let mut generation = session.generate(prompt, &options).unwrap();
        let ids: Vec<u32> = generation.by_ref().map(|t| t.unwrap().id).collect();
        (ids, generation.timing().prefill_tokens)
    };
    let mut session = model.session().unwrap();
    let (fresh, computed) = run(&mut session, &prompt);
    assert_eq!(computed, prompt.len());
    // Another story in between must leave no trace.
    run(&mut session, &model.encode("The cat sat").unwrap());
    let (again, _) = run(&mut session, &prompt);
    assert_eq!(fresh, again);
    // The whole text so far as the next prompt: only the last token is new.
    let longer = [prompt.clone(), again.clone()].concat();
    let (_, computed) = run(&mut session, &longer);
    assert_eq!(computed, 1);
    session.rewind(3);
    assert_eq!(session.tokens(), &longer[..3]);
}

#[test]
fn generation_ends_with_a_reason() {
    let mut options = LoadOptions::default();
    options.context_size = Some(16);
    let model = Model::load("demo", &options).unwrap();
    let mut session = model.session().unwrap();
    let mut options = GenerateOptions::default();
    options.ignore_eos = true;
    let mut generation = session.generate(&[1, 1946, 761], &options).unwrap();
    let count = generation.by_ref().count();
    assert_eq!(count, 13, "3 tokens of prompt in a context of 16");
    assert_eq!(generation.finish(), Some(openelm::Finish::Context));

    options.max_tokens = Some(4);
    let mut generation = session.generate(&[1, 1946, 761], &options).unwrap();
    assert_eq!(generation.by_ref().count(), 4);
    assert_eq!(generation.finish(), Some(openelm::Finish::Length));

    options.max_tokens = Some(0);
    let mut generation = session.generate(&[1, 1946, 761], &options).unwrap();
    assert_eq!(generation.by_ref().count(), 0);
    assert_eq!(generation.finish(), Some(openelm::Finish::Length));

    let flag = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    options.max_tokens = None;
    options.cancel = Some(flag);
    let mut generation = session.generate(&[1, 1946, 761], &options).unwrap();
    assert!(generation.by_ref().count() <= 1);
    assert_eq!(generation.finish(), Some(openelm::Finish::Cancelled));

    options.cancel = None;
    let prompt = model.encode("There was once a").unwrap();
    let mut run = |options: &GenerateOptions| {
        let mut generation = session.generate(&prompt, options).unwrap();
        let text: String = generation.by_ref().map(|t| t.unwrap().text).collect();
        (text, generation.finish())
    };
    let (whole, _) = run(&options);
    let word = whole.split_whitespace().nth(2).unwrap().to_owned();
    options.stop = vec![word.clone()];
    let (text, finish) = run(&options);
    assert_eq!(finish, Some(openelm::Finish::Stop));
    assert_eq!(text, whole[..whole.find(&word).unwrap()]);

    // Full to the last position: it can be scored, but nothing can follow.
    let full = vec![5u32; 16];
    assert_eq!(session.score(&full, 1).unwrap().logprobs.len(), 16);
    let error = common::message(session.generate(&full, &options).map(drop));
    assert!(error.contains("16"), "{error}");
    let error = common::message(session.score(&[5; 17], 1).map(drop));
    assert!(error.contains("17 tokens"), "{error}");
}

#[test]
fn models_and_sessions_cross_threads() {
    fn is_send<T: Send>() {}
    fn is_sync<T: Sync>() {}
    is_send::<Model>();
    is_sync::<Model>();
    is_send::<openelm::Session>();
}

/// Whoever waits for a device may run callbacks of other threads' read-backs: nobody may mistake that for a failure.
#[test]
fn threads_share_a_device() {
    let gpu = Gpu::open(None).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4_u32 {
            let gpu = &gpu;
            scope.spawn(move || {
                let usage = wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
                let source = gpu.buffer("source", 64, usage);
                let readback = Readback::new(gpu, 64);
                for round in 0..1000 {
                    let value = (thread * 1000 + round) as f32;
                    gpu.queue
                        .write_buffer(&source, 0, bytemuck::bytes_of(&value));
                    let mut encoder = gpu.device.create_command_encoder(&Default::default());
                    readback.record(&mut encoder, &source, 64);
                    let submission = gpu.queue.submit([encoder.finish()]);
                    let read = readback
                        .read(gpu, submission, 1, |values| values[0])
                        .unwrap();
                    assert_eq!(read, value);
                }
            });
        }
    });
}

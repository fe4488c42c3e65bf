//! Prompts in f16 by cooperative matrices: where the adapter has some, by them; everywhere by the plain arithmetic that stands in for them
//! (`lib/matrices_plain.wgsl`), which shares all of the kernel but loads, products and stores of matrices.

use std::sync::OnceLock;

use super::common::{self, goldens, noise, synthetic};
use super::golden;
use super::kernels::{Lab, config, strided};
use super::{consistency, steps, twin};
use openelm::gpu::{Candidate, CooperativeMatrices};
use openelm::kernels::linear::{self, Arithmetic, Input, Mapping, Operand, Output};
use openelm::kernels::{BatchClass, FirstRow, ROW_PAD};
use openelm::{
    ComputePath, Dtype, Error, Feature, Gpu, LoadOptions, Model, ModelFiles, Result, Tune, Tuning,
};
use proptest::prelude::*;

/// A device with its own matrices, if it has some.
fn own() -> &'static Lab {
    static LAB: OnceLock<Lab> = OnceLock::new();
    LAB.get_or_init(|| Lab {
        gpu: Candidate::of(None, true).unwrap()[0].open().unwrap(),
    })
}

/// The matrices to test.
fn all() -> Vec<CooperativeMatrices> {
    let plain = Some(CooperativeMatrices::PLAIN);
    own().gpu.matrices.into_iter().chain(plain).collect()
}

fn with(which: CooperativeMatrices) -> Result<Gpu> {
    let mut gpu = Candidate::of(None, true)?[0].open()?;
    gpu.matrices = Some(which);
    Ok(gpu)
}

fn options(exact_kv: bool) -> LoadOptions {
    let mut options = common::options(Some(ComputePath::Gpu), exact_kv);
    options.f16_prefill = true;
    options
}

fn load(model: &str, which: CooperativeMatrices, options: &LoadOptions) -> Model {
    let candidate = Candidate::new("matrices".into(), move || with(which));
    let files = ModelFiles::open(model).unwrap();
    files.load_on_first(&[candidate], options, |_| {}).unwrap()
}

/// As a device rounds to f16.
fn half(x: f64) -> f64 {
    half::f16::from_f32(x as f32).to_f64()
}

fn close(
    case: &Case,
    actual: f32,
    expected: f64,
    magnitude: f64,
) -> std::result::Result<(), TestCaseError> {
    // Quantised weights are not to the last bit what they are here, so one may become the next f16.
    let part = if case.dtype.is_quantized() {
        1e-4
    } else {
        2e-6
    };
    let error = (f64::from(actual) - expected).abs();
    prop_assert!(
        error <= part * magnitude + 1e-6,
        "{actual} instead of {expected} (magnitude {magnitude})"
    );
    Ok(())
}

/// A product for some tokens of a prompt.
struct Case {
    which: CooperativeMatrices,
    dtype: Dtype,
    input: Input,
    output: Output,
    rows: usize,
    columns: usize,
    /// [first, first + count) of `all` tokens.
    first: usize,
    count: usize,
    out_offset: usize,
    w: Vec<f32>,
    /// [all, columns]
    x: Vec<f32>,
}

impl std::fmt::Debug for Case {
    /// Without its numbers.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            which,
            dtype,
            input,
            output,
            ..
        } = self;
        write!(f, "{which:?} {dtype} {input:?} {output:?} {}", self.rows)?;
        write!(
            f,
            " x {} tokens {}+{}",
            self.columns, self.first, self.count
        )?;
        write!(f, " offset {}", self.out_offset)
    }
}

impl Case {
    fn all(&self) -> usize {
        self.x.len() / self.columns
    }

    fn outputs(&self) -> usize {
        match self.output {
            Output::Gated => self.rows / 2,
            _ => self.rows,
        }
    }

    fn out_stride(&self) -> usize {
        (self.out_offset + self.outputs()).next_multiple_of(64)
    }

    /// What the outputs become, the weights that the device has, and whether a number was too large.
    fn run(&self, before: &[f32]) -> (Vec<f32>, Vec<f64>, bool) {
        let lab = own();
        let weights = lab.weights(&self.w, self.columns, self.dtype, ComputePath::Gpu);
        let (pairs, second) = self.output.pairs(self.rows as u32);
        let in_stride = self.columns.next_multiple_of(64);
        let blocks = (self.columns.next_multiple_of(ROW_PAD) / 8) as u32;
        let shape = lab.uniform(linear::Shape {
            rows: self.rows as u32,
            blocks,
            units: weights.units,
            pairs,
            second,
            out_offset: self.out_offset as u32,
            out_stride: self.out_stride() as u32,
            in_stride: in_stride as u32 / 4,
            activation: 0,
            width: self.columns as u32,
            epsilon: 1e-6,
        });
        let input = lab.floats(&strided(&self.x, self.columns, in_stride));
        let tokens = self.first as u32..(self.first + self.count) as u32;
        let (first_row, overflow) = (lab.uniform(FirstRow::of(tokens)), lab.buffer(&[0; 16]));
        let out = lab.floats(before);
        let mapping = Mapping::PrefillMatrices;
        let resources = mapping.bind(|operand| match operand {
            Operand::Shape => shape.as_entire_binding(),
            Operand::Weights => weights.store.binding(),
            Operand::Output => out.as_entire_binding(),
            Operand::Input | Operand::Norm => input.as_entire_binding(),
            Operand::FirstRow => first_row.as_entire_binding(),
            Operand::Overflow => overflow.as_entire_binding(),
        });
        let tuning = Tuning {
            matrices: Some(self.which),
            ..Tuning::default()
        };
        let product = linear::Product {
            path: ComputePath::Gpu,
            mapping,
            dtype: self.dtype,
            arithmetic: Arithmetic::Float,
            input: self.input,
            output: self.output,
            blocks,
        };
        let grid = (
            mapping.workgroups(pairs, tuning),
            self.count.div_ceil(64) as u32,
            1,
        );
        let spec = product.spec(tuning);
        let found = lab.run(&spec, &resources, &[], grid, &out);
        (found, weights.exact, lab.words(&overflow)[0] != 0)
    }
}

fn cases() -> impl Strategy<Value = Case> {
    let dtype = prop::sample::select(Dtype::ALL.to_vec());
    let output = prop::sample::select(Output::ALL.to_vec());
    let input = prop::sample::select(vec![Input::Plain, Input::Wide]);
    let sizes = (
        1usize..150,
        1usize..300,
        0usize..12,
        1usize..80,
        0usize..70,
        any::<u64>(),
    );
    let which = prop::sample::select(all());
    (which, dtype, input, output, sizes).prop_map(|(which, dtype, input, output, sizes)| {
        let (rows, columns, first, count, out_offset, seed) = sizes;
        let rows = if output == Output::Gated {
            rows.next_multiple_of(2)
        } else {
            rows
        };
        let columns = if dtype.is_quantized() {
            columns.next_multiple_of(16)
        } else {
            columns
        };
        let all = first + count.next_multiple_of(64) + 3;
        Case {
            which,
            dtype,
            input,
            output,
            rows,
            columns,
            first,
            count,
            out_offset,
            w: noise(seed, rows * columns),
            x: noise(seed ^ 1, all * columns),
        }
    })
}

proptest! {
    #![proptest_config(config(16))]

    /// Inputs and weights are rounded to f16, their products and sums are not: random shapes, formats, outputs, tokens that begin anywhere.
    #[test]
    fn product_matches_its_twin(case in cases()) {
        let stride = case.out_stride();
        let before = noise(5, case.all() * stride);
        let (out, weights, is_beyond) = case.run(&before);
        prop_assert!(!is_beyond);
        let scale = if case.input == Input::Wide { 1.0 / 64.0 } else { 1.0 };
        let weights: Vec<f64> = weights.iter().map(|w| half(*w)).collect();
        for t in case.first..case.first + case.count {
            let x: Vec<f64> = case.x[t * case.columns..][..case.columns]
                .iter()
                .map(|x| half(f64::from(*x) * scale) / scale)
                .collect();
            let products = twin::linear(&weights, &x);
            let magnitudes = twin::linear_magnitude(&weights, &x);
            let outputs = case.outputs();
            for o in 0..outputs {
                let at = t * stride + case.out_offset + o;
                let (expected, magnitude) = match case.output {
                    Output::Store => (products[o], magnitudes[o]),
                    Output::Residual => (f64::from(before[at]) + products[o], magnitudes[o] + 1.0),
                    Output::Activated => (twin::activate(0, products[o]), magnitudes[o]),
                    Output::Gated => {
                        let linear = products[outputs + o];
                        (twin::activate(0, products[o]) * linear, magnitudes[o] * magnitudes[outputs + o])
                    }
                };
                close(&case, out[at], expected, magnitude)?;
            }
            for o in 0..case.out_offset {
                prop_assert_eq!(out[t * stride + o], before[t * stride + o]);
            }
        }
        // Rows of others before and behind stay as they are.
        let end = (case.first + case.count.next_multiple_of(64)) * stride;
        prop_assert_eq!(&out[..case.first * stride], &before[..case.first * stride]);
        prop_assert_eq!(&out[end..before.len()], &before[end..]);
    }

}

proptest! {
    #![proptest_config(config(6))]

    /// What a token gets does not depend on which others there are, nor where in a tile it lies.
    #[test]
    fn company_changes_no_bit(case in cases(), fewer in 1usize..80, later in 0usize..80) {
        let before = vec![0.0; case.all() * case.out_stride()];
        let (whole, ..) = case.run(&before);
        let first = case.first + later.min(case.count - 1);
        let end = (first + fewer).min(case.first + case.count);
        let part = Case { first, count: end - first, x: case.x.clone(), w: case.w.clone(), ..case };
        let mut x = part.x.clone();
        x.resize((first + (end - first).next_multiple_of(64) + 3).max(part.all()) * part.columns, 0.5);
        let part = Case { x, ..part };
        let (alone, ..) = part.run(&vec![0.0; part.all() * part.out_stride()]);
        let ours = first * part.out_stride()..end * part.out_stride();
        let differs = ours.clone().find(|at| whole[*at].to_bits() != alone[*at].to_bits());
        prop_assert_eq!(differs, None);
    }
}

/// Numbers beyond f16 are noticed in inputs and weights, wherever they lie, but not in tokens that are none.
#[test]
fn numbers_beyond_f16_are_noticed() {
    for which in all() {
        let case = |dtype, input| Case {
            which,
            dtype,
            input,
            output: Output::Store,
            rows: 70,
            columns: 40,
            first: 8,
            count: 65,
            out_offset: 0,
            w: noise(1, 70 * 40),
            x: noise(2, (8 + 128 + 3) * 40),
        };
        let is_noticed = |case: &Case| case.run(&vec![0.0; case.all() * case.out_stride()]).2;
        for (token, column, is_one) in [(8, 0, true), (72, 39, true), (7, 3, false), (73, 3, false)]
        {
            let mut large = case(Dtype::Bf16, Input::Plain);
            large.x[token * 40 + column] = -65_505.0;
            assert_eq!(is_noticed(&large), is_one, "{which:?} token {token}");
            large.x[token * 40 + column] = -65_504.0;
            assert!(!is_noticed(&large));
            let mut wide = case(Dtype::Bf16, Input::Wide);
            wide.x[token * 40 + column] = 64.0 * 65_504.0;
            assert!(!is_noticed(&wide), "there they may be larger");
            wide.x[token * 40 + column] = 64.0 * 65_600.0;
            assert_eq!(is_noticed(&wide), is_one);
        }
        for (dtype, row) in [(Dtype::Bf16, 0), (Dtype::F32, 69), (Dtype::Q8, 40)] {
            let mut large = case(dtype, Input::Plain);
            if dtype == Dtype::Q8 {
                // A scale of 600, whose numbers are up to 127.
                large.w[row * 40..][..40]
                    .iter_mut()
                    .for_each(|w| *w *= 127.0 * 600.0);
            } else {
                large.w[row * 40 + 5] = 70_000.0;
            }
            assert!(is_noticed(&large), "{which:?} {dtype}");
        }
    }
}

/// Apple's numbers, to what f16 leaves of them. A factor is off by 2^-11 of itself at most, and sums of many such errors grow as a random walk:
/// by 2^-11 or so of a product's usual size, through a few layers. That is what an f16 cache does to keys and values, and so is the tolerance.
#[test]
fn goldens_hold_to_what_f16_leaves() {
    for which in all() {
        for (path, golden) in goldens() {
            let mut options = options(true);
            options.dtype = None;
            golden::check(&load(&path, which, &options), &golden, 1e-2, 8);
        }
    }
}

/// However a prompt is cut: the same bits, in every format, beside an f16 cache and an exact one.
#[test]
fn a_cut_changes_no_bit() {
    let folder = synthetic(consistency::ODD[0], &[Dtype::F32, Dtype::F16, Dtype::Bf16]);
    let odd = folder.path().to_string_lossy().into_owned();
    let small = common::fixture("openelm-f16");
    let small = small.to_string_lossy().into_owned();
    for which in all() {
        let formats = Dtype::ALL.map(|dtype| (&*small, Some(dtype), false));
        for (path, dtype, exact) in formats.into_iter().chain([(&*odd, None, true)]) {
            let mut options = options(exact);
            options.dtype = dtype;
            let model = load(path, which, &options);
            assert!(model.network().has_f16_prefill());
            let ids = consistency::tokens(&model, 41);
            let whole = steps::logits(&model, &ids, &[41], BatchClass::Prompt);
            for sizes in [&[9][..], &[17], &[1, 9, 1, 17, 13]] {
                let cut = steps::logits(&model, &ids, sizes, BatchClass::Prompt);
                assert_eq!(cut, whole, "{which:?} {path} {dtype:?} {sizes:?}");
            }
            // Decoding is in f32, as ever.
            let generated = steps::logits(&model, &ids, &[41], BatchClass::Generated);
            consistency::assert_close(&generated, &whole, 2e-2, "prefill is not decode");
            options.f16_prefill = false;
            let exact = Model::load(path, &options).unwrap();
            let exact = steps::logits(&exact, &ids, &[41], BatchClass::Generated);
            assert_eq!(generated, exact, "decoding has changed");
        }
    }
}

/// Norms so large that their outputs leave f16: said once, and from then on the bits are those of f32.
#[test]
fn what_leaves_f16_becomes_f32() {
    let (config, folder) = (consistency::ODD[0], tempfile::tempdir().unwrap());
    std::fs::write(folder.path().join("config.json"), config).unwrap();
    let mut tensors = common::synthetic_tensors(config, &[Dtype::F32]);
    for (name, (_, _, bytes)) in &mut tensors {
        if !name.ends_with("ffn_norm.weight") {
            continue;
        }
        let values: Vec<f32> = bytemuck::pod_collect_to_vec(bytes);
        let values: Vec<f32> = values.iter().map(|x| x * 262_144.0).collect();
        *bytes = common::encode(&values, Dtype::F32);
    }
    let file = common::safetensors(&tensors);
    std::fs::write(folder.path().join("model.safetensors"), file).unwrap();
    let path = folder.path().to_string_lossy().into_owned();
    for which in all() {
        for exact in [false, true] {
            let mut options = options(exact);
            options.dtype = Some(Dtype::F32);
            let model = load(&path, which, &options);
            options.f16_prefill = false;
            options.exact_kv = true;
            let plain = Model::load(&path, &options).unwrap();
            let prompt = consistency::tokens(&model, 30);
            let logits = |model: &Model| {
                let mut session = model.session().unwrap();
                session.next_logits(&prompt).unwrap().to_vec()
            };
            assert!(model.network().has_f16_prefill());
            assert_eq!(logits(&model), logits(&plain));
            assert!(model.network().take_widened());
            assert!(!model.network().take_widened(), "said once");
            assert!(!model.network().has_f16_prefill());
        }
    }
}

/// Matrices that f16 does not hold stay with f32, and a line says so.
#[test]
fn matrices_too_small_for_f16_stay_with_f32() {
    let (config, folder) = (consistency::ODD[0], tempfile::tempdir().unwrap());
    std::fs::write(folder.path().join("config.json"), config).unwrap();
    let mut tensors = common::synthetic_tensors(config, &[Dtype::F32]);
    for (_, shape, bytes) in tensors.values_mut() {
        if shape.len() == 2 {
            let values: Vec<f32> = bytemuck::pod_collect_to_vec(bytes);
            let values: Vec<f32> = values.iter().map(|x| x * 1e-6).collect();
            *bytes = common::encode(&values, Dtype::F32);
        }
    }
    let file = common::safetensors(&tensors);
    std::fs::write(folder.path().join("model.safetensors"), file).unwrap();
    let path = folder.path().to_string_lossy().into_owned();
    for which in all() {
        let mut options = options(true);
        options.dtype = Some(Dtype::Bf16);
        let model = load(&path, which, &options);
        let warnings = model.warnings().join("\n");
        assert!(
            warnings.contains("and 11 more are too large or too small for f16"),
            "{warnings}"
        );
        options.f16_prefill = false;
        let plain = Model::load(&path, &options).unwrap();
        let ids = consistency::tokens(&model, 30);
        let [ours, theirs] =
            [&model, &plain].map(|model| steps::logits(model, &ids, &[30], BatchClass::Prompt));
        assert_eq!(ours, theirs);
    }
}

/// Who asks for what an adapter has not, is told so, and by name.
#[test]
fn an_adapter_without_matrices_says_so() {
    let mut options = options(false);
    let loaded = Model::load("demo", &options);
    match own().gpu.matrices {
        Some(_) => assert!(loaded.unwrap().network().has_f16_prefill()),
        None => match loaded {
            Err(Error::Unsupported { feature, why, .. }) => {
                assert_eq!(feature, Feature::F16Prefill);
                assert!(why.contains("no cooperative matrices"), "{why}");
            }
            other => panic!("{:?}", other.err()),
        },
    }
    // In textures there are none, whatever the adapter.
    options.compute_path = Some(ComputePath::Software);
    let candidate = Candidate::new("plain".into(), || with(CooperativeMatrices::PLAIN));
    let files = ModelFiles::open("demo").unwrap();
    let loaded = files.load_on_first(&[candidate], &options, |_| {});
    match loaded {
        Err(Error::Unsupported { feature, .. }) => assert_eq!(feature, Feature::F16Prefill),
        other => panic!("{:?}", other.err()),
    }
    // Nobody else gets them.
    options.f16_prefill = false;
    options.tune = Tune::Off;
    assert!(
        !Model::load("demo", &options)
            .unwrap()
            .network()
            .has_f16_prefill()
    );
}

//! Attention of generated rows, from the QKV product to the records of its splits and back, against its twin on the CPU; and that a key has the same
//! bits from whichever kernel makes it.

use super::common::{self, encode, noise};
use super::core::ids;
use super::kernels::{Lab, Rope, Store, config, lab, permutation, round, strided, token, widen};
use super::steps::{add, run};
use super::twin;
use openelm::kernels::BatchClass::{Generated, Prompt};
use openelm::kernels::attention::{self, MOST_GENERATED, Spread};
use openelm::kernels::linear::{self, Arithmetic, Attended, Input, Mapping, Operand, Output};
use openelm::kernels::{BatchClass, LANES, ROW_PAD, TokenInput, qk_norm_rope};
use openelm::model::{Batch, Sequence};
use openelm::{ComputePath, Dtype, Model, Tune, Tuning};
use proptest::prelude::*;

/// What a record says of a split that is not there.
const LOWEST: f32 = -3.0e38;

const CONTEXT: usize = 216;
const ROWS: usize = 256;

/// A step of generated rows.
#[derive(Debug, Clone)]
struct Case {
    head_dim: usize,
    q_heads: usize,
    kv_heads: usize,
    exact: bool,
    normalize: bool,
    split: u32,
    subgroup_lanes: u32,
    tokens: Vec<TokenInput>,
    /// Cache rows by position, for each sequence.
    table: Vec<u32>,
    /// [tokens, heads, head_dim]
    qkv: Vec<f32>,
    norms: Vec<f32>,
    /// [rows, kv_heads, head_dim], as the cache rounds them.
    keys: Vec<f32>,
    values: Vec<f32>,
}

struct Outcome {
    /// [tokens, splits, record]
    records: Vec<f32>,
    keys: Vec<f32>,
    values: Vec<f32>,
    overflow: u32,
}

impl Case {
    fn width(&self) -> usize {
        (self.q_heads + 2 * self.kv_heads) * self.head_dim
    }

    fn blocks(&self) -> usize {
        self.head_dim.div_ceil(8)
    }

    fn splits(&self) -> usize {
        CONTEXT.div_ceil(self.split as usize)
    }

    /// Floats of a record.
    fn record(&self) -> usize {
        (self.q_heads * (self.head_dim + 1)).next_multiple_of(64)
    }

    fn dtype(&self) -> Dtype {
        if self.exact { Dtype::F32 } else { Dtype::F16 }
    }

    fn rope<'a>(&'a self, tokens: &'a [TokenInput]) -> Rope<'a> {
        Rope {
            path: ComputePath::Gpu,
            exact: self.exact,
            normalize: self.normalize,
            head_dim: self.head_dim,
            q_heads: self.q_heads,
            kv_heads: self.kv_heads,
            rows: ROWS,
            tokens,
            qkv: &self.qkv,
            norms: &self.norms,
        }
    }

    fn run(&self, lab: &Lab) -> Outcome {
        let (group, kv_heads) = (self.q_heads / self.kv_heads, self.kv_heads);
        let qkv_stride = self.width().next_multiple_of(64);
        let shape = lab.uniform(attention::Shape {
            head_dim: self.head_dim as u32,
            blocks: self.blocks() as u32,
            group: group as u32,
            quads: group.div_ceil(4) as u32,
            kv_heads: kv_heads as u32,
            q_stride: qkv_stride as u32,
            stride: self.record() as u32,
            scale: 1.0 / (self.head_dim as f32).sqrt(),
            split: self.split,
            splits: self.splits() as u32,
            normalize: u32::from(self.normalize),
            epsilon: 1e-6,
        });
        let mut window = self.tokens.clone();
        window.resize(MOST_GENERATED, token(0));
        let rotations = qk_norm_rope::rotations(0..CONTEXT, self.head_dim, 10000.0);
        let [tokens, table, rotations] = [
            lab.buffer(bytemuck::cast_slice(&window)),
            lab.buffer(bytemuck::cast_slice(&self.table)),
            lab.buffer(bytemuck::cast_slice(&rotations)),
        ];
        // Room for what lies behind the last: kernels read whole blocks.
        let mut qkv = strided(&self.qkv, self.width(), qkv_stride);
        qkv.resize(qkv.len() + 8, 0.0);
        let mut norms = self.norms.clone();
        norms.resize(norms.len() + 8, 0.0);
        let count = self.tokens.len();
        // What nobody writes must not matter.
        let before = vec![f32::NAN; count * self.splits() * self.record()];
        let [qkv, norms, output] = [qkv, norms, before].map(|values| lab.floats(&values));
        let pack = |values: &[f32]| {
            let padded = strided(values, self.head_dim, self.blocks() * 8);
            lab.store(encode(&padded, self.dtype()), ComputePath::Gpu)
        };
        let (keys, values) = (pack(&self.keys), pack(&self.values));
        let overflow = lab.uniform(0u32);
        let bindings = attention::GeneratedBindings {
            shape: shape.as_entire_binding(),
            tokens: tokens.as_entire_binding(),
            qkv: qkv.as_entire_binding(),
            keys: keys.binding(),
            values: values.binding(),
            output: output.as_entire_binding(),
            overflow: overflow.as_entire_binding(),
            rows: table.as_entire_binding(),
            norms: norms.as_entire_binding(),
            rotations: rotations.as_entire_binding(),
        };
        let class = BatchClass::Generated;
        let spread = Spread::new(self.head_dim, class, self.subgroup_lanes);
        let spec = attention::spec(class, self.exact, spread);
        let longest = self.tokens.iter().map(|token| token.position).max();
        let (q_heads, kv_heads) = (self.q_heads as u32, kv_heads as u32);
        let grid = (
            attention::workgroups(q_heads, kv_heads),
            count as u32,
            longest.unwrap_or(0) / self.split + 1,
        );
        Outcome {
            records: lab.run(&spec, &bindings.into_list(), &[], grid, &output),
            keys: lab.read(&keys),
            values: lab.read(&values),
            overflow: lab.read(&Store::Buffer(overflow))[0].to_bits(),
        }
    }

    /// A head of the QKV product as attention uses it.
    fn made(&self, row: usize, head: usize) -> Vec<f64> {
        let at = row * self.width() + head * self.head_dim;
        let x = widen(&self.qkv[at..][..self.head_dim]);
        if head >= self.q_heads + self.kv_heads {
            return x;
        }
        let weights = match head < self.q_heads {
            true => &self.norms[..self.head_dim],
            false => &self.norms[self.head_dim..],
        };
        let normed = match self.normalize {
            true => twin::rms_norm(&x, &widen(weights), 1e-6),
            false => x,
        };
        twin::rope(&normed, self.tokens[row].position, 10000.0)
    }

    /// What a record's splits have together, of a dimension of a head.
    fn merged(&self, records: &[f32], row: usize, head: usize, d: usize) -> f64 {
        let at =
            |split: usize, at: usize| records[(row * self.splits() + split) * self.record() + at];
        let logarithm = |split| f64::from(at(split, self.q_heads * self.head_dim + head));
        let count = (self.tokens[row].position / self.split + 1) as usize;
        let highest = (0..count).map(logarithm).fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> = (0..count)
            .map(|s| (logarithm(s) - highest).exp2())
            .collect();
        let values = weights.iter().enumerate();
        let sum: f64 = values
            .map(|(s, weight)| weight * f64::from(at(s, head * self.head_dim + d)))
            .sum();
        sum / weights.iter().sum::<f64>()
    }
}

fn cases() -> impl Strategy<Value = Case> {
    let half = prop_oneof![1usize..40, Just(16), Just(32), Just(64), Just(128)];
    let positions = prop_oneof![0u32..5, 30u32..36, 60u32..70, 120u32..200, Just(215)];
    let shape = (half, 1usize..3, 1usize..7, any::<bool>(), any::<bool>());
    let split = prop_oneof![Just(16u32), Just(64), Just(100), Just(512)];
    let rows = (prop::collection::vec(positions, 1..4), any::<bool>());
    (shape, rows, split, any::<bool>(), 0.1f32..2.0, any::<u64>()).prop_map(
        |(shape, (positions, writes), split, subgroups, spread, seed)| {
            let (half, kv_heads, group, exact, normalize) = shape;
            let (head_dim, q_heads) = (2 * half, kv_heads * group);
            let dtype = if exact { Dtype::F32 } else { Dtype::F16 };
            // Each row is of a sequence of its own, whose tables do not follow each other in order, with rows all over the cache.
            let order = permutation(seed ^ 4, ROWS);
            let table: Vec<u32> = (0..3)
                .flat_map(|i| {
                    let mut rows = permutation(seed ^ (5 + i), ROWS)[..CONTEXT].to_vec();
                    // What a row writes is its own: the last of all rows, which no table has but where it is written.
                    rows.iter_mut()
                        .for_each(|row| *row = order[*row as usize % (ROWS - 3)]);
                    rows
                })
                .collect();
            let mut table = table;
            let tokens = positions.iter().enumerate().map(|(i, position)| {
                let start = (2 - i) * CONTEXT;
                let cache_row = order[ROWS - 1 - i];
                table[start + *position as usize] = cache_row;
                TokenInput {
                    position: *position,
                    cache_row,
                    table: start as u32,
                    writes_cache: u32::from(writes),
                    ..token(0)
                }
            });
            let tokens: Vec<TokenInput> = tokens.collect();
            let width = (q_heads + 2 * kv_heads) * head_dim;
            let cache = |seed: u64| -> Vec<f32> {
                let values = noise(seed, ROWS * kv_heads * head_dim);
                values.iter().map(|x| round(*x, dtype)).collect()
            };
            let qkv = noise(seed, tokens.len() * width);
            Case {
                head_dim,
                q_heads,
                kv_heads,
                exact,
                normalize,
                split,
                subgroup_lanes: if subgroups {
                    lab().gpu.subgroup_lanes
                } else {
                    0
                },
                tokens,
                table,
                qkv: qkv.iter().map(|x| x * spread).collect(),
                norms: noise(seed ^ 1, 2 * head_dim),
                keys: cache(seed ^ 2),
                values: cache(seed ^ 3),
            }
        },
    )
}

proptest! {
    #![proptest_config(config(20))]

    #[test]
    fn attention_of_generated_rows_matches_its_twin(case in cases()) {
        let outcome = case.run(lab());
        prop_assert_eq!(outcome.overflow, 0);
        let group = case.q_heads / case.kv_heads;
        let dtype = case.dtype();
        let rounded = |x: Vec<f64>| -> Vec<f64> { x.iter().map(|x| f64::from(round(*x as f32, dtype))).collect() };
        for (row, token) in case.tokens.iter().enumerate() {
            for head in 0..case.q_heads {
                let kv_head = head / group;
                let entries = |cache: &[f32], own: Vec<f64>| -> Vec<Vec<f64>> {
                    let before = (0..token.position)
                        .map(|p| case.table[(token.table + p) as usize] as usize)
                        .map(|row| widen(&cache[(row * case.kv_heads + kv_head) * case.head_dim..][..case.head_dim]));
                    before.chain([rounded(own)]).collect()
                };
                let keys = entries(&case.keys, case.made(row, case.q_heads + kv_head));
                let values = entries(&case.values, case.made(row, case.q_heads + case.kv_heads + kv_head));
                let expected = twin::attention(&case.made(row, head), &keys, &values);
                for (d, e) in expected.iter().enumerate() {
                    let actual = case.merged(&outcome.records, row, head, d);
                    // Rounding may take a key to the next f16, and angles are rounded.
                    let tolerance = if case.exact { 1e-4 } else { 4e-3 };
                    prop_assert!((actual - e).abs() < tolerance * (1.0 + e.abs()), "row {row} head {head} d {d}: {actual} instead of {e}");
                }
                // What has no positions says so.
                for split in token.position as usize / case.split as usize + 1..case.splits() {
                    let record = (row * case.splits() + split) * case.record();
                    let said = outcome.records[record + case.q_heads * case.head_dim + head];
                    prop_assert_eq!(said, LOWEST);
                }
            }
        }
    }

    /// A key and a value have the bits that `qk_norm_rope.wgsl` gives them, and nothing else of the cache is touched.
    #[test]
    fn attention_writes_what_qk_norm_rope_writes(case in cases()) {
        let outcome = case.run(lab());
        let rope = case.rope(&case.tokens);
        let roped = rope.run(lab());
        let is_written = case.tokens[0].writes_cache == 1;
        let padded = |values: &[f32]| encode(&strided(values, case.head_dim, case.blocks() * 8), case.dtype());
        for (found, made, before) in [
            (&outcome.keys, &roped.keys, padded(&case.keys)),
            (&outcome.values, &roped.values, padded(&case.values)),
        ] {
            for row in 0..ROWS {
                let token = case.tokens.iter().find(|token| token.cache_row as usize == row);
                for head in 0..case.kv_heads {
                    let found = rope.bytes(found, head, row);
                    let entry = found.len();
                    let expected = match token {
                        Some(_) if is_written => rope.bytes(made, head, row),
                        _ => &before[(row * case.kv_heads + head) * entry..][..entry],
                    };
                    prop_assert!(found == expected, "row {} head {}", row, head);
                }
            }
        }
    }

    #[test]
    fn attention_tells_of_what_does_not_fit_the_cache(case in cases(), place: prop::sample::Index, is_nan: bool) {
        let mut case = case;
        case.normalize = false;
        let at = place.index(case.qkv.len());
        let is_query = at % case.width() < case.q_heads * case.head_dim;
        case.qkv[at] = if is_nan { f32::NAN } else { 3e5 };
        let outcome = case.run(lab());
        let is_written = case.tokens[0].writes_cache == 1;
        // A rotation may make a large number smaller, not small enough.
        prop_assert_eq!(outcome.overflow, u32::from(is_written && !is_query && !case.exact));
    }

    /// The output projection adds up records as the CPU does, for one token as for several.
    #[test]
    fn a_product_adds_up_records(
        head_dim in prop_oneof![Just(64u32), Just(8), Just(20), Just(6), Just(128)], q_heads in 1usize..7, splits in 1u32..9,
        count in 1usize..20, rows in 1usize..70, subgroups: bool, seed: u64,
    ) {
        let lab = lab();
        // Heads that are no whole blocks are not split.
        let splits = if head_dim % 8 == 0 { splits } else { 1 };
        let tuning = Tuning { columns: 8, ..Tuning::default() };
        let tuning = Tuning { subgroups: subgroups && lab.gpu.subgroup_lanes >= 8, ..tuning };
        let columns = q_heads * head_dim as usize;
        let record = (q_heads * (head_dim as usize + 1)).next_multiple_of(64);
        let all = count.next_multiple_of(16);
        let w = noise(seed, rows * columns);
        let weights = lab.weights(&w, columns, Dtype::F32, ComputePath::Gpu);
        let there: Vec<u32> = noise(seed ^ 1, all).iter().map(|x| 1 + (x.abs() * splits as f32) as u32 % splits).collect();
        let mut records = noise(seed ^ 2, all * splits as usize * record + ROW_PAD);
        let mut expected = vec![vec![0.0; columns]; count];
        for row in 0..all {
            for split in 0..splits {
                let own = &mut records[(row * splits as usize + split as usize) * record..][..record];
                let logarithms = &mut own[columns..columns + q_heads];
                if split >= there[row] {
                    // Whatever was left there.
                    logarithms.fill(LOWEST);
                    own[..columns].fill(f32::NAN);
                } else {
                    logarithms.iter_mut().for_each(|x| *x *= 20.0);
                }
            }
            let Some(expected) = expected.get_mut(row) else { continue };
            for (d, expected) in expected.iter_mut().enumerate() {
                let at = |split: u32, at: usize| {
                    f64::from(records[(row * splits as usize + split as usize) * record + at])
                };
                let logarithm = |split| at(split, columns + d / head_dim as usize);
                let weights: Vec<f64> = (0..there[row]).map(|split| logarithm(split).exp2()).collect();
                let sum: f64 = (0..there[row]).map(|split| weights[split as usize] * at(split, d)).sum();
                *expected = sum / weights.iter().sum::<f64>();
            }
        }
        let (pairs, second) = Output::Store.pairs(rows as u32);
        let out_stride = rows.next_multiple_of(64);
        let shape = lab.uniform(linear::Shape {
            rows: rows as u32,
            blocks: (columns.next_multiple_of(ROW_PAD) / 8) as u32,
            units: weights.units,
            pairs,
            second,
            out_offset: 0,
            out_stride: out_stride as u32,
            in_stride: splits * record as u32 / 4,
            activation: 0,
            width: columns as u32,
            epsilon: 0.0,
        });
        let input = lab.floats(&records);
        let attended = Attended { head_dim, splits, record: record as u32 / 4 };
        let run = |mapping: Mapping| {
            let output = lab.floats(&vec![0.0; all * out_stride]);
            let product = linear::Product {
                path: ComputePath::Gpu,
                mapping,
                dtype: Dtype::F32,
                arithmetic: Arithmetic::Float,
                input: Input::Attended(attended),
                output: Output::Store,
                blocks: (columns.next_multiple_of(ROW_PAD) / 8) as u32,
            };
            let resources = mapping.bind(|operand| match operand {
                Operand::Shape => shape.as_entire_binding(),
                Operand::Weights => weights.store.binding(),
                Operand::Output => output.as_entire_binding(),
                _ => input.as_entire_binding(),
            });
            let grid = (mapping.workgroups(pairs, tuning), (count as u32).div_ceil(mapping.tokens()), 1);
            lab.run(&product.spec(tuning), &resources, &[], grid, &output)
        };
        let single = run(Mapping::DecodeRows);
        let few = [1, 2, 4].map(|quads| run(Mapping::FewRows(quads)));
        for (row, expected) in expected.iter().enumerate() {
            let products = twin::linear(&weights.exact, expected);
            let magnitudes = twin::linear_magnitude(&weights.exact, expected);
            for o in 0..rows {
                let at = row * out_stride + o;
                let error = (f64::from(single[at]) - products[o]).abs();
                prop_assert!(error <= 1e-5 * magnitudes[o] + 1e-6, "{} instead of {}", single[at], products[o]);
                prop_assert!(few.iter().all(|few| few[at].to_bits() == single[at].to_bits()));
            }
        }
    }
}

/// Whatever the adapter: positions in flight, splits and workgroup memory fit together.
#[test]
fn lanes_are_spread_over_whole_heads() {
    for head_dim in (2..=256).step_by(2) {
        for subgroup_lanes in [0, 4, 8, 16, 32, 64, 128] {
            for class in BatchClass::ALL {
                let spread = Spread::new(head_dim, class, subgroup_lanes);
                assert!(spread.block_lanes as usize * 8 >= head_dim);
                assert!(spread.block_lanes.is_power_of_two() && spread.block_lanes <= 32);
                assert!((LANES..=256).contains(&spread.lanes) && spread.lanes.is_power_of_two());
                // What meets lane to lane lies within a subgroup; without, 64 lanes meet in workgroup memory.
                let together = spread.lanes / LANES * spread.block_lanes;
                match spread.subgroups {
                    true => assert!(together <= subgroup_lanes),
                    false => assert_eq!(spread.lanes, LANES),
                }
                for context in [1, 8, 216, 512, 2048, 100_000] {
                    let (split, splits) = spread.splits(context);
                    assert!(split * splits >= context && split * (splits - 1) < context);
                    assert!((1..=8).contains(&splits));
                }
            }
        }
    }
}

/// Beyond the first split a row has the bits that it has alone, in a run of proposed tokens and beside other sequences; and what a prompt has there, but
/// for rounding.
#[test]
fn rows_beyond_a_split_have_the_same_bits_in_any_company() {
    let path = ComputePath::Gpu;
    for tune in [Tune::Off, Tune::Fixed(common::other_tuning(path))] {
        let mut options = common::options(Some(path), false);
        options.tune = tune;
        let model = Model::load("demo", &options).unwrap();
        let (text, other) = (ids(&model, 1, 300), ids(&model, 2, 60));
        let given = 250;
        let begun = |text: &[u32], given: usize| {
            let mut sequence = Sequence::new(model.network()).unwrap();
            let mut done = 0;
            while done < given {
                let mut batch = Batch::default();
                done += add(&mut sequence, &mut batch, &text[done..given], given, Prompt);
                run(&model, &batch);
            }
            sequence
        };
        let mut alone = Vec::new();
        let mut sequence = begun(&text, given);
        for id in &text[given..] {
            let mut batch = Batch::default();
            add(&mut sequence, &mut batch, &[*id], 1, Generated);
            alone.extend(run(&model, &batch));
        }
        // Runs of up to seven rows, every second beside a row of another sequence.
        let (mut sequence, mut beside) = (begun(&text, given), begun(&other, 20));
        let mut done = given;
        for count in (1..8).cycle() {
            let mut batch = Batch::default();
            let rows = &text[done..text.len().min(done + count)];
            if count % 2 == 0 {
                let at = 20 + (done - given);
                add(
                    &mut beside,
                    &mut batch,
                    &other[at.min(59)..][..1],
                    1,
                    Generated,
                );
            }
            let first = batch.rows().len();
            add(&mut sequence, &mut batch, rows, count, Generated);
            for (row, logits) in run(&model, &batch)[first..].iter().enumerate() {
                assert!(
                    *logits == alone[done - given + row],
                    "{tune:?} {}",
                    done + row
                );
            }
            done += rows.len();
            if done == text.len() {
                break;
            }
        }
        let whole = super::steps::logits(&model, &text, &[300], Prompt);
        for (at, logits) in alone.iter().enumerate() {
            for (a, b) in logits.iter().zip(&whole[given + at]) {
                assert!((a - b).abs() < 0.02, "{tune:?} {}: {a} {b}", given + at);
            }
        }
    }
}

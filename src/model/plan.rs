//! The plan of a step as data: every operation, the dispatches that it may take, what they are bound to by name, and how large all
//! memory is. It needs no device; `launch.rs` binds it to one.

use super::op::{DispatchShape, HasShape, Op, Stage, Traffic, Work};
use super::sizes::{StepSizes, floats, stride};
use super::weights::{Layout, MatrixId, MatrixLayout, PartLayout};
use crate::checkpoint::Config;
use crate::checkpoint::config::NORM_EPSILON;
use crate::gpu::KernelSpec;
use crate::kernels::linear::{Arithmetic, Attended, Output, Tuning};
use crate::kernels::sample::GROUP;
use crate::kernels::{BLOCK, BatchClass, ComputePath, LANES, ROW_PAD, embed, rms_norm};

mod attention;
mod buffers;
mod product;
mod sample;

/// Bytes from one row's number to the next among token indices: what every adapter takes as a window's offset.
pub const TOKEN_INDEX_STRIDE: u32 = 256;

/// Memory of a step by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BufferId {
    /// [rows] of [`TokenInput`].
    Tokens,
    /// Where the rows of prompts begin.
    PromptRows,
    /// Where the logits of prompts begin.
    PromptLogits,
    /// Where generated rows and rows of every class begin: 0.
    Zero,
    /// The residual stream.
    Hidden,
    Normed,
    Qkv,
    Queries,
    /// Every row's number, each at the start of a window.
    TokenIndices,
    /// What attention of generated rows hands over: [rows, splits] records.
    Partials,
    /// Attention's output; a width that has no whole pair of blocks has a buffer of its own, because what lies beyond it must stay
    /// zero.
    Attended(Option<usize>),
    /// The FFN's inner activations, likewise.
    Ffn(Option<usize>),
    Logits,
    /// Not 0 once a key, a value or an input of a product in f16 did not fit that.
    Overflow,
    /// Logits with the repetition penalty, and what is known of every group of them.
    Adjusted,
    Groups,
    /// [`crate::kernels::sample::Row`]s.
    SampleRows,
    /// What was chosen for each of them.
    Report,
    /// Of the pool: cache rows by position, ids and what follows from them, and the id chosen last, each by sequence.
    RowTable,
    History,
    Chosen,
}

/// A norm by name; numbers are layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NormId {
    Attn(usize),
    Qk(usize),
    Ffn(usize),
    Final,
}

/// What a binding is bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// The dispatch's own parameters.
    Shape,
    /// A part of a matrix, which may be split.
    Weights(MatrixId, usize),
    Norm(NormId),
    Rotations,
    /// Of a layer.
    Keys(usize),
    Values(usize),
    Buffer(BufferId),
    /// So many bytes of a buffer, or of a norm, which a dynamic offset may move.
    Window(BufferId, u64),
    NormWindow(NormId, u64),
}

/// A dispatch of the plan.
#[derive(Debug, Clone)]
pub struct Dispatch {
    pub kernel: KernelSpec,
    /// Bytes of its uniform `Shape`.
    pub parameters: Vec<u8>,
    pub bindings: Vec<Resource>,
    /// Workgroups for a row, or for a tile of rows.
    pub workgroups: u32,
    pub shape: DispatchShape,
}

impl HasShape for Dispatch {
    fn shape(&self) -> DispatchShape {
        self.shape
    }
}

/// A buffer of the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlannedBuffer {
    pub id: BufferId,
    pub bytes: u64,
    pub is_uniform: bool,
}

/// All operations in order, generic as [`Op`] is.
#[derive(Debug, Clone)]
pub struct Ops<D> {
    /// Embedding and layers, for every row of the step.
    pub trunk: Vec<Op<D>>,
    /// Where in it the last layer has written keys and values: from here on it is only for rows that something is wanted after.
    pub wanted: usize,
    /// Final norm and output head, for every row of logits.
    pub tail: Vec<Op<D>>,
    /// Choosing tokens: what looks for repetitions, what every way begins with, then greedy and random picks.
    pub sample_ngrams: Op<D>,
    pub sample_groups: Op<D>,
    pub sample_picks: [Op<D>; 2],
}

/// The plan of a step.
#[derive(Debug, Clone)]
pub struct Plan {
    pub ops: Ops<Dispatch>,
    pub buffers: Vec<PlannedBuffer>,
    /// Whether prompts and generated rows are computed differently.
    pub has_classes: bool,
    /// Whether prompts are multiplied in f16.
    pub has_f16_prefill: bool,
}

/// What a plan is made from.
#[derive(Clone, Copy)]
pub struct Blueprint<'a> {
    pub config: &'a Config,
    /// Split into parts.
    pub layout: &'a Layout,
    pub path: ComputePath,
    pub tuning: Tuning,
    /// The fewest lanes of a subgroup; 0 where there are no subgroup operations.
    pub subgroup_lanes: u32,
    pub sizes: StepSizes,
    pub context_size: usize,
    /// Whether keys and values are f32.
    pub exact_kv: bool,
}

impl Plan {
    pub fn new(blueprint: Blueprint<'_>) -> Self {
        let Blueprint { config, layout, .. } = blueprint;
        let mut trunk = blueprint.embed();
        let mut wanted = 0;
        for index in 0..config.layers.len() {
            let mut ops = blueprint.layer(index);
            ops.iter_mut().for_each(|op| op.layer = Some(index as u32));
            let behind_cache = ops.iter().position(|op| op.stage == Stage::Attention);
            wanted = trunk.len() + behind_cache.unwrap_or(ops.len());
            trunk.extend(ops);
        }
        let mut tail = vec![blueprint.norm(NormId::Final, Stage::FinalNorm)];
        tail.extend(blueprint.linear(&Product {
            id: MatrixId::Head,
            matrix: layout.head(),
            output: Output::Store,
            stage: Stage::Head,
            norm: None,
            attended: None,
            from: BufferId::Normed,
            to: BufferId::Logits,
            to_width: config.vocab_size,
        }));
        let (sample_ngrams, sample_groups, sample_picks) = blueprint.sample();
        Self {
            ops: Ops {
                trunk,
                wanted,
                tail,
                sample_ngrams,
                sample_groups,
                sample_picks,
            },
            buffers: blueprint.buffers(),
            has_classes: blueprint.has_classes(),
            has_f16_prefill: blueprint.tuning.matrices.is_some(),
        }
    }

    /// The kernels that it asks for, some of them several times.
    pub fn kernels(&self) -> impl Iterator<Item = &KernelSpec> {
        let ops = self.ops.trunk.iter().chain(&self.ops.tail);
        let sample = [&self.ops.sample_ngrams, &self.ops.sample_groups];
        let sample = sample.into_iter().chain(&self.ops.sample_picks);
        ops.chain(sample).flat_map(|op| {
            let (first, second): (&[Dispatch], &[Dispatch]) = match &op.work {
                Work::All(all) => (all, &[]),
                Work::Classes { generated, prompt } => (generated, prompt),
            };
            first.iter().chain(second).map(|dispatch| &dispatch.kernel)
        })
    }

    /// Bytes of all its buffers.
    pub fn bytes(&self) -> u64 {
        self.buffers.iter().map(|buffer| buffer.bytes).sum()
    }
}

/// A matrix product of the plan.
struct Product<'a> {
    id: MatrixId,
    matrix: &'a MatrixLayout,
    output: Output,
    stage: Stage,
    /// The norm that the input is of, where that can be fused into the product.
    norm: Option<NormId>,
    /// How attention's splits are added up, likewise.
    attended: Option<Attended>,
    /// Where the input lies, normed already where the norm is not fused.
    from: BufferId,
    to: BufferId,
    /// Floats a row in `to`.
    to_width: usize,
}

impl Blueprint<'_> {
    /// On [`ComputePath::Software`] all mappings add up alike, so classes differ only where generated rows are quantised on the fly.
    fn has_classes(&self) -> bool {
        let is_int8 = |matrix: &MatrixLayout| {
            let arithmetic = self.tuning.arithmetic(BatchClass::Generated, matrix.dtype);
            arithmetic == Arithmetic::Int8
        };
        self.path == ComputePath::Gpu || self.layout.all().any(is_int8)
    }

    fn embed(&self) -> Vec<Op<Dispatch>> {
        let matrix = &self.layout.embedding;
        let part = |(index, part): (usize, &PartLayout)| {
            // What pads a row beyond them is zero and stays so: norms count on it.
            let blocks = matrix.columns.div_ceil(BLOCK) as u32;
            let dispatch = Dispatch {
                kernel: embed::spec(self.path, matrix.dtype),
                parameters: bytes_of(&embed::Shape {
                    blocks,
                    units: matrix.units(),
                    row_first: part.first,
                    row_count: part.rows,
                    out_stride: stride(matrix.columns) / 4,
                }),
                bindings: embed::Bindings {
                    shape: Resource::Shape,
                    weights: Resource::Weights(MatrixId::Embedding, index),
                    hidden: Resource::Buffer(BufferId::Hidden),
                    tokens: Resource::Buffer(BufferId::Tokens),
                    chosen: Resource::Buffer(BufferId::Chosen),
                }
                .into_list(),
                workgroups: embed::workgroups(blocks),
                shape: DispatchShape::Rows(1),
            };
            Op {
                stage: Stage::Embed,
                layer: None,
                base_macs: 0,
                traffic: Traffic {
                    // A row of the matrix, and the same as f32.
                    read: u64::from(matrix.units()) * 16,
                    written: floats(matrix.columns),
                    ..Traffic::default()
                },
                work: Work::All(vec![dispatch]),
            }
        };
        matrix.parts.iter().enumerate().map(part).collect()
    }

    fn layer(&self, index: usize) -> Vec<Op<Dispatch>> {
        let config = self.config;
        let layer = &config.layers[index];
        let matrices = &self.layout.layers[index];
        let attended = own_or_shared(BufferId::Attended, layer.q_heads * config.head_dim);
        let ffn = own_or_shared(BufferId::Ffn, layer.ffn_dim);
        let qkv = Product {
            id: MatrixId::Qkv(index),
            matrix: &matrices.qkv,
            output: Output::Store,
            stage: Stage::Qkv,
            norm: Some(NormId::Attn(index)),
            attended: None,
            from: BufferId::Normed,
            to: BufferId::Qkv,
            to_width: config.qkv_dim(layer),
        };
        let out = Product {
            id: MatrixId::Out(index),
            matrix: &matrices.out,
            output: Output::Residual,
            stage: Stage::Out,
            norm: None,
            attended: Some(self.attended(layer.q_heads)),
            from: attended,
            to: BufferId::Hidden,
            to_width: config.model_dim,
        };
        let proj_1 = Product {
            id: MatrixId::Proj1(index),
            matrix: &matrices.proj_1,
            output: match config.ffn_with_glu {
                true => Output::Gated,
                false => Output::Activated,
            },
            stage: Stage::Proj1,
            norm: Some(NormId::Ffn(index)),
            attended: None,
            from: BufferId::Normed,
            to: ffn,
            to_width: layer.ffn_dim,
        };
        let proj_2 = Product {
            id: MatrixId::Proj2(index),
            matrix: &matrices.proj_2,
            output: Output::Residual,
            stage: Stage::Proj2,
            norm: None,
            attended: None,
            from: ffn,
            to: BufferId::Hidden,
            to_width: config.model_dim,
        };
        let mut ops = Vec::new();
        ops.extend(self.unfused_norm(NormId::Attn(index), Stage::AttnNorm));
        ops.extend(self.linear(&qkv));
        ops.push(self.qk_norm_rope(index));
        ops.push(self.attention(index, attended));
        ops.extend(self.linear(&out));
        ops.extend(self.unfused_norm(NormId::Ffn(index), Stage::FfnNorm));
        ops.extend(self.linear(&proj_1));
        ops.extend(self.linear(&proj_2));
        ops
    }

    /// The norm as a dispatch of its own, for rows whose products do not fuse it.
    fn unfused_norm(&self, id: NormId, stage: Stage) -> Option<Op<Dispatch>> {
        (self.path == ComputePath::Gpu).then(|| self.norm(id, stage))
    }

    fn norm(&self, id: NormId, stage: Stage) -> Op<Dispatch> {
        let width = self.config.model_dim;
        let is_final = stage == Stage::FinalNorm;
        let first_row = match is_final {
            true => BufferId::Zero,
            false => BufferId::PromptRows,
        };
        let dispatch = Dispatch {
            kernel: rms_norm::spec(),
            parameters: bytes_of(&rms_norm::Shape {
                width: width as u32,
                vectors: width.div_ceil(4) as u32,
                stride: stride(width) / 4,
                gather: u32::from(is_final),
                epsilon: NORM_EPSILON,
            }),
            bindings: rms_norm::Bindings {
                shape: Resource::Shape,
                weight: Resource::Norm(id),
                output: Resource::Buffer(BufferId::Normed),
                input: Resource::Buffer(BufferId::Hidden),
                tokens: Resource::Buffer(BufferId::Tokens),
                first_row: Resource::Buffer(first_row),
            }
            .into_list(),
            workgroups: 1,
            shape: DispatchShape::Rows(1),
        };
        Op {
            stage,
            layer: None,
            base_macs: 2 * width as u64,
            traffic: Traffic {
                weights: floats(width),
                read: floats(width),
                written: floats(width),
                ..Traffic::default()
            },
            work: match is_final {
                true => Work::All(vec![dispatch]),
                false => Work::Classes {
                    generated: Vec::new(),
                    prompt: vec![dispatch],
                },
            },
        }
    }
}

fn bytes_of<T: bytemuck::Pod>(parameters: &T) -> Vec<u8> {
    bytemuck::bytes_of(parameters).to_vec()
}

/// The buffer for rows of `width` that a product reads: one of its own where the width has no whole pair of blocks.
fn own_or_shared(id: fn(Option<usize>) -> BufferId, width: usize) -> BufferId {
    id((!width.is_multiple_of(ROW_PAD)).then_some(width))
}

const _: () = assert!(
    LANES == 64,
    "attention and the padding of strides count on it"
);

const _: () = assert!(64 % GROUP == 0, "rows of logits are padded to 64 floats");

/// Every kernel of a plan for a shape, such as `shape:270M`, once; on an adapter whose subgroups have at least `subgroup_lanes`.
#[cfg(test)]
pub(crate) fn kernels_of(
    shape: &str,
    dtype: crate::Dtype,
    path: ComputePath,
    tuning: Tuning,
    subgroup_lanes: u32,
) -> Vec<KernelSpec> {
    let checkpoint = crate::Checkpoint::open(shape).unwrap();
    let mut layout = super::weights::layout(&checkpoint, Some(dtype)).unwrap();
    layout.split_into(1 << 30);
    let plan = Plan::new(Blueprint {
        config: &checkpoint.config,
        layout: &layout,
        path,
        tuning,
        subgroup_lanes,
        sizes: StepSizes {
            rows: 512,
            generated: 64,
            logits: 128,
            reports: 128,
        },
        context_size: 2048,
        exact_kv: false,
    });
    let mut unique: Vec<KernelSpec> = Vec::new();
    for kernel in plan.kernels() {
        if !unique.contains(kernel) {
            unique.push(kernel.clone());
        }
    }
    unique
}

#[cfg(test)]
mod tests {
    use super::super::op::{ClassRows, Extent};
    use super::super::weights;
    use super::*;
    use crate::checkpoint::Checkpoint;
    use crate::dtype::Dtype;

    fn plan(path: ComputePath, int8: bool) -> (Plan, Config) {
        let checkpoint = Checkpoint::open("shape:270M").unwrap();
        let mut layout = weights::layout(&checkpoint, Some(Dtype::Q8)).unwrap();
        layout.split_into(128 << 20);
        let plan = Plan::new(Blueprint {
            config: &checkpoint.config,
            layout: &layout,
            path,
            tuning: Tuning {
                int8,
                ..Tuning::default()
            },
            subgroup_lanes: 32,
            sizes: StepSizes {
                rows: 64,
                generated: 64,
                logits: 32,
                reports: 32,
            },
            context_size: 2048,
            exact_kv: false,
        });
        (plan, checkpoint.config)
    }

    /// Operations that a step needs, without those that choose tokens.
    fn needed(plan: &Plan, extent: &Extent) -> usize {
        let ops = plan.ops.trunk.iter().chain(&plan.ops.tail);
        ops.filter(|op| op.is_needed(extent)).count()
    }

    fn extent(rows: ClassRows, kv_len: u32, has_runs: bool) -> Extent {
        Extent {
            rows,
            cache_rows: kv_len.into(),
            positions: kv_len.into(),
            generated_kv_len: kv_len,
            has_runs,
        }
    }

    /// What a token costs before it has computed anything: each dispatch waits for the one before.
    #[test]
    fn a_token_of_270m_takes_at_most_85_dispatches() {
        let (plan, _) = plan(ComputePath::Gpu, false);
        let sample = [&plan.ops.sample_groups, &plan.ops.sample_picks[1]];
        for kv_len in [1, 128, 129, 1000, 2048] {
            let extent = extent(ClassRows::new(1, 0), kv_len, false);
            let mut dispatches = 0;
            let ops = plan.ops.trunk.iter().chain(&plan.ops.tail).chain(sample);
            for op in ops {
                op.each(&extent, |_, _, _| dispatches += 1);
            }
            assert!(dispatches <= 85, "{dispatches} at {kv_len} positions");
        }
    }

    /// A plan can be read without a device: how many dispatches a token takes, and what every operation is bound to.
    #[test]
    fn a_plan_is_data() {
        for (path, int8) in [
            (ComputePath::Gpu, false),
            (ComputePath::Software, false),
            (ComputePath::Software, true),
        ] {
            let (plan, config) = plan(path, int8);
            let layers = config.layers.len();
            // Five operations a layer, wherever the token stands, and embedding, final norm and head; where attention does not make its queries
            // itself, or other rows of the step look at what it would write, six.
            let fused = match path {
                ComputePath::Gpu => layers,
                ComputePath::Software => 0,
            };
            let token = ClassRows::new(1, 0);
            for kv_len in [1, 100, 2048] {
                let extent = extent(token.clone(), kv_len, false);
                assert_eq!(needed(&plan, &extent), 6 * layers + 3 - fused);
            }
            let run = extent(ClassRows::new(3, 0), 1000, true);
            assert_eq!(needed(&plan, &run), 6 * layers + 3);
            // A long prompt has its norms by themselves.
            let prompt = extent(ClassRows::new(0, 64), 1000, false);
            if plan.has_classes {
                assert_eq!(needed(&plan, &prompt), 6 * layers + 3 + 2 * fused);
            }
            assert_eq!(plan.has_classes, path == ComputePath::Gpu || int8);
            // Whatever is bound is planned, but for what the pool has.
            let ops = plan.ops.trunk.iter().chain(&plan.ops.tail);
            let ops = ops
                .chain([&plan.ops.sample_ngrams, &plan.ops.sample_groups])
                .chain(&plan.ops.sample_picks);
            for op in ops {
                let dispatches = match &op.work {
                    Work::All(all) => all.iter().collect::<Vec<_>>(),
                    Work::Classes { generated, prompt } => generated.iter().chain(prompt).collect(),
                };
                for dispatch in dispatches {
                    assert_eq!(dispatch.bindings.len(), dispatch.kernel.bindings.len());
                    for resource in &dispatch.bindings {
                        let (Resource::Buffer(id) | Resource::Window(id, _)) = resource else {
                            continue;
                        };
                        let is_pools = [BufferId::RowTable, BufferId::History, BufferId::Chosen];
                        let planned = plan.buffers.iter().find(|buffer| buffer.id == *id);
                        assert!(planned.is_some() || is_pools.contains(id), "{id:?}");
                        if let (Some(planned), Resource::Window(_, bytes)) = (planned, resource) {
                            assert!(*bytes <= planned.bytes, "{id:?}");
                        }
                    }
                }
            }
        }
    }
}

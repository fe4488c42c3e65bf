//! The plan of a step as data: every operation, the dispatches that it may take, what they are bound to by name, and how large all
//! memory is. It needs no device; `launch.rs` binds it to one.

use super::op::{DispatchShape, HasShape, Op, Stage, Traffic, Work};
use super::sizes::{self, LOGITS_TILE, StepSizes, floats, stride, widest};
use super::weights::{Layout, MatrixId, MatrixLayout, PartLayout};
use crate::checkpoint::config::NORM_EPSILON;
use crate::checkpoint::{Activation, Config};
use crate::gpu::KernelSpec;
use crate::kernels::linear::{self, Arithmetic, Input, Mapping, Output, Tuning, UNIFORM_WINDOW};
use crate::kernels::sample::{self, Choice, GROUP};
use crate::kernels::{
    BLOCK, BatchClass, ComputePath, FirstRow, LANES, ROW_PAD, TokenInput, attention, embed,
    qk_norm_rope, rms_norm,
};

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
    /// What attention's splits of generated rows hand over.
    Partials,
    /// Attention's output; a width that has no whole pair of blocks has a buffer of its own, because what lies beyond it must stay
    /// zero.
    Attended(Option<usize>),
    /// The FFN's inner activations, likewise.
    Ffn(Option<usize>),
    Logits,
    /// Not 0 once a key or value did not fit the cache's format.
    Overflow,
    /// Logits with the repetition penalty, and what is known of every group of them.
    Adjusted,
    Groups,
    /// [`sample::Row`]s.
    SampleRows,
    /// What was chosen for each of them.
    Report,
    /// Of the pool: cache rows by position, ids that occurred, and the id chosen last, each by sequence.
    RowTable,
    Seen,
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
    /// Parameters of both kernels that choose tokens.
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
    /// Final norm and output head, for every row of logits.
    pub tail: Vec<Op<D>>,
    /// Choosing tokens: what every way begins with, then greedy and random picks.
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
}

/// What a plan is made from.
#[derive(Clone, Copy)]
pub struct Blueprint<'a> {
    pub config: &'a Config,
    /// Split into parts.
    pub layout: &'a Layout,
    pub path: ComputePath,
    pub tuning: Tuning,
    pub sizes: StepSizes,
    pub context_size: usize,
    /// Whether keys and values are f32.
    pub exact_kv: bool,
}

/// The number that `lib/activation.wgsl` gives an activation.
fn activation_number(activation: Activation) -> u32 {
    match activation {
        Activation::Silu => 0,
        Activation::Relu => 1,
        Activation::GeluTanh => 2,
        Activation::Gelu => 3,
    }
}

impl Plan {
    pub fn new(blueprint: Blueprint<'_>) -> Self {
        let Blueprint { config, layout, .. } = blueprint;
        let mut trunk = blueprint.embed();
        for index in 0..config.layers.len() {
            let mut ops = blueprint.layer(index);
            ops.iter_mut().for_each(|op| op.layer = Some(index as u32));
            trunk.extend(ops);
        }
        let mut tail = vec![blueprint.norm(NormId::Final, Stage::FinalNorm)];
        tail.extend(blueprint.linear(&Product {
            id: MatrixId::Head,
            matrix: layout.head(),
            output: Output::Store,
            stage: Stage::Head,
            norm: None,
            from: BufferId::Normed,
            to: BufferId::Logits,
            to_width: config.vocab_size,
        }));
        let (sample_groups, sample_picks) = blueprint.sample();
        Self {
            ops: Ops {
                trunk,
                tail,
                sample_groups,
                sample_picks,
            },
            buffers: blueprint.buffers(),
            has_classes: blueprint.has_classes(),
        }
    }

    /// The kernels that it asks for, some of them several times.
    pub fn kernels(&self) -> impl Iterator<Item = &KernelSpec> {
        let ops = self.ops.trunk.iter().chain(&self.ops.tail);
        let sample = std::iter::once(&self.ops.sample_groups).chain(&self.ops.sample_picks);
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

    fn buffers(&self) -> Vec<PlannedBuffer> {
        let Self {
            config,
            path,
            sizes,
            context_size,
            ..
        } = *self;
        let rows = sizes.activation_rows();
        let mut buffers = Vec::new();
        let mut add = |id, bytes, is_uniform| {
            buffers.push(PlannedBuffer {
                id,
                bytes,
                is_uniform,
            });
        };
        // A window that begins at the last row must still lie within the buffer.
        let activations = |width| rows as u64 * u64::from(stride(width)) * 4 + UNIFORM_WINDOW;
        let first_row = size_of::<FirstRow>() as u64;
        add(
            BufferId::Tokens,
            (rows * size_of::<TokenInput>()) as u64,
            false,
        );
        add(BufferId::PromptRows, first_row, true);
        add(BufferId::PromptLogits, first_row, true);
        add(BufferId::Zero, first_row, true);
        add(BufferId::Hidden, activations(config.model_dim), true);
        add(BufferId::Normed, activations(config.model_dim), true);
        let qkv = widest(config, |layer| config.qkv_dim(layer));
        add(BufferId::Qkv, activations(qkv), false);
        let padded_head = config.head_dim.next_multiple_of(BLOCK);
        let queries = widest(config, |layer| layer.q_heads * padded_head);
        add(BufferId::Queries, activations(queries), true);
        let indices = match path {
            ComputePath::Gpu => 1,
            ComputePath::Software => rows as u64,
        };
        add(
            BufferId::TokenIndices,
            indices * u64::from(TOKEN_INDEX_STRIDE),
            true,
        );
        let partials = sizes::partial_bytes(config, path, sizes.generated, context_size);
        add(BufferId::Partials, partials, false);
        for layer in &config.layers {
            let widths = [
                (
                    BufferId::Attended as fn(_) -> _,
                    layer.q_heads * config.head_dim,
                ),
                (BufferId::Ffn as fn(_) -> _, layer.ffn_dim),
            ];
            for (id, width) in widths {
                add(own_or_shared(id, width), activations(width), true);
            }
        }
        let logits_row = u64::from(stride(config.vocab_size)) * 4;
        add(
            BufferId::Logits,
            sizes.logits_rows() as u64 * logits_row,
            false,
        );
        add(BufferId::Overflow, 16, false);
        let groups = config.vocab_size.div_ceil(GROUP);
        let choices = sizes.choices as u64;
        add(BufferId::Adjusted, choices * floats(groups * GROUP), false);
        add(BufferId::Groups, choices * groups as u64 * 16, false);
        add(
            BufferId::SampleRows,
            (sample::MOST_ROWS * size_of::<sample::Row>()) as u64,
            true,
        );
        add(
            BufferId::Report,
            choices * floats(sample::REPORT_WORDS),
            false,
        );
        // Of several layers that share a buffer the widest counts.
        buffers.sort_by_key(|buffer| std::cmp::Reverse(buffer.bytes));
        let mut unique: Vec<PlannedBuffer> = Vec::new();
        for buffer in buffers {
            if unique.iter().all(|other| other.id != buffer.id) {
                unique.push(buffer);
            }
        }
        unique
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
            from: ffn,
            to: BufferId::Hidden,
            to_width: config.model_dim,
        };
        let mut ops = Vec::new();
        ops.extend(self.unfused_norm(NormId::Attn(index), Stage::AttnNorm));
        ops.extend(self.linear(&qkv));
        ops.push(self.qk_norm_rope(index));
        ops.extend(self.attention(index, attended));
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

    fn qk_norm_rope(&self, index: usize) -> Op<Dispatch> {
        let (config, layer) = (self.config, &self.config.layers[index]);
        let (q_heads, kv_heads) = (layer.q_heads as u32, layer.kv_heads as u32);
        let dispatch = Dispatch {
            kernel: qk_norm_rope::spec(self.path, self.exact_kv),
            parameters: bytes_of(&qk_norm_rope::Shape {
                head_dim: config.head_dim as u32,
                blocks: config.head_dim.div_ceil(BLOCK) as u32,
                q_heads,
                kv_heads,
                normalize: u32::from(config.normalize_qk_projections),
                qkv_stride: stride(config.qkv_dim(layer)),
                q_stride: self.query_stride(layer.q_heads) / 4,
                epsilon: NORM_EPSILON,
            }),
            bindings: qk_norm_rope::Bindings {
                shape: Resource::Shape,
                tokens: Resource::Buffer(BufferId::Tokens),
                qkv: Resource::Buffer(BufferId::Qkv),
                norms: Resource::Norm(NormId::Qk(index)),
                rotations: Resource::Rotations,
                queries: Resource::Buffer(BufferId::Queries),
                keys: Resource::Keys(index),
                values: Resource::Values(index),
                overflow: Resource::Buffer(BufferId::Overflow),
            }
            .into_list(),
            workgroups: qk_norm_rope::workgroups(q_heads, kv_heads),
            shape: DispatchShape::Rows(1),
        };
        Op {
            stage: Stage::QkNormRope,
            layer: None,
            base_macs: 4 * config.qkv_dim(layer) as u64,
            traffic: Traffic {
                read: floats(config.qkv_dim(layer)),
                written: floats(layer.q_heads * config.head_dim)
                    + 2 * sizes::layer_row_bytes(config, layer.kv_heads, self.exact_kv),
                ..Traffic::default()
            },
            work: Work::All(vec![dispatch]),
        }
    }

    /// Floats from one row's queries to the next: whole blocks a head.
    fn query_stride(&self, q_heads: usize) -> u32 {
        stride(q_heads * self.config.head_dim.next_multiple_of(BLOCK))
    }

    /// Attention, and on [`ComputePath::Gpu`] what adds up its splits.
    fn attention(&self, index: usize, output: BufferId) -> Vec<Op<Dispatch>> {
        let (config, layer) = (self.config, &self.config.layers[index]);
        let q_dim = layer.q_heads * config.head_dim;
        let q_stride = self.query_stride(layer.q_heads);
        let group = (layer.q_heads / layer.kv_heads) as u32;
        let blocks = config.head_dim.div_ceil(BLOCK) as u32;
        let (split, splits) = attention::splits(self.context_size);
        let parameters = |split: u32| {
            bytes_of(&attention::Shape {
                head_dim: config.head_dim as u32,
                blocks,
                group,
                quads: group.div_ceil(4),
                kv_heads: layer.kv_heads as u32,
                q_stride,
                stride: stride(q_dim),
                scale: 1.0 / (config.head_dim as f32).sqrt(),
                split,
                splits: splits as u32,
            })
        };
        let kernel = attention::spec(self.path, self.exact_kv, self.tuning.subgroups);
        let (q_heads, kv_heads) = (layer.q_heads as u32, layer.kv_heads as u32);
        let workgroups = attention::workgroups(self.path, q_heads, kv_heads, blocks);
        let op = |work, base_macs, traffic| Op {
            stage: Stage::Attention,
            layer: None,
            base_macs,
            traffic,
            work,
        };
        let traffic = Traffic {
            read: floats(q_dim),
            written: floats(q_dim),
            position: 2 * sizes::layer_row_bytes(config, layer.kv_heads, self.exact_kv),
            ..Traffic::default()
        };
        let buffer = Resource::Buffer;
        if self.path == ComputePath::Software {
            let dispatch = Dispatch {
                kernel,
                parameters: parameters(u32::MAX),
                bindings: attention::LanesBindings {
                    shape: Resource::Shape,
                    tokens: buffer(BufferId::Tokens),
                    queries: Resource::Window(BufferId::Queries, UNIFORM_WINDOW),
                    keys: Resource::Keys(index),
                    values: Resource::Values(index),
                    output: buffer(output),
                    token_index: Resource::Window(BufferId::TokenIndices, 16),
                    rows: buffer(BufferId::RowTable),
                }
                .into_list(),
                workgroups,
                shape: DispatchShape::Batches {
                    tokens: UNIFORM_WINDOW as u32 / (q_stride * 4),
                    in_bytes: q_stride * 4,
                },
            };
            return vec![op(Work::All(vec![dispatch]), q_dim as u64, traffic)];
        }
        let dispatch = |split, first_row, shape| Dispatch {
            kernel: kernel.clone(),
            parameters: parameters(split),
            bindings: attention::Bindings {
                shape: Resource::Shape,
                tokens: buffer(BufferId::Tokens),
                queries: buffer(BufferId::Queries),
                keys: Resource::Keys(index),
                values: Resource::Values(index),
                output: buffer(output),
                partials: buffer(BufferId::Partials),
                rows: buffer(BufferId::RowTable),
                first_row: buffer(first_row),
            }
            .into_list(),
            workgroups,
            shape,
        };
        let split = split as u32;
        let work = Work::Classes {
            generated: vec![dispatch(
                split,
                BufferId::Zero,
                DispatchShape::Splits(split),
            )],
            // Many rows keep a GPU busy by themselves.
            prompt: vec![dispatch(
                u32::MAX,
                BufferId::PromptRows,
                DispatchShape::Rows(1),
            )],
        };
        let merge = Dispatch {
            kernel: attention::merge_spec(),
            parameters: parameters(split),
            bindings: attention::MergeBindings {
                shape: Resource::Shape,
                tokens: buffer(BufferId::Tokens),
                partials: buffer(BufferId::Partials),
                output: buffer(output),
            }
            .into_list(),
            workgroups,
            shape: DispatchShape::Merge(split),
        };
        let merge = Work::Classes {
            generated: vec![merge],
            prompt: Vec::new(),
        };
        vec![
            op(work, q_dim as u64, traffic),
            op(merge, 0, Traffic::default()),
        ]
    }

    /// One operation a part of the matrix.
    fn linear(&self, product: &Product<'_>) -> Vec<Op<Dispatch>> {
        let tile = match product.stage {
            Stage::Head => LOGITS_TILE as u32,
            _ => self.tuning.tile,
        };
        let Product { matrix, .. } = *product;
        let in_window = in_window(stride(matrix.columns));
        let part = |(index, part): (usize, &PartLayout)| {
            let outputs = match product.output {
                Output::Gated => part.rows / 2,
                _ => part.rows,
            };
            let written = floats(outputs as usize);
            // What a product is added to is read as well.
            let before = match product.output {
                Output::Residual => written,
                _ => 0,
            };
            let of_class = |class| -> Vec<Dispatch> {
                // Where there is room for one row only, tiles have none, and both classes take what generated rows take.
                let is_single = product.to == BufferId::Logits && self.sizes.logits == 1;
                let class = match is_single {
                    true => BatchClass::Generated,
                    false => class,
                };
                let arithmetic = self.tuning.arithmetic(class, matrix.dtype);
                let mappings = Mapping::all_for(self.path, class, arithmetic, tile, in_window);
                let count = if is_single { 1 } else { mappings.len() };
                let mappings = mappings[..count].iter();
                mappings
                    .map(|mapping| self.product(product, (index, part), *mapping, arithmetic))
                    .collect()
            };
            Op {
                stage: product.stage,
                layer: None,
                base_macs: u64::from(part.rows) * matrix.columns as u64,
                traffic: Traffic {
                    weights: u64::from(part.rows) * u64::from(matrix.units()) * 16,
                    read: floats(matrix.columns) + before,
                    written,
                    ..Traffic::default()
                },
                work: match self.has_classes() {
                    false => Work::All(of_class(BatchClass::Generated)),
                    true => Work::Classes {
                        generated: of_class(BatchClass::Generated),
                        prompt: of_class(BatchClass::Prompt),
                    },
                },
            }
        };
        matrix.parts.iter().enumerate().map(part).collect()
    }

    fn product(
        &self,
        product: &Product<'_>,
        (index, part): (usize, &PartLayout),
        mapping: Mapping,
        arithmetic: Arithmetic,
    ) -> Dispatch {
        let Product { matrix, output, .. } = *product;
        let (pairs, second) = output.pairs(part.rows);
        let (in_stride, out_stride) = (stride(matrix.columns), stride(product.to_width));
        let parameters = bytes_of(&linear::Shape {
            rows: part.rows,
            blocks: matrix.blocks(),
            units: matrix.units(),
            pairs,
            second,
            out_offset: part.first,
            out_stride,
            in_stride: in_stride / 4,
            activation: activation_number(self.config.activation),
            width: matrix.columns as u32,
            epsilon: NORM_EPSILON,
        });
        let norm = product.norm.filter(|_| mapping.can_norm());
        let (input, from) = match norm {
            Some(_) => (Input::Normed, BufferId::Hidden),
            None => (Input::Plain, product.from),
        };
        let kernel = linear::Product {
            path: self.path,
            mapping,
            dtype: matrix.dtype,
            arithmetic,
            input,
            output,
        }
        .spec(self.tuning);
        let weights = Resource::Weights(product.id, index);
        let (windows, tokens) = (mapping.windows(), mapping.tokens());
        let buffer = Resource::Buffer;
        let (bindings, shape) = match windows {
            0 if mapping.can_norm() => {
                let bindings = linear::RowBindings {
                    shape: Resource::Shape,
                    weights,
                    output: buffer(product.to),
                    input: buffer(from),
                    norm: norm.map_or(buffer(from), Resource::Norm),
                };
                (bindings.into_list(), DispatchShape::Rows(tokens))
            }
            0 => {
                let first_row = match product.stage {
                    Stage::Head => BufferId::PromptLogits,
                    _ => BufferId::PromptRows,
                };
                let bindings = linear::TileBindings {
                    shape: Resource::Shape,
                    weights,
                    output: buffer(product.to),
                    input: buffer(from),
                    first_row: buffer(first_row),
                };
                (bindings.into_list(), DispatchShape::Rows(tokens))
            }
            _ => {
                let rows = match product.to {
                    BufferId::Logits => self.sizes.logits,
                    _ => self.sizes.rows,
                };
                let columns = columns(tokens, windows, in_stride, rows as u32);
                let out_bytes = u64::from(tokens * columns * out_stride) * 4;
                let to = Resource::Window(product.to, out_bytes);
                let window = Resource::Window(from, UNIFORM_WINDOW);
                let norm = match norm {
                    Some(norm) => Resource::NormWindow(norm, UNIFORM_WINDOW),
                    None => window,
                };
                let bindings = match windows {
                    1 => linear::LaneBindings {
                        shape: Resource::Shape,
                        weights,
                        output: to,
                        norm,
                        input_0: window,
                    }
                    .into_list(),
                    _ => linear::LanesBindings {
                        shape: Resource::Shape,
                        weights,
                        output: to,
                        norm,
                        input_0: window,
                        input_1: window,
                        input_2: window,
                        input_3: window,
                    }
                    .into_list(),
                };
                let shape = DispatchShape::Windows {
                    tokens,
                    windows,
                    columns,
                    in_bytes: in_stride * 4,
                    out_bytes: out_stride * 4,
                };
                (bindings, shape)
            }
        };
        Dispatch {
            kernel,
            parameters,
            bindings,
            workgroups: mapping.workgroups(pairs, self.tuning),
            shape,
        }
    }

    /// What every way of choosing tokens begins with, then greedy and random picks.
    fn sample(&self) -> (Op<Dispatch>, [Op<Dispatch>; 2]) {
        let vocab = self.config.vocab_size;
        let groups = vocab.div_ceil(GROUP);
        let parameters = bytes_of(&sample::Shape {
            vocab: vocab as u32,
            groups: groups as u32,
            logits_stride: stride(vocab) / 4,
            seen_stride: vocab.div_ceil(32) as u32,
        });
        let op = |kernel, bindings, workgroups, traffic| Op {
            stage: Stage::Sample,
            layer: None,
            base_macs: vocab as u64,
            traffic,
            work: Work::All(vec![Dispatch {
                kernel,
                parameters: parameters.clone(),
                bindings,
                workgroups,
                shape: DispatchShape::Rows(1),
            }]),
        };
        let buffer = Resource::Buffer;
        let groups_bindings = sample::GroupsBindings {
            shape: Resource::Shape,
            rows: buffer(BufferId::SampleRows),
            logits: buffer(BufferId::Logits),
            seen: buffer(BufferId::Seen),
            adjusted: buffer(BufferId::Adjusted),
            groups: buffer(BufferId::Groups),
        };
        let first = op(
            sample::groups_spec(),
            groups_bindings.into_list(),
            sample::workgroups(vocab),
            Traffic {
                read: floats(vocab),
                written: floats(vocab),
                ..Traffic::default()
            },
        );
        let picks = Choice::ALL.map(|choice| {
            let bindings = sample::PickBindings {
                shape: Resource::Shape,
                rows: buffer(BufferId::SampleRows),
                logits: buffer(BufferId::Logits),
                adjusted: buffer(BufferId::Adjusted),
                groups: buffer(BufferId::Groups),
                seen: buffer(BufferId::Seen),
                chosen: buffer(BufferId::Chosen),
                report: buffer(BufferId::Report),
            };
            let all = match choice {
                Choice::Highest => 0,
                Choice::Random => floats(vocab),
            };
            let traffic = Traffic {
                read: groups as u64 * 16 + all,
                written: floats(sample::REPORT_WORDS),
                ..Traffic::default()
            };
            op(sample::pick_spec(choice), bindings.into_list(), 1, traffic)
        });
        (first, picks)
    }
}

fn bytes_of<T: bytemuck::Pod>(parameters: &T) -> Vec<u8> {
    bytemuck::bytes_of(parameters).to_vec()
}

/// The buffer for rows of `width` that a product reads: one of its own where the width has no whole pair of blocks.
fn own_or_shared(id: fn(Option<usize>) -> BufferId, width: usize) -> BufferId {
    id((!width.is_multiple_of(ROW_PAD)).then_some(width))
}

/// Tokens whose input lies in one uniform window.
fn in_window(in_stride: u32) -> u32 {
    UNIFORM_WINDOW as u32 / (4 * in_stride)
}

/// Workgroup columns of a dispatch, `tokens` each: as many as there is input for in the windows, of `rows` that there are.
fn columns(tokens: u32, windows: u32, in_stride: u32, rows: u32) -> u32 {
    let most = match tokens {
        1 => 1,
        _ => (in_window(in_stride) * windows).min(rows) / tokens,
    };
    1 << most.max(1).ilog2()
}

const _: () = assert!(
    LANES == 64,
    "attention and the padding of strides count on it"
);

const _: () = assert!(64 % GROUP == 0, "rows of logits are padded to 64 floats");

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
            sizes: StepSizes {
                rows: 64,
                generated: 64,
                logits: 32,
                choices: 32,
            },
            context_size: 2048,
            exact_kv: false,
        });
        (plan, checkpoint.config)
    }

    /// Operations that a step needs, without those that choose tokens.
    fn needed(plan: &Plan, rows: ClassRows, kv_len: u32) -> usize {
        let extent = Extent {
            rows,
            kv_len,
            generated_kv_len: kv_len,
        };
        let ops = plan.ops.trunk.iter().chain(&plan.ops.tail);
        ops.filter(|op| op.is_needed(&extent)).count()
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
            let merges = match path {
                ComputePath::Gpu => layers,
                ComputePath::Software => 0,
            };
            // Six operations a layer, and embedding, final norm and head; over more positions attention's splits are merged.
            let token = ClassRows::new(1, 0);
            assert_eq!(needed(&plan, token.clone(), 100), 6 * layers + 3);
            assert_eq!(needed(&plan, token, 1000), 6 * layers + 3 + merges);
            // A long prompt has its norms by themselves.
            let norms = 2 * merges;
            let prompt = ClassRows::new(0, 64);
            if plan.has_classes {
                assert_eq!(needed(&plan, prompt, 1000), 6 * layers + 3 + norms);
            }
            assert_eq!(plan.has_classes, path == ComputePath::Gpu || int8);
            // Whatever is bound is planned, but for what the pool has.
            let ops = plan.ops.trunk.iter().chain(&plan.ops.tail);
            let ops = ops
                .chain([&plan.ops.sample_groups])
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
                        let is_pools = [BufferId::RowTable, BufferId::Seen, BufferId::Chosen];
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

    /// No window holds more than there is input for.
    #[test]
    fn columns_fit_windows_and_rows() {
        // 270M: model_dim 1280 and the widest FFN, 5120; 3B: FFN of 12288.
        assert_eq!(columns(8, 4, 1280, 32), 4);
        assert_eq!(columns(4, 4, 1280, 32), 8);
        assert_eq!(columns(8, 4, 5120, 32), 1);
        assert_eq!(columns(4, 4, 5120, 32), 2);
        assert_eq!(columns(4, 4, 12288, 32), 1);
        assert_eq!(columns(4, 4, 64, 4), 1);
        assert_eq!(columns(1, 1, 64, 32), 1);
        for in_stride in (64..=16384).step_by(64) {
            for (tokens, windows, rows) in [(4, 4, 32), (8, 4, 32), (4, 4, 4)] {
                let in_window = in_window(in_stride);
                if in_window * windows < tokens {
                    continue;
                }
                let taken = tokens * columns(tokens, windows, in_stride, rows);
                assert!(taken / windows <= in_window, "{in_stride}");
            }
        }
    }
}

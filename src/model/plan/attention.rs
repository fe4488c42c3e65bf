//! From the QKV product to attention's output: q/k norm and rotary embedding, cache write, attention.

use super::{Blueprint, BufferId, Dispatch, NormId, Resource, bytes_of};
use crate::checkpoint::config::NORM_EPSILON;
use crate::kernels::linear::{Attended, UNIFORM_WINDOW};
use crate::kernels::{BLOCK, BatchClass, ComputePath, TokenInput, attention, qk_norm_rope};
use crate::model::op::{DispatchShape, Op, Stage, Traffic, Work};
use crate::model::sizes::{self, floats, stride};

/// Bytes of the tokens that attention of generated rows sees.
const TOKENS_WINDOW: u64 = (attention::MOST_GENERATED * size_of::<TokenInput>()) as u64;

impl Blueprint<'_> {
    /// On [`ComputePath::Gpu`] attention does this for generated rows, where no other row of the step looks at what they write to the cache.
    pub(super) fn qk_norm_rope(&self, index: usize) -> Op<Dispatch> {
        let (config, layer) = (self.config, &self.config.layers[index]);
        let (q_heads, kv_heads) = (layer.q_heads as u32, layer.kv_heads as u32);
        let dispatch = |first_row, shape| Dispatch {
            kernel: qk_norm_rope::spec(self.path, self.exact_kv, config.head_dim),
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
                first_row: Resource::Buffer(first_row),
            }
            .into_list(),
            workgroups: qk_norm_rope::workgroups(q_heads, kv_heads),
            shape,
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
            work: match self.path {
                ComputePath::Software => {
                    Work::All(vec![dispatch(BufferId::Zero, DispatchShape::Rows(1))])
                }
                ComputePath::Gpu => Work::Classes {
                    generated: vec![dispatch(BufferId::Zero, DispatchShape::Runs)],
                    prompt: vec![dispatch(BufferId::PromptRows, DispatchShape::Rows(1))],
                },
            },
        }
    }

    /// Floats from one row's queries to the next: whole blocks a head.
    pub(super) fn query_stride(&self, q_heads: usize) -> u32 {
        stride(q_heads * self.config.head_dim.next_multiple_of(BLOCK))
    }

    fn spread(&self, class: BatchClass) -> attention::Spread {
        let subgroup_lanes = match self.tuning.subgroups {
            true => self.subgroup_lanes,
            false => 0,
        };
        attention::Spread::new(self.config.head_dim, class, subgroup_lanes)
    }

    /// Positions of a split of a generated row's, and how many splits there are.
    pub(super) fn splits(&self) -> (usize, usize) {
        self.spread(BatchClass::Generated).splits(self.context_size)
    }

    /// What the output projection of generated rows is of on [`ComputePath::Gpu`].
    pub(super) fn attended(&self, q_heads: usize) -> Attended {
        Attended {
            head_dim: self.config.head_dim as u32,
            splits: self.splits().1 as u32,
            record: sizes::record_floats(self.config, q_heads) / 4,
        }
    }

    pub(super) fn attention(&self, index: usize, output: BufferId) -> Op<Dispatch> {
        let (config, layer) = (self.config, &self.config.layers[index]);
        let q_dim = layer.q_heads * config.head_dim;
        let work = match self.path {
            // The first for a step of one row, the last for all others.
            ComputePath::Software => {
                let dispatch = |covered| self.lanes_attention(index, output, covered);
                Work::All(attention::COVERED.map(dispatch).into())
            }
            ComputePath::Gpu => Work::Classes {
                generated: vec![self.generated_attention(index)],
                prompt: vec![self.prompt_attention(index, output)],
            },
        };
        Op {
            stage: Stage::Attention,
            layer: None,
            base_macs: q_dim as u64,
            traffic: Traffic {
                read: floats(q_dim),
                written: floats(q_dim),
                position: 2 * sizes::layer_row_bytes(config, layer.kv_heads, self.exact_kv),
                ..Traffic::default()
            },
            work,
        }
    }

    /// For positions that one workgroup takes all of, from queries that are ready.
    fn attention_shape(&self, index: usize) -> attention::Shape {
        let (config, layer) = (self.config, &self.config.layers[index]);
        let group = (layer.q_heads / layer.kv_heads) as u32;
        attention::Shape {
            head_dim: config.head_dim as u32,
            blocks: config.head_dim.div_ceil(BLOCK) as u32,
            group,
            quads: group.div_ceil(4),
            kv_heads: layer.kv_heads as u32,
            q_stride: self.query_stride(layer.q_heads),
            stride: stride(layer.q_heads * config.head_dim),
            scale: 1.0 / (config.head_dim as f32).sqrt(),
            split: u32::MAX,
            splits: 1,
            normalize: u32::from(config.normalize_qk_projections),
            epsilon: NORM_EPSILON,
        }
    }

    fn attention_workgroups(&self, index: usize) -> u32 {
        let layer = &self.config.layers[index];
        attention::workgroups(layer.q_heads as u32, layer.kv_heads as u32)
    }

    fn lanes_attention(&self, index: usize, output: BufferId, covered: u32) -> Dispatch {
        let (layer, shape) = (&self.config.layers[index], self.attention_shape(index));
        let (q_heads, kv_heads) = (layer.q_heads as u32, layer.kv_heads as u32);
        Dispatch {
            kernel: attention::lanes_spec(self.exact_kv, self.tuning.subgroups, covered),
            parameters: bytes_of(&shape),
            bindings: attention::LanesBindings {
                shape: Resource::Shape,
                tokens: Resource::Buffer(BufferId::Tokens),
                queries: Resource::Window(BufferId::Queries, UNIFORM_WINDOW),
                keys: Resource::Keys(index),
                values: Resource::Values(index),
                output: Resource::Buffer(output),
                token_index: Resource::Window(BufferId::TokenIndices, 16),
                rows: Resource::Buffer(BufferId::RowTable),
            }
            .into_list(),
            workgroups: attention::lanes_workgroups(q_heads, kv_heads, shape.blocks, covered),
            shape: DispatchShape::Batches {
                tokens: UNIFORM_WINDOW as u32 / (shape.q_stride * 4),
                in_bytes: shape.q_stride * 4,
            },
        }
    }

    /// Many rows keep a GPU busy by themselves, so their positions are not split.
    fn prompt_attention(&self, index: usize, output: BufferId) -> Dispatch {
        let class = BatchClass::Prompt;
        Dispatch {
            kernel: attention::spec(class, self.exact_kv, self.spread(class)),
            parameters: bytes_of(&self.attention_shape(index)),
            bindings: attention::PromptBindings {
                shape: Resource::Shape,
                tokens: Resource::Buffer(BufferId::Tokens),
                queries: Resource::Buffer(BufferId::Queries),
                keys: Resource::Keys(index),
                values: Resource::Values(index),
                output: Resource::Buffer(output),
                first_row: Resource::Buffer(BufferId::PromptRows),
                rows: Resource::Buffer(BufferId::RowTable),
            }
            .into_list(),
            workgroups: self.attention_workgroups(index),
            shape: DispatchShape::Rows(1),
        }
    }

    /// From the QKV product to records of splits, which the output projection adds up.
    fn generated_attention(&self, index: usize) -> Dispatch {
        let layer = &self.config.layers[index];
        let class = BatchClass::Generated;
        let (split, splits) = self.splits();
        Dispatch {
            kernel: attention::spec(class, self.exact_kv, self.spread(class)),
            parameters: bytes_of(&attention::Shape {
                q_stride: stride(self.config.qkv_dim(layer)),
                stride: sizes::record_floats(self.config, layer.q_heads),
                split: split as u32,
                splits: splits as u32,
                ..self.attention_shape(index)
            }),
            bindings: attention::GeneratedBindings {
                shape: Resource::Shape,
                tokens: Resource::Window(BufferId::Tokens, TOKENS_WINDOW),
                qkv: Resource::Buffer(BufferId::Qkv),
                keys: Resource::Keys(index),
                values: Resource::Values(index),
                output: Resource::Buffer(BufferId::Partials),
                overflow: Resource::Buffer(BufferId::Overflow),
                rows: Resource::Buffer(BufferId::RowTable),
                norms: Resource::Norm(NormId::Qk(index)),
                rotations: Resource::Rotations,
            }
            .into_list(),
            workgroups: self.attention_workgroups(index),
            shape: DispatchShape::Splits(split as u32),
        }
    }
}

//! From the QKV product to attention's output: q/k norm and rotary embedding, cache write, attention.

use super::{Blueprint, BufferId, Dispatch, NormId, Resource, bytes_of};
use crate::checkpoint::config::NORM_EPSILON;
use crate::kernels::linear::UNIFORM_WINDOW;
use crate::kernels::{BLOCK, ComputePath, attention, qk_norm_rope};
use crate::model::op::{DispatchShape, Op, Stage, Traffic, Work};
use crate::model::sizes::{self, floats, stride};

impl Blueprint<'_> {
    pub(super) fn qk_norm_rope(&self, index: usize) -> Op<Dispatch> {
        let (config, layer) = (self.config, &self.config.layers[index]);
        let (q_heads, kv_heads) = (layer.q_heads as u32, layer.kv_heads as u32);
        let dispatch = Dispatch {
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
    pub(super) fn query_stride(&self, q_heads: usize) -> u32 {
        stride(q_heads * self.config.head_dim.next_multiple_of(BLOCK))
    }

    /// Attention, and on [`ComputePath::Gpu`] what adds up its splits.
    pub(super) fn attention(&self, index: usize, output: BufferId) -> Vec<Op<Dispatch>> {
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
        let (q_heads, kv_heads) = (layer.q_heads as u32, layer.kv_heads as u32);
        let workgroups = attention::workgroups(q_heads, kv_heads);
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
            let subgroups = self.tuning.subgroups;
            let dispatch = |covered| Dispatch {
                kernel: attention::lanes_spec(self.exact_kv, subgroups, covered),
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
                workgroups: attention::lanes_workgroups(q_heads, kv_heads, blocks, covered),
                shape: DispatchShape::Batches {
                    tokens: UNIFORM_WINDOW as u32 / (q_stride * 4),
                    in_bytes: q_stride * 4,
                },
            };
            // The first for a step of one row, the last for all others.
            let work = Work::All(attention::COVERED.map(dispatch).into());
            return vec![op(work, q_dim as u64, traffic)];
        }
        let dispatch = |split, first_row, shape| Dispatch {
            kernel: attention::spec(self.path, self.exact_kv, false),
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
}

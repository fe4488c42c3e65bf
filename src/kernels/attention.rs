//! `attention.wgsl`, `attention_merge.wgsl` and `attention_lanes.wgsl`: causal grouped-query attention; one workgroup a token and
//! four query heads of a group, in the first also a split of the positions, and in the last four blocks of the output.

use super::{WeightSource, cache_slots, uniform_struct};
use crate::gpu::shader::Variant;
use crate::gpu::{BindingKind, KernelSpec};

uniform_struct! {
    /// `Shape` of the shader, which says what each field means.
    Shape {
        head_dim: u32,
        blocks: u32,
        group: u32,
        quads: u32,
        cache_rows: u32,
        q_stride: u32,
        stride: u32,
        scale: f32,
        split: u32,
        splits: u32,
    }
}

/// Positions that a workgroup takes at least, where a token's are split.
pub const LEAST_SPLIT: usize = 128;

/// The most splits.
pub const MOST_SPLITS: usize = 64;

/// Positions of a split and the number of splits that cover a context.
pub fn splits(context_size: usize) -> (usize, usize) {
    let split = context_size
        .div_ceil(MOST_SPLITS)
        .next_multiple_of(64)
        .max(LEAST_SPLIT);
    (split, context_size.div_ceil(split))
}

/// `vec4`s that a split hands over for a token and four heads.
pub fn partial_vectors(head_dim: usize) -> usize {
    2 + head_dim.next_multiple_of(super::BLOCK)
}

/// Bindings: shape, tokens, queries, keys, values, output; then partials, with textures the window's first token. `exact`: the cache is
/// f32. `subgroups`: as in [`super::linear::Tuning`].
pub fn spec(source: WeightSource, exact: bool, subgroups: bool) -> KernelSpec {
    let formats = ["lib/cache_read_f16.wgsl", "lib/cache_read_f32.wgsl"];
    let mut bindings = vec![BindingKind::Uniform, BindingKind::Read];
    let file = match source {
        WeightSource::Buffer => {
            bindings.extend([BindingKind::Read; 3]);
            bindings.extend([BindingKind::Write; 2]);
            "attention.wgsl"
        }
        WeightSource::Texture => {
            bindings.extend([
                BindingKind::UniformWindow,
                BindingKind::Texture,
                BindingKind::Texture,
                BindingKind::Write,
                BindingKind::UniformWindow,
            ]);
            "attention_lanes.wgsl"
        }
    };
    let mut slots = cache_slots(source, exact, formats);
    if source == WeightSource::Texture {
        let file = match subgroups {
            true => "lib/queries_shared.wgsl",
            false => "lib/queries_each.wgsl",
        };
        slots.push(("queries", file));
    }
    KernelSpec {
        variant: Variant { file, slots },
        constants: vec![],
        bindings,
    }
}

/// Workgroups for one token.
pub fn workgroups(source: WeightSource, q_heads: u32, kv_heads: u32, blocks: u32) -> u32 {
    let quads = kv_heads * (q_heads / kv_heads).div_ceil(4);
    match source {
        WeightSource::Buffer => quads,
        WeightSource::Texture => quads * blocks.div_ceil(4),
    }
}

/// Bindings of the merge: shape, tokens, partials, output.
pub fn merge_spec() -> KernelSpec {
    KernelSpec {
        variant: Variant {
            file: "attention_merge.wgsl",
            slots: vec![],
        },
        constants: vec![],
        bindings: vec![
            BindingKind::Uniform,
            BindingKind::Read,
            BindingKind::Read,
            BindingKind::Write,
        ],
    }
}

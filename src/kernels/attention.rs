//! `attention.wgsl`: causal grouped-query attention; one workgroup a token and four query heads of a group.

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
        stride: u32,
        scale: f32,
    }
}

/// Bindings: shape, tokens, queries, keys, values, output. `exact`: the cache is f32.
pub fn spec(source: WeightSource, exact: bool) -> KernelSpec {
    KernelSpec {
        variant: Variant {
            file: "attention.wgsl",
            slots: cache_slots(source, exact),
        },
        bindings: vec![
            BindingKind::Uniform,
            BindingKind::Read,
            BindingKind::Read,
            BindingKind::Read,
            BindingKind::Read,
            BindingKind::Write,
        ],
    }
}

/// Workgroups for one token.
pub fn workgroups(q_heads: u32, kv_heads: u32) -> u32 {
    kv_heads * (q_heads / kv_heads).div_ceil(4)
}

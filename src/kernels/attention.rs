//! `attention.wgsl` and `attention_lanes.wgsl`: causal grouped-query attention; one workgroup a token and four query heads of a
//! group, and in the second four blocks of the output.

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
    }
}

/// Bindings: shape, tokens, queries, keys, values, output; with textures also the window's first token. `exact`: the cache is f32.
pub fn spec(source: WeightSource, exact: bool) -> KernelSpec {
    let formats = ["lib/cache_read_f16.wgsl", "lib/cache_read_f32.wgsl"];
    let mut bindings = vec![BindingKind::Uniform, BindingKind::Read];
    let file = match source {
        WeightSource::Buffer => {
            bindings.extend([BindingKind::Read; 3]);
            bindings.push(BindingKind::Write);
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
    KernelSpec {
        variant: Variant {
            file,
            slots: cache_slots(source, exact, formats),
        },
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

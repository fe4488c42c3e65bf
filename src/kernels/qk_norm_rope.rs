//! `qk_norm_rope.wgsl`: q and k norms, rotary embedding, cache write; one workgroup a head and token.

use std::ops::Range;

use super::{WeightSource, cache_slots, uniform_struct};
use crate::gpu::shader::Variant;
use crate::gpu::{BindingKind, KernelSpec};

uniform_struct! {
    /// `Shape` of the shader, which says what each field means.
    Shape {
        head_dim: u32,
        blocks: u32,
        q_heads: u32,
        kv_heads: u32,
        cache_rows: u32,
        normalize: u32,
        qkv_stride: u32,
        q_stride: u32,
        epsilon: f32,
    }
}

/// Bindings: shape, tokens, qkv, norms, rotations, queries, keys, values. `exact`: the cache is f32.
pub fn spec(source: WeightSource, exact: bool) -> KernelSpec {
    let formats = ["lib/cache_write_f16.wgsl", "lib/cache_write_f32.wgsl"];
    let mut slots = cache_slots(source, exact, formats);
    let (place, cache) = match source {
        WeightSource::Buffer => ("lib/cache_write_buffer.wgsl", BindingKind::Write),
        WeightSource::Texture => ("lib/cache_write_texture.wgsl", BindingKind::TextureWrite),
    };
    slots.push(("place", place));
    KernelSpec {
        variant: Variant {
            file: "qk_norm_rope.wgsl",
            slots,
        },
        constants: vec![],
        bindings: vec![
            BindingKind::Uniform,
            BindingKind::Read,
            BindingKind::Read,
            BindingKind::Read,
            BindingKind::Read,
            BindingKind::Write,
            cache,
            cache,
        ],
    }
}

/// Workgroups for one token.
pub fn workgroups(q_heads: u32, kv_heads: u32) -> u32 {
    q_heads + 2 * kv_heads
}

/// Rows of the shader's table of rotations: `[positions, head_dim / 2]` pairs of cosine and sine.
///
/// Angles are rounded to f32 as Apple's code rounds them, the functions of an angle are not.
pub fn rotations(positions: Range<usize>, head_dim: usize, freq_constant: f32) -> Vec<[f32; 2]> {
    let half = head_dim / 2;
    let frequencies: Vec<f32> = (0..half)
        .map(|d| {
            let exponent = (2 * d) as f32 / head_dim as f32;
            1.0 / (f64::from(freq_constant).powf(f64::from(exponent)) as f32)
        })
        .collect();
    positions
        .flat_map(|position| {
            frequencies.iter().map(move |frequency| {
                let angle = f64::from(position as f32 * frequency);
                [angle.cos() as f32, angle.sin() as f32]
            })
        })
        .collect()
}

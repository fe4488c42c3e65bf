//! `qk_norm_rope.wgsl`: q and k norms, rotary embedding, cache write; one workgroup a head and token.

use std::ops::Range;

use super::layout::{bindings, uniform_struct};
use super::{BLOCK, ComputePath};
use crate::gpu::KernelSpec;
use crate::gpu::shader::Variant;

uniform_struct! {
    /// `Shape` of the shader, which says what each field means.
    Shape {
        head_dim: u32,
        blocks: u32,
        q_heads: u32,
        kv_heads: u32,
        normalize: u32,
        qkv_stride: u32,
        q_stride: u32,
        epsilon: f32,
    }
}

bindings! {
    /// What the kernel reads and writes.
    Bindings |path| {
        shape: Uniform,
        tokens: Read,
        qkv: Read,
        norms: Read,
        rotations: Read,
        queries: Write,
        keys: path.cache_write(),
        values: path.cache_write(),
        /// Set where a value is too large for the cache's format.
        overflow: Write,
        first_row: Uniform,
    }
}

/// Lanes that are run together where software computes.
const SOFTWARE_LANES: usize = 8;

/// `exact`: the cache is f32.
pub fn spec(path: ComputePath, exact: bool, head_dim: usize) -> KernelSpec {
    let formats = ["lib/cache_write_f16.wgsl", "lib/cache_write_f32.wgsl"];
    let mut slots = path.cache_slots(exact, formats);
    let place = match path {
        ComputePath::Gpu => "lib/cache_write_buffer.wgsl",
        ComputePath::Software => "lib/cache_write_texture.wgsl",
    };
    slots.push(("place", place));
    KernelSpec {
        variant: Variant {
            file: "qk_norm_rope.wgsl",
            slots,
        },
        constants: match path {
            ComputePath::Gpu => vec![],
            ComputePath::Software => {
                let lanes = head_dim.div_ceil(BLOCK).next_multiple_of(SOFTWARE_LANES);
                vec![("LANES", lanes as f64)]
            }
        },
        bindings: Bindings::<()>::kinds(path),
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

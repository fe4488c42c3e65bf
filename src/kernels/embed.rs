//! `embed.wgsl`: the embedding lookup.

use super::{LANES, WeightSource, uniform_struct, weight_slots};
use crate::dtype::Dtype;
use crate::gpu::shader::Variant;
use crate::gpu::{BindingKind, KernelSpec};

uniform_struct! {
    /// `Shape` of the shader, which says what each field means.
    Shape {
        blocks: u32,
        units: u32,
        row_first: u32,
        row_count: u32,
        out_stride: u32,
    }
}

/// Bindings: shape, weights, hidden, tokens.
pub fn spec(source: WeightSource, dtype: Dtype) -> KernelSpec {
    KernelSpec {
        variant: Variant {
            file: "embed.wgsl",
            slots: weight_slots(source, dtype),
        },
        constants: vec![],
        bindings: vec![
            BindingKind::Uniform,
            source.binding(),
            BindingKind::Write,
            BindingKind::Read,
        ],
    }
}

/// Workgroups for one token.
pub fn workgroups(blocks: u32) -> u32 {
    blocks.div_ceil(LANES)
}

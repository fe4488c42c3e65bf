//! `embed.wgsl`: the embedding lookup.

use super::layout::{bindings, uniform_struct};
use super::{ComputePath, LANES};
use crate::dtype::Dtype;
use crate::gpu::KernelSpec;
use crate::gpu::shader::Variant;

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

bindings! {
    /// What the kernel reads and writes.
    Bindings |path| {
        shape: Uniform,
        weights: path.read(),
        hidden: Write,
        tokens: Read,
        /// Ids that the device chose, one a sequence.
        chosen: Read,
    }
}

pub fn spec(path: ComputePath, dtype: Dtype) -> KernelSpec {
    KernelSpec {
        variant: Variant {
            file: "embed.wgsl",
            slots: path.weight_slots(dtype),
        },
        constants: vec![],
        bindings: Bindings::<()>::kinds(path),
    }
}

/// Workgroups for one token.
pub fn workgroups(blocks: u32) -> u32 {
    blocks.div_ceil(LANES)
}

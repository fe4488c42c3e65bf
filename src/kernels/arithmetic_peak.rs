//! `arithmetic_peak.wgsl`: multiplies and adds as fast as the adapter can.

use super::uniform_struct;
use crate::gpu::shader::Variant;
use crate::gpu::{BindingKind, KernelSpec};

uniform_struct! {
    /// `Shape` of the shader, which says what each field means.
    Shape {
        rounds: u32,
        factor: f32,
        offset: f32,
    }
}

/// Floating-point operations of a lane in a round.
pub const ROUND_FLOPS: u64 = 2 * 12;

/// Bindings: shape, results.
pub fn spec() -> KernelSpec {
    KernelSpec {
        variant: Variant {
            file: "arithmetic_peak.wgsl",
            slots: vec![],
        },
        constants: vec![],
        bindings: vec![BindingKind::Uniform, BindingKind::Write],
    }
}

//! `arithmetic_peak.wgsl`: multiplies and adds as fast as the adapter can.

use super::ComputePath;
use super::layout::{bindings, uniform_struct};
use crate::gpu::KernelSpec;
use crate::gpu::shader::Variant;

uniform_struct! {
    /// `Shape` of the shader, which says what each field means.
    Shape {
        rounds: u32,
        factor: f32,
        offset: f32,
    }
}

bindings! {
    /// What the kernel reads and writes.
    Bindings |path| {
        shape: Uniform,
        results: Write,
    }
}

/// Floating-point operations of a lane in a round.
pub const ROUND_FLOPS: u64 = 2 * 12;

pub fn spec() -> KernelSpec {
    KernelSpec {
        variant: Variant {
            file: "arithmetic_peak.wgsl",
            slots: vec![],
        },
        constants: vec![],
        // The same for both paths.
        bindings: Bindings::<()>::kinds(ComputePath::Gpu),
    }
}

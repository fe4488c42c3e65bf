//! `rms_norm.wgsl`: RMSNorm over the hidden state; one workgroup a token.

use super::ComputePath;
use super::layout::{bindings, uniform_struct};
use crate::gpu::KernelSpec;
use crate::gpu::shader::Variant;

uniform_struct! {
    /// `Shape` of the shader, which says what each field means.
    Shape {
        width: u32,
        vectors: u32,
        stride: u32,
        gather: u32,
        epsilon: f32,
    }
}

bindings! {
    /// What the kernel reads and writes.
    Bindings |path| {
        shape: Uniform,
        weight: Read,
        output: Write,
        input: Read,
        tokens: Read,
        first_row: Uniform,
    }
}

pub fn spec() -> KernelSpec {
    KernelSpec {
        variant: Variant {
            file: "rms_norm.wgsl",
            slots: vec![],
        },
        constants: vec![],
        // The same for both paths.
        bindings: Bindings::<()>::kinds(ComputePath::Gpu),
    }
}

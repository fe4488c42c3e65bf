//! `rms_norm.wgsl`: RMSNorm over the hidden state; one workgroup a token.

use super::uniform_struct;
use crate::gpu::shader::Variant;
use crate::gpu::{BindingKind, KernelSpec};

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

/// Bindings: shape, weight, output, input, tokens.
pub fn spec() -> KernelSpec {
    KernelSpec {
        variant: Variant {
            file: "rms_norm.wgsl",
            slots: vec![],
        },
        constants: vec![],
        bindings: vec![
            BindingKind::Uniform,
            BindingKind::Read,
            BindingKind::Write,
            BindingKind::Read,
            BindingKind::Read,
        ],
    }
}

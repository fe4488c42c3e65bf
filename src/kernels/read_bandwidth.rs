//! `read_bandwidth.wgsl`: reads as fast as the adapter can; one workgroup 64 rows.

use super::{WeightSource, uniform_struct};
use crate::gpu::shader::Variant;
use crate::gpu::{BindingKind, KernelSpec};

uniform_struct! {
    /// `Shape` of the shader, which says what each field means.
    Shape {
        units: u32,
    }
}

/// Bindings: shape, weights, folded.
pub fn spec(source: WeightSource) -> KernelSpec {
    let walk = match source {
        WeightSource::Buffer => "lib/walk_buffer.wgsl",
        WeightSource::Texture => "lib/walk_texture.wgsl",
    };
    KernelSpec {
        variant: Variant {
            file: "read_bandwidth.wgsl",
            slots: vec![("source", source.file()), ("walk", walk)],
        },
        constants: vec![],
        bindings: vec![BindingKind::Uniform, source.binding(), BindingKind::Write],
    }
}

//! `read_bandwidth.wgsl`: reads as fast as the adapter can; one workgroup 64 rows.

use super::ComputePath;
use super::layout::{bindings, uniform_struct};
use crate::gpu::KernelSpec;
use crate::gpu::shader::Variant;

uniform_struct! {
    /// `Shape` of the shader, which says what each field means.
    Shape {
        units: u32,
    }
}

bindings! {
    /// What the kernel reads and writes.
    Bindings |path| {
        shape: Uniform,
        weights: path.read(),
        folded: Write,
    }
}

pub fn spec(path: ComputePath) -> KernelSpec {
    let walk = match path {
        ComputePath::Gpu => "lib/walk_buffer.wgsl",
        ComputePath::Software => "lib/walk_texture.wgsl",
    };
    KernelSpec {
        variant: Variant {
            file: "read_bandwidth.wgsl",
            slots: vec![("source", path.source_file()), ("walk", walk)],
        },
        constants: vec![],
        bindings: Bindings::<()>::kinds(path),
    }
}

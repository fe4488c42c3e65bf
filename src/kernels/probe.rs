//! `probe_halves.wgsl` and `probe_subgroups.wgsl`: what an adapter's instructions do, where that is not sure.

use super::ComputePath;
use super::layout::{bindings, uniform_struct};
use crate::gpu::KernelSpec;
use crate::gpu::shader::Variant;

uniform_struct! {
    /// `Shape` of both shaders, which say what the field means.
    Shape {
        count: u32,
    }
}

bindings! {
    /// Of `probe_halves.wgsl`.
    HalvesBindings |path| {
        shape: Uniform,
        words: Read,
        values: Write,
    }
}

bindings! {
    /// Of `probe_subgroups.wgsl`.
    SubgroupsBindings |path| {
        shape: Uniform,
        found: Write,
    }
}

/// The file that unpacks f16 by the adapter's own instructions.
pub const NATIVE_HALVES: &str = "lib/half_native.wgsl";

/// The file that stands in for it where those lose what is below f16's normal range.
pub const EXACT_HALVES: &str = "lib/half_exact.wgsl";

/// Unpacks f16 by `file`.
pub fn halves_spec(file: &'static str) -> KernelSpec {
    KernelSpec {
        variant: Variant {
            file: "probe_halves.wgsl",
            slots: vec![("half", file)],
        },
        constants: vec![],
        bindings: HalvesBindings::<()>::kinds(ComputePath::Gpu),
    }
}

/// Exchanges numbers in subgroups of at least `lanes` lanes.
pub fn subgroups_spec(lanes: u32) -> KernelSpec {
    KernelSpec {
        variant: Variant {
            file: "probe_subgroups.wgsl",
            slots: vec![],
        },
        constants: vec![("LEAST", f64::from(lanes))],
        bindings: SubgroupsBindings::<()>::kinds(ComputePath::Gpu),
    }
}

//! The compute path: which of two families of kernels an adapter gets, and all that follows from it.

use crate::dtype::Dtype;
use crate::gpu::BindingKind;

/// How a step is computed. What follows:
///
/// | | `Gpu` | `Software` |
/// |---|---|---|
/// | weights, keys and values | storage buffers | rgba32uint textures, read as whole texels |
/// | activations of products | storage buffers | windows of uniform memory |
/// | f16 | the adapter's own instructions | shifts |
/// | matrix products | lanes walk along a row together; tiles for prompts | a lane has whole rows |
/// | attention | lanes share a position; of generated rows with q/k norm and rotary embedding, in splits | a softmax a lane |
/// | RMSNorm | fused into products for generated rows, else a dispatch | fused into products |
/// | rows a step | up to 512 | up to 32 |
///
/// Nothing looks at driver names: `model::tune` measures which is faster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ComputePath {
    /// For hardware.
    Gpu,
    /// For adapters that are programs, which read storage buffers value by value.
    Software,
}

impl ComputePath {
    pub const ALL: [Self; 2] = [Self::Gpu, Self::Software];

    /// `gpu` or `software`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gpu => "gpu",
            Self::Software => "software",
        }
    }

    /// How kernels see weights, and keys and values that they read.
    pub(crate) fn read(self) -> BindingKind {
        match self {
            Self::Gpu => BindingKind::Read,
            Self::Software => BindingKind::Texture,
        }
    }

    /// How kernels see keys and values that they write.
    pub(crate) fn cache_write(self) -> BindingKind {
        match self {
            Self::Gpu => BindingKind::Write,
            Self::Software => BindingKind::TextureWrite,
        }
    }

    /// The file that reads 16-byte units of weights.
    pub(super) fn source_file(self) -> &'static str {
        match self {
            Self::Gpu => "lib/source_buffer.wgsl",
            Self::Software => "lib/source_texture.wgsl",
        }
    }

    fn half_slot(self) -> (&'static str, &'static str) {
        match self {
            Self::Gpu => ("half", "lib/half_native.wgsl"),
            Self::Software => ("half", "lib/half_integer.wgsl"),
        }
    }

    /// Fills the slots `source` and `format`, and `half` where weights or their scales are f16.
    pub(super) fn weight_slots(self, dtype: Dtype) -> Vec<(&'static str, &'static str)> {
        let format = match dtype {
            Dtype::F32 => "lib/weight_f32.wgsl",
            Dtype::F16 => "lib/weight_f16.wgsl",
            Dtype::Bf16 => "lib/weight_bf16.wgsl",
            Dtype::Q8 => "lib/weight_q8.wgsl",
            Dtype::Q4 => "lib/weight_q4.wgsl",
        };
        let mut slots = vec![("source", self.source_file()), ("format", format)];
        if dtype == Dtype::F16 || dtype.is_quantized() {
            slots.push(self.half_slot());
        }
        slots
    }

    /// Fills the slot `cache` with one of two files, and `half` if the cache is f16.
    pub(super) fn cache_slots(
        self,
        exact: bool,
        [f16, f32]: [&'static str; 2],
    ) -> Vec<(&'static str, &'static str)> {
        match exact {
            true => vec![("cache", f32)],
            false => vec![("cache", f16), self.half_slot()],
        }
    }
}

//! One module a kernel: the parameters, bindings and dispatch shape of the `.wgsl` file of the same name, and nothing else.

pub mod attention;
pub mod embed;
pub mod linear;
pub mod qk_norm_rope;
pub mod rms_norm;

use crate::dtype::Dtype;

/// Lanes in every workgroup of this crate.
pub const LANES: u32 = 64;

/// Values in a block, the unit of rows; see `shaders/lib/block.wgsl`.
pub const BLOCK: usize = 8;

/// Every shader file by name, for [`crate::gpu::shader::resolve`].
pub const FILES: &[(&str, &str)] = &[
    ("attention.wgsl", include_str!("../../shaders/attention.wgsl")),
    ("embed.wgsl", include_str!("../../shaders/embed.wgsl")),
    ("linear_decode_lanes.wgsl", include_str!("../../shaders/linear_decode_lanes.wgsl")),
    ("linear_decode_rows.wgsl", include_str!("../../shaders/linear_decode_rows.wgsl")),
    ("linear_prefill_lanes.wgsl", include_str!("../../shaders/linear_prefill_lanes.wgsl")),
    ("linear_prefill_tiles.wgsl", include_str!("../../shaders/linear_prefill_tiles.wgsl")),
    ("qk_norm_rope.wgsl", include_str!("../../shaders/qk_norm_rope.wgsl")),
    ("rms_norm.wgsl", include_str!("../../shaders/rms_norm.wgsl")),
    ("lib/activation.wgsl", include_str!("../../shaders/lib/activation.wgsl")),
    ("lib/block.wgsl", include_str!("../../shaders/lib/block.wgsl")),
    ("lib/cache_f16.wgsl", include_str!("../../shaders/lib/cache_f16.wgsl")),
    ("lib/cache_f32.wgsl", include_str!("../../shaders/lib/cache_f32.wgsl")),
    ("lib/half_integer.wgsl", include_str!("../../shaders/lib/half_integer.wgsl")),
    ("lib/half_native.wgsl", include_str!("../../shaders/lib/half_native.wgsl")),
    ("lib/linear_shape.wgsl", include_str!("../../shaders/lib/linear_shape.wgsl")),
    ("lib/output_activated.wgsl", include_str!("../../shaders/lib/output_activated.wgsl")),
    ("lib/output_gated.wgsl", include_str!("../../shaders/lib/output_gated.wgsl")),
    ("lib/output_residual.wgsl", include_str!("../../shaders/lib/output_residual.wgsl")),
    ("lib/output_store.wgsl", include_str!("../../shaders/lib/output_store.wgsl")),
    ("lib/source_buffer.wgsl", include_str!("../../shaders/lib/source_buffer.wgsl")),
    ("lib/source_texture.wgsl", include_str!("../../shaders/lib/source_texture.wgsl")),
    ("lib/tokens.wgsl", include_str!("../../shaders/lib/tokens.wgsl")),
    ("lib/weight_bf16.wgsl", include_str!("../../shaders/lib/weight_bf16.wgsl")),
    ("lib/weight_f16.wgsl", include_str!("../../shaders/lib/weight_f16.wgsl")),
    ("lib/weight_f32.wgsl", include_str!("../../shaders/lib/weight_f32.wgsl")),
];

/// Where weights lie on the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WeightSource {
    /// A storage buffer: GPUs.
    Buffer,
    /// An rgba32uint texture, with activations in uniform memory: software adapters.
    Texture,
}

impl WeightSource {
    pub const ALL: [Self; 2] = [Self::Buffer, Self::Texture];

    /// `buffer` or `texture`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Buffer => "buffer",
            Self::Texture => "texture",
        }
    }

    fn file(self) -> &'static str {
        match self {
            Self::Buffer => "lib/source_buffer.wgsl",
            Self::Texture => "lib/source_texture.wgsl",
        }
    }

    fn binding(self) -> crate::gpu::BindingKind {
        match self {
            Self::Buffer => crate::gpu::BindingKind::Read,
            Self::Texture => crate::gpu::BindingKind::Texture,
        }
    }
}

/// Fills the slots `source` and `format`, and for f16 `half`.
fn weight_slots(source: WeightSource, dtype: Dtype) -> Vec<(&'static str, &'static str)> {
    let format = match dtype {
        Dtype::F32 => "lib/weight_f32.wgsl",
        Dtype::F16 => "lib/weight_f16.wgsl",
        Dtype::Bf16 => "lib/weight_bf16.wgsl",
    };
    let mut slots = vec![("source", source.file()), ("format", format)];
    if dtype == Dtype::F16 {
        slots.push(half_slot(source));
    }
    slots
}

/// Fills the slot `cache`, with f32 or with f16 and then `half`.
fn cache_slots(source: WeightSource, exact: bool) -> Vec<(&'static str, &'static str)> {
    if exact {
        vec![("cache", "lib/cache_f32.wgsl")]
    } else {
        vec![("cache", "lib/cache_f16.wgsl"), half_slot(source)]
    }
}

/// How f16 is unpacked: adapters that want weights in textures are programs, and those are slow at it.
fn half_slot(source: WeightSource) -> (&'static str, &'static str) {
    match source {
        WeightSource::Buffer => ("half", "lib/half_native.wgsl"),
        WeightSource::Texture => ("half", "lib/half_integer.wgsl"),
    }
}

/// A token of a step, as `shaders/lib/tokens.wgsl` reads it.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, bytemuck::Pod, bytemuck::Zeroable)]
pub struct TokenInput {
    pub id: u32,
    /// Position in its sequence, from 0.
    pub position: u32,
    /// First cache row of its sequence.
    pub cache_start: u32,
    /// For row `t` of the logits: the token of this step whose hidden state it is computed from.
    pub logits_from: u32,
}

/// Declares a uniform struct together with its field names and offsets, which a test compares with the WGSL.
macro_rules! uniform_struct {
    ($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $ty:ty,)* }) => {
        $(#[$meta])*
        #[repr(C)]
        #[derive(Debug, Clone, Copy, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
        pub struct $name { $($(#[$field_meta])* pub $field: $ty,)* }

        impl $name {
            /// Name and byte offset of every field.
            pub const FIELDS: &'static [(&'static str, usize)] =
                &[$((stringify!($field), std::mem::offset_of!($name, $field)),)*];
        }
    };
}
pub(crate) use uniform_struct;

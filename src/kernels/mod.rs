//! One module a kernel: the parameters, bindings and dispatch shape of the `.wgsl` file of the same name, and nothing else.

pub mod arithmetic_peak;
pub mod attention;
pub mod embed;
pub mod linear;
pub mod qk_norm_rope;
pub mod read_bandwidth;
pub mod rms_norm;
pub mod sample;

use crate::dtype::Dtype;

/// Lanes in a workgroup of most kernels.
pub const LANES: u32 = 64;

/// Values in a block, the unit of rows; see `shaders/lib/block.wgsl`.
pub const BLOCK: usize = 8;

/// Every shader file by name, for [`crate::gpu::shader::resolve`].
pub const FILES: &[(&str, &str)] = &[
    (
        "arithmetic_peak.wgsl",
        include_str!("../../shaders/arithmetic_peak.wgsl"),
    ),
    (
        "attention.wgsl",
        include_str!("../../shaders/attention.wgsl"),
    ),
    (
        "attention_lanes.wgsl",
        include_str!("../../shaders/attention_lanes.wgsl"),
    ),
    (
        "attention_merge.wgsl",
        include_str!("../../shaders/attention_merge.wgsl"),
    ),
    ("embed.wgsl", include_str!("../../shaders/embed.wgsl")),
    (
        "linear_decode_lanes.wgsl",
        include_str!("../../shaders/linear_decode_lanes.wgsl"),
    ),
    (
        "linear_decode_rows.wgsl",
        include_str!("../../shaders/linear_decode_rows.wgsl"),
    ),
    (
        "linear_few_rows.wgsl",
        include_str!("../../shaders/linear_few_rows.wgsl"),
    ),
    (
        "linear_prefill_lanes.wgsl",
        include_str!("../../shaders/linear_prefill_lanes.wgsl"),
    ),
    (
        "linear_prefill_octets.wgsl",
        include_str!("../../shaders/linear_prefill_octets.wgsl"),
    ),
    (
        "linear_prefill_tiles.wgsl",
        include_str!("../../shaders/linear_prefill_tiles.wgsl"),
    ),
    (
        "linear_prefill_wide.wgsl",
        include_str!("../../shaders/linear_prefill_wide.wgsl"),
    ),
    (
        "qk_norm_rope.wgsl",
        include_str!("../../shaders/qk_norm_rope.wgsl"),
    ),
    (
        "read_bandwidth.wgsl",
        include_str!("../../shaders/read_bandwidth.wgsl"),
    ),
    ("rms_norm.wgsl", include_str!("../../shaders/rms_norm.wgsl")),
    (
        "sample_groups.wgsl",
        include_str!("../../shaders/sample_groups.wgsl"),
    ),
    (
        "sample_pick.wgsl",
        include_str!("../../shaders/sample_pick.wgsl"),
    ),
    (
        "lib/activation.wgsl",
        include_str!("../../shaders/lib/activation.wgsl"),
    ),
    (
        "lib/attention_partials.wgsl",
        include_str!("../../shaders/lib/attention_partials.wgsl"),
    ),
    (
        "lib/attention_shape.wgsl",
        include_str!("../../shaders/lib/attention_shape.wgsl"),
    ),
    (
        "lib/block.wgsl",
        include_str!("../../shaders/lib/block.wgsl"),
    ),
    (
        "lib/block_dot.wgsl",
        include_str!("../../shaders/lib/block_dot.wgsl"),
    ),
    (
        "lib/cache_read_buffer.wgsl",
        include_str!("../../shaders/lib/cache_read_buffer.wgsl"),
    ),
    (
        "lib/cache_read_f16.wgsl",
        include_str!("../../shaders/lib/cache_read_f16.wgsl"),
    ),
    (
        "lib/cache_read_f32.wgsl",
        include_str!("../../shaders/lib/cache_read_f32.wgsl"),
    ),
    (
        "lib/cache_read_texture.wgsl",
        include_str!("../../shaders/lib/cache_read_texture.wgsl"),
    ),
    (
        "lib/cache_write_buffer.wgsl",
        include_str!("../../shaders/lib/cache_write_buffer.wgsl"),
    ),
    (
        "lib/cache_write_f16.wgsl",
        include_str!("../../shaders/lib/cache_write_f16.wgsl"),
    ),
    (
        "lib/cache_write_f32.wgsl",
        include_str!("../../shaders/lib/cache_write_f32.wgsl"),
    ),
    (
        "lib/cache_write_texture.wgsl",
        include_str!("../../shaders/lib/cache_write_texture.wgsl"),
    ),
    (
        "lib/choose_highest.wgsl",
        include_str!("../../shaders/lib/choose_highest.wgsl"),
    ),
    (
        "lib/choose_random.wgsl",
        include_str!("../../shaders/lib/choose_random.wgsl"),
    ),
    ("lib/each.wgsl", include_str!("../../shaders/lib/each.wgsl")),
    (
        "lib/half_integer.wgsl",
        include_str!("../../shaders/lib/half_integer.wgsl"),
    ),
    (
        "lib/half_native.wgsl",
        include_str!("../../shaders/lib/half_native.wgsl"),
    ),
    (
        "lib/hidden_zero.wgsl",
        include_str!("../../shaders/lib/hidden_zero.wgsl"),
    ),
    (
        "lib/input_each.wgsl",
        include_str!("../../shaders/lib/input_each.wgsl"),
    ),
    (
        "lib/input_int8.wgsl",
        include_str!("../../shaders/lib/input_int8.wgsl"),
    ),
    (
        "lib/input_shared.wgsl",
        include_str!("../../shaders/lib/input_shared.wgsl"),
    ),
    (
        "lib/inputs_each.wgsl",
        include_str!("../../shaders/lib/inputs_each.wgsl"),
    ),
    (
        "lib/inputs_int8.wgsl",
        include_str!("../../shaders/lib/inputs_int8.wgsl"),
    ),
    (
        "lib/inputs_shared.wgsl",
        include_str!("../../shaders/lib/inputs_shared.wgsl"),
    ),
    (
        "lib/lanes.wgsl",
        include_str!("../../shaders/lib/lanes.wgsl"),
    ),
    (
        "lib/lanes_float.wgsl",
        include_str!("../../shaders/lib/lanes_float.wgsl"),
    ),
    (
        "lib/lanes_int8.wgsl",
        include_str!("../../shaders/lib/lanes_int8.wgsl"),
    ),
    (
        "lib/linear_shape.wgsl",
        include_str!("../../shaders/lib/linear_shape.wgsl"),
    ),
    (
        "lib/output_activated.wgsl",
        include_str!("../../shaders/lib/output_activated.wgsl"),
    ),
    (
        "lib/output_gated.wgsl",
        include_str!("../../shaders/lib/output_gated.wgsl"),
    ),
    (
        "lib/output_residual.wgsl",
        include_str!("../../shaders/lib/output_residual.wgsl"),
    ),
    (
        "lib/output_store.wgsl",
        include_str!("../../shaders/lib/output_store.wgsl"),
    ),
    (
        "lib/pair_of_blocks.wgsl",
        include_str!("../../shaders/lib/pair_of_blocks.wgsl"),
    ),
    (
        "lib/pair_scale.wgsl",
        include_str!("../../shaders/lib/pair_scale.wgsl"),
    ),
    (
        "lib/queries_each.wgsl",
        include_str!("../../shaders/lib/queries_each.wgsl"),
    ),
    (
        "lib/queries_shared.wgsl",
        include_str!("../../shaders/lib/queries_shared.wgsl"),
    ),
    ("lib/rows.wgsl", include_str!("../../shaders/lib/rows.wgsl")),
    (
        "lib/rows_float.wgsl",
        include_str!("../../shaders/lib/rows_float.wgsl"),
    ),
    (
        "lib/rows_int8.wgsl",
        include_str!("../../shaders/lib/rows_int8.wgsl"),
    ),
    (
        "lib/sample_shape.wgsl",
        include_str!("../../shaders/lib/sample_shape.wgsl"),
    ),
    (
        "lib/share.wgsl",
        include_str!("../../shaders/lib/share.wgsl"),
    ),
    (
        "lib/source_buffer.wgsl",
        include_str!("../../shaders/lib/source_buffer.wgsl"),
    ),
    (
        "lib/source_texture.wgsl",
        include_str!("../../shaders/lib/source_texture.wgsl"),
    ),
    (
        "lib/store_heads.wgsl",
        include_str!("../../shaders/lib/store_heads.wgsl"),
    ),
    (
        "lib/sums_subgroup.wgsl",
        include_str!("../../shaders/lib/sums_subgroup.wgsl"),
    ),
    (
        "lib/sums_workgroup.wgsl",
        include_str!("../../shaders/lib/sums_workgroup.wgsl"),
    ),
    (
        "lib/tiles.wgsl",
        include_str!("../../shaders/lib/tiles.wgsl"),
    ),
    (
        "lib/tokens.wgsl",
        include_str!("../../shaders/lib/tokens.wgsl"),
    ),
    (
        "lib/walk_buffer.wgsl",
        include_str!("../../shaders/lib/walk_buffer.wgsl"),
    ),
    (
        "lib/walk_texture.wgsl",
        include_str!("../../shaders/lib/walk_texture.wgsl"),
    ),
    (
        "lib/weight_bf16.wgsl",
        include_str!("../../shaders/lib/weight_bf16.wgsl"),
    ),
    (
        "lib/weight_f16.wgsl",
        include_str!("../../shaders/lib/weight_f16.wgsl"),
    ),
    (
        "lib/weight_f32.wgsl",
        include_str!("../../shaders/lib/weight_f32.wgsl"),
    ),
    (
        "lib/weight_q4.wgsl",
        include_str!("../../shaders/lib/weight_q4.wgsl"),
    ),
    (
        "lib/weight_q8.wgsl",
        include_str!("../../shaders/lib/weight_q8.wgsl"),
    ),
    (
        "lib/whole.wgsl",
        include_str!("../../shaders/lib/whole.wgsl"),
    ),
];

/// Rows of weights are padded with zeros to a multiple of this many values: kernels take two blocks at a time, or four.
pub const ROW_PAD: usize = 4 * BLOCK;

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

/// Fills the slots `source` and `format`, and `half` where weights or their scales are f16.
fn weight_slots(source: WeightSource, dtype: Dtype) -> Vec<(&'static str, &'static str)> {
    let format = match dtype {
        Dtype::F32 => "lib/weight_f32.wgsl",
        Dtype::F16 => "lib/weight_f16.wgsl",
        Dtype::Bf16 => "lib/weight_bf16.wgsl",
        Dtype::Q8 => "lib/weight_q8.wgsl",
        Dtype::Q4 => "lib/weight_q4.wgsl",
    };
    let mut slots = vec![("source", source.file()), ("format", format)];
    if dtype == Dtype::F16 || dtype.is_quantized() {
        slots.push(half_slot(source));
    }
    slots
}

/// Fills the slot `cache` with one of two files, and `half` if the cache is f16.
fn cache_slots(
    source: WeightSource,
    exact: bool,
    [f16, f32]: [&'static str; 2],
) -> Vec<(&'static str, &'static str)> {
    if exact {
        vec![("cache", f32)]
    } else {
        vec![("cache", f16), half_slot(source)]
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

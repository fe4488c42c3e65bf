//! Every shader file, compiled into the program.

/// A table of names and texts.
macro_rules! files {
    ($($name:literal,)*) => {
        &[$(($name, include_str!(concat!("../../shaders/", $name))),)*]
    };
}

/// Every shader file by name, for [`crate::gpu::shader::resolve`].
pub const FILES: &[(&str, &str)] = files![
    "arithmetic_peak.wgsl",
    "attention.wgsl",
    "attention_lanes.wgsl",
    "embed.wgsl",
    "linear_decode_lanes.wgsl",
    "linear_decode_rows.wgsl",
    "linear_few_rows.wgsl",
    "linear_prefill_lanes.wgsl",
    "linear_prefill_narrow.wgsl",
    "linear_prefill_octets.wgsl",
    "linear_prefill_single.wgsl",
    "linear_prefill_tiles.wgsl",
    "linear_prefill_wide.wgsl",
    "qk_norm_rope.wgsl",
    "read_bandwidth.wgsl",
    "rms_norm.wgsl",
    "sample_groups.wgsl",
    "sample_ngrams.wgsl",
    "sample_pick.wgsl",
    "lib/activation.wgsl",
    "lib/attended_split.wgsl",
    "lib/attended_whole.wgsl",
    "lib/attention_group.wgsl",
    "lib/attention_shape.wgsl",
    "lib/block.wgsl",
    "lib/block_dot.wgsl",
    "lib/cache_keep_buffer.wgsl",
    "lib/cache_read_buffer.wgsl",
    "lib/cache_read_f16.wgsl",
    "lib/cache_read_f32.wgsl",
    "lib/cache_read_texture.wgsl",
    "lib/cache_write_buffer.wgsl",
    "lib/cache_write_f16.wgsl",
    "lib/cache_write_f32.wgsl",
    "lib/cache_write_texture.wgsl",
    "lib/choose_highest.wgsl",
    "lib/choose_random.wgsl",
    "lib/each.wgsl",
    "lib/first_row.wgsl",
    "lib/group_sums_subgroup.wgsl",
    "lib/group_sums_workgroup.wgsl",
    "lib/half_integer.wgsl",
    "lib/half_native.wgsl",
    "lib/head.wgsl",
    "lib/heads_made.wgsl",
    "lib/heads_ready.wgsl",
    "lib/hidden_zero.wgsl",
    "lib/input_attended.wgsl",
    "lib/input_each.wgsl",
    "lib/input_int8.wgsl",
    "lib/input_plain.wgsl",
    "lib/input_shared.wgsl",
    "lib/inputs_each.wgsl",
    "lib/inputs_int8.wgsl",
    "lib/inputs_shared.wgsl",
    "lib/lanes.wgsl",
    "lib/lanes_float.wgsl",
    "lib/lanes_int8.wgsl",
    "lib/linear_shape.wgsl",
    "lib/output_activated.wgsl",
    "lib/output_gated.wgsl",
    "lib/output_residual.wgsl",
    "lib/output_store.wgsl",
    "lib/pair_of_blocks.wgsl",
    "lib/pair_scale.wgsl",
    "lib/queries_each.wgsl",
    "lib/queries_shared.wgsl",
    "lib/rows.wgsl",
    "lib/rows_float.wgsl",
    "lib/rows_int8.wgsl",
    "lib/rows_scaled.wgsl",
    "lib/sample_cut.wgsl",
    "lib/sample_lanes.wgsl",
    "lib/sample_search.wgsl",
    "lib/sample_shape.wgsl",
    "lib/share.wgsl",
    "lib/source_buffer.wgsl",
    "lib/source_texture.wgsl",
    "lib/store_heads.wgsl",
    "lib/sums_subgroup.wgsl",
    "lib/sums_workgroup.wgsl",
    "lib/tiles.wgsl",
    "lib/tokens.wgsl",
    "lib/walk_buffer.wgsl",
    "lib/walk_texture.wgsl",
    "lib/weight_bf16.wgsl",
    "lib/weight_f16.wgsl",
    "lib/weight_f32.wgsl",
    "lib/weight_q4.wgsl",
    "lib/weight_q8.wgsl",
    "lib/whole.wgsl",
];

/// A number that changes with any of them.
pub fn fingerprint() -> u128 {
    let mut hash = twox_hash::XxHash3_128::new();
    for (name, text) in FILES {
        hash.write(name.as_bytes());
        hash.write(text.as_bytes());
    }
    hash.finish_128()
}

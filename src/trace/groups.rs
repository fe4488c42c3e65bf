//! The kernels of a step, grouped by what they are for.

/// The kernels in the order of a layer: the name of each group, and its kernels.
pub const GROUPS: [(&str, &[&str]); 8] = [
    ("norm", &["attn_norm", "ffn_norm", "final_norm"]),
    ("QKV", &["qkv"]),
    ("rope", &["qk_norm_rope"]),
    ("attention", &["attention"]),
    ("out", &["out"]),
    ("FFN", &["proj_1", "proj_2"]),
    ("whole layer", &["layer"]),
    ("other", &["embed", "head", "sample"]),
];

/// The group of a kernel: its index in [`GROUPS`].
pub fn group(kernel: &str) -> usize {
    GROUPS
        .iter()
        .position(|(_, kernels)| kernels.contains(&kernel))
        .unwrap_or(GROUPS.len() - 1)
}

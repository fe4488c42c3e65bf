//! `attention.wgsl`, `attention_merge.wgsl` and `attention_lanes.wgsl`: causal grouped-query attention; one workgroup a token and
//! four query heads of a group, in the first also a split of the positions, and in the last four blocks of the output.

use super::layout::{bindings, uniform_struct};
use super::{BLOCK, ComputePath};
use crate::gpu::KernelSpec;
use crate::gpu::shader::Variant;

uniform_struct! {
    /// `Shape` of the shader, which says what each field means.
    Shape {
        head_dim: u32,
        blocks: u32,
        group: u32,
        quads: u32,
        kv_heads: u32,
        q_stride: u32,
        stride: u32,
        scale: f32,
        split: u32,
        splits: u32,
    }
}

bindings! {
    /// Of `attention.wgsl`.
    Bindings |path| {
        shape: Uniform,
        tokens: Read,
        queries: Read,
        keys: Read,
        values: Read,
        output: Write,
        partials: Write,
        /// Cache rows by position, one table a sequence.
        rows: Read,
        first_row: Uniform,
    }
}

bindings! {
    /// Of `attention_lanes.wgsl`.
    LanesBindings |path| {
        shape: Uniform,
        tokens: Read,
        queries: UniformWindow,
        keys: path.read(),
        values: path.read(),
        output: Write,
        /// The row of the step that the window of queries begins at.
        token_index: UniformWindow,
        /// Cache rows by position, one table a sequence.
        rows: Read,
    }
}

bindings! {
    /// Of `attention_merge.wgsl`.
    MergeBindings |path| {
        shape: Uniform,
        tokens: Read,
        partials: Read,
        output: Write,
    }
}

/// Positions that a workgroup takes at least, where a token's are split.
pub const LEAST_SPLIT: usize = 128;

/// The most splits.
pub const MOST_SPLITS: usize = 64;

/// Positions of a split and the number of splits that cover a context.
pub fn splits(context_size: usize) -> (usize, usize) {
    let split = context_size
        .div_ceil(MOST_SPLITS)
        .next_multiple_of(64)
        .max(LEAST_SPLIT);
    (split, context_size.div_ceil(split))
}

/// `vec4`s that a split hands over for a token and four heads.
pub fn partial_vectors(head_dim: usize) -> usize {
    2 + head_dim.next_multiple_of(BLOCK)
}

/// Of [`Bindings`] or [`LanesBindings`], as the path asks. `exact`: the cache is f32. `subgroups`: as in [`super::linear::Tuning`].
pub fn spec(path: ComputePath, exact: bool, subgroups: bool) -> KernelSpec {
    let formats = ["lib/cache_read_f16.wgsl", "lib/cache_read_f32.wgsl"];
    let mut slots = path.cache_slots(exact, formats);
    let (file, bindings) = match path {
        ComputePath::Gpu => ("attention.wgsl", Bindings::<()>::kinds(path)),
        ComputePath::Software => {
            slots.push(match subgroups {
                true => ("queries", "lib/queries_shared.wgsl"),
                false => ("queries", "lib/queries_each.wgsl"),
            });
            ("attention_lanes.wgsl", LanesBindings::<()>::kinds(path))
        }
    };
    KernelSpec {
        variant: Variant { file, slots },
        constants: vec![],
        bindings,
    }
}

/// Blocks of the output that a workgroup of `attention_lanes.wgsl` covers: of a single token's, and of each of several tokens'.
pub const COVERED: [u32; 2] = [4, 8];

/// The kernel of [`spec`] for [`ComputePath::Software`] with workgroups that cover so many blocks, one of [`COVERED`].
pub fn lanes_spec(exact: bool, subgroups: bool, covered: u32) -> KernelSpec {
    let mut spec = spec(ComputePath::Software, exact, subgroups);
    spec.constants.push(("COVERED", f64::from(covered)));
    spec
}

/// Workgroups of it for one token.
pub fn lanes_workgroups(q_heads: u32, kv_heads: u32, blocks: u32, covered: u32) -> u32 {
    workgroups(q_heads, kv_heads) * blocks.div_ceil(covered)
}

/// Workgroups of `attention.wgsl` for one token: one for four heads of a group.
pub fn workgroups(q_heads: u32, kv_heads: u32) -> u32 {
    kv_heads * (q_heads / kv_heads).div_ceil(4)
}

/// Of [`MergeBindings`].
pub fn merge_spec() -> KernelSpec {
    KernelSpec {
        variant: Variant {
            file: "attention_merge.wgsl",
            slots: vec![],
        },
        constants: vec![],
        bindings: MergeBindings::<()>::kinds(ComputePath::Gpu),
    }
}

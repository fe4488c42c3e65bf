//! `attention.wgsl` and `attention_lanes.wgsl`: causal grouped-query attention; one workgroup a token and four query heads of a group, in the first
//! also a split of the positions, and in the second four blocks of the output.

use super::layout::{bindings, uniform_struct};
use super::{BLOCK, BatchClass, ComputePath};
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
        normalize: u32,
        epsilon: f32,
    }
}

bindings! {
    /// Of `attention.wgsl` for prompts.
    PromptBindings |path| {
        shape: Uniform,
        tokens: Read,
        queries: Read,
        keys: Read,
        values: Read,
        output: Write,
        first_row: Uniform,
        /// Cache rows by position, one table a sequence.
        rows: Read,
    }
}

bindings! {
    /// Of `attention.wgsl` for generated rows.
    GeneratedBindings |path| {
        shape: Uniform,
        /// Of [`MOST_GENERATED`] rows.
        tokens: Uniform,
        qkv: Read,
        keys: Write,
        values: Write,
        /// Records of splits.
        output: Write,
        /// Set where a value is too large for the cache's format.
        overflow: Write,
        /// Cache rows by position, one table a sequence.
        rows: Read,
        norms: Read,
        rotations: Read,
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

/// Generated rows of a step at most.
pub const MOST_GENERATED: usize = 64;

/// The most splits of a token's positions: whoever adds them up reads all of them.
const MOST_SPLITS: usize = 8;

/// Steps that a split takes at least, with a position for each group of lanes: another record would cost more than further steps.
const LEAST_STEPS: usize = 16;

/// The longest split that is not owed to the number of splits.
const USUAL_SPLIT: usize = 512;

/// How the lanes of a workgroup of `attention.wgsl` are laid over positions and dimensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spread {
    pub lanes: u32,
    /// Lanes that share a position.
    pub block_lanes: u32,
    /// Whether they add up by subgroup operations.
    pub subgroups: bool,
    /// Whether a head is whole blocks, which whoever adds up splits counts on.
    pub is_whole: bool,
}

impl Spread {
    /// For subgroups of at least so many lanes; 0: without their operations. Prompts have rows enough to keep a GPU busy with small workgroups.
    pub fn new(head_dim: usize, class: BatchClass, subgroup_lanes: u32) -> Self {
        let block_lanes = (head_dim.div_ceil(BLOCK) as u32).next_power_of_two();
        let subgroups = subgroup_lanes >= block_lanes;
        let lanes = match class {
            // Groups of a subgroup meet lane to lane, and for 64 lanes of what is left there is room in workgroup memory.
            BatchClass::Generated if subgroups => {
                (64 * (subgroup_lanes / block_lanes)).clamp(64, 256)
            }
            _ => 64,
        };
        Self {
            lanes,
            block_lanes,
            subgroups,
            is_whole: head_dim.is_multiple_of(BLOCK),
        }
    }

    /// Positions of a split and the number of splits that cover a context.
    pub fn splits(self, context_size: usize) -> (usize, usize) {
        if !self.is_whole {
            return (context_size.max(1), 1);
        }
        let step = (self.lanes / self.block_lanes) as usize;
        let split = (LEAST_STEPS * step)
            .min(USUAL_SPLIT)
            .max(context_size.div_ceil(MOST_SPLITS));
        (split, context_size.div_ceil(split))
    }

    fn constants(self) -> Vec<(&'static str, f64)> {
        vec![
            ("LANES", f64::from(self.lanes)),
            ("BLOCK_LANES", f64::from(self.block_lanes)),
        ]
    }

    fn sums_file(self) -> &'static str {
        match self.subgroups {
            true => "lib/group_sums_subgroup.wgsl",
            false => "lib/group_sums_workgroup.wgsl",
        }
    }
}

/// Of [`PromptBindings`] or [`GeneratedBindings`]. `exact`: the cache is f32.
pub fn spec(class: BatchClass, exact: bool, spread: Spread) -> KernelSpec {
    let path = ComputePath::Gpu;
    let read = ["lib/cache_read_f16.wgsl", "lib/cache_read_f32.wgsl"];
    let mut slots = path.cache_slots(exact, read);
    slots.push(("sums", spread.sums_file()));
    let bindings = match class {
        BatchClass::Prompt => {
            slots.push(("heads", "lib/heads_ready.wgsl"));
            slots.push(("output", "lib/attended_whole.wgsl"));
            PromptBindings::<()>::kinds(path)
        }
        BatchClass::Generated => {
            slots.push(("heads", "lib/heads_made.wgsl"));
            slots.push(match exact {
                true => ("kept", "lib/cache_write_f32.wgsl"),
                false => ("kept", "lib/cache_write_f16.wgsl"),
            });
            slots.push(("output", "lib/attended_split.wgsl"));
            GeneratedBindings::<()>::kinds(path)
        }
    };
    KernelSpec {
        variant: Variant {
            file: "attention.wgsl",
            slots,
        },
        constants: spread.constants(),
        bindings,
    }
}

/// Blocks of the output that a workgroup of `attention_lanes.wgsl` covers: of a single token's, and of each of several tokens'.
pub const COVERED: [u32; 2] = [4, 8];

/// Of [`LanesBindings`]. `exact`: the cache is f32. `subgroups`: as in [`super::linear::Tuning`]. `covered`: one of [`COVERED`].
pub fn lanes_spec(exact: bool, subgroups: bool, covered: u32) -> KernelSpec {
    let path = ComputePath::Software;
    let read = ["lib/cache_read_f16.wgsl", "lib/cache_read_f32.wgsl"];
    let mut slots = path.cache_slots(exact, read);
    slots.push(match subgroups {
        true => ("queries", "lib/queries_shared.wgsl"),
        false => ("queries", "lib/queries_each.wgsl"),
    });
    KernelSpec {
        variant: Variant {
            file: "attention_lanes.wgsl",
            slots,
        },
        constants: vec![("COVERED", f64::from(covered))],
        bindings: LanesBindings::<()>::kinds(path),
    }
}

/// Workgroups of `attention_lanes.wgsl` for one token.
pub fn lanes_workgroups(q_heads: u32, kv_heads: u32, blocks: u32, covered: u32) -> u32 {
    workgroups(q_heads, kv_heads) * blocks.div_ceil(covered)
}

/// Workgroups of `attention.wgsl` for one token: one for four heads of a group.
pub fn workgroups(q_heads: u32, kv_heads: u32) -> u32 {
    kv_heads * (q_heads / kv_heads).div_ceil(4)
}

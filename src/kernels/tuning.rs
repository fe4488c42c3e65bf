//! What the best kernels of an adapter differ in, which `model::tune` measures.

use super::{BLOCK, BatchClass, ComputePath};
use crate::dtype::Dtype;
use crate::gpu::CooperativeMatrices;

/// What the best kernels of an adapter differ in. Whatever it is, the rows of a class get the same bits in any company.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tuning {
    /// Lanes in a workgroup of the mappings for [`ComputePath::Software`].
    pub lanes: u32,
    /// Lanes that walk along a row together in the two `rows` mappings.
    pub columns: u32,
    /// Row pairs that they walk along at once: fewer make more workgroups, more share what is read of the input.
    pub pairs: u32,
    /// Whether lanes tell each other what they have read, or added up, by subgroup operations.
    pub subgroups: bool,
    /// How large a tile of a long prompt is on [`ComputePath::Gpu`]: 32 row pairs by 32 or 64 tokens, or, 128, so many rows by 64 tokens.
    pub tile: u32,
    /// Whether activations of generated rows are quantised to eight bits on the fly where they meet `q8` weights.
    pub int8: bool,
    /// Cooperative matrices that prompts are multiplied by in f16. It changes numbers, so it is neither measured nor fixed, but asked for:
    /// [`crate::LoadOptions::f16_prefill`].
    pub matrices: Option<CooperativeMatrices>,
}

impl Tuning {
    pub const LANES: [u32; 4] = [8, 16, 32, 64];
    pub const COLUMNS: [u32; 4] = [8, 16, 32, 64];
    pub const PAIRS: [u32; 2] = [1, 2];
    pub const TILES: [u32; 3] = [32, 64, 128];

    /// Whether there are such kernels on `path`, on an adapter whose subgroups have at least so many lanes (0: it has none).
    pub fn is_possible(self, path: ComputePath, subgroup_lanes: u32) -> bool {
        let together = match path {
            // Eight lanes read a block.
            ComputePath::Software => BLOCK as u32,
            ComputePath::Gpu => self.columns,
        };
        Self::LANES.contains(&self.lanes)
            && Self::COLUMNS.contains(&self.columns)
            && Self::PAIRS.contains(&self.pairs)
            && Self::TILES.contains(&self.tile)
            && (!self.subgroups || together <= subgroup_lanes)
            // There lanes quantise together.
            && (!self.int8 || path == ComputePath::Gpu || self.subgroups)
            && (self.matrices.is_none() || path == ComputePath::Gpu)
    }

    /// How rows of `class` meet weights of `dtype`.
    pub fn arithmetic(self, class: BatchClass, dtype: Dtype) -> Arithmetic {
        match self.int8 && class == BatchClass::Generated && dtype == Dtype::Q8 {
            true => Arithmetic::Int8,
            false => Arithmetic::Float,
        }
    }
}

impl Default for Tuning {
    /// Good for most.
    fn default() -> Self {
        Self {
            lanes: 16,
            columns: 32,
            pairs: 2,
            subgroups: false,
            tile: 32,
            int8: false,
            matrices: None,
        }
    }
}

/// How activations meet weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Arithmetic {
    /// In f32.
    Float,
    /// Quantised to eight bits on the fly, for weights in `q8`.
    Int8,
}

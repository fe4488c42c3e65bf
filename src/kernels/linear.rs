//! `linear_*.wgsl`: matrix products, nine ways that share one `Shape` and one set of outputs.

use super::layout::{bindings, uniform_struct};
use super::{BLOCK, BatchClass, ComputePath};
use crate::dtype::Dtype;
use crate::gpu::KernelSpec;
use crate::gpu::shader::Variant;

uniform_struct! {
    /// `Shape` of `lib/linear_shape.wgsl`, which says what each field means.
    Shape {
        rows: u32,
        blocks: u32,
        units: u32,
        pairs: u32,
        second: u32,
        out_offset: u32,
        out_stride: u32,
        in_stride: u32,
        activation: u32,
        width: u32,
        epsilon: f32,
    }
}

bindings! {
    /// Of the mappings for prompts on [`ComputePath::Gpu`].
    TileBindings |path| {
        shape: Uniform,
        weights: path.read(),
        output: Write,
        input: Read,
        first_row: Uniform,
    }
}

bindings! {
    /// Of the mappings for generated rows on [`ComputePath::Gpu`].
    RowBindings |path| {
        shape: Uniform,
        weights: path.read(),
        output: Write,
        input: Read,
        /// Weights of the norm; of a plain input anything.
        norm: Read,
    }
}

bindings! {
    /// Of the mapping for one token on [`ComputePath::Software`].
    LaneBindings |path| {
        shape: Uniform,
        weights: path.read(),
        output: WriteWindow,
        /// Weights of the norm; of a plain input anything as large.
        norm: Uniform,
        input_0: UniformWindow,
    }
}

bindings! {
    /// Of the mappings for several tokens on [`ComputePath::Software`], which lie in the four windows in turn.
    LanesBindings |path| {
        shape: Uniform,
        weights: path.read(),
        output: WriteWindow,
        /// Weights of the norm; of a plain input anything as large.
        norm: Uniform,
        input_0: UniformWindow,
        input_1: UniformWindow,
        input_2: UniformWindow,
        input_3: UniformWindow,
    }
}

/// Bytes of a window into uniform memory, 16384 floats, which holds at least one token's input.
pub const UNIFORM_WINDOW: u64 = 65536;

/// What the best kernels of an adapter differ in. Whatever it is, the rows of a class get the same bits in any company.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tuning {
    /// Lanes in a workgroup of the mappings for [`ComputePath::Software`].
    pub lanes: u32,
    /// Lanes that walk along a row together in the two `rows` mappings.
    pub columns: u32,
    /// Whether lanes tell each other what they have read, or added up, by subgroup operations.
    pub subgroups: bool,
    /// Tokens that a tile of a long prompt covers on [`ComputePath::Gpu`].
    pub tile: u32,
    /// Whether activations of generated rows are quantised to eight bits on the fly where they meet `q8` weights.
    pub int8: bool,
}

impl Tuning {
    pub const LANES: [u32; 4] = [8, 16, 32, 64];
    pub const COLUMNS: [u32; 4] = [8, 16, 32, 64];
    pub const TILES: [u32; 2] = [32, 64];

    /// Whether there are such kernels on `path`, on an adapter whose subgroups have at least so many lanes (0: it has none).
    pub fn is_possible(self, path: ComputePath, subgroup_lanes: u32) -> bool {
        let together = match path {
            // Eight lanes read a block.
            ComputePath::Software => BLOCK as u32,
            ComputePath::Gpu => self.columns,
        };
        Self::LANES.contains(&self.lanes)
            && Self::COLUMNS.contains(&self.columns)
            && Self::TILES.contains(&self.tile)
            && (!self.subgroups || together <= subgroup_lanes)
            // There lanes quantise together.
            && (!self.int8 || path == ComputePath::Gpu || self.subgroups)
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
            subgroups: false,
            tile: 32,
            int8: false,
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

/// What a product is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Input {
    /// What is there.
    Plain,
    /// Its RMSNorm, which is fused into the product.
    Normed,
    /// What the splits of attention have together, which is added up in the product.
    Attended(Attended),
}

/// What attention's splits hand over for a token: `lib/attended_split.wgsl`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Attended {
    pub head_dim: u32,
    pub splits: u32,
    /// `vec4`s of a record.
    pub record: u32,
}

/// What becomes of a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Output {
    /// Written.
    Store,
    /// Added to what is there.
    Residual,
    /// `activate(first half) * second half`.
    Gated,
    /// `activate(product)`.
    Activated,
}

impl Output {
    #[cfg(test)]
    pub const ALL: [Self; 4] = [Self::Store, Self::Residual, Self::Gated, Self::Activated];

    fn file(self) -> &'static str {
        match self {
            Self::Store => "lib/output_store.wgsl",
            Self::Residual => "lib/output_residual.wgsl",
            Self::Gated => "lib/output_gated.wgsl",
            Self::Activated => "lib/output_activated.wgsl",
        }
    }

    /// How `rows` weight rows form pairs: their number, and the distance between a pair's rows.
    pub fn pairs(self, rows: u32) -> (u32, u32) {
        match self {
            Self::Gated => (rows / 2, rows / 2),
            _ => (rows.div_ceil(2), rows.div_ceil(2)),
        }
    }
}

/// How lanes are laid over rows and columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mapping {
    /// One lane four row pairs, one token (`linear_decode_lanes.wgsl`).
    DecodeLanes,
    /// One lane four row pairs, four tokens, several a dispatch (`linear_prefill_lanes.wgsl`).
    PrefillLanes,
    /// One lane four row pairs, eight tokens, two of each window (`linear_prefill_octets.wgsl`).
    PrefillOctets,
    /// Some lanes two row pairs, one token a workgroup row (`linear_decode_rows.wgsl`).
    DecodeRows,
    /// The same for four tokens a workgroup row (`linear_few_rows.wgsl`).
    FewRows,
    /// One lane a row pair, one token a workgroup row (`linear_prefill_single.wgsl`).
    PrefillSingle,
    /// A workgroup 32 row pairs by 8 tokens (`linear_prefill_narrow.wgsl`).
    PrefillNarrow,
    /// A workgroup 32 row pairs by 32 tokens (`linear_prefill_tiles.wgsl`).
    PrefillTiles,
    /// A workgroup 32 row pairs by 64 tokens (`linear_prefill_wide.wgsl`).
    PrefillWide,
}

impl Mapping {
    #[cfg(test)]
    pub const ALL: [Self; 9] = [
        Self::DecodeLanes,
        Self::PrefillLanes,
        Self::PrefillOctets,
        Self::DecodeRows,
        Self::FewRows,
        Self::PrefillSingle,
        Self::PrefillNarrow,
        Self::PrefillTiles,
        Self::PrefillWide,
    ];

    /// The mappings for rows of `class`, smallest first. All add up in the same order, so any of them may compute any of the rows. Tiles
    /// of long prompts cover `tile` tokens; uniform windows hold `in_window`.
    pub fn all_for(
        path: ComputePath,
        class: BatchClass,
        arithmetic: Arithmetic,
        tile: u32,
        in_window: u32,
    ) -> &'static [Self] {
        match (path, class) {
            (ComputePath::Software, _) if in_window > 1 && arithmetic == Arithmetic::Float => {
                &[Self::DecodeLanes, Self::PrefillLanes, Self::PrefillOctets]
            }
            (ComputePath::Software, _) => &[Self::DecodeLanes, Self::PrefillLanes],
            (ComputePath::Gpu, BatchClass::Generated) => &[Self::DecodeRows, Self::FewRows],
            (ComputePath::Gpu, BatchClass::Prompt) if tile == 64 => {
                &[Self::PrefillSingle, Self::PrefillNarrow, Self::PrefillWide]
            }
            (ComputePath::Gpu, BatchClass::Prompt) => {
                &[Self::PrefillSingle, Self::PrefillNarrow, Self::PrefillTiles]
            }
        }
    }

    /// Tokens that one workgroup computes.
    pub fn tokens(self) -> u32 {
        match self {
            Self::DecodeLanes | Self::DecodeRows | Self::PrefillSingle => 1,
            Self::PrefillLanes | Self::FewRows => 4,
            Self::PrefillOctets | Self::PrefillNarrow => 8,
            Self::PrefillTiles => 32,
            Self::PrefillWide => 64,
        }
    }

    /// Uniform windows that the inputs are read through; 0 where the input is a storage buffer.
    pub fn windows(self) -> u32 {
        match self {
            Self::DecodeLanes => 1,
            Self::PrefillLanes | Self::PrefillOctets => 4,
            _ => 0,
        }
    }

    /// Whether it is of those that add up as tiles do, one k after the other.
    fn is_tile(self) -> bool {
        matches!(
            self,
            Self::PrefillSingle | Self::PrefillNarrow | Self::PrefillTiles | Self::PrefillWide
        )
    }

    /// Whether it can fuse a norm.
    pub fn can_norm(self) -> bool {
        !self.is_tile()
    }

    /// Whether it can add up attention's splits.
    pub fn can_attend(self) -> bool {
        matches!(self, Self::DecodeRows | Self::FewRows)
    }

    /// Workgroups for a part of `pairs` row pairs: along y for weights in textures, along x for buffers.
    pub fn workgroups(self, pairs: u32, tuning: Tuning) -> u32 {
        match self {
            Self::DecodeLanes | Self::PrefillLanes | Self::PrefillOctets => {
                pairs.div_ceil(4 * tuning.lanes)
            }
            Self::DecodeRows | Self::FewRows => pairs.div_ceil(128 / tuning.columns),
            Self::PrefillSingle | Self::PrefillNarrow | Self::PrefillTiles | Self::PrefillWide => {
                pairs.div_ceil(32)
            }
        }
    }

    fn constants(self, tuning: Tuning) -> Vec<(&'static str, f64)> {
        match self {
            Self::DecodeLanes | Self::PrefillLanes | Self::PrefillOctets => {
                vec![("LANES", f64::from(tuning.lanes))]
            }
            Self::DecodeRows | Self::FewRows => vec![("COLUMNS", f64::from(tuning.columns))],
            _ => Vec::new(),
        }
    }

    /// How lanes multiply, and how they tell each other what they have.
    fn slots(
        self,
        dtype: Dtype,
        arithmetic: Arithmetic,
        tuning: Tuning,
    ) -> Vec<(&'static str, &'static str)> {
        let is_int8 = arithmetic == Arithmetic::Int8;
        let sums = match tuning.subgroups {
            false => "lib/sums_workgroup.wgsl",
            true => "lib/sums_subgroup.wgsl",
        };
        let (input, inputs) = match (is_int8, tuning.subgroups) {
            (true, _) => ("lib/input_int8.wgsl", "lib/inputs_int8.wgsl"),
            (false, true) => ("lib/input_shared.wgsl", "lib/inputs_shared.wgsl"),
            (false, false) => ("lib/input_each.wgsl", "lib/inputs_each.wgsl"),
        };
        let lanes = match is_int8 {
            false => "lib/lanes_float.wgsl",
            true => "lib/lanes_int8.wgsl",
        };
        let rows = match (is_int8, dtype.is_quantized()) {
            (true, _) => "lib/rows_int8.wgsl",
            (false, true) => "lib/rows_scaled.wgsl",
            (false, false) => "lib/rows_float.wgsl",
        };
        match self {
            Self::DecodeLanes => vec![("arithmetic", lanes), ("input", input)],
            Self::PrefillLanes | Self::PrefillOctets => {
                vec![("arithmetic", lanes), ("input", input), ("inputs", inputs)]
            }
            Self::DecodeRows | Self::FewRows => vec![("arithmetic", rows), ("sums", sums)],
            _ => Vec::new(),
        }
    }

    fn file(self) -> &'static str {
        match self {
            Self::DecodeLanes => "linear_decode_lanes.wgsl",
            Self::PrefillLanes => "linear_prefill_lanes.wgsl",
            Self::PrefillOctets => "linear_prefill_octets.wgsl",
            Self::DecodeRows => "linear_decode_rows.wgsl",
            Self::FewRows => "linear_few_rows.wgsl",
            Self::PrefillSingle => "linear_prefill_single.wgsl",
            Self::PrefillNarrow => "linear_prefill_narrow.wgsl",
            Self::PrefillTiles => "linear_prefill_tiles.wgsl",
            Self::PrefillWide => "linear_prefill_wide.wgsl",
        }
    }
}

/// A kernel for one kind of product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Product {
    pub path: ComputePath,
    pub mapping: Mapping,
    pub dtype: Dtype,
    pub arithmetic: Arithmetic,
    pub input: Input,
    pub output: Output,
}

impl Product {
    /// Of [`TileBindings`], [`RowBindings`], [`LaneBindings`] or [`LanesBindings`], as the mapping asks.
    pub fn spec(self, tuning: Tuning) -> KernelSpec {
        let Self { path, mapping, .. } = self;
        let bindings = match mapping {
            Mapping::DecodeLanes => LaneBindings::<()>::kinds(path),
            Mapping::PrefillLanes | Mapping::PrefillOctets => LanesBindings::<()>::kinds(path),
            Mapping::DecodeRows | Mapping::FewRows => RowBindings::<()>::kinds(path),
            Mapping::PrefillSingle
            | Mapping::PrefillNarrow
            | Mapping::PrefillTiles
            | Mapping::PrefillWide => TileBindings::<()>::kinds(path),
        };
        let mut slots = path.weight_slots(self.dtype);
        slots.push(("output", self.output.file()));
        slots.extend(mapping.slots(self.dtype, self.arithmetic, tuning));
        let mut constants = mapping.constants(tuning);
        match self.input {
            Input::Plain => {}
            Input::Normed => constants.push(("NORMED", 1.0)),
            Input::Attended(attended) => constants.extend([
                ("HEAD_DIM", f64::from(attended.head_dim)),
                ("SPLITS", f64::from(attended.splits)),
                ("RECORD", f64::from(attended.record)),
            ]),
        }
        if mapping.can_attend() {
            slots.push(match self.input {
                Input::Attended(_) => ("input", "lib/input_attended.wgsl"),
                _ => ("input", "lib/input_plain.wgsl"),
            });
        }
        KernelSpec {
            variant: Variant {
                file: mapping.file(),
                slots,
            },
            constants,
            bindings,
        }
    }
}

//! `linear_*.wgsl`: matrix products, seven ways that share one `Shape` and one set of outputs.

use super::{BLOCK, WeightSource, uniform_struct, weight_slots};
use crate::dtype::Dtype;
use crate::gpu::shader::Variant;
use crate::gpu::{BindingKind, KernelSpec};

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

/// Bytes of a window into uniform memory, 16384 floats, which holds at least one token's input.
pub const UNIFORM_WINDOW: u64 = 65536;

/// What the best kernels of an adapter differ in; whatever it is, results are the same to the bit for any number of few tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tuning {
    /// Lanes in a workgroup of the three mappings for weights in textures.
    pub lanes: u32,
    /// Lanes that walk along a row together in the two `rows` mappings.
    pub columns: u32,
    /// Whether lanes tell each other what they have read, or added up, by subgroup operations.
    pub subgroups: bool,
    /// Tokens that a tile covers in the two `tiles` mappings.
    pub tile: u32,
    /// Whether activations become whole numbers of eight bits where they meet `q8` weights, for up to [`MOST_FEW`] tokens.
    pub int8: bool,
}

impl Tuning {
    pub const LANES: [u32; 4] = [8, 16, 32, 64];
    pub const COLUMNS: [u32; 4] = [8, 16, 32, 64];
    pub const TILES: [u32; 2] = [32, 64];

    /// Whether there are such kernels for weights in `source`, on an adapter whose subgroups have at least so many lanes (0: it has
    /// none).
    pub fn is_possible(self, source: WeightSource, subgroup_lanes: u32) -> bool {
        let together = match source {
            // Eight lanes read a block.
            WeightSource::Texture => BLOCK as u32,
            WeightSource::Buffer => self.columns,
        };
        Self::LANES.contains(&self.lanes)
            && Self::COLUMNS.contains(&self.columns)
            && Self::TILES.contains(&self.tile)
            && (!self.subgroups || together <= subgroup_lanes)
            // In textures lanes make them together.
            && (!self.int8 || source == WeightSource::Buffer || self.subgroups)
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

/// What a product is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Input {
    /// What is there.
    Plain,
    /// Its RMSNorm, computed along with the product of up to [`MOST_FEW`] tokens.
    Normed,
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

/// How many tokens a step has, as far as kernels care.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tokens {
    One,
    /// 2 to [`MOST_FEW`]: every token's result is the same, to the bit, as if it were alone.
    Few,
    Many,
}

/// The most tokens that count as few: what verifying speculated tokens needs.
pub const MOST_FEW: u32 = 16;

impl Tokens {
    pub const ALL: [Self; 3] = [Self::One, Self::Few, Self::Many];

    pub fn of(count: u32) -> Self {
        match count {
            0..=1 => Self::One,
            2..=MOST_FEW => Self::Few,
            _ => Self::Many,
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
    /// A workgroup 32 row pairs by 32 tokens (`linear_prefill_tiles.wgsl`).
    PrefillTiles,
    /// A workgroup 32 row pairs by 64 tokens (`linear_prefill_wide.wgsl`).
    PrefillWide,
}

impl Mapping {
    pub const ALL: [Self; 7] = [
        Self::DecodeLanes,
        Self::PrefillLanes,
        Self::PrefillOctets,
        Self::DecodeRows,
        Self::FewRows,
        Self::PrefillTiles,
        Self::PrefillWide,
    ];

    /// The mapping that suits a weight source and so many tokens, where tiles cover `tile` of them and uniform windows hold
    /// `in_window` of them.
    pub fn of(source: WeightSource, tokens: Tokens, tile: u32, in_window: u32) -> Self {
        match (source, tokens) {
            (WeightSource::Texture, Tokens::One) => Self::DecodeLanes,
            (WeightSource::Texture, Tokens::Many) if in_window > 1 => Self::PrefillOctets,
            (WeightSource::Texture, Tokens::Few | Tokens::Many) => Self::PrefillLanes,
            (WeightSource::Buffer, Tokens::One) => Self::DecodeRows,
            (WeightSource::Buffer, Tokens::Few) => Self::FewRows,
            (WeightSource::Buffer, Tokens::Many) if tile == 64 => Self::PrefillWide,
            (WeightSource::Buffer, Tokens::Many) => Self::PrefillTiles,
        }
    }

    /// Tokens that one workgroup computes.
    pub fn tokens(self) -> u32 {
        match self {
            Self::DecodeLanes | Self::DecodeRows => 1,
            Self::PrefillLanes | Self::FewRows => 4,
            Self::PrefillOctets => 8,
            Self::PrefillTiles => 32,
            Self::PrefillWide => 64,
        }
    }

    /// Uniform windows that the inputs are read through; 0 where the input is a storage buffer.
    pub fn windows(self) -> u32 {
        match self {
            Self::DecodeLanes => 1,
            Self::PrefillLanes | Self::PrefillOctets => 4,
            Self::DecodeRows | Self::FewRows | Self::PrefillTiles | Self::PrefillWide => 0,
        }
    }

    /// Workgroups for a part of `pairs` row pairs: along y for weights in textures, along x for buffers.
    pub fn workgroups(self, pairs: u32, tuning: Tuning) -> u32 {
        match self {
            Self::DecodeLanes | Self::PrefillLanes | Self::PrefillOctets => {
                pairs.div_ceil(4 * tuning.lanes)
            }
            Self::DecodeRows | Self::FewRows => pairs.div_ceil(128 / tuning.columns),
            Self::PrefillTiles | Self::PrefillWide => pairs.div_ceil(32),
        }
    }

    fn constants(self, tuning: Tuning) -> Vec<(&'static str, f64)> {
        match self {
            Self::DecodeLanes | Self::PrefillLanes | Self::PrefillOctets => {
                vec![("LANES", f64::from(tuning.lanes))]
            }
            Self::DecodeRows | Self::FewRows => vec![("COLUMNS", f64::from(tuning.columns))],
            Self::PrefillTiles | Self::PrefillWide => Vec::new(),
        }
    }

    /// Whether it serves up to [`MOST_FEW`] tokens, though perhaps more.
    pub fn is_for_few(self) -> bool {
        match self {
            Self::DecodeLanes | Self::PrefillLanes | Self::DecodeRows | Self::FewRows => true,
            Self::PrefillOctets | Self::PrefillTiles | Self::PrefillWide => false,
        }
    }

    /// Whether weights of `dtype` meet whole numbers of eight bits.
    pub fn is_int8(self, dtype: Dtype, tuning: Tuning) -> bool {
        tuning.int8 && dtype == Dtype::Q8 && self.is_for_few()
    }

    /// How lanes multiply, and how they tell each other what they have.
    fn slots(self, dtype: Dtype, tuning: Tuning) -> Vec<(&'static str, &'static str)> {
        let is_int8 = self.is_int8(dtype, tuning);
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
        let rows = match is_int8 {
            false => "lib/rows_float.wgsl",
            true => "lib/rows_int8.wgsl",
        };
        match self {
            Self::DecodeLanes => vec![("arithmetic", lanes), ("input", input)],
            Self::PrefillLanes | Self::PrefillOctets => {
                vec![("arithmetic", lanes), ("input", input), ("inputs", inputs)]
            }
            Self::DecodeRows | Self::FewRows => vec![("arithmetic", rows), ("sums", sums)],
            Self::PrefillTiles | Self::PrefillWide => vec![],
        }
    }

    fn file(self) -> &'static str {
        match self {
            Self::DecodeLanes => "linear_decode_lanes.wgsl",
            Self::PrefillLanes => "linear_prefill_lanes.wgsl",
            Self::PrefillOctets => "linear_prefill_octets.wgsl",
            Self::DecodeRows => "linear_decode_rows.wgsl",
            Self::FewRows => "linear_few_rows.wgsl",
            Self::PrefillTiles => "linear_prefill_tiles.wgsl",
            Self::PrefillWide => "linear_prefill_wide.wgsl",
        }
    }
}

/// Bindings: shape, weights, output, then for weights in textures the norm's weights and uniform windows into the input; for weights
/// in buffers the input, and for mappings of few tokens the norm's weights. Where the input is plain, anything as large will do for those.
pub fn spec(
    mapping: Mapping,
    source: WeightSource,
    dtype: Dtype,
    input: Input,
    output: Output,
    tuning: Tuning,
) -> KernelSpec {
    let mut bindings = vec![BindingKind::Uniform, source.binding()];
    if mapping.windows() > 0 {
        bindings.extend([BindingKind::WriteWindow, BindingKind::Uniform]);
        bindings.extend((0..mapping.windows()).map(|_| BindingKind::UniformWindow));
    } else {
        bindings.extend([BindingKind::Write, BindingKind::Read]);
        bindings.extend(mapping.is_for_few().then_some(BindingKind::Read));
    }
    let mut slots = weight_slots(source, dtype);
    slots.push(("output", output.file()));
    slots.extend(mapping.slots(dtype, tuning));
    let mut constants = mapping.constants(tuning);
    if input == Input::Normed {
        constants.push(("NORMED", 1.0));
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

//! `linear_*.wgsl`: matrix products, ten files that share one `Shape` and one set of outputs.

use super::layout::uniform_struct;
pub use super::tuning::{Arithmetic, Tuning};
use super::{BLOCK, BatchClass, ComputePath};
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

impl Shape {
    /// Of `rows` that are stored as they are, one product after the other, in a matrix of so many units a row: what measurements compute.
    pub fn stored(rows: usize, columns: usize, units: usize) -> Self {
        let (pairs, second) = Output::Store.pairs(rows as u32);
        Self {
            rows: rows as u32,
            blocks: (columns / BLOCK) as u32,
            units: units as u32,
            pairs,
            second,
            out_offset: 0,
            out_stride: rows as u32,
            in_stride: (columns / 4) as u32,
            activation: 0,
            width: columns as u32,
            epsilon: 0.0,
        }
    }
}

/// What a binding is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operand {
    /// [`Shape`].
    Shape,
    Weights,
    Output,
    /// In windows, or all of it.
    Input,
    /// Weights of the norm; of a plain input anything as large.
    Norm,
    /// [`super::FirstRow`].
    FirstRow,
    /// Not 0 once a number was too large for f16.
    Overflow,
}

/// Bytes of a window into uniform memory, 16384 floats, which holds at least one token's input.
pub const UNIFORM_WINDOW: u64 = 65536;

/// What a product is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Input {
    /// What is there.
    Plain,
    /// What is there, of numbers that may be far beyond f16's range; elsewhere the same as `Plain`.
    Wide,
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
    /// The same for so many times four tokens a workgroup row: 1, 2 or 4 (`linear_few_rows.wgsl`).
    FewRows(u32),
    /// One lane a row pair, one token a workgroup row (`linear_prefill_single.wgsl`).
    PrefillSingle,
    /// A workgroup 32 row pairs by 8 tokens (`linear_prefill_narrow.wgsl`).
    PrefillNarrow,
    /// A workgroup 32 row pairs by 32 tokens (`linear_prefill_tiles.wgsl`).
    PrefillTiles,
    /// A workgroup 32 row pairs by 64 tokens (`linear_prefill_wide.wgsl`).
    PrefillWide,
    /// A workgroup 64 row pairs by 64 tokens (`linear_prefill_wide.wgsl`).
    PrefillLarge,
    /// A workgroup 32 row pairs by 64 tokens by cooperative matrices, in f16 with sums in f32 (`linear_prefill_matrices.wgsl`).
    PrefillMatrices,
}

impl Mapping {
    #[cfg(test)]
    pub const ALL: [Self; 12] = [
        Self::DecodeLanes,
        Self::PrefillLanes,
        Self::PrefillOctets,
        Self::DecodeRows,
        Self::FewRows(1),
        Self::FewRows(2),
        Self::FewRows(4),
        Self::PrefillSingle,
        Self::PrefillNarrow,
        Self::PrefillTiles,
        Self::PrefillWide,
        Self::PrefillLarge,
    ];

    /// The mappings for rows of `class`, smallest first. All add up in the same order, so any of them may compute any of the rows. Tiles
    /// of long prompts are as [`Tuning::tile`] says; uniform windows hold `in_window`.
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
            (ComputePath::Gpu, BatchClass::Generated) => &[
                Self::DecodeRows,
                Self::FewRows(1),
                Self::FewRows(2),
                Self::FewRows(4),
            ],
            (ComputePath::Gpu, BatchClass::Prompt) => match Self::tile(tile) {
                Self::PrefillWide => &[Self::PrefillSingle, Self::PrefillNarrow, Self::PrefillWide],
                Self::PrefillLarge => {
                    &[Self::PrefillSingle, Self::PrefillNarrow, Self::PrefillLarge]
                }
                _ => &[Self::PrefillSingle, Self::PrefillNarrow, Self::PrefillTiles],
            },
        }
    }

    /// The mapping of long prompts for tiles of [`Tuning::tile`], on [`ComputePath::Gpu`].
    pub fn tile(tile: u32) -> Self {
        match tile {
            64 => Self::PrefillWide,
            128 => Self::PrefillLarge,
            _ => Self::PrefillTiles,
        }
    }

    /// Tokens that one workgroup computes.
    pub fn tokens(self) -> u32 {
        match self {
            Self::DecodeLanes | Self::DecodeRows | Self::PrefillSingle => 1,
            Self::PrefillLanes => 4,
            Self::FewRows(quads) => 4 * quads,
            Self::PrefillOctets | Self::PrefillNarrow => 8,
            Self::PrefillTiles => 32,
            Self::PrefillWide | Self::PrefillLarge | Self::PrefillMatrices => 64,
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

    /// What is bound, in the order of the bindings. Where inputs lie in windows, there is one for each.
    fn operands(self) -> &'static [Operand] {
        use Operand::{FirstRow, Input, Norm, Output, Overflow, Shape, Weights};
        match self {
            Self::DecodeLanes => &[Shape, Weights, Output, Norm, Input],
            Self::PrefillLanes | Self::PrefillOctets => {
                &[Shape, Weights, Output, Norm, Input, Input, Input, Input]
            }
            Self::DecodeRows | Self::FewRows(_) => &[Shape, Weights, Output, Input, Norm],
            Self::PrefillMatrices => &[Shape, Weights, Output, Input, FirstRow, Overflow],
            _ => &[Shape, Weights, Output, Input, FirstRow],
        }
    }

    /// How a kernel sees an operand.
    fn binding(self, operand: Operand, path: ComputePath) -> BindingKind {
        let has_windows = self.windows() > 0;
        match operand {
            Operand::Shape | Operand::FirstRow => BindingKind::Uniform,
            Operand::Weights => path.read(),
            Operand::Output if has_windows => BindingKind::WriteWindow,
            Operand::Output | Operand::Overflow => BindingKind::Write,
            Operand::Input if has_windows => BindingKind::UniformWindow,
            Operand::Norm if has_windows => BindingKind::Uniform,
            Operand::Input | Operand::Norm => BindingKind::Read,
        }
    }

    /// The resources of all bindings, in their order.
    pub fn bind<R>(self, resource: impl FnMut(Operand) -> R) -> Vec<R> {
        self.operands().iter().copied().map(resource).collect()
    }

    /// Whether it is of those for prompts on [`ComputePath::Gpu`].
    fn is_tile(self) -> bool {
        matches!(
            self,
            Self::PrefillSingle
                | Self::PrefillNarrow
                | Self::PrefillTiles
                | Self::PrefillWide
                | Self::PrefillLarge
                | Self::PrefillMatrices
        )
    }

    /// Whether it can fuse a norm.
    pub fn can_norm(self) -> bool {
        !self.is_tile()
    }

    /// Whether it can add up attention's splits.
    pub fn can_attend(self) -> bool {
        matches!(self, Self::DecodeRows | Self::FewRows(_))
    }

    /// Workgroups for a part of `pairs` row pairs: along y for weights in textures, along x for buffers.
    pub fn workgroups(self, pairs: u32, tuning: Tuning) -> u32 {
        match self {
            Self::DecodeLanes | Self::PrefillLanes | Self::PrefillOctets => {
                pairs.div_ceil(4 * tuning.lanes)
            }
            Self::DecodeRows => pairs.div_ceil(groups(1, tuning) * tuning.pairs),
            Self::FewRows(quads) => pairs.div_ceil(groups(quads, tuning) * tuning.pairs),
            Self::PrefillLarge => pairs.div_ceil(64),
            Self::PrefillSingle
            | Self::PrefillNarrow
            | Self::PrefillTiles
            | Self::PrefillWide
            | Self::PrefillMatrices => pairs.div_ceil(32),
        }
    }

    /// Of a product with rows of `blocks` blocks.
    fn constants(self, dtype: Dtype, blocks: u32, tuning: Tuning) -> Vec<(&'static str, f64)> {
        let constants = match self {
            Self::DecodeLanes | Self::PrefillLanes | Self::PrefillOctets => {
                vec![("LANES", tuning.lanes)]
            }
            Self::DecodeRows => {
                // Of f32, four steps at a time are more than registers hold.
                let ahead = if dtype == Dtype::F32 { 2 } else { 4 };
                let steps = blocks / tuning.columns;
                let is_flat = blocks.is_multiple_of(tuning.columns) && steps < 3 * ahead;
                vec![
                    ("COLUMNS", tuning.columns),
                    ("GROUP_PAIRS", tuning.pairs),
                    ("AHEAD", ahead),
                    // Without a loop for narrow rows, of which there are few widths, so that there are few such kernels.
                    ("BLOCKS", if is_flat { blocks } else { 0 }),
                ]
            }
            Self::FewRows(quads) => vec![
                ("COLUMNS", tuning.columns),
                ("GROUP_PAIRS", tuning.pairs),
                ("QUADS", quads),
                ("LANES", rows_lanes(quads, tuning)),
            ],
            // Four subgroups, however many lanes the adapter gives them.
            Self::PrefillMatrices => vec![("LANES", (4 * subgroup_lanes(tuning)).max(128))],
            _ => Vec::new(),
        };
        let constants = constants.into_iter();
        constants
            .map(|(name, value)| (name, f64::from(value)))
            .collect()
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
            Self::DecodeRows | Self::FewRows(_) => vec![("arithmetic", rows), ("sums", sums)],
            Self::PrefillWide => vec![("stage", "lib/stage_small.wgsl")],
            Self::PrefillLarge => vec![("stage", "lib/stage_large.wgsl")],
            Self::PrefillMatrices => vec![
                (
                    "matrices",
                    match tuning.matrices.map(|matrices| matrices.size) {
                        Some(16) => "lib/matrices_16.wgsl",
                        Some(8) => "lib/matrices_8.wgsl",
                        _ => "lib/matrices_plain.wgsl",
                    },
                ),
                (
                    "staged",
                    match dtype.is_quantized() {
                        true => "lib/staged_scaled.wgsl",
                        false => "lib/staged_float.wgsl",
                    },
                ),
            ],
            _ => Vec::new(),
        }
    }

    fn file(self) -> &'static str {
        match self {
            Self::DecodeLanes => "linear_decode_lanes.wgsl",
            Self::PrefillLanes => "linear_prefill_lanes.wgsl",
            Self::PrefillOctets => "linear_prefill_octets.wgsl",
            Self::DecodeRows => "linear_decode_rows.wgsl",
            Self::FewRows(_) => "linear_few_rows.wgsl",
            Self::PrefillSingle => "linear_prefill_single.wgsl",
            Self::PrefillNarrow => "linear_prefill_narrow.wgsl",
            Self::PrefillTiles => "linear_prefill_tiles.wgsl",
            Self::PrefillWide | Self::PrefillLarge => "linear_prefill_wide.wgsl",
            Self::PrefillMatrices => "linear_prefill_matrices.wgsl",
        }
    }
}

fn subgroup_lanes(tuning: Tuning) -> u32 {
    tuning
        .matrices
        .map_or(0, |matrices| matrices.subgroup_lanes)
}

/// What f16 inputs are multiplied with that may be far beyond its range: they reach to 4 million then, and down to 4e-6 in steps of that. An
/// FFN's inner activations are of the order of 0.01 to 1, with few that are thousands.
const WIDE_SCALE: f64 = 1.0 / 64.0;

/// Lanes of a workgroup of the `rows` mappings whose groups are for `quads` quads of tokens.
fn rows_lanes(quads: u32, tuning: Tuning) -> u32 {
    (quads * tuning.columns).max(64)
}

/// Groups of such a workgroup with rows of their own.
fn groups(quads: u32, tuning: Tuning) -> u32 {
    rows_lanes(quads, tuning) / tuning.columns / quads
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
    /// Blocks of a row of weights: some kernels are made for a width.
    pub blocks: u32,
}

impl Product {
    /// The kernel, whose resources are those of [`Mapping::bind`].
    pub fn spec(self, tuning: Tuning) -> KernelSpec {
        let Self { path, mapping, .. } = self;
        let bindings = mapping.bind(|operand| mapping.binding(operand, path));
        let mut slots = path.weight_slots(self.dtype);
        slots.push(("output", self.output.file()));
        slots.extend(mapping.slots(self.dtype, self.arithmetic, tuning));
        let mut constants = mapping.constants(self.dtype, self.blocks, tuning);
        match self.input {
            Input::Wide if self.mapping == Mapping::PrefillMatrices => {
                constants.push(("INPUT_SCALE", WIDE_SCALE));
            }
            Input::Plain | Input::Wide => {}
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

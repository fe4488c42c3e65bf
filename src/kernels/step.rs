//! What all kernels of a step share: units, the rows of a batch, and their classes.

use super::layout::uniform_struct;

/// Lanes in a workgroup of most kernels.
pub const LANES: u32 = 64;

/// Values in a block, the unit of rows; see `shaders/lib/block.wgsl`.
pub const BLOCK: usize = 8;

/// Rows of weights are padded with zeros to a multiple of this many values: kernels take two blocks at a time, or four.
pub const ROW_PAD: usize = 4 * BLOCK;

/// What a row of a batch is. A row is computed by the kernels of its class, however many rows there are, so its numbers depend neither on
/// how a prompt is cut nor on what else a step computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BatchClass {
    /// A token that was given: computed by whatever does many at once best.
    Prompt,
    /// A token that was generated, or is proposed and to be verified.
    Generated,
}

impl BatchClass {
    pub const ALL: [Self; 2] = [Self::Generated, Self::Prompt];
}

/// The id of a row whose token the device chose in an earlier step: it is taken from `chosen[slot]`.
pub const CHOSEN: u32 = u32::MAX;

uniform_struct! {
    /// A row of a step, as `shaders/lib/tokens.wgsl` reads it.
    #[derive(Default)]
    TokenInput {
        /// [`CHOSEN`]: as the device chose.
        id: u32,
        /// Position in its sequence, from 0.
        position: u32,
        /// Row of the cache that its keys and values go to.
        cache_row: u32,
        /// Where the cache rows of its sequence begin in the table of rows.
        table: u32,
        /// For row `t` of the logits: the row of this step whose hidden state it is computed from.
        logits_from: u32,
        /// Its sequence's place among chosen ids.
        slot: u32,
        /// 1: its attention writes its keys and values; 0: they are there before.
        writes_cache: u32,
        padding: u32,
    }
}

uniform_struct! {
    /// `FirstRow` of `lib/first_row.wgsl`: where the rows of a class begin, and end.
    FirstRow {
        first: u32,
        /// Behind the last.
        end: u32,
        padding_0: u32,
        padding_1: u32,
    }
}

impl FirstRow {
    /// Of a class with these rows.
    pub fn of(rows: std::ops::Range<u32>) -> Self {
        Self {
            first: rows.start,
            end: rows.end,
            padding_0: 0,
            padding_1: 0,
        }
    }
}

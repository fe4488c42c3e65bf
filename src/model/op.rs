//! One operation of a step: what it is called, what it costs, and which dispatches compute how many rows of which class.

use std::ops::Range;

use super::sizes::CLASS_ALIGNMENT;

/// What an operation does in its layer, in the order of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    Embed,
    AttnNorm,
    Qkv,
    QkNormRope,
    Attention,
    Out,
    FfnNorm,
    Proj1,
    Proj2,
    FinalNorm,
    Head,
    Sample,
}

impl Stage {
    /// What a trace calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Embed => "embed",
            Self::AttnNorm => "attn_norm",
            Self::Qkv => "qkv",
            Self::QkNormRope => "qk_norm_rope",
            Self::Attention => "attention",
            Self::Out => "out",
            Self::FfnNorm => "ffn_norm",
            Self::Proj1 => "proj_1",
            Self::Proj2 => "proj_2",
            Self::FinalNorm => "final_norm",
            Self::Head => "head",
            Self::Sample => "sample",
        }
    }
}

/// How a dispatch spreads over rows of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DispatchShape {
    /// Workgroup row `y` is a row of its class, or a tile of this many.
    Rows(u32),
    /// A dispatch for up to `columns` workgroup columns of `tokens` rows each, and so on. Inputs are seen through `windows`, which
    /// hold the rows in turn, outputs through one. Workgroup rows are the product's.
    Windows {
        tokens: u32,
        windows: u32,
        columns: u32,
        in_bytes: u32,
        out_bytes: u32,
    },
    /// Workgroup row `y` is a row in a window that begins at another row each dispatch: first the input's window moves, then the one
    /// into the token indices.
    Batches { tokens: u32, in_bytes: u32 },
    /// Workgroup row `y` is a row, layer `z` so many of its positions.
    Splits(u32),
    /// Workgroup row `y` is a row, if any sequence has several generated ones; nothing otherwise.
    Runs,
}

impl DispatchShape {
    /// Rows that one workgroup computes.
    fn tile(self) -> u32 {
        match self {
            Self::Rows(tile) => tile,
            Self::Windows { tokens, .. } => tokens,
            Self::Batches { .. } | Self::Splits(_) | Self::Runs => 1,
        }
    }
}

/// Where the rows of each class lie in a step: generated ones first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClassRows {
    pub generated: u32,
    pub prompt: Range<u32>,
}

impl ClassRows {
    /// So many of each. Prompts begin where no dispatch for generated rows reaches.
    pub fn new(generated: u32, prompt: u32) -> Self {
        let first = generated.next_multiple_of(CLASS_ALIGNMENT);
        Self {
            generated,
            prompt: first..first + prompt,
        }
    }

    /// Rows from the first to the last, with those between the classes that are none.
    pub fn end(&self) -> u32 {
        match self.prompt.is_empty() {
            true => self.generated,
            false => self.prompt.end,
        }
    }

    /// The first row of any class.
    fn start(&self) -> u32 {
        match self.generated {
            0 => self.prompt.start,
            _ => 0,
        }
    }

    /// Rows of both classes.
    pub fn count(&self) -> u32 {
        self.generated + self.prompt.len() as u32
    }
}

/// How much a step, or its part with logits, has to do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extent {
    pub rows: ClassRows,
    /// Cache rows that are looked at, those of several rows or sequences counted once.
    pub cache_rows: u64,
    /// Positions that rows look at, each counted for each.
    pub positions: u64,
    /// The most positions that a generated row looks at.
    pub generated_kv_len: u32,
    /// Whether a sequence has several generated rows, of which later ones look at earlier ones.
    pub has_runs: bool,
}

/// Which dispatches an operation has; each list begins with the one for the fewest rows.
#[derive(Debug, Clone)]
pub enum Work<D> {
    /// The same for rows of every class.
    All(Vec<D>),
    Classes {
        generated: Vec<D>,
        prompt: Vec<D>,
    },
}

/// One operation of a step. `D` is a planned dispatch, or one that is bound to memory.
#[derive(Debug, Clone)]
pub struct Op<D> {
    pub stage: Stage,
    /// `None`: outside the layers.
    pub layer: Option<u32>,
    /// Multiply-adds for a row; of attention for a row and a position, in each of its two products.
    pub base_macs: u64,
    pub traffic: Traffic,
    pub work: Work<D>,
}

/// Bytes that an operation must read and write at least.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Weights, once a step.
    pub weights: u64,
    /// Activations read, for each row.
    pub read: u64,
    /// Activations and cache entries written, for each row.
    pub written: u64,
    /// Keys and values read, for each position that some row looks at.
    pub position: u64,
}

/// What has a shape to be dispatched in.
pub trait HasShape {
    fn shape(&self) -> DispatchShape;
}

impl<D: HasShape> Op<D> {
    /// Multiply-adds.
    pub fn macs(&self, extent: &Extent) -> u64 {
        match self.stage {
            Stage::Attention => 2 * self.base_macs * extent.positions,
            _ => self.base_macs * u64::from(extent.rows.count()),
        }
    }

    /// Bytes that must be read, and written.
    pub fn bytes(&self, extent: &Extent) -> (u64, u64) {
        let Traffic {
            weights,
            read,
            written,
            position,
        } = self.traffic;
        let rows = u64::from(extent.rows.count());
        (
            weights + read * rows + position * extent.cache_rows,
            written * rows,
        )
    }

    /// Whether there is anything to do.
    pub fn is_needed(&self, extent: &Extent) -> bool {
        let mut needed = false;
        self.each(extent, |_, _, _| needed = true);
        needed
    }

    /// Calls `dispatch` with every dispatch that a step needs, and the rows that it computes: the first, and how many.
    pub fn each<'a>(&'a self, extent: &Extent, mut dispatch: impl FnMut(&'a D, u32, u32)) {
        let mut cover = |dispatches: &'a [D], rows: Range<u32>, limit: u32| {
            if !rows.is_empty() {
                cover(dispatches, rows, extent.has_runs, limit, &mut dispatch);
            }
        };
        match &self.work {
            Work::All(dispatches) => {
                let rows = extent.rows.start()..extent.rows.end();
                cover(dispatches, rows, u32::MAX);
            }
            Work::Classes { generated, prompt } => {
                let rows = &extent.rows;
                let limit = match rows.prompt.is_empty() {
                    true => u32::MAX,
                    false => rows.prompt.start,
                };
                cover(generated, 0..rows.generated, limit);
                cover(prompt, rows.prompt.clone(), u32::MAX);
            }
        }
    }
}

/// Divides rows among dispatches that all compute the same. A tile is never mostly in vain where a smaller one would do, and none reaches
/// beyond row `limit`, where those of another class begin.
fn cover<'a, D: HasShape>(
    dispatches: &'a [D],
    rows: Range<u32>,
    has_runs: bool,
    limit: u32,
    dispatch: &mut impl FnMut(&'a D, u32, u32),
) {
    let Some(largest) = dispatches.last() else {
        return;
    };
    let count = rows.len() as u32;
    match largest.shape() {
        DispatchShape::Runs if !has_runs => {}
        DispatchShape::Windows { tokens, .. } => {
            let whole = count / tokens * tokens;
            if whole > 0 {
                dispatch(largest, rows.start, whole);
            }
            let (first, rest) = (rows.start + whole, count - whole);
            let Some(fits) = dispatches.iter().position(|d| d.shape().tile() >= rest) else {
                return;
            };
            // One more than a smaller tile costs less as that tile and a single one.
            let smaller = dispatches[..fits].last().map(|d| d.shape().tile());
            match smaller {
                _ if rest == 0 => {}
                Some(tile @ 2..) if rest == tile + 1 => {
                    dispatch(&dispatches[fits - 1], first, tile);
                    dispatch(&dispatches[0], first + tile, 1);
                }
                _ => dispatch(&dispatches[fits], first, rest),
            }
        }
        _ => {
            let fits = dispatches.iter().find(|d| d.shape().tile() >= count);
            let is_within = |d: &&D| count.next_multiple_of(d.shape().tile()) <= limit - rows.start;
            let fits = fits.or_else(|| dispatches.iter().rev().find(is_within));
            dispatch(fits.unwrap_or(largest), rows.start, count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl HasShape for DispatchShape {
        fn shape(&self) -> DispatchShape {
            *self
        }
    }

    fn windows(tokens: u32) -> DispatchShape {
        DispatchShape::Windows {
            tokens,
            windows: 4,
            columns: 4,
            in_bytes: 256,
            out_bytes: 256,
        }
    }

    fn covered(shapes: &[DispatchShape], rows: Range<u32>) -> Vec<(u32, u32, u32)> {
        covered_in(shapes, rows, false, u32::MAX)
    }

    fn covered_to(shapes: &[DispatchShape], rows: Range<u32>, limit: u32) -> Vec<(u32, u32, u32)> {
        covered_in(shapes, rows, false, limit)
    }

    fn covered_in(
        shapes: &[DispatchShape],
        rows: Range<u32>,
        has_runs: bool,
        limit: u32,
    ) -> Vec<(u32, u32, u32)> {
        let mut found = Vec::new();
        cover(shapes, rows, has_runs, limit, &mut |shape, first, count| {
            found.push((shape.tile(), first, count));
        });
        found
    }

    #[test]
    fn rows_are_covered_once_by_tiles_that_fit() {
        let software = [windows(1), windows(4), windows(8)];
        assert_eq!(covered(&software, 0..1), [(1, 0, 1)]);
        assert_eq!(covered(&software, 0..3), [(4, 0, 3)]);
        assert_eq!(covered(&software, 8..13), [(4, 8, 4), (1, 12, 1)]);
        assert_eq!(covered(&software, 0..7), [(8, 0, 7)]);
        assert_eq!(covered(&software, 0..17), [(8, 0, 16), (1, 16, 1)]);
        assert_eq!(covered(&software, 0..32), [(8, 0, 32)]);
        let gpu = [DispatchShape::Rows(8), DispatchShape::Rows(64)];
        assert_eq!(covered(&gpu, 8..12), [(8, 8, 4)]);
        assert_eq!(covered(&gpu, 8..17), [(64, 8, 9)]);
        assert_eq!(covered(&gpu, 0..100), [(64, 0, 100)]);
        // What only runs need.
        let runs = [DispatchShape::Runs];
        assert_eq!(covered_in(&runs, 0..4, false, u32::MAX), []);
        assert_eq!(covered_in(&runs, 0..4, true, u32::MAX), [(1, 0, 4)]);
        assert_eq!(covered(&[], 0..4), []);
    }

    #[test]
    fn no_tile_of_generated_rows_reaches_a_prompt() {
        let tiles = [1, 4, 8, 16].map(DispatchShape::Rows);
        for count in 1..=64 {
            let rows = ClassRows::new(count, 1);
            let [(tile, 0, covered)] = covered_to(&tiles, 0..count, rows.prompt.start)[..] else {
                panic!("{count} rows in several dispatches");
            };
            assert_eq!(covered, count);
            assert!(count.next_multiple_of(tile) <= rows.prompt.start, "{count}");
            // Up to sixteen read weights once.
            assert!(count > 16 || tile >= count, "{count}");
        }
        // Where there is no prompt, nothing is in the way.
        assert_eq!(covered(&tiles, 0..17), [(16, 0, 17)]);
        assert_eq!(covered_to(&tiles, 0..17, 24), [(8, 0, 17)]);
    }

    #[test]
    fn classes_never_share_a_tile() {
        let rows = ClassRows::new(3, 5);
        assert_eq!(rows.prompt, 8..13);
        assert_eq!((rows.end(), rows.count()), (13, 8));
        let generated = ClassRows::new(3, 0);
        assert_eq!((generated.end(), generated.count()), (3, 3));
        assert_eq!(ClassRows::new(0, 5).prompt, 0..5);
    }
}

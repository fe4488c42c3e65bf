//! Rows of a checkpoint to the bytes that a kernel reads: converted, padded to whole blocks, and for textures interleaved
//! eight rows at a time (`shaders/lib/source_texture.wgsl`).

use std::ops::Range;

use crate::checkpoint::{RowReader, Tensor};
use crate::dtype::Dtype;
use crate::kernels::{BLOCK, WeightSource};

/// Rows that are packed together.
pub const GROUP: usize = 8;

/// Bytes of a 16-byte unit.
pub const UNIT: usize = 16;

/// 16-byte units in a row of `columns` numbers.
pub fn units(columns: usize, dtype: Dtype) -> usize {
    columns.div_ceil(BLOCK) * BLOCK * dtype.bytes() / UNIT
}

/// A stream of packed bytes.
pub struct Packer<'a> {
    tensor: &'a Tensor<'a>,
    reader: &'a mut RowReader,
    dtype: Dtype,
    source: WeightSource,
    /// Rows of the tensor still to pack.
    rows: std::iter::Flatten<std::vec::IntoIter<Range<usize>>>,
    row: Vec<u8>,
    group: Vec<u8>,
    /// Bytes of `group` already given out.
    taken: usize,
}

impl<'a> Packer<'a> {
    /// Packs the rows of `segments`, one range after the other.
    pub fn new(
        tensor: &'a Tensor<'a>,
        reader: &'a mut RowReader,
        dtype: Dtype,
        source: WeightSource,
        segments: &[Range<usize>],
    ) -> Self {
        let row_bytes = units(tensor.columns, dtype) * UNIT;
        Self {
            tensor,
            reader,
            dtype,
            source,
            rows: segments.to_vec().into_iter().flatten(),
            // Beyond the last column stays zero.
            row: vec![0; row_bytes],
            group: vec![0; row_bytes * GROUP],
            taken: row_bytes * GROUP,
        }
    }

    /// Fills `out` with the next bytes; zeros beyond the last row.
    pub fn fill(&mut self, mut out: wgpu::WriteOnly<'_, [u8]>) {
        let mut at = 0;
        while at < out.len() {
            if self.taken == self.group.len() {
                self.next_group();
            }
            let size = (out.len() - at).min(self.group.len() - self.taken);
            out.slice(at..at + size)
                .copy_from_slice(&self.group[self.taken..self.taken + size]);
            at += size;
            self.taken += size;
        }
    }

    fn next_group(&mut self) {
        let row_bytes = self.row.len();
        self.taken = 0;
        for lane in 0..GROUP {
            let Some(row) = self.rows.next() else {
                self.row.fill(0);
                self.place(lane);
                continue;
            };
            match self.source {
                WeightSource::Buffer => {
                    let place = &mut self.group[lane * row_bytes..(lane + 1) * row_bytes];
                    self.reader.read(self.tensor, row, self.dtype, place);
                }
                WeightSource::Texture => {
                    self.reader.read(self.tensor, row, self.dtype, &mut self.row);
                    self.place(lane);
                }
            }
        }
    }

    /// Puts `row` where row `lane` of the group belongs.
    fn place(&mut self, lane: usize) {
        match self.source {
            WeightSource::Buffer => {
                let row_bytes = self.row.len();
                self.group[lane * row_bytes..(lane + 1) * row_bytes].copy_from_slice(&self.row);
            }
            WeightSource::Texture => {
                for (unit, place) in self
                    .row
                    .chunks_exact(UNIT)
                    .zip(self.group[lane * UNIT..].chunks_mut(GROUP * UNIT))
                {
                    place[..UNIT].copy_from_slice(unit);
                }
            }
        }
    }
}

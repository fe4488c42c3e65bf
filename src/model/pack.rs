//! Rows of a checkpoint to the bytes that a kernel reads: converted, padded, and for textures interleaved eight rows at a time
//! (`shaders/lib/source_texture.wgsl`).

use std::ops::Range;

use crate::checkpoint::{RowReader, Tensor};
use crate::dtype::Dtype;
use crate::kernels::{ComputePath, ROW_PAD};

/// Rows that are packed together.
pub const GROUP: usize = 8;

/// Bytes of a 16-byte unit.
pub const UNIT: usize = 16;

/// Groups that are packed at once: enough to be worth several threads where rows have to be quantised.
const BATCH: usize = 8;

/// 16-byte units in a row of `columns` numbers.
pub fn units(columns: usize, dtype: Dtype) -> usize {
    dtype.row_bytes(columns.next_multiple_of(ROW_PAD)) / UNIT
}

/// A stream of packed bytes.
pub struct Packer<'a> {
    tensor: &'a Tensor<'a>,
    /// One a thread.
    readers: Vec<RowReader>,
    dtype: Dtype,
    path: ComputePath,
    /// Rows of the tensor still to pack.
    rows: std::iter::Flatten<std::vec::IntoIter<Range<usize>>>,
    row_bytes: usize,
    /// Rows of a batch, one after the other; beyond the last column they stay zero.
    batch: Vec<u8>,
    /// The same as the kernel reads them.
    packed: Vec<u8>,
    /// Bytes of `packed` already given out.
    taken: usize,
}

impl<'a> Packer<'a> {
    /// Packs the rows of `segments`, one range after the other.
    pub fn new(
        tensor: &'a Tensor<'a>,
        dtype: Dtype,
        path: ComputePath,
        segments: Vec<Range<usize>>,
    ) -> Self {
        let row_bytes = units(tensor.columns, dtype) * UNIT;
        // Only quantising takes longer than reading.
        let threads = if dtype.is_quantized() && dtype != tensor.dtype {
            std::thread::available_parallelism().map_or(1, |n| n.get().min(BATCH))
        } else {
            1
        };
        Self {
            tensor,
            readers: std::iter::repeat_with(RowReader::default)
                .take(threads)
                .collect(),
            dtype,
            path,
            rows: segments.into_iter().flatten(),
            row_bytes,
            batch: vec![0; row_bytes * GROUP * BATCH],
            packed: Vec::new(),
            taken: 0,
        }
    }

    /// Whether any number so far was NaN or infinite, before or after conversion.
    pub fn saw_non_finite(&self) -> bool {
        self.readers.iter().any(|reader| reader.saw_non_finite)
    }

    /// Rows so far that are too small for the scales of a quantised format.
    pub fn faint_rows(&self) -> usize {
        self.readers.iter().map(|reader| reader.faint_rows).sum()
    }

    /// Fills `out` with the next bytes; zeros beyond the last row.
    pub fn fill(&mut self, mut out: wgpu::WriteOnly<'_, [u8]>) {
        let mut at = 0;
        while at < out.len() {
            if self.taken == self.packed.len() {
                self.next_batch();
            }
            let size = (out.len() - at).min(self.packed.len() - self.taken);
            out.slice(at..at + size)
                .copy_from_slice(&self.packed[self.taken..self.taken + size]);
            at += size;
            self.taken += size;
        }
    }

    fn next_batch(&mut self) {
        let rows: Vec<usize> = self.rows.by_ref().take(GROUP * BATCH).collect();
        let (tensor, dtype, row_bytes) = (self.tensor, self.dtype, self.row_bytes);
        let (filled, rest) = self.batch.split_at_mut(rows.len() * row_bytes);
        rest.fill(0);
        let share = rows.len().div_ceil(self.readers.len()).max(1);
        let parts = rows.chunks(share).zip(filled.chunks_mut(share * row_bytes));
        let read = |reader: &mut RowReader, rows: &[usize], bytes: &mut [u8]| {
            for (row, place) in rows.iter().zip(bytes.chunks_exact_mut(row_bytes)) {
                reader.read(tensor, *row, dtype, place);
            }
        };
        if let [reader] = &mut self.readers[..] {
            parts.for_each(|(rows, bytes)| read(reader, rows, bytes));
        } else {
            std::thread::scope(|scope| {
                for (reader, (rows, bytes)) in self.readers.iter_mut().zip(parts) {
                    scope.spawn(move || read(reader, rows, bytes));
                }
            });
        }
        self.arrange();
        self.taken = 0;
    }

    /// Puts the batch into the order that the path wants.
    fn arrange(&mut self) {
        if self.path == ComputePath::Gpu {
            std::mem::swap(&mut self.packed, &mut self.batch);
            // Rows are padded with zeros, and what lies there now is an older batch, padded likewise.
            self.batch.resize(self.packed.len(), 0);
            return;
        }
        self.packed.resize(self.batch.len(), 0);
        let group_bytes = self.row_bytes * GROUP;
        let groups = self.batch.chunks_exact(group_bytes);
        for (group, packed) in groups.zip(self.packed.chunks_exact_mut(group_bytes)) {
            for (lane, row) in group.chunks_exact(self.row_bytes).enumerate() {
                let places = packed[lane * UNIT..].chunks_mut(GROUP * UNIT);
                for (unit, place) in row.chunks_exact(UNIT).zip(places) {
                    place[..UNIT].copy_from_slice(unit);
                }
            }
        }
    }
}

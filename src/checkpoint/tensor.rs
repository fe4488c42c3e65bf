//! One tensor: rows of numbers, from a file or made on the fly, in whatever format the device wants.

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use rand_core::RngCore;
use rand_pcg::Pcg64Mcg;

use super::TensorSpec;
use super::gguf::Rows;
use super::mlx::Packed;
use super::oddities::POOR_ROWS;
use super::quantize::{dequantize_row, quantize_row};
use crate::dtype::Dtype;
use crate::threads;

/// How a file has the numbers of a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    As(Dtype),
    /// Doubles, which are read as f32.
    F64,
}

impl Stored {
    /// Numbers that a safetensors file calls so; `None` if they cannot be read.
    pub fn of(dtype: safetensors::Dtype) -> Option<Self> {
        Some(match dtype {
            safetensors::Dtype::F64 => Self::F64,
            safetensors::Dtype::F32 => Self::As(Dtype::F32),
            safetensors::Dtype::F16 => Self::As(Dtype::F16),
            safetensors::Dtype::BF16 => Self::As(Dtype::Bf16),
            _ => return None,
        })
    }
}

/// What a LoRA adapter adds to a matrix: `scale * B A`.
#[derive(Debug, Clone, PartialEq)]
pub struct Delta {
    /// [rank, columns]
    pub a: Vec<f32>,
    /// [rows, rank]
    pub b: Vec<f32>,
    pub rank: usize,
    pub scale: f32,
}

/// The least number that f16 rounds to infinity.
const TOO_LARGE: f32 = 65520.0;

/// The square of an error of f16's in a number below its normal ones, in squares of what bf16 errs in proportion: (2^-25 / 2^-9)^2.
const SMALL_ERROR: f32 = 1.0 / (1u64 << 32) as f32;

enum Data<'a> {
    Stored(&'a [u8]),
    /// In formats of GGUF.
    Foreign(Rows<'a>),
    /// As MLX quantises.
    Packed(Packed<'a>),
    /// Little-endian f64.
    Doubles(&'a [u8]),
    /// Uniform numbers of unit variance over sqrt(columns), so that activations keep their size through the layers.
    Random {
        seed: u64,
    },
    /// Ones: norms of random models.
    Ones,
}

/// A tensor of rank 1 (one row) or 2.
pub struct Tensor<'a> {
    pub rows: usize,
    pub columns: usize,
    /// How it is stored, or would be without losing anything; random tensors call themselves bf16, as the Instruct models are.
    pub dtype: Dtype,
    data: Data<'a>,
    /// What is added to it.
    deltas: &'a [Delta],
}

/// Reads the numbers of a row into the formats that devices want, with buffers kept from row to row.
#[derive(Default)]
pub struct RowReader {
    wide: Vec<f32>,
    halves: Vec<u16>,
    /// Whether any number so far was NaN or infinite, before or after conversion.
    pub saw_non_finite: bool,
    /// Rows so far whose numbers are too small for the scales of the quantised format that they came into.
    pub faint_rows: usize,
}

fn rows_and_columns(shape: &[usize]) -> (usize, usize) {
    match shape {
        [columns] => (1, *columns),
        [rows, columns] => (*rows, *columns),
        _ => (0, 0),
    }
}

impl<'a> Tensor<'a> {
    pub(super) fn stored(shape: &[usize], stored: Stored, bytes: &'a [u8]) -> Self {
        let (rows, columns) = rows_and_columns(shape);
        let (dtype, data) = match stored {
            Stored::As(dtype) => (dtype, Data::Stored(bytes)),
            Stored::F64 => (Dtype::F32, Data::Doubles(bytes)),
        };
        Self {
            rows,
            columns,
            dtype,
            data,
            deltas: &[],
        }
    }

    /// Rows of a GGUF file.
    pub(super) fn foreign(shape: &[usize], stored: Rows<'a>) -> Self {
        let (rows, columns) = rows_and_columns(shape);
        Self {
            rows,
            columns,
            dtype: stored.dtype(),
            data: Data::Foreign(stored),
            deltas: &[],
        }
    }

    /// A matrix that MLX quantised.
    pub(super) fn packed(shape: &[usize], packed: Packed<'a>) -> Self {
        let (rows, columns) = rows_and_columns(shape);
        Self {
            rows,
            columns,
            dtype: Dtype::F32,
            data: Data::Packed(packed),
            deltas: &[],
        }
    }

    /// This, with what adapters add to it. Their shapes are those of the tensor.
    pub(super) fn with_deltas(self, deltas: &'a [Delta]) -> Self {
        Self { deltas, ..self }
    }

    pub(super) fn random(spec: &TensorSpec, seed: u64) -> Self {
        let (rows, columns) = rows_and_columns(&spec.shape);
        // FNV-1a of the name, so that tensors differ.
        let seed = spec
            .name
            .bytes()
            .fold(seed ^ 0xcbf2_9ce4_8422_2325, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            });
        let data = if spec.shape.len() == 1 {
            Data::Ones
        } else {
            Data::Random { seed }
        };
        Self {
            rows,
            columns,
            dtype: Dtype::Bf16,
            data,
            deltas: &[],
        }
    }

    /// Hands all that makes its numbers to `take`, in pieces: what is stored, or what they are made from.
    pub(super) fn each_source(&self, mut take: impl FnMut(&[u8])) {
        take(self.dtype.name().as_bytes());
        match &self.data {
            Data::Stored(bytes) | Data::Doubles(bytes) => take(bytes),
            Data::Foreign(rows) => rows.each_source(&mut take),
            Data::Packed(packed) => packed.each_source(&mut take),
            Data::Random { seed } => take(&seed.to_le_bytes()),
            Data::Ones => take(b"ones"),
        }
        for delta in self.deltas {
            take(bytemuck::cast_slice(&delta.a));
            take(bytemuck::cast_slice(&delta.b));
            take(&delta.scale.to_le_bytes());
        }
    }

    /// Whether f16 would hold the numbers as well as bf16 at least: none is too large for it, and there are hardly any rows whose numbers
    /// are so small that f16 has fewer bits of them left. Reads all of them.
    pub fn fits_f16(&self) -> bool {
        let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
        let share = self.rows.div_ceil(threads).max(1);
        let begins = (0..self.rows).step_by(share);
        let rows = begins.map(|begin| begin..self.rows.min(begin + share));
        let parts = threads::each(rows, |rows| self.poor_rows(rows)).into_iter();
        let poor = parts
            .map(|poor| poor.unwrap_or(Some(0)))
            .sum::<Option<usize>>();
        poor.is_some_and(|poor| poor * POOR_ROWS <= self.rows)
    }

    /// Rows that f16 would hold worse than bf16; `None` if a number is too large for it.
    fn poor_rows(&self, rows: std::ops::Range<usize>) -> Option<usize> {
        let normal = f16::MIN_POSITIVE.to_f32();
        let mut reader = RowReader::default();
        let mut poor = 0;
        for row in rows {
            reader.widen(self, row);
            let (mut largest, mut squares, mut small) = (0.0f32, 0.0f32, 0.0f32);
            for x in &reader.wide {
                let x = x.abs();
                largest = largest.max(x);
                squares += x * x;
                small += f32::from(u8::from(x > 0.0 && x < normal));
            }
            // What is infinite in the file is damaged in any format.
            if largest >= TOO_LARGE && largest.is_finite() {
                return None;
            }
            poor += usize::from(small * SMALL_ERROR > squares);
        }
        Some(poor)
    }

    /// Bytes that are stored; of random numbers, as many as if they were.
    pub fn bytes(&self) -> usize {
        match &self.data {
            Data::Foreign(rows) => rows.bytes(),
            Data::Packed(packed) => packed.bytes(),
            _ => self.rows * self.dtype.row_bytes(self.columns),
        }
    }

    /// Copies a row to `out`, if it is stored in `dtype` already.
    fn copy_row(&self, row: usize, dtype: Dtype, out: &mut [u8]) -> bool {
        match &self.data {
            _ if !self.deltas.is_empty() => false,
            Data::Stored(bytes) if self.dtype == dtype => {
                let size = self.dtype.row_bytes(self.columns);
                out.copy_from_slice(&bytes[row * size..(row + 1) * size]);
                true
            }
            Data::Foreign(rows) => rows.copy(row, dtype, out),
            _ => false,
        }
    }
}

impl RowReader {
    /// Writes row `row` of `tensor` as little-endian numbers of `dtype` to the start of `out`.
    pub fn read(&mut self, tensor: &Tensor<'_>, row: usize, dtype: Dtype, out: &mut [u8]) {
        let out = &mut out[..dtype.row_bytes(tensor.columns)];
        if !tensor.copy_row(row, dtype, out) {
            self.widen(tensor, row);
            if dtype.is_quantized() {
                self.saw_non_finite |= self.wide.iter().any(|x| !x.is_finite());
            }
            self.narrow(dtype, out);
        }
        self.saw_non_finite |= has_non_finite(dtype, out);
    }

    /// Row `row` as f32.
    pub fn read_f32(&mut self, tensor: &Tensor<'_>, row: usize) -> &[f32] {
        self.widen(tensor, row);
        self.saw_non_finite |= self.wide.iter().any(|x| !x.is_finite());
        &self.wide
    }

    fn widen(&mut self, tensor: &Tensor<'_>, row: usize) {
        self.widen_data(tensor, row);
        for delta in tensor.deltas {
            let factors = &delta.b[row * delta.rank..(row + 1) * delta.rank];
            for (factor, a) in factors.iter().zip(delta.a.chunks_exact(tensor.columns)) {
                let factor = delta.scale * factor;
                for (x, a) in self.wide.iter_mut().zip(a) {
                    *x += factor * a;
                }
            }
        }
    }

    fn widen_data(&mut self, tensor: &Tensor<'_>, row: usize) {
        self.wide.clear();
        self.wide.resize(tensor.columns, 1.0);
        match &tensor.data {
            Data::Ones => {}
            Data::Foreign(rows) => rows.widen(row, &mut self.wide),
            Data::Packed(packed) => packed.widen(row, &mut self.wide),
            Data::Random { seed } => {
                // Each row has its own stream, so rows can be made in any order. sqrt(3 / n) gives variance 1 / n.
                let mut rng = Pcg64Mcg::new(
                    (u128::from(*seed) << 64 | row as u128).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
                );
                let scale = (3.0 / tensor.columns as f32).sqrt() / f32::from(1u16 << 15);
                for four in self.wide.chunks_mut(4) {
                    let bits = rng.next_u64();
                    for (i, x) in four.iter_mut().enumerate() {
                        *x = f32::from((bits >> (16 * i)) as i16) * scale;
                    }
                }
            }
            Data::Doubles(bytes) => {
                let bytes = &bytes[row * 8 * tensor.columns..];
                for (x, le) in self.wide.iter_mut().zip(bytes.as_chunks::<8>().0) {
                    *x = f64::from_le_bytes(*le) as f32;
                }
            }
            Data::Stored(bytes) => {
                let size = tensor.dtype.row_bytes(tensor.columns);
                let bytes = &bytes[row * size..(row + 1) * size];
                match tensor.dtype {
                    Dtype::Q8 | Dtype::Q4 => {
                        dequantize_row(bytes, tensor.dtype, &mut self.wide);
                    }
                    Dtype::F32 => {
                        for (x, le) in self.wide.iter_mut().zip(bytes.chunks_exact(4)) {
                            *x = f32::from_le_bytes([le[0], le[1], le[2], le[3]]);
                        }
                    }
                    Dtype::F16 => {
                        self.take_halves(bytes);
                        let halves: &[f16] = bytemuck::cast_slice(&self.halves);
                        halves.convert_to_f32_slice(&mut self.wide);
                    }
                    Dtype::Bf16 => {
                        for (x, le) in self.wide.iter_mut().zip(bytes.chunks_exact(2)) {
                            *x =
                                f32::from_bits(u32::from(u16::from_le_bytes([le[0], le[1]])) << 16);
                        }
                    }
                }
            }
        }
    }

    /// Copies 16-bit numbers out of a map, where they may lie at odd addresses.
    fn take_halves(&mut self, bytes: &[u8]) {
        self.halves.clear();
        self.halves.extend(
            bytes
                .chunks_exact(2)
                .map(|le| u16::from_le_bytes([le[0], le[1]])),
        );
    }

    fn narrow(&mut self, dtype: Dtype, out: &mut [u8]) {
        self.halves.resize(self.wide.len(), 0);
        match dtype {
            Dtype::Q8 | Dtype::Q4 => {
                self.faint_rows += usize::from(quantize_row(&self.wide, dtype, out));
                return;
            }
            Dtype::F32 => {
                out.copy_from_slice(bytemuck::cast_slice(&self.wide));
                return;
            }
            Dtype::F16 => {
                let halves: &mut [f16] = bytemuck::cast_slice_mut(&mut self.halves);
                halves.convert_from_f32_slice(&self.wide);
            }
            Dtype::Bf16 => {
                for (h, x) in self.halves.iter_mut().zip(&self.wide) {
                    *h = bf16::from_f32(*x).to_bits();
                }
            }
        }
        out.copy_from_slice(bytemuck::cast_slice(&self.halves));
    }
}

/// Whether any exponent is all ones. Kept free of early exits so that it compiles to vector code.
fn has_non_finite(dtype: Dtype, bytes: &[u8]) -> bool {
    let halves_with = |mask: u16| {
        bytes.chunks_exact(2).fold(false, |any, le| {
            any | (u16::from_le_bytes([le[0], le[1]]) & mask == mask)
        })
    };
    match dtype {
        Dtype::F16 => halves_with(0x7c00),
        Dtype::Bf16 => halves_with(0x7f80),
        // What was not finite before is not finite in the scales: they are the first 16 bytes of every superblock.
        Dtype::Q8 | Dtype::Q4 => bytes
            .chunks_exact(dtype.row_bytes(1))
            .any(|superblock| has_non_finite(Dtype::F16, &superblock[..16])),
        Dtype::F32 => bytes.chunks_exact(4).fold(false, |any, le| {
            any | (u32::from_le_bytes([le[0], le[1], le[2], le[3]]) & 0x7f80_0000 == 0x7f80_0000)
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_conversion_goes_through_the_value() {
        let numbers = [0.0f32, 1.0, -2.5, 0.333_251_95, 1024.0];
        let stored = |dtype: Dtype| -> Vec<u8> {
            numbers
                .iter()
                .flat_map(|x| match dtype {
                    Dtype::F32 => x.to_le_bytes().to_vec(),
                    Dtype::F16 => f16::from_f32(*x).to_le_bytes().to_vec(),
                    _ => bf16::from_f32(*x).to_le_bytes().to_vec(),
                })
                .collect()
        };
        let mut reader = RowReader::default();
        for from in [Dtype::F32, Dtype::F16, Dtype::Bf16] {
            let bytes = stored(from);
            let tensor = Tensor::stored(&[5], Stored::As(from), &bytes);
            for to in [Dtype::F32, Dtype::F16, Dtype::Bf16] {
                let mut out = vec![0; to.row_bytes(5)];
                reader.read(&tensor, 0, to, &mut out);
                let back = Tensor::stored(&[5], Stored::As(to), &out);
                for (x, y) in numbers.iter().zip(RowReader::default().read_f32(&back, 0)) {
                    assert!((x - y).abs() <= 4e-3 * x.abs(), "{from} to {to}: {x} {y}");
                }
            }
        }
        assert!(!reader.saw_non_finite);
        let bytes = stored(Dtype::F32);
        let too_large = [70000.0f32.to_le_bytes()].concat();
        let tensor = Tensor::stored(&[1], Stored::As(Dtype::F32), &too_large);
        reader.read(&tensor, 0, Dtype::F16, &mut [0; 2]);
        assert!(reader.saw_non_finite, "70000 does not fit f16");
        assert_eq!(bytes.len(), 20);
    }

    #[test]
    fn what_f16_cannot_hold_is_noticed() {
        let fits = |values: &[f32]| {
            let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
            Tensor::stored(&[values.len() / 4, 4], Stored::As(Dtype::F32), &bytes).fits_f16()
        };
        assert!(fits(&[0.02, -0.01, 0.03, 0.0]));
        assert!(fits(&[65519.0, 0.0, 0.0, 0.0]));
        assert!(!fits(&[0.02, -65520.0, 0.03, 0.0]));
        // Small beside others is no loss, small throughout is.
        assert!(fits(&[0.02, 1e-7, -1e-7, 1e-30]));
        assert!(!fits(&[1e-7, 2e-7, -3e-7, 0.0]));
        assert!(!fits(&[1e-30, 0.0, 0.0, 0.0]));
        assert!(fits(&[0.0; 8]));
        assert!(fits(&[f32::INFINITY, f32::NAN, 1.0, 0.0]));
        let mut rows = vec![0.02; 4 * 128];
        rows[..8].fill(1e-9);
        assert!(fits(&rows), "two rows of 128");
        rows[8..12].fill(1e-9);
        assert!(!fits(&rows), "three rows of 128");
    }

    #[test]
    fn doubles_are_read_and_deltas_added() {
        let bytes: Vec<u8> = [1.5f64, -2.0, 1e-3, 4.0, 0.0, 1e300]
            .iter()
            .flat_map(|x| x.to_le_bytes())
            .collect();
        let deltas = [Delta {
            a: vec![1.0, 2.0, 3.0, -1.0, 0.0, 1.0],
            b: vec![1.0, 0.5, 0.0, 2.0],
            rank: 2,
            scale: 2.0,
        }];
        let plain = || Tensor::stored(&[2, 3], Stored::F64, &bytes);
        let mut reader = RowReader::default();
        assert_eq!(reader.read_f32(&plain(), 0), [1.5, -2.0, 0.001]);
        assert_eq!(reader.read_f32(&plain(), 1), [4.0, 0.0, f32::INFINITY]);
        let merged = plain().with_deltas(&deltas);
        assert_eq!(reader.read_f32(&merged, 0), [2.5, 2.0, 7.001]);
        assert_eq!(reader.read_f32(&merged, 1), [0.0, 0.0, f32::INFINITY]);
        // Also where the format that is wanted is the one that is stored.
        let mut out = [0; 12];
        reader.read(&merged, 0, Dtype::F32, &mut out);
        assert_eq!(out[..4], 2.5f32.to_le_bytes());
        let mut sources: Vec<u8> = Vec::new();
        merged.each_source(|bytes| sources.extend(bytes));
        let mut of_base: Vec<u8> = Vec::new();
        plain().each_source(|bytes| of_base.extend(bytes));
        assert!(sources.len() > of_base.len());
    }
}

//! Matrices that MLX quantised: unsigned integers of a few bits in little-endian words of 32, and for each group of neighbours in a row a scale
//! and a bias, which make them numbers: `scale * integer + bias`.
//!
//! Source: `mlx.core.quantize` of MLX, mode `affine`, and the names that mlx-lm saves them by.

use safetensors::tensor::TensorInfo;

use crate::dtype::Dtype;

/// What MLX can make of a matrix.
const BITS: [usize; 6] = [2, 3, 4, 5, 6, 8];
const GROUPS: [usize; 4] = [16, 32, 64, 128];

/// What stands in place of `weight` in the name of a matrix's scales.
pub const SCALES: &str = "scales";

/// The names of a matrix's scales and biases.
pub fn beside(weight: &str) -> Option<[String; 2]> {
    let module = weight.strip_suffix("weight")?;
    Some([SCALES, "biases"].map(|part| format!("{module}{part}")))
}

/// How a matrix is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Layout {
    columns: usize,
    bits: usize,
    /// Values with a common scale and bias.
    group: usize,
    /// Format of scales and biases.
    dtype: Dtype,
}

/// A packed matrix in its files.
pub struct Packed<'a> {
    layout: Layout,
    words: &'a [u8],
    scales: &'a [u8],
    biases: &'a [u8],
}

impl Layout {
    /// Shapes tell everything: what `config.json` says about quantisation may be different for each matrix, or missing.
    fn of(
        shape: &[usize],
        words: &TensorInfo,
        scales: &TensorInfo,
        biases: &TensorInfo,
    ) -> Option<Self> {
        let ([rows, columns], [word_rows, words_of_row]) = (shape, &words.shape[..]) else {
            return None;
        };
        let [scale_rows, groups] = scales.shape[..] else {
            return None;
        };
        let dtype = match scales.dtype {
            safetensors::Dtype::F32 => Dtype::F32,
            safetensors::Dtype::F16 => Dtype::F16,
            safetensors::Dtype::BF16 => Dtype::Bf16,
            _ => return None,
        };
        let bits = words_of_row.checked_mul(32)?.checked_div(*columns)?;
        let group = columns.checked_div(groups)?;
        let is_sound = words.dtype == safetensors::Dtype::U32
            && (*word_rows, scale_rows) == (*rows, *rows)
            && (biases.dtype, &biases.shape) == (scales.dtype, &scales.shape)
            && BITS.contains(&bits)
            && GROUPS.contains(&group)
            && words_of_row * 32 == bits * columns
            && groups * group == *columns;
        is_sound.then_some(Self {
            columns: *columns,
            bits,
            group,
            dtype,
        })
    }
}

impl<'a> Packed<'a> {
    /// A matrix of `shape` from its three tensors: what files say about each, and its bytes. `None` if they do not make one.
    pub fn of(
        shape: &[usize],
        words: (&TensorInfo, &'a [u8]),
        scales: (&TensorInfo, &'a [u8]),
        biases: (&TensorInfo, &'a [u8]),
    ) -> Option<Self> {
        Some(Self {
            layout: Layout::of(shape, words.0, scales.0, biases.0)?,
            words: words.1,
            scales: scales.1,
            biases: biases.1,
        })
    }

    /// Computes the numbers of row `row`.
    pub fn widen(&self, row: usize, out: &mut [f32]) {
        let Layout {
            columns,
            bits,
            group,
            dtype,
        } = self.layout;
        let words = row_of(self.words, row, columns * bits / 8);
        let scales = row_of(self.scales, row, dtype.row_bytes(columns / group));
        let biases = row_of(self.biases, row, dtype.row_bytes(columns / group));
        for (at, values) in out.chunks_exact_mut(group).enumerate() {
            let scale = number(scales, dtype, at);
            let bias = number(biases, dtype, at);
            for (i, value) in (at * group..).zip(values) {
                *value = scale * f32::from(integer(words, i, bits)) + bias;
            }
        }
    }

    /// Hands all that makes its numbers to `take`, in pieces.
    pub fn each_source(&self, mut take: impl FnMut(&[u8])) {
        let Layout { bits, group, .. } = self.layout;
        take(&(bits as u64).to_le_bytes());
        take(&(group as u64).to_le_bytes());
        for part in [self.words, self.scales, self.biases] {
            take(part);
        }
    }

    /// Bytes in the files.
    pub fn bytes(&self) -> usize {
        self.words.len() + self.scales.len() + self.biases.len()
    }
}

fn row_of(bytes: &[u8], row: usize, size: usize) -> &[u8] {
    bytes.get(row * size..(row + 1) * size).unwrap_or_default()
}

/// Integer `index` of a row: the first has the lowest bits of the first word, so that little-endian words are a stream of bits.
fn integer(words: &[u8], index: usize, bits: usize) -> u8 {
    let (byte, shift) = (index * bits / 8, index * bits % 8);
    let two = [byte, byte + 1].map(|at| words.get(at).copied().unwrap_or(0));
    ((u16::from_le_bytes(two) >> shift) & ((1 << bits) - 1)) as u8
}

fn number(bytes: &[u8], dtype: Dtype, index: usize) -> f32 {
    let half = || bytes.get(index * 2..)?.first_chunk().copied();
    let number = match dtype {
        Dtype::F16 => half().map(|le| half::f16::from_le_bytes(le).to_f32()),
        Dtype::Bf16 => half().map(|le| half::bf16::from_le_bytes(le).to_f32()),
        _ => bytes
            .get(index * 4..)
            .and_then(|rest| rest.first_chunk())
            .map(|le| f32::from_le_bytes(*le)),
    };
    number.unwrap_or(f32::NAN)
}

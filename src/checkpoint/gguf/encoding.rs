//! ggml's formats of weights: how their rows lie in a file, and what becomes of them.
//!
//! Rows are whole blocks. Three formats are blocks of 32 integers with an f16 scale in front, which is what our q8 is too, in another order:
//! they become q8 to the bit. The k-quants (superblocks of 256 with scales of 16 or 32 values, themselves quantised) have no like here: they
//! are computed to f32.
//!
//! Source: the block structures in `ggml-common.h` and what `ggml-quants.c` says they mean.

use half::f16;

use crate::checkpoint::quantize::SUPERBLOCK;
use crate::dtype::Dtype;

/// A format that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    Float(Dtype),
    /// 32 integers of eight bits behind their scale.
    Q8_0,
    /// Of five bits, 16 too large: fifth bits, then four bits each, the second half of the values in the high ones.
    Q5_0,
    /// Of four bits, 8 too large, the second half of the values in the high ones.
    Q4_0,
    Q4K,
    Q5K,
    Q6K,
}

/// Values of a block with one scale.
const BLOCK: usize = 32;

/// A block's values.
type Integers = [i8; BLOCK];

/// ggml's names, by number; what it has given up is empty.
const NAMES: [&str; 40] = [
    "F32", "F16", "Q4_0", "Q4_1", "", "", "Q5_0", "Q5_1", "Q8_0", "Q8_1", "Q2_K", "Q3_K", "Q4_K",
    "Q5_K", "Q6_K", "Q8_K", "IQ2_XXS", "IQ2_XS", "IQ3_XXS", "IQ1_S", "IQ4_NL", "IQ3_S", "IQ2_S",
    "IQ4_XS", "I8", "I16", "I32", "I64", "F64", "IQ1_M", "BF16", "", "", "", "TQ1_0", "TQ2_0", "",
    "", "", "MXFP4",
];

impl Encoding {
    /// Those that can be read, as a sentence has them.
    pub const READABLE: &str = "F32, F16, BF16, Q8_0, Q6_K, Q5_K, Q5_0, Q4_K and Q4_0";

    pub fn numbered(number: u32) -> Option<Self> {
        Some(match number {
            0 => Self::Float(Dtype::F32),
            1 => Self::Float(Dtype::F16),
            30 => Self::Float(Dtype::Bf16),
            2 => Self::Q4_0,
            6 => Self::Q5_0,
            8 => Self::Q8_0,
            12 => Self::Q4K,
            13 => Self::Q5K,
            14 => Self::Q6K,
            _ => return None,
        })
    }

    fn number(self) -> u32 {
        match self {
            Self::Float(Dtype::F16) => 1,
            Self::Float(Dtype::Bf16) => 30,
            Self::Float(_) => 0,
            Self::Q4_0 => 2,
            Self::Q5_0 => 6,
            Self::Q8_0 => 8,
            Self::Q4K => 12,
            Self::Q5K => 13,
            Self::Q6K => 14,
        }
    }

    /// The name of any of ggml's formats.
    pub fn name_of(number: u32) -> String {
        let name = NAMES
            .get(number as usize)
            .filter(|name| !name.is_empty())
            .copied();
        name.map_or_else(|| format!("the format of number {number}"), str::to_owned)
    }

    /// Values and bytes of a block, which rows are made of.
    pub fn block(self) -> (usize, usize) {
        match self {
            Self::Float(dtype) => (1, dtype.row_bytes(1)),
            Self::Q8_0 => (BLOCK, 2 + BLOCK),
            Self::Q5_0 => (BLOCK, 2 + 4 + BLOCK / 2),
            Self::Q4_0 => (BLOCK, 2 + BLOCK / 2),
            Self::Q4K => (SUPERBLOCK, K_HEAD + 128),
            Self::Q5K => (SUPERBLOCK, K_HEAD + 32 + 128),
            Self::Q6K => (SUPERBLOCK, 128 + 64 + 16 + 2),
        }
    }

    /// The format of ours that holds the same numbers.
    pub fn dtype(self) -> Dtype {
        match self {
            Self::Float(dtype) => dtype,
            Self::Q8_0 | Self::Q5_0 | Self::Q4_0 => Dtype::Q8,
            Self::Q4K | Self::Q5K | Self::Q6K => Dtype::F32,
        }
    }

    /// Whether it is a k-quant, which is computed to numbers.
    pub fn is_k_quant(self) -> bool {
        !matches!(self, Self::Float(_)) && self.dtype() == Dtype::F32
    }

    /// Writes a row as it is to `out`, if `dtype` holds the same bits in some order.
    pub fn copy(self, row: &[u8], dtype: Dtype, out: &mut [u8]) -> bool {
        match self {
            Self::Float(own) if own == dtype => out.copy_from_slice(row),
            Self::Q8_0 | Self::Q5_0 | Self::Q4_0 if dtype == Dtype::Q8 => self.copy_q8(row, out),
            _ => return false,
        }
        true
    }

    /// Blocks to superblocks: eight scales, then the values of all eight; zeros beyond the last block.
    fn copy_q8(self, row: &[u8], out: &mut [u8]) {
        const SCALES: usize = SUPERBLOCK / BLOCK;
        let blocks = self.block().1 * SCALES;
        let superblocks = out.chunks_mut(Dtype::Q8.row_bytes(SUPERBLOCK));
        for (superblock, blocks) in superblocks.zip(row.chunks(blocks)) {
            superblock.fill(0);
            let Some((scales, numbers)) = superblock.split_at_mut_checked(2 * SCALES) else {
                return;
            };
            let places = scales
                .chunks_exact_mut(2)
                .zip(numbers.chunks_exact_mut(BLOCK));
            for ((scale, place), block) in places.zip(blocks.chunks_exact(self.block().1)) {
                let (own, integers) = self.integers(block);
                scale.copy_from_slice(&own.to_le_bytes());
                place.copy_from_slice(bytemuck::cast_slice(&integers));
            }
        }
    }

    /// A block's scale and integers.
    fn integers(self, block: &[u8]) -> (f16, Integers) {
        let (scale, rest) = number(block);
        let mut integers = [0; BLOCK];
        match self {
            Self::Q5_0 => {
                let (fifth, low) = rest.split_first_chunk::<4>().unwrap_or((&[0; 4], &[]));
                let fifth = u32::from_le_bytes(*fifth);
                for (i, (place, n)) in integers.iter_mut().zip(halves(low)).enumerate() {
                    *place = (n | ((fifth >> i & 1) << 4) as u8) as i8 - 16;
                }
            }
            Self::Q4_0 => {
                for (place, n) in integers.iter_mut().zip(halves(rest)) {
                    *place = n as i8 - 8;
                }
            }
            _ => {
                for (place, n) in integers.iter_mut().zip(rest) {
                    *place = *n as i8;
                }
            }
        }
        (scale, integers)
    }

    /// Computes a row's numbers.
    pub fn widen(self, row: &[u8], out: &mut [f32]) {
        let (values, bytes) = self.block();
        let blocks = row.chunks_exact(bytes);
        let all = blocks.clone().zip(out.iter_mut());
        match self {
            Self::Float(Dtype::F16) => all.for_each(|(le, x)| *x = number(le).0.to_f32()),
            Self::Float(Dtype::Bf16) => all.for_each(|(le, x)| {
                *x = f32::from_bits(u32::from(number(le).0.to_bits()) << 16);
            }),
            Self::Float(_) => all.for_each(|(le, x)| {
                *x = f32::from_le_bytes(le.first_chunk().copied().unwrap_or_default());
            }),
            Self::Q8_0 | Self::Q5_0 | Self::Q4_0 => {
                for (block, out) in blocks.zip(out.chunks_mut(values)) {
                    let (scale, integers) = self.integers(block);
                    for (x, n) in out.iter_mut().zip(integers) {
                        *x = f32::from(n) * scale.to_f32();
                    }
                }
            }
            Self::Q4K | Self::Q5K | Self::Q6K => {
                for (block, out) in blocks.zip(out.chunks_mut(values)) {
                    match self {
                        Self::Q4K => widen_q4k(block, out),
                        Self::Q5K => widen_q5k(block, out),
                        _ => widen_q6k(block, out),
                    }
                }
            }
        }
    }
}

impl std::fmt::Display for Encoding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&Self::name_of(self.number()))
    }
}

/// The number of 16 bits at the front, and what is behind it.
fn number(bytes: &[u8]) -> (f16, &[u8]) {
    match bytes.split_first_chunk::<2>() {
        Some((le, rest)) => (f16::from_le_bytes(*le), rest),
        None => (f16::ZERO, &[]),
    }
}

/// The low halves of all bytes, then the high ones.
fn halves(bytes: &[u8]) -> impl Iterator<Item = u8> {
    let low = bytes.iter().map(|byte| byte & 15);
    low.chain(bytes.iter().map(|byte| byte >> 4))
}

/// Bytes of scale and offset of a superblock, and of the packed scales and offsets of its blocks.
const K_HEAD: usize = 2 + 2 + K_SCALES;
const K_SCALES: usize = 12;

/// What the integers of a superblock's eight blocks of 32 are multiplied by, and what is then subtracted.
fn k_scales(block: &[u8]) -> [(f32, f32); 8] {
    let (scale, rest) = number(block);
    let (offset, rest) = number(rest);
    let Some(packed) = rest.first_chunk::<K_SCALES>() else {
        return [(0.0, 0.0); 8];
    };
    // Four scales of six bits, four offsets, then the low bits of four more of both, whose high bits are those that six leave over.
    std::array::from_fn(|i| {
        let (s, o) = match i {
            0..4 => (packed[i] & 63, packed[i + 4] & 63),
            _ => (
                (packed[i + 4] & 15) | (packed[i - 4] >> 6 << 4),
                (packed[i + 4] >> 4) | (packed[i] >> 6 << 4),
            ),
        };
        (
            scale.to_f32() * f32::from(s),
            offset.to_f32() * f32::from(o),
        )
    })
}

/// Four bits a value: 32 bytes hold one block in their low halves, the next in their high ones.
fn widen_q4k(block: &[u8], out: &mut [f32]) {
    let scales = k_scales(block);
    let low = block.get(K_HEAD..).unwrap_or_default();
    let numbers = low.chunks_exact(BLOCK).flat_map(halves);
    for (i, (x, n)) in out.iter_mut().zip(numbers).enumerate() {
        let (scale, offset) = scales[i / BLOCK % 8];
        *x = scale * f32::from(n) - offset;
    }
}

/// As `Q4_K`, with a fifth bit: bit b of 32 bytes in front is that of block b.
fn widen_q5k(block: &[u8], out: &mut [f32]) {
    let scales = k_scales(block);
    let rest = block.get(K_HEAD..).unwrap_or_default();
    let Some((fifth, low)) = rest.split_first_chunk::<BLOCK>() else {
        return;
    };
    let numbers = low.chunks_exact(BLOCK).flat_map(halves);
    for (i, (x, n)) in out.iter_mut().zip(numbers).enumerate() {
        let (scale, offset) = scales[i / BLOCK % 8];
        let high = (fifth[i % BLOCK] >> (i / BLOCK % 8) & 1) << 4;
        *x = scale * f32::from(n | high) - offset;
    }
}

/// Six bits a value, 32 too large: 128 values have 64 bytes of low halves and 32 of two high bits, four values a byte. Scales are of 16 values.
fn widen_q6k(block: &[u8], out: &mut [f32]) {
    let Some((low, rest)) = block.split_first_chunk::<128>() else {
        return;
    };
    let Some((high, rest)) = rest.split_first_chunk::<64>() else {
        return;
    };
    let Some((scales, rest)) = rest.split_first_chunk::<16>() else {
        return;
    };
    let scale = number(rest).0.to_f32();
    let low = low.chunks_exact(64).flat_map(halves);
    for (i, (x, n)) in out.iter_mut().zip(low).enumerate() {
        let (half, quarter, at) = (i / 128 % 2, i / 32 % 4, i % 32);
        let bits = high[half * 32 + at] >> (2 * quarter) & 3;
        let integer = f32::from((n | (bits << 4)) as i8 - 32);
        *x = scale * f32::from(scales[i / 16 % 16] as i8) * integer;
    }
}

//! Quantised rows: 256 values at a time, as eight blocks of 32 with a scale each.
//!
//! A superblock is 16 bytes of scales (eight f16, little-endian), then its values in order:
//! - `q8`: 256 signed bytes; value = byte * scale. 272 bytes, 8.5 bits a value.
//! - `q4`: 256 four-bit numbers n, the first of a byte in its low half; value = level(n) * scale. 144 bytes, 4.5 bits a value.
//!
//! The 16 levels of `q4` lie on an odd cubic, closer together near zero, where most weights are (ARCHITECTURE.md says what else was
//! measured). Rows are padded with zeros to whole superblocks. Devices and files hold the same bytes.

use half::f16;

use crate::dtype::Dtype;

/// Whether rows of so many columns can be quantised: kernels read sixteen values at a time, and what pads a row is not quite zero.
pub fn can_quantize(columns: usize) -> bool {
    columns.is_multiple_of(16)
}

/// Values with a common scale.
const BLOCK: usize = 32;

/// Values in a superblock.
pub const SUPERBLOCK: usize = 256;

/// Bytes of a superblock's scales.
const SCALE_BYTES: usize = 16;

/// Coefficients of the levels: t * (LINEAR + CUBIC * t^2) with t = n - 7.5, so that the outermost are -1 and 1.
const LINEAR: f32 = 0.085;
const CUBIC: f32 = (1.0 / 7.5 - LINEAR) / (7.5 * 7.5);

/// Scales that are tried for a block of `q4`, in parts of its largest magnitude; the one with the least squared error is kept.
const FACTORS: [f32; 7] = [1.0, 0.84, 0.89, 0.94, 1.05, 1.1, 1.16];

/// The nearest whole number, for numbers below 2^22: an addition that leaves no room for a fraction. `f32::round` is a call to a
/// library on the oldest processors that this is built for, and then ten times slower.
fn round(x: f32) -> f32 {
    const NO_FRACTION: f32 = 12_582_912.0; // 1.5 * 2^23
    (x + NO_FRACTION) - NO_FRACTION
}

/// Number n's value at scale 1.
pub fn level(n: u8) -> f32 {
    let t = f32::from(n) - 7.5;
    t * (LINEAR + CUBIC * t * t)
}

/// The number whose level is nearest to `x`, for x from about -1.2 to 1.2.
fn nearest(x: f32) -> f32 {
    // The inverse of the cubic, by a polynomial that errs by less than a tenth of the distance between levels; a wrong
    // neighbour near a midpoint costs almost nothing. No branches, so that it compiles to vector code.
    let s = x * x;
    let t = x * (11.3412 + s * (-8.34445 + s * (6.56491 + s * -2.043_38)));
    round((t + 7.5).clamp(0.0, 15.0))
}

fn largest(block: &[f32]) -> f32 {
    block.iter().fold(0.0, |most, x| most.max(x.abs()))
}

/// `scale` as f16 holds it, and its reciprocal; 0 for a scale of 0.
fn stored(scale: f32) -> (f16, f32, f32) {
    let half = f16::from_f32(scale);
    let scale = half.to_f32();
    (half, scale, if scale > 0.0 { 1.0 / scale } else { 0.0 })
}

/// How far a block's scale in f16 may be off before its values are no longer what they were. Those of `q4` are searched in wider steps.
fn tolerance(dtype: Dtype) -> f32 {
    if dtype == Dtype::Q8 { 0.02 } else { 0.25 }
}

/// How many times a number must be smaller than the largest of its row for all of it to be less than half a step there.
fn negligible(dtype: Dtype) -> f32 {
    if dtype == Dtype::Q8 { 254.0 } else { 9.5 }
}

/// Writes a row as superblocks of `dtype`; `out` holds exactly so many, and `values` at most as many as they take. Returns whether the row is
/// faint: it has blocks whose scales are so small that f16 has no digits for them, and they are not negligible beside the row's others.
pub fn quantize_row(values: &[f32], dtype: Dtype, out: &mut [u8]) -> bool {
    // The largest magnitude of those blocks.
    let mut faint = 0.0f32;
    let bytes = dtype.row_bytes(SUPERBLOCK);
    let mut padded = [0.0; SUPERBLOCK];
    for (i, superblock) in out.chunks_exact_mut(bytes).enumerate() {
        let from = &values[(i * SUPERBLOCK).min(values.len())..];
        let count = from.len().min(SUPERBLOCK);
        padded[..count].copy_from_slice(&from[..count]);
        padded[count..].fill(0.0);
        let (scales, numbers) = superblock.split_at_mut(SCALE_BYTES);
        let blocks = padded.chunks_exact(BLOCK).zip(scales.chunks_exact_mut(2));
        let size = numbers.len() / (SUPERBLOCK / BLOCK);
        for ((block, scale), numbers) in blocks.zip(numbers.chunks_exact_mut(size)) {
            let most = largest(block);
            let (half, meant) = if dtype == Dtype::Q8 {
                (quantize_q8(block, most, numbers), most / 127.0)
            } else {
                (quantize_q4(block, most, numbers), most)
            };
            scale.copy_from_slice(&half.to_le_bytes());
            // One that is infinite is told by its being so.
            if (half.to_f32() - meant).abs() > tolerance(dtype) * meant && half.is_finite() {
                faint = faint.max(most);
            }
        }
    }
    faint > 0.0 && faint * negligible(dtype) >= largest(values)
}

fn quantize_q8(block: &[f32], most: f32, numbers: &mut [u8]) -> f16 {
    let (half, _, reciprocal) = stored(most / 127.0);
    for (number, x) in numbers.iter_mut().zip(block) {
        *number = round((x * reciprocal).clamp(-127.0, 127.0)) as i8 as u8;
    }
    half
}

fn quantize_q4(block: &[f32], most: f32, numbers: &mut [u8]) -> f16 {
    let error_at = |factor: f32| {
        let (_, scale, reciprocal) = stored(most * factor);
        // Eight sums, so that the additions need not wait for each other.
        let mut sums = [0.0f32; 8];
        for eight in block.chunks_exact(8) {
            for (sum, x) in sums.iter_mut().zip(eight) {
                let t = nearest(x * reciprocal) - 7.5;
                let error = t * (LINEAR + CUBIC * t * t) * scale - x;
                *sum += error * error;
            }
        }
        sums.iter().sum::<f32>()
    };
    let mut best = (f32::INFINITY, FACTORS[0]);
    for factor in FACTORS {
        let error = error_at(factor);
        if error < best.0 {
            best = (error, factor);
        }
    }
    let (half, _, reciprocal) = stored(most * best.1);
    for (number, pair) in numbers.iter_mut().zip(block.chunks_exact(2)) {
        let n = |x: f32| nearest(x * reciprocal) as u8;
        *number = n(pair[0]) | (n(pair[1]) << 4);
    }
    half
}

/// Reads a row of superblocks of `dtype` back.
pub fn dequantize_row(bytes: &[u8], dtype: Dtype, out: &mut [f32]) {
    let size = dtype.row_bytes(SUPERBLOCK);
    for (superblock, out) in bytes.chunks_exact(size).zip(out.chunks_mut(SUPERBLOCK)) {
        let (scales, numbers) = superblock.split_at(SCALE_BYTES);
        for (i, x) in out.iter_mut().enumerate() {
            let at = i / BLOCK * 2;
            let scale = f16::from_le_bytes([scales[at], scales[at + 1]]).to_f32();
            let value = if dtype == Dtype::Q8 {
                f32::from(numbers[i] as i8)
            } else {
                level((numbers[i / 2] >> (i % 2 * 4)) & 15)
            };
            *x = value * scale;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_their_own_nearest() {
        assert_eq!(level(0), -1.0);
        assert_eq!(level(15), 1.0);
        for n in 0..16 {
            assert_eq!(nearest(level(n)), f32::from(n));
            assert_eq!(level(n), -level(15 - n));
        }
        // Elsewhere the choice is at most a little worse than the best one.
        for i in -1100..=1100 {
            let x = i as f32 / 1000.0;
            let chosen = (level(nearest(x) as u8) - x).abs();
            let best = (0..16).map(|n| (level(n) - x).abs()).fold(9.0, f32::min);
            assert!(chosen <= best + 0.02, "{x}: {chosen} instead of {best}");
        }
    }

    #[test]
    fn rows_survive_within_their_formats_error() {
        let values: Vec<f32> = (0..300)
            .map(|i| ((i * i * 37) % 201) as f32 / 100.0 - 1.0)
            .collect();
        for (dtype, most) in [(Dtype::Q8, 1.0 / 127.0), (Dtype::Q4, 0.14)] {
            let mut bytes = vec![0xAA; dtype.row_bytes(values.len())];
            quantize_row(&values, dtype, &mut bytes);
            let mut back = vec![0.0; values.len()];
            dequantize_row(&bytes, dtype, &mut back);
            for (x, y) in values.iter().zip(&back) {
                assert!((x - y).abs() <= most, "{dtype}: {x} became {y}");
            }
        }
    }

    #[test]
    fn zeros_and_extremes() {
        for dtype in [Dtype::Q8, Dtype::Q4] {
            for value in [0.0, 1e-30, 6e4, -6e4] {
                let mut bytes = vec![0; dtype.row_bytes(32)];
                quantize_row(&[value; 32], dtype, &mut bytes);
                let mut back = [0.0; 32];
                dequantize_row(&bytes, dtype, &mut back);
                for x in back {
                    assert!(
                        (x - value).abs() <= 0.2 * value.abs().max(1e-6),
                        "{dtype} {value} {x}"
                    );
                }
            }
        }
    }

    #[test]
    fn rows_that_are_too_small_for_their_scales_are_told() {
        let is_faint = |values: &[f32], dtype: Dtype| {
            quantize_row(values, dtype, &mut vec![0; dtype.row_bytes(values.len())])
        };
        let row = |largest: f32| -> Vec<f32> {
            (0..64).map(|i| largest * (i as f32 / 31.5 - 1.0)).collect()
        };
        for (dtype, fine, faint) in [(Dtype::Q8, 2e-3, 1e-5), (Dtype::Q4, 1e-6, 2e-8)] {
            assert!(!is_faint(&row(fine), dtype), "{dtype}");
            assert!(!is_faint(&[0.0; 64], dtype), "{dtype}");
            assert!(is_faint(&row(faint), dtype), "{dtype}");
            assert!(is_faint(&row(1e-30), dtype), "{dtype}");
            // Beside others that are large all of it is less than what rounding loses there.
            assert!(!is_faint(&[row(0.1), row(faint)].concat(), dtype));
            assert!(is_faint(&[row(2.0 * faint), row(faint)].concat(), dtype));
        }
    }
}

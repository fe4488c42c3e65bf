//! A twin on the CPU, in f64, for every shader of the same name. Written for the eye, not for speed; layouts are plain
//! row-major, so that what the shaders do to memory is tested too.

use openelm::kernels::ComputePath;

/// `hidden[t] = embeddings[ids[t]]`
pub fn embed(embeddings: &[f64], width: usize, ids: &[u32]) -> Vec<f64> {
    ids.iter()
        .flat_map(|id| embeddings[*id as usize * width..][..width].to_vec())
        .collect()
}

/// One row: `x * rsqrt(mean(x^2) + epsilon) * weight`
pub fn rms_norm(x: &[f64], weight: &[f64], epsilon: f64) -> Vec<f64> {
    let scale = rms_scale(x, epsilon);
    x.iter().zip(weight).map(|(x, w)| x * scale * w).collect()
}

/// What an RMSNorm divides by, inverted.
pub fn rms_scale(x: &[f64], epsilon: f64) -> f64 {
    let mean = x.iter().map(|x| x * x).sum::<f64>() / x.len() as f64;
    1.0 / (mean + epsilon).sqrt()
}

/// One row of products: `y = W x`, W [rows, x.len()].
pub fn linear(weights: &[f64], x: &[f64]) -> Vec<f64> {
    weights
        .chunks_exact(x.len())
        .map(|row| row.iter().zip(x).map(|(w, x)| w * x).sum())
        .collect()
}

/// The bound on a sum's rounding: `sum |w| |x|`, row by row.
pub fn linear_magnitude(weights: &[f64], x: &[f64]) -> Vec<f64> {
    let absolute = |v: &[f64]| v.iter().map(|x| x.abs()).collect::<Vec<_>>();
    linear(&absolute(weights), &absolute(x))
}

/// By the number that `lib/activation.wgsl` gives it.
pub fn activate(number: u32, x: f64) -> f64 {
    match number {
        1 => x.max(0.0),
        2 => {
            let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x);
            0.5 * x * (1.0 + inner.tanh())
        }
        3 => 0.5 * x * (1.0 + libm::erf(x / 2f64.sqrt())),
        _ => x / (1.0 + (-x).exp()),
    }
}

/// Rotates one head [head_dim] to `position`: pairs d and d + head_dim / 2.
pub fn rope(head: &[f64], position: u32, theta: f64) -> Vec<f64> {
    let half = head.len() / 2;
    (0..head.len())
        .map(|d| {
            let pair = d % half;
            let frequency = theta.powf(-2.0 * pair as f64 / head.len() as f64);
            let (sin, cos) = (f64::from(position) * frequency).sin_cos();
            if d < half {
                head[d] * cos - head[d + half] * sin
            } else {
                head[d] * cos + head[d - half] * sin
            }
        })
        .collect()
}

/// One query head over positions [positions][head_dim] of its kv head.
pub fn attention(query: &[f64], keys: &[Vec<f64>], values: &[Vec<f64>]) -> Vec<f64> {
    let scale = 1.0 / (query.len() as f64).sqrt();
    let scores: Vec<f64> = keys
        .iter()
        .map(|key| key.iter().zip(query).map(|(k, q)| k * q).sum::<f64>() * scale)
        .collect();
    let highest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = scores.iter().map(|s| (s - highest).exp()).collect();
    let total: f64 = weights.iter().sum();
    (0..query.len())
        .map(|d| {
            let sum: f64 = weights.iter().zip(values).map(|(w, v)| w * v[d]).sum();
            sum / total
        })
        .collect()
}

/// Activations as whole numbers from -127 to 127 with a scale for every `block` of them. In f32, because another rounding could make
/// another number of it.
pub fn eight_bits(x: &[f32], block: usize) -> Vec<f64> {
    let in_block = |block: &[f32]| -> Vec<f64> {
        let most = block.iter().fold(1e-30f32, |most, x| most.max(x.abs()));
        let factor = 127.0 / most;
        let number = |x: &f32| f64::from((x * factor).round_ties_even());
        let scale = f64::from(most) / 127.0;
        block.iter().map(|x| number(x) * scale).collect()
    };
    x.chunks(block).flat_map(in_block).collect()
}

/// What each lane makes of its 16-byte units: lanes of a workgroup read side by side in a buffer; in a texture each reads a row,
/// of which eight are interleaved.
pub fn read_bandwidth(
    values: &[[f32; 4]],
    units: usize,
    lanes: usize,
    path: ComputePath,
) -> Vec<[u32; 4]> {
    let mut folded = vec![[0; 4]; values.len() / units];
    for (at, value) in values.iter().enumerate() {
        let row = match path {
            ComputePath::Gpu => at / (units * lanes) * lanes + at % lanes,
            ComputePath::Software => at / (units * 8) * 8 + at % 8,
        };
        for (fold, value) in folded[row].iter_mut().zip(value) {
            *fold ^= value.to_bits();
        }
    }
    folded
}

/// Twelve numbers, `lane` to `lane + 11`, each taken through `rounds` of `x * factor + offset`, added up.
pub fn arithmetic_peak(lane: usize, rounds: u32, factor: f64, offset: f64) -> f64 {
    let numbers = (0..12).map(|i| (lane + i) as f64);
    let taken = numbers.map(|x| (0..rounds).fold(x, |x, _| x * factor + offset));
    taken.sum()
}

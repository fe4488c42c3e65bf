// What every matrix product needs to know. Rows are computed in pairs (r, r + second): for a gated output the pair is the gate's
// row and the linear row that it multiplies; otherwise simply two rows, half of them apart.
struct Shape {
    rows: u32,        // rows of this part of the weight matrix
    blocks: u32,      // blocks of 8 in a row: ceil(K / 8)
    units: u32,       // 16-byte units in a row of weights
    pairs: u32,       // row pairs of this part
    second: u32,      // distance from the first row of a pair to the second
    out_offset: u32,  // where this part's first row goes within a token's output
    out_stride: u32,  // floats from one token's output to the next
    in_stride: u32,   // vec4s from one token's input to the next
    activation: u32,  // see lib/activation.wgsl
    width: u32,       // K, of a normed input
    epsilon: f32,     // likewise
}
@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(2) var<storage, read_write> output: array<f32>;

// Whether the input is to be normed on its way:  W (x * norm) / rms(x). Whoever reads a value weighs it and adds up its square, and the
// sums are divided at the end, so there is no other dispatch.
override NORMED: bool = false;

fn norm_scale(squares: f32) -> f32 {
    return inverseSqrt(squares / f32(shape.width) + shape.epsilon);
}

// How a lane multiplies q8 weights and inputs of eight bits, 32 at a time, without unpacking them: one 32-bit product does two
// multiply-adds. With integers b, c from two bytes of a word and p, q of an input,
//     (b + c * 2^16) * (q + p * 2^16) = b * q + (b * p + c * q) * 2^16        (mod 2^32)
// of which the upper half is wanted. Numbers lie within -127 and 127 (weights of a foreign file: -128), so it fits, and adding 2^15
// keeps a negative b * q from borrowing from it. Sums of a block are exact.

const STEP_PAIRS = 2u;

// A step of a row: 32 bytes.
struct RowStep {
    a: vec4<u32>,
    b: vec4<u32>,
}

fn load_step(row_start: u32, pair: u32) -> RowStep {
    // From two's complement to an offset of 128, which the input takes away again (lib/input_int8.wgsl).
    let signs = vec4<u32>(0x80808080u);
    return RowStep(pair_unit(row_start, pair) ^ signs, pair_unit(row_start, pair + 1u) ^ signs);
}

// Four inputs as they meet a word of weights: first and third, second and fourth, and what is added to the products of each.
alias Four = vec4<u32>;

// A step of a token's input.
struct Input {
    a: array<Four, 4>,
    b: array<Four, 4>,
    scale: f32,
}

fn word_dot(word: u32, x: Four) -> i32 {
    let even = (word & 0x00ff00ffu) * x.x + x.z;
    let odd = ((word >> 8u) & 0x00ff00ffu) * x.y + x.w;
    return (bitcast<i32>(even) >> 16u) + (bitcast<i32>(odd) >> 16u);
}

fn dot_step(w: RowStep, x: Input) -> f32 {
    let a = word_dot(w.a.x, x.a[0]) + word_dot(w.a.y, x.a[1]) + word_dot(w.a.z, x.a[2]) + word_dot(w.a.w, x.a[3]);
    let b = word_dot(w.b.x, x.b[0]) + word_dot(w.b.y, x.b[1]) + word_dot(w.b.z, x.b[2]) + word_dot(w.b.w, x.b[3]);
    return f32(a + b);
}

fn add_dots(sums: vec4<f32>, w: Weights, x: Input) -> vec4<f32> {
    let dots = vec4<f32>(dot_step(w.x, x), dot_step(w.y, x), dot_step(w.z, x), dot_step(w.w, x));
    return sums + dots * (w.scales * x.scale);
}

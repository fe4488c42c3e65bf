// What becomes of a head of the QKV product, wherever it is computed: in the same order, so that a key has the same bits from every kernel.
// Needs `shape.head_dim` and `shape.epsilon`.
//     qkv: [tokens, (q_heads + 2 kv_heads) * head_dim], rows q, k, v
@group(0) @binding(2) var<storage, read> qkv: array<f32>;

fn or_zero(values: vec4<f32>, d: u32) -> vec4<f32> {
    return select(vec4<f32>(), values, vec4<u32>(d, d + 1u, d + 2u, d + 3u) < vec4<u32>(shape.head_dim));
}

// Four dimensions as they come. Reads beyond the head are of the next one, or of the padding behind the last.
fn quad_of(source: u32, d: u32) -> vec4<f32> {
    let at = source + d;
    return or_zero(vec4<f32>(qkv[at], qkv[at + 1u], qkv[at + 2u], qkv[at + 3u]), d);
}

fn squares_of(x: Block) -> f32 {
    return dot(x.lo, x.lo) + dot(x.hi, x.hi);
}

fn head_scale(squares: f32) -> f32 {
    return inverseSqrt(squares / f32(shape.head_dim) + shape.epsilon);
}

// Where a dimension's partner in its rotation is, and which of the two it is.
struct Turn {
    partner: u32,
    pair: u32,
    is_first: bool,
}

fn turn_of(d: u32) -> Turn {
    let half = shape.head_dim / 2u;
    let is_first = d < half;
    let pair = min(select(d - half, d, is_first), half - 1u);
    return Turn(select(pair, pair + half, is_first), pair, is_first);
}

// A dimension after its rotation by a cosine and a sine.
fn turned(own: f32, partner: f32, rotation: vec2<f32>, is_first: bool) -> f32 {
    return fma(own, rotation.x, select(partner, -partner, is_first) * rotation.y);
}

// Between f32 and pairs of f16 in a u32, by shifts: software drivers call scalar routines for unpack2x16float and pack2x16float.
#import lib/block.wgsl

const PLACES = vec4<u32>(0x8fffe000u);
const TWO_TO_112 = 5192296858534827628530496329220096.0;

// Sign, exponent and mantissa move to their places in an f32, whose exponent is then 112 too low; the product puts that right,
// for subnormal numbers too. Infinities and NaN become large numbers: loading warns of them.
fn unpack_halves(packed: vec4<u32>) -> Block {
    let even = bitcast<vec4<u32>>(bitcast<vec4<i32>>(packed << vec4<u32>(16u)) >> vec4<u32>(3u));
    let odd = bitcast<vec4<u32>>(bitcast<vec4<i32>>(packed) >> vec4<u32>(3u));
    let a = bitcast<vec4<f32>>(even & PLACES) * TWO_TO_112;
    let b = bitcast<vec4<f32>>(odd & PLACES) * TWO_TO_112;
    return Block(vec4<f32>(a.x, b.x, a.y, b.y), vec4<f32>(a.z, b.z, a.w, b.w));
}

// The f16 in the low half of a word.
fn unpack_half(bits: u32) -> f32 {
    let moved = bitcast<u32>(bitcast<i32>(bits << 16u) >> 3u);
    return bitcast<f32>(moved & PLACES.x) * TWO_TO_112;
}

// Rounds to nearest even. What is below the normal range is rounded by adding 0.5, whose last place is f16's smallest number;
// elsewhere by adding half of the last place that is kept, less one where that place is even.
fn pack_halves(quad: vec4<f32>) -> vec2<u32> {
    let bits = bitcast<vec4<u32>>(quad);
    let size = bits & vec4<u32>(0x7fffffffu);
    let subnormal = bitcast<vec4<u32>>(bitcast<vec4<f32>>(size) + 0.5) - vec4<u32>(0x3f000000u);
    let is_odd = (size >> vec4<u32>(13u)) & vec4<u32>(1u);
    let normal = (size - vec4<u32>(0x38000000u) + vec4<u32>(0xfffu) + is_odd) >> vec4<u32>(13u);
    let finite = select(normal, subnormal, size < vec4<u32>(0x38800000u));
    let half = select(finite, vec4<u32>(0x7c00u), size >= vec4<u32>(0x47800000u));
    let signed = half | ((bits >> vec4<u32>(16u)) & vec4<u32>(0x8000u));
    return vec2<u32>(signed.x | (signed.y << 16u), signed.z | (signed.w << 16u));
}

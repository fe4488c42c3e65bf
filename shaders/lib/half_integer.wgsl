// Two f16 in each u32 to eight f32, by shifts: software drivers call a scalar routine for unpack2x16float. Sign, exponent and
// mantissa move to their places in an f32, whose exponent is then 112 too low; the product puts that right, for subnormal
// numbers too. Infinities and NaN become large numbers: loading warns of them.
#import lib/block.wgsl

const PLACES = vec4<u32>(0x8fffe000u);
const TWO_TO_112 = 5192296858534827628530496329220096.0;

fn unpack_halves(packed: vec4<u32>) -> Block {
    let even = bitcast<vec4<u32>>(bitcast<vec4<i32>>(packed << vec4<u32>(16u)) >> vec4<u32>(3u));
    let odd = bitcast<vec4<u32>>(bitcast<vec4<i32>>(packed) >> vec4<u32>(3u));
    let a = bitcast<vec4<f32>>(even & PLACES) * TWO_TO_112;
    let b = bitcast<vec4<f32>>(odd & PLACES) * TWO_TO_112;
    return Block(vec4<f32>(a.x, b.x, a.y, b.y), vec4<f32>(a.z, b.z, a.w, b.w));
}

// Between f32 and pairs of f16 in a u32, where the adapter's own instructions lose numbers below f16's normal range: those are whole
// multiples of its smallest number, and no f32 on the way is below its own normal range, which adapters may take for zero.
#import lib/block.wgsl
#import lib/half_pack.wgsl

fn unpack_quad(bits: vec4<u32>) -> vec4<f32> {
    let size = bits & vec4<u32>(0x7fffu);
    let subnormal = vec4<f32>(size) * 5.9604644775390625e-8;
    // Infinities and NaN become large numbers: loading warns of them.
    let normal = bitcast<vec4<f32>>((size << vec4<u32>(13u)) + vec4<u32>(0x38000000u));
    let positive = select(normal, subnormal, size < vec4<u32>(0x400u));
    return select(positive, -positive, (bits & vec4<u32>(0x8000u)) != vec4<u32>(0u));
}

fn unpack_halves(packed: vec4<u32>) -> Block {
    let even = unpack_quad(packed);
    let odd = unpack_quad(packed >> vec4<u32>(16u));
    return Block(vec4<f32>(even.x, odd.x, even.y, odd.y), vec4<f32>(even.z, odd.z, even.w, odd.w));
}

// The f16 in the low half of a word.
fn unpack_half(bits: u32) -> f32 {
    return unpack_quad(vec4<u32>(bits)).x;
}

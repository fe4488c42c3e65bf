// Between f32 and pairs of f16 in a u32, by the adapter's own instructions.
#import lib/block.wgsl
#import lib/half_pack.wgsl

fn unpack_halves(packed: vec4<u32>) -> Block {
    return Block(
        vec4<f32>(unpack2x16float(packed.x), unpack2x16float(packed.y)),
        vec4<f32>(unpack2x16float(packed.z), unpack2x16float(packed.w)),
    );
}

// The f16 in the low half of a word.
fn unpack_half(bits: u32) -> f32 {
    return unpack2x16float(bits).x;
}

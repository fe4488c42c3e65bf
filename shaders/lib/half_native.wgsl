// Two f16 in each u32 to eight f32, by the adapter's own instruction.
#import lib/block.wgsl

fn unpack_halves(packed: vec4<u32>) -> Block {
    return Block(
        vec4<f32>(unpack2x16float(packed.x), unpack2x16float(packed.y)),
        vec4<f32>(unpack2x16float(packed.z), unpack2x16float(packed.w)),
    );
}

// f16 weights: a block of 8 is one 16-byte unit. Unpacked from integers, so no f16 feature is needed.
#import lib/block.wgsl

fn load_weights(row_start: u32, block: u32) -> Block {
    let unit = fetch(row_start + block * UNIT_STRIDE);
    return Block(
        vec4<f32>(unpack2x16float(unit.x), unpack2x16float(unit.y)),
        vec4<f32>(unpack2x16float(unit.z), unpack2x16float(unit.w)),
    );
}

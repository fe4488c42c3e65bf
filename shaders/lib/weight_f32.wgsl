// f32 weights: a block of 8 is two 16-byte units.
#import lib/block.wgsl
#import lib/pair_of_blocks.wgsl

fn load_weights(row_start: u32, block: u32) -> Block {
    let unit = row_start + 2u * block * UNIT_STRIDE;
    return Block(
        bitcast<vec4<f32>>(fetch(unit)),
        bitcast<vec4<f32>>(fetch(unit + UNIT_STRIDE)),
    );
}

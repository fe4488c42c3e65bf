// f32 weights: a block of 8 is two 16-byte units.
#import lib/block.wgsl
#import lib/pair_of_blocks.wgsl

// A block as it lies in memory.
struct Packed {
    lo: vec4<u32>,
    hi: vec4<u32>,
}

fn load_packed(row_start: u32, first: u32, column: u32) -> Packed {
    let unit = row_start + 2u * (first + column) * UNIT_STRIDE;
    return Packed(fetch(unit), fetch(unit + UNIT_STRIDE));
}

fn unpack(packed: Packed) -> Block {
    return Block(bitcast<vec4<f32>>(packed.lo), bitcast<vec4<f32>>(packed.hi));
}

fn load_weights(row_start: u32, block: u32) -> Block {
    return unpack(load_packed(row_start, block, 0u));
}

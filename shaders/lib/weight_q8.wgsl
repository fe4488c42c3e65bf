// q8 weights: superblocks of 256 values in 17 units: eight f16 scales, then signed bytes, two blocks of 8 a unit
// (layout: src/checkpoint/quantize.rs).
#import lib/pair_scale.wgsl

const SUPERBLOCK_UNITS = 17u;

fn signed_bytes(word: u32) -> vec4<f32> {
    let shifted = bitcast<vec4<i32>>(vec4<u32>(word << 24u, word << 16u, word << 8u, word));
    return vec4<f32>(shifted >> vec4<u32>(24u));
}

fn load_pair(row_start: u32, pair: u32) -> BlockPair {
    let superblock = (pair >> 4u) * SUPERBLOCK_UNITS;
    let scale = pair_scale(row_start, superblock, pair);
    let numbers = fetch(row_start + (superblock + 1u + (pair & 15u)) * UNIT_STRIDE);
    return BlockPair(
        Block(signed_bytes(numbers.x) * scale, signed_bytes(numbers.y) * scale),
        Block(signed_bytes(numbers.z) * scale, signed_bytes(numbers.w) * scale),
    );
}

fn load_weights(row_start: u32, block: u32) -> Block {
    let pair = block >> 1u;
    let superblock = (pair >> 4u) * SUPERBLOCK_UNITS;
    let scale = pair_scale(row_start, superblock, pair);
    let numbers = fetch(row_start + (superblock + 1u + (pair & 15u)) * UNIT_STRIDE);
    let words = select(numbers.xy, numbers.zw, (block & 1u) == 1u);
    return Block(signed_bytes(words.x) * scale, signed_bytes(words.y) * scale);
}

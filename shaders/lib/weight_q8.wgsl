// q8 weights: superblocks of 256 values in 17 units: eight f16 scales, then signed bytes, two blocks of 8 a unit
// (layout: src/checkpoint/quantize.rs). Blocks come without their scale, for which the sum of a block is multiplied later.
#import lib/block.wgsl
#import lib/pair_scale.wgsl

const SUPERBLOCK_UNITS = 17u;

fn signed_bytes(word: u32) -> vec4<f32> {
    let shifted = bitcast<vec4<i32>>(vec4<u32>(word << 24u, word << 16u, word << 8u, word));
    return vec4<f32>(shifted >> vec4<u32>(24u));
}

fn pair_unit(row_start: u32, pair: u32) -> vec4<u32> {
    let unit = (pair >> 4u) * SUPERBLOCK_UNITS + 1u + (pair & 15u);
    return fetch(row_start + unit * UNIT_STRIDE);
}

fn load_pair(row_start: u32, pair: u32) -> BlockPair {
    let numbers = pair_unit(row_start, pair);
    return BlockPair(
        Block(signed_bytes(numbers.x), signed_bytes(numbers.y)),
        Block(signed_bytes(numbers.z), signed_bytes(numbers.w)),
    );
}

fn load_block(row_start: u32, block: u32) -> Block {
    let numbers = pair_unit(row_start, block >> 1u);
    let words = select(numbers.xy, numbers.zw, (block & 1u) == 1u);
    return Block(signed_bytes(words.x), signed_bytes(words.y));
}

// A block as it lies in memory.
struct Packed {
    numbers: vec2<u32>,
    scale: u32,
}

// Units from a row's start to a block.
fn units_to(block: u32) -> u32 {
    return (block >> 5u) * SUPERBLOCK_UNITS + ((block >> 1u) & 15u);
}

fn load_packed(row_start: u32, first: u32, column: u32) -> Packed {
    let unit = row_start + (units_to(first) + units_to(column) + 1u) * UNIT_STRIDE;
    let word = 2u * (column & 1u);
    let numbers = vec2<u32>(fetch_word(unit, word), fetch_word(unit, word + 1u));
    return Packed(numbers, load_block_scale(row_start, first, column));
}

// Numbers are too large by so much, which whoever adds them up takes away from the sum: bytes without a sign become floats in one
// instruction, and those with one in two.
const EXCESS = 128.0;

fn unpack(packed: Packed) -> Block {
    let numbers = packed.numbers ^ vec2<u32>(0x80808080u);
    return Block(vec4<f32>(unpack4xU8(numbers.x)), vec4<f32>(unpack4xU8(numbers.y)));
}

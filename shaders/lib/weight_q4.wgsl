// q4 weights: superblocks of 256 values in 9 units: eight f16 scales, then four-bit numbers, a word for each block of 8
// (layout and levels: src/checkpoint/quantize.rs). Blocks come without their scale, for which the sum of a block is multiplied later.
#import lib/block.wgsl
#import lib/pair_scale.wgsl

const SUPERBLOCK_UNITS = 9u;

// Levels: t * (LINEAR + CUBIC * t^2), t = n - 7.5. A number becomes t / 16 by bits alone: between the exponent and the rest of a 1.0 it
// makes 1 + n / 16. The powers of 16 go into the constants, which changes no bit.
const LINEAR = 16.0 * 0.085;
const CUBIC = 4096.0 * (1.0 / 7.5 - 0.085) / (7.5 * 7.5);

// Of numbers that lie four bits below the exponent of an f32.
fn levels(numbers: vec4<u32>) -> vec4<f32> {
    let t = bitcast<vec4<f32>>((numbers & vec4<u32>(0x780000u)) | vec4<u32>(0x3f800000u)) - vec4<f32>(1.0 + 7.5 / 16.0);
    return t * (vec4<f32>(LINEAR) + CUBIC * t * t);
}

fn word_block(word: u32) -> Block {
    return Block(
        levels(vec4<u32>(word << 19u, word << 15u, word << 11u, word << 7u)),
        levels(vec4<u32>(word << 3u, word >> 1u, word >> 5u, word >> 9u)),
    );
}

// Four blocks: two pairs.
fn pair_unit(row_start: u32, pair: u32) -> vec4<u32> {
    let unit = (pair >> 4u) * SUPERBLOCK_UNITS + 1u + ((pair >> 1u) & 7u);
    return fetch(row_start + unit * UNIT_STRIDE);
}

fn load_pair(row_start: u32, pair: u32) -> BlockPair {
    let numbers = pair_unit(row_start, pair);
    let words = select(numbers.xy, numbers.zw, (pair & 1u) == 1u);
    return BlockPair(word_block(words.x), word_block(words.y));
}

fn load_block(row_start: u32, block: u32) -> Block {
    return word_block(pair_unit(row_start, block >> 1u)[block & 3u]);
}

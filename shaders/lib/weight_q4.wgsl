// q4 weights: superblocks of 256 values in 9 units: eight f16 scales, then four-bit numbers, a word for each block of 8
// (layout and levels: src/checkpoint/quantize.rs). Blocks come without their scale, for which the sum of a block is multiplied later.
#import lib/block.wgsl
#import lib/pair_scale.wgsl

const SUPERBLOCK_UNITS = 9u;

// Levels: t * (LINEAR + CUBIC * t^2), t = n - 7.5.
const LINEAR = 0.085;
const CUBIC = (1.0 / 7.5 - LINEAR) / (7.5 * 7.5);

fn levels(numbers: vec4<u32>) -> vec4<f32> {
    let t = vec4<f32>(bitcast<vec4<i32>>(numbers & vec4<u32>(15u))) - vec4<f32>(7.5);
    return t * (vec4<f32>(LINEAR) + CUBIC * t * t);
}

fn word_block(word: u32) -> Block {
    let words = vec4<u32>(word);
    return Block(
        levels(words >> vec4<u32>(0u, 4u, 8u, 12u)),
        levels(words >> vec4<u32>(16u, 20u, 24u, 28u)),
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

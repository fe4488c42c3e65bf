// q4 weights: superblocks of 256 values in 9 units: eight f16 scales, then four-bit numbers, a word for each block of 8
// (layout and levels: src/checkpoint/quantize.rs).
#import lib/pair_scale.wgsl

const SUPERBLOCK_UNITS = 9u;

// Levels: t * (LINEAR + CUBIC * t^2), t = n - 7.5.
const LINEAR = 0.085;
const CUBIC = (1.0 / 7.5 - LINEAR) / (7.5 * 7.5);

fn levels(numbers: vec4<u32>) -> vec4<f32> {
    let t = vec4<f32>(numbers & vec4<u32>(15u)) - vec4<f32>(7.5);
    return t * (vec4<f32>(LINEAR) + CUBIC * t * t);
}

fn word_block(word: u32, scale: f32) -> Block {
    let words = vec4<u32>(word);
    return Block(
        levels(words >> vec4<u32>(0u, 4u, 8u, 12u)) * scale,
        levels(words >> vec4<u32>(16u, 20u, 24u, 28u)) * scale,
    );
}

fn load_pair(row_start: u32, pair: u32) -> BlockPair {
    let superblock = (pair >> 4u) * SUPERBLOCK_UNITS;
    let scale = pair_scale(row_start, superblock, pair);
    let numbers = fetch(row_start + (superblock + 1u + ((pair >> 1u) & 7u)) * UNIT_STRIDE);
    let words = select(numbers.xy, numbers.zw, (pair & 1u) == 1u);
    return BlockPair(word_block(words.x, scale), word_block(words.y, scale));
}

fn load_weights(row_start: u32, block: u32) -> Block {
    let pair = block >> 1u;
    let superblock = (pair >> 4u) * SUPERBLOCK_UNITS;
    let scale = pair_scale(row_start, superblock, pair);
    let numbers = fetch(row_start + (superblock + 1u + ((pair >> 1u) & 7u)) * UNIT_STRIDE);
    return word_block(numbers[block & 3u], scale);
}

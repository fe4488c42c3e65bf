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

// A block as it lies in memory.
struct Packed {
    numbers: u32,
    scale: u32,
}

// Units from a row's start to a block.
fn units_to(block: u32) -> u32 {
    return (block >> 5u) * SUPERBLOCK_UNITS + ((block >> 2u) & 7u);
}

fn load_packed(row_start: u32, first: u32, column: u32) -> Packed {
    let unit = row_start + (units_to(first) + units_to(column) + 1u) * UNIT_STRIDE;
    return Packed(fetch_word(unit, column & 3u), load_block_scale(row_start, first, column));
}

// The same cubic of n itself, but for its constant: levels are too large by EXCESS, which whoever adds them up takes away from the sum.
const N_CUBED = CUBIC / 4096.0;
const N_SQUARED = -22.5 * N_CUBED;
const N = LINEAR / 16.0 + 168.75 * N_CUBED;
const EXCESS = 1.0;

fn levels_above(n: vec4<f32>) -> vec4<f32> {
    return fma(fma(vec4<f32>(N_CUBED), n, vec4<f32>(N_SQUARED)), n, vec4<f32>(N)) * n;
}

// Numbers are converted a byte at a time, which GPUs do in one instruction.
fn unpack(packed: Packed) -> Block {
    let even = vec4<f32>(unpack4xU8(packed.numbers & 0x0f0f0f0fu));
    let odd = vec4<f32>(unpack4xU8((packed.numbers >> 4u) & 0x0f0f0f0fu));
    return Block(
        levels_above(vec4<f32>(even.x, odd.x, even.y, odd.y)),
        levels_above(vec4<f32>(even.z, odd.z, even.w, odd.w)),
    );
}

// Scales of quantised weights: the first unit of a superblock holds eight, in f16, one for two pairs of blocks. So whoever walks along
// a row fetches them once for sixteen pairs.
#import <half>

alias Scales = vec4<u32>;

const PAIRS_PER_CHUNK = 16u;

fn load_scales(row_start: u32, chunk: u32) -> Scales {
    return fetch(row_start + chunk * SUPERBLOCK_UNITS * UNIT_STRIDE);
}

fn pair_scale(scales: Scales, pair: u32) -> f32 {
    let low = select(scales.x, scales.y, (pair & 4u) != 0u);
    let high = select(scales.z, scales.w, (pair & 4u) != 0u);
    return unpack_half(select(low, high, (pair & 8u) != 0u) >> (((pair >> 1u) & 1u) * 16u));
}

// The word that has the scale of block `first + column`, and that scale; `first` is a multiple of more columns than there are.
fn load_block_scale(row_start: u32, first: u32, column: u32) -> u32 {
    let superblock = (first >> 5u) + (column >> 5u);
    let word = ((first >> 3u) & 3u) + ((column >> 3u) & 3u);
    return fetch_word(row_start + superblock * SUPERBLOCK_UNITS * UNIT_STRIDE, word);
}

fn block_scale(word: u32, column: u32) -> f32 {
    return unpack_half(word >> ((column & 4u) << 2u));
}

fn load_weights(row_start: u32, block: u32) -> Block {
    let pair = block >> 1u;
    let scale = pair_scale(load_scales(row_start, pair >> 4u), pair);
    let numbers = load_block(row_start, block);
    return Block(numbers.lo * scale, numbers.hi * scale);
}

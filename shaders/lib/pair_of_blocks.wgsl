// For formats whose numbers need no scales: a pair is simply two blocks, and a row one chunk.
alias Scales = u32;

const PAIRS_PER_CHUNK = 0x7fffffffu;

fn load_scales(row_start: u32, chunk: u32) -> Scales {
    return 0u;
}

fn pair_scale(scales: Scales, pair: u32) -> f32 {
    return 1.0;
}

fn load_pair(row_start: u32, pair: u32) -> BlockPair {
    return BlockPair(load_weights(row_start, 2u * pair), load_weights(row_start, 2u * pair + 1u));
}

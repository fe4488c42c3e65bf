// As rows_float.wgsl, for quantised weights: the sum of a block is multiplied by its scale, not each of its eight weights.
#import lib/block_dot.wgsl

struct Weights {
    numbers: Block,
    scale: f32,
}

fn load_row(row_start: u32, block: u32) -> Weights {
    let pair = block >> 1u;
    let scale = pair_scale(load_scales(row_start, pair / PAIRS_PER_CHUNK), pair);
    return Weights(load_block(row_start, block), scale);
}

alias Input = Block;

fn take(x: Block) -> Input {
    return x;
}

fn dot_row(w: Weights, x: Input) -> f32 {
    return block_dot(w.numbers, x.lo, x.hi) * w.scale;
}

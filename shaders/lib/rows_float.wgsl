// How a lane of the `rows` products multiplies: weights unpacked to f32, a block at a time.
#import lib/block_dot.wgsl

alias Weights = Block;

fn load_row(row_start: u32, block: u32) -> Weights {
    return load_weights(row_start, block);
}

alias Input = Block;

fn take(x: Block) -> Input {
    return x;
}

fn dot_row(w: Weights, x: Input) -> f32 {
    return block_dot(w, x.lo, x.hi);
}

// How a lane of the `rows` products multiplies: weights unpacked to f32, a block at a time.
#import lib/block_dot.wgsl

alias Weights = Block;

fn load_row(row_start: u32, block: u32) -> Weights {
    return load_weights(row_start, block);
}

alias Input = Block;

// The block that begins at vec4 `at`.
fn load_input(at: u32) -> Input {
    return Block(input[at], input[at + 1u]);
}

fn dot_row(w: Weights, x: Input) -> f32 {
    return block_dot(w, x.lo, x.hi);
}

// How a lane of the `rows` products multiplies: weights unpacked to f32, a block at a time.
#import lib/add_block.wgsl

alias Weights = Block;

fn weights_of(packed: Packed, column: u32) -> Weights {
    return unpack(packed);
}

alias Input = Block;

fn take(x: Block) -> Input {
    return x;
}

fn add_row(sum: f32, w: Weights, x: Input) -> f32 {
    return add_block(sum, w, x);
}

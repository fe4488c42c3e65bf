// As rows_float.wgsl, for quantised weights: the sum of a block is multiplied by its scale, not each of its eight weights. Unpacked numbers
// are too large by `EXCESS`, which is taken from the sum as well.
#import lib/add_block.wgsl

struct Weights {
    numbers: Block,
    scale: f32,
}

fn weights_of(packed: Packed, column: u32) -> Weights {
    return Weights(unpack(packed), block_scale(packed.scale, column));
}

struct Input {
    x: Block,
    // What a block's sum begins with.
    excess: f32,
}

fn take(x: Block) -> Input {
    let four = x.lo + x.hi;
    return Input(x, ((four.x + four.y) + (four.z + four.w)) * -EXCESS);
}

fn add_row(sum: f32, w: Weights, input: Input) -> f32 {
    return fma(add_block(input.excess, w.numbers, input.x), w.scale, sum);
}

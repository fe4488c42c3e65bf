// What a split of a token's positions hands over: [tokens, splits, quads of heads, 2 + blocks * 8] vec4s over the four heads: the
// highest score, the sum of weights, and the weighted sum of values for each dimension.
fn partial_start(token: u32, split: u32, quad: u32, quads: u32) -> u32 {
    return ((token * shape.splits + split) * quads + quad) * (2u + shape.blocks * 8u);
}

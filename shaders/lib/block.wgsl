// Eight consecutive values of a row: the unit in which weights, activations and cache entries travel.
struct Block {
    lo: vec4<f32>,
    hi: vec4<f32>,
}

// Two blocks, side by side in a row: what quantised formats unpack at once.
struct BlockPair {
    a: Block,
    b: Block,
}

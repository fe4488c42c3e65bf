// Weights of four rows, unpacked once for several tokens.

// A pair of blocks of four rows, with their scales.
struct Weights {
    x: BlockPair,
    y: BlockPair,
    z: BlockPair,
    w: BlockPair,
    scales: vec4<f32>,
}

fn load_rows(rows: vec4<u32>, scales: RowScales, pair: u32) -> Weights {
    return Weights(
        load_pair(rows.x, pair),
        load_pair(rows.y, pair),
        load_pair(rows.z, pair),
        load_pair(rows.w, pair),
        vec4<f32>(
            pair_scale(scales.x, pair),
            pair_scale(scales.y, pair),
            pair_scale(scales.z, pair),
            pair_scale(scales.w, pair),
        ),
    );
}

// Adds a pair of blocks of a token's input, one after the other as for a single token.
fn add_dots(sums: vec4<f32>, w: Weights, a: Block, b: Block) -> vec4<f32> {
    let dots_a = vec4<f32>(
        block_dot(w.x.a, a.lo, a.hi),
        block_dot(w.y.a, a.lo, a.hi),
        block_dot(w.z.a, a.lo, a.hi),
        block_dot(w.w.a, a.lo, a.hi),
    );
    let dots_b = vec4<f32>(
        block_dot(w.x.b, b.lo, b.hi),
        block_dot(w.y.b, b.lo, b.hi),
        block_dot(w.z.b, b.lo, b.hi),
        block_dot(w.w.b, b.lo, b.hi),
    );
    return sums + dots_a * w.scales + dots_b * w.scales;
}

// A token's sums: of the pairs' first rows, and of their second.
struct Sums {
    first: vec4<f32>,
    second: vec4<f32>,
}

fn add_token(sums: Sums, first: Weights, second: Weights, a: Block, b: Block) -> Sums {
    return Sums(add_dots(sums.first, first, a, b), add_dots(sums.second, second, a, b));
}

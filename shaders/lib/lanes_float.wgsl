// How a lane multiplies: weights of four rows unpacked to f32, a pair of blocks at a time.
#import lib/block_dot.wgsl

const STEP_PAIRS = 1u;

// A step of a row.
alias RowStep = BlockPair;

fn load_step(row_start: u32, pair: u32) -> RowStep {
    return load_pair(row_start, pair);
}

// A step of a token's input.
alias Input = BlockPair;

fn add_dots(sums: vec4<f32>, w: Weights, x: Input) -> vec4<f32> {
    let dots_a = vec4<f32>(
        block_dot(w.x.a, x.a.lo, x.a.hi),
        block_dot(w.y.a, x.a.lo, x.a.hi),
        block_dot(w.z.a, x.a.lo, x.a.hi),
        block_dot(w.w.a, x.a.lo, x.a.hi),
    );
    let dots_b = vec4<f32>(
        block_dot(w.x.b, x.b.lo, x.b.hi),
        block_dot(w.y.b, x.b.lo, x.b.hi),
        block_dot(w.z.b, x.b.lo, x.b.hi),
        block_dot(w.w.b, x.b.lo, x.b.hi),
    );
    return sums + dots_a * w.scales + dots_b * w.scales;
}

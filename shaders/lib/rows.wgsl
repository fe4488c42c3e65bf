// What the two `rows` products share: 64 lanes in groups of COLUMNS, each of which walks along two row pairs. A `Sum` is what
// a lane adds up for a row: a number, or one for each of four tokens.

// 8, 16, 32 or 64; chosen by measuring.
override COLUMNS: u32 = 32u;

// Row pairs of a workgroup.
override PAIRS: u32 = 128u / COLUMNS;

@group(0) @binding(3) var<storage, read> input: array<vec4<f32>>;
// Weights of the norm; not read where the input is not normed.
@group(0) @binding(4) var<storage, read> norm: array<vec4<f32>>;

#import <arithmetic>

#import <input>

fn squares_of(x: Block) -> f32 {
    return dot(x.lo, x.lo) + dot(x.hi, x.hi);
}

// A block of a row as it is multiplied.
fn weighed(x: Block, block: u32) -> Input {
    if !NORMED {
        return take(x);
    }
    return take(Block(x.lo * norm[2u * block], x.hi * norm[2u * block + 1u]));
}

// Where a lane's four rows begin: first rows of its group's two pairs, then the second rows. The last row stands in for those that
// are not there.
fn lane_rows(workgroup: u32, lane: u32) -> vec4<u32> {
    let pair = workgroup * PAIRS + (lane / COLUMNS) * 2u;
    let rows = vec4<u32>(pair, pair + 1u, pair + shape.second, pair + shape.second + 1u);
    let there = min(rows, vec4<u32>(shape.rows - 1u));
    return vec4<u32>(weight_row(there.x), weight_row(there.y), weight_row(there.z), weight_row(there.w));
}

// The sums of a workgroup's row pair, complete in one lane.
struct Pair {
    index: u32,
    is_here: bool,
    first: Sum,
    second: Sum,
}

#import <sums>

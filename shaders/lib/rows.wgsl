// What the two `rows` products share: a workgroup's LANES in groups of COLUMNS, each of which walks along one or two row pairs for its tokens.
// A `Sum` is what a lane adds up for a row: a number, or one for each of four tokens.

#import lib/add_block.wgsl

// 8, 16, 32 or 64; chosen by measuring.
override COLUMNS: u32 = 32u;

// Row pairs that a group walks along: 1 or 2; likewise.
override GROUP_PAIRS: u32 = 2u;

// Groups that walk along the same rows, each for other tokens, so that weights come from memory once for all of them.
override QUADS: u32 = 1u;

// At least COLUMNS * QUADS.
override LANES: u32 = 64u;

// Blocks of a row where they are known when the kernel is compiled; 0 where the uniform says.
override BLOCKS: u32 = 0u;

@group(0) @binding(3) var<storage, read> input: array<vec4<f32>>;
// Weights of the norm; not read where the input is not normed.
@group(0) @binding(4) var<storage, read> norm: array<vec4<f32>>;

#import <arithmetic>

#import <input>

// The same block of a lane's rows, as it lies in memory: first rows of its pairs, then the second rows.
struct PackedRows {
    a: Packed,
    b: Packed,
    c: Packed,
    d: Packed,
}

// Block `first + column`; here and elsewhere `first` is a multiple of COLUMNS, so what depends on it is the same in every lane.
fn load_rows(rows: vec4<u32>, first: u32, column: u32) -> PackedRows {
    var all: PackedRows;
    all.a = load_packed(rows.x, first, column);
    all.c = load_packed(rows.z, first, column);
    if GROUP_PAIRS > 1u {
        all.b = load_packed(rows.y, first, column);
        all.d = load_packed(rows.w, first, column);
    }
    return all;
}

struct RowWeights {
    a: Weights,
    b: Weights,
    c: Weights,
    d: Weights,
}

fn unpack_rows(rows: PackedRows, column: u32) -> RowWeights {
    var all: RowWeights;
    all.a = weights_of(rows.a, column);
    all.c = weights_of(rows.c, column);
    if GROUP_PAIRS > 1u {
        all.b = weights_of(rows.b, column);
        all.d = weights_of(rows.d, column);
    }
    return all;
}

// What a lane adds up for a token: of the rows that it walks along, and the squares of the input.
struct TokenSums {
    a: f32,
    b: f32,
    c: f32,
    d: f32,
    squares: f32,
}

// Adds a block of a token's input, which begins at vec4 `start`, times the same block of the lane's rows.
fn add_token(sums: TokenSums, w: RowWeights, start: u32, block: u32) -> TokenSums {
    let at = 2u * block;
    let raw = load_block_at(start + at);
    var all = sums;
    var weighed = raw;
    if NORMED {
        all.squares = add_block(sums.squares, raw, raw);
        weighed = Block(raw.lo * norm[at], raw.hi * norm[at + 1u]);
    }
    let x = take(weighed);
    all.a = add_row(sums.a, w.a, x);
    all.c = add_row(sums.c, w.c, x);
    if GROUP_PAIRS > 1u {
        all.b = add_row(sums.b, w.b, x);
        all.d = add_row(sums.d, w.d, x);
    }
    return all;
}

// The first row pair of a group.
fn first_pair(workgroup: u32, group: u32) -> u32 {
    return (workgroup * (LANES / COLUMNS / QUADS) + group / QUADS) * GROUP_PAIRS;
}

// Where a lane's rows begin: first rows of its group's pairs, then the second rows. The last row stands in for those that are not there.
fn lane_rows(workgroup: u32, lane: u32) -> vec4<u32> {
    let pair = first_pair(workgroup, lane / COLUMNS);
    let rows = vec4<u32>(pair, pair + 1u, pair + shape.second, pair + shape.second + 1u);
    let there = min(rows, vec4<u32>(shape.rows - 1u));
    return vec4<u32>(weight_row(there.x), weight_row(there.y), weight_row(there.z), weight_row(there.w));
}

// The sums of a row pair, complete in one lane.
struct Pair {
    // Which group's, and which of its pairs.
    group: u32,
    index: u32,
    is_here: bool,
    first: Sum,
    second: Sum,
}

#import <sums>

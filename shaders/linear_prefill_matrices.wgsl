// Matrix times matrix for GPUs with cooperative matrices: the products of linear_prefill_tiles.wgsl in f16, with sums in f32.
//     y[t] = W x[t]           W: [rows, K], x: [tokens, K], y: [tokens, rows]
// A workgroup covers a tile of 32 row pairs by 64 tokens and walks along K in steps of 32 through workgroup memory, where numbers are f16;
// what the next step takes is on its way from memory meanwhile. Four teams of lanes have a quarter of the tile each: 16 row pairs by 32
// tokens, which are four matrices of 16 x 16. What such matrices are, who is a team, and the entry point are in lib/matrices_*.wgsl.
#import <matrices>
#import lib/linear_shape.wgsl
#import lib/first_row.wgsl
#import <source>
#import <format>
#import <staged>
#import <output>
@group(0) @binding(3) var<storage, read> input: array<vec4<f32>>;
@group(0) @binding(4) var<uniform> class_rows: FirstRow;
// As in qk_norm_rope.wgsl: not 0 once a number was too large for f16. Whoever writes writes the same, so nobody need do it atomically.
@group(0) @binding(5) var<storage, read_write> overflow: array<u32>;

// 128 or 256: four teams of the largest size that the adapter may choose. Where it chooses a smaller one, further teams only help to stage.
override LANES: u32 = 128u;
// What inputs are multiplied with before they become f16, and sums divided by: a power of two, so that it rounds nothing.
override INPUT_SCALE: f32 = 1.0;

const MOST_HALF = 65504.0;
// Blocks of a row in a step, and places in a tile: a block of a row, and one of a token, each.
const STEP = 4u;
const PLACES = 256u;
// Halves from a row of a tile to the next: more than a step has, so that lanes that read a column hit different banks.
const STRIDE = 40u;
const TILE_HALVES = 64u * STRIDE;
// A team's two matrices of results, of the pairs' first rows and of their second.
const RESULTS = 512u;

// A step's tiles are written between two barriers, each place by one lane, and read between the second and the next step's first. Results
// are written by a team each, to a place of its own, and read by all behind a barrier.
var<workgroup> results: array<f32, 4u * RESULTS>;

// A block of a row and one of a token, on their way from memory.
struct Pieces {
    w: Packed,
    x: Block,
}

// The tile's rows are the pairs' first rows, then their second.
fn take(first_pair: u32, first_token: u32, block: u32, place: u32) -> Pieces {
    let in_tile = place / STEP;
    let column = place % STEP;
    let row = first_pair + select(shape.second, 0u, in_tile < 32u) + (in_tile & 31u);
    let at = (first_token + in_tile) * shape.in_stride + 2u * (block + column);
    return Pieces(
        load_staged(weight_row(min(row, shape.rows - 1u)), block + column),
        Block(input[at], input[at + 1u]),
    );
}

fn largest(block: Block) -> f32 {
    let four = max(abs(block.lo), abs(block.hi));
    return max(max(four.x, four.y), max(four.z, four.w));
}

// Makes a step's tiles of them, and returns the largest number that became f16; not of tokens behind the last, which are whatever lies
// there.
fn put(pieces: Pieces, first_token: u32, block: u32, place: u32) -> f32 {
    let in_tile = place / STEP;
    let to = in_tile * STRIDE + (place % STEP) * 8u;
    let w = staged(pieces.w, block);
    let x = Block(pieces.x.lo * INPUT_SCALE, pieces.x.hi * INPUT_SCALE);
    put_row(to, w);
    put_token(to, x);
    return max(largest(w), select(0.0, largest(x), first_token + in_tile < class_rows.end));
}

fn run(workgroup: vec3<u32>, team: u32, lane: u32) {
    let first_pair = workgroup.x * 32u;
    let first_token = class_rows.first + workgroup.y * 64u;
    // Where a team's rows and tokens begin in the tiles.
    let rows = (team & 1u) * 16u * STRIDE;
    let tokens = (team >> 1u) * 32u * STRIDE;
    // What sums begin with is read by all, behind a barrier, and written by nobody before the next.
    results[lane] = 0.0;
    if LANES < PLACES {
        results[lane + LANES] = 0.0;
    }
    workgroupBarrier();
    var first_a = sums_at(0u);
    var first_b = first_a;
    var second_a = first_a;
    var second_b = first_a;
    var most = 0.0;

    var pieces_a = take(first_pair, first_token, 0u, lane);
    var pieces_b = pieces_a;
    if LANES < PLACES {
        pieces_b = take(first_pair, first_token, 0u, lane + LANES);
    }
    for (var block = 0u; block < shape.blocks; block += STEP) {
        most = max(most, put(pieces_a, first_token, block, lane));
        if LANES < PLACES {
            most = max(most, put(pieces_b, first_token, block, lane + LANES));
        }
        workgroupBarrier();
        // The last step takes its own once more.
        let next = min(block + STEP, shape.blocks - STEP);
        pieces_a = take(first_pair, first_token, next, lane);
        if LANES < PLACES {
            pieces_b = take(first_pair, first_token, next, lane + LANES);
        }
        if team < 4u {
            for (var k = 0u; k < 32u; k += 16u) {
                let first = rows_at(rows + k);
                let second = rows_at(rows + 32u * STRIDE + k);
                let a = tokens_at(tokens + k);
                let b = tokens_at(tokens + 16u * STRIDE + k);
                first_a = add_products(first_a, first, a);
                second_a = add_products(second_a, second, a);
                first_b = add_products(first_b, first, b);
                second_b = add_products(second_b, second, b);
            }
        }
        workgroupBarrier();
    }
    if most > MOST_HALF {
        overflow[0] = 1u;
    }

    if team < 4u {
        keep_sums(team * RESULTS, first_a);
        keep_sums(team * RESULTS + 256u, second_a);
    }
    workgroupBarrier();
    emit_results(first_pair, first_token, lane);
    workgroupBarrier();
    if team < 4u {
        keep_sums(team * RESULTS, first_b);
        keep_sums(team * RESULTS + 256u, second_b);
    }
    workgroupBarrier();
    emit_results(first_pair, first_token + 16u, lane);
}

// What all teams have kept: sixteen tokens each, one after the other.
fn emit_results(first_pair: u32, first_token: u32, lane: u32) {
    for (var i = lane; i < 1024u; i += LANES) {
        let of_team = i / 256u;
        let at = of_team * RESULTS + i % 256u;
        let pair = first_pair + (of_team & 1u) * 16u + i % 16u;
        let token = first_token + (of_team >> 1u) * 32u + (i % 256u) / 16u;
        if pair < shape.pairs {
            emit(token, pair, results[at] * (1.0 / INPUT_SCALE), results[at + 256u] * (1.0 / INPUT_SCALE));
        }
    }
}

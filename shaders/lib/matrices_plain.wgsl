// As matrices_16.wgsl, by plain arithmetic: what tests run on adapters without cooperative matrices. A team is 32 lanes, each with a row of
// eight tokens, and a matrix to multiply is where it lies.
#import lib/block.wgsl

var<private> lane_of_team: u32;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    lane_of_team = lane % 32u;
    run(workgroup, lane / 32u, lane);
}

// [64 rows, or tokens, STRIDE k], two k in a word.
var<workgroup> tile_w: array<u32, HALF_TILE>;
var<workgroup> tile_x: array<u32, HALF_TILE>;
const HALF_TILE = TILE_HALVES / 2u;

fn put_row(to: u32, block: Block) {
    tile_w[to / 2u] = pack2x16float(block.lo.xy);
    tile_w[to / 2u + 1u] = pack2x16float(block.lo.zw);
    tile_w[to / 2u + 2u] = pack2x16float(block.hi.xy);
    tile_w[to / 2u + 3u] = pack2x16float(block.hi.zw);
}

fn put_token(to: u32, block: Block) {
    tile_x[to / 2u] = pack2x16float(block.lo.xy);
    tile_x[to / 2u + 1u] = pack2x16float(block.lo.zw);
    tile_x[to / 2u + 2u] = pack2x16float(block.hi.xy);
    tile_x[to / 2u + 3u] = pack2x16float(block.hi.zw);
}

struct Rows {
    at: u32,
}

struct Tokens {
    at: u32,
}

// A row of eight tokens.
struct Sums {
    lo: vec4<f32>,
    hi: vec4<f32>,
}

fn rows_at(at: u32) -> Rows {
    return Rows(at);
}

fn tokens_at(at: u32) -> Tokens {
    return Tokens(at);
}

fn add_products(sums: Sums, w: Rows, x: Tokens) -> Sums {
    var lo = sums.lo;
    var hi = sums.hi;
    let row = w.at + (lane_of_team % 16u) * STRIDE;
    let token = x.at + (lane_of_team / 16u) * 8u * STRIDE;
    for (var k = 0u; k < 16u; k += 2u) {
        let w = unpack2x16float(tile_w[(row + k) / 2u]);
        let at = (token + k) / 2u;
        let a = unpack2x16float(tile_x[at]);
        let b = unpack2x16float(tile_x[at + STRIDE / 2u]);
        let c = unpack2x16float(tile_x[at + STRIDE]);
        let d = unpack2x16float(tile_x[at + 3u * STRIDE / 2u]);
        let e = unpack2x16float(tile_x[at + 2u * STRIDE]);
        let f = unpack2x16float(tile_x[at + 5u * STRIDE / 2u]);
        let g = unpack2x16float(tile_x[at + 3u * STRIDE]);
        let h = unpack2x16float(tile_x[at + 7u * STRIDE / 2u]);
        lo += w.x * vec4<f32>(a.x, b.x, c.x, d.x) + w.y * vec4<f32>(a.y, b.y, c.y, d.y);
        hi += w.x * vec4<f32>(e.x, f.x, g.x, h.x) + w.y * vec4<f32>(e.y, f.y, g.y, h.y);
    }
    return Sums(lo, hi);
}

// In `results` lie sixteen rows of a token, then of the next.
fn result_at(at: u32, token: u32) -> u32 {
    return at + ((lane_of_team / 16u) * 8u + token) * 16u + lane_of_team % 16u;
}

fn sums_at(at: u32) -> Sums {
    let a = result_at(at, 0u);
    let b = result_at(at, 4u);
    return Sums(
        vec4<f32>(results[a], results[a + 16u], results[a + 32u], results[a + 48u]),
        vec4<f32>(results[b], results[b + 16u], results[b + 32u], results[b + 48u]),
    );
}

fn keep_sums(at: u32, sums: Sums) {
    for (var i = 0u; i < 4u; i += 1u) {
        results[result_at(at, i)] = sums.lo[i];
        results[result_at(at, i + 4u)] = sums.hi[i];
    }
}

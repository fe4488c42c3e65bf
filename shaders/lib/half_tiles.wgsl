// What cooperative matrices of any size have alike: a team is a subgroup, and tiles are f16 numbers one by one, so that their addresses are
// those that matrices are read from.
#import lib/block.wgsl

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(local_invocation_index) lane: u32,
) {
    run(workgroup, subgroup, lane);
}

// [64 rows, or tokens, STRIDE k]
var<workgroup> tile_w: array<f16, TILE_HALVES>;
var<workgroup> tile_x: array<f16, TILE_HALVES>;

fn put_row(to: u32, block: Block) {
    let lo = vec4<f16>(block.lo);
    let hi = vec4<f16>(block.hi);
    tile_w[to] = lo.x;
    tile_w[to + 1u] = lo.y;
    tile_w[to + 2u] = lo.z;
    tile_w[to + 3u] = lo.w;
    tile_w[to + 4u] = hi.x;
    tile_w[to + 5u] = hi.y;
    tile_w[to + 6u] = hi.z;
    tile_w[to + 7u] = hi.w;
}

fn put_token(to: u32, block: Block) {
    let lo = vec4<f16>(block.lo);
    let hi = vec4<f16>(block.hi);
    tile_x[to] = lo.x;
    tile_x[to + 1u] = lo.y;
    tile_x[to + 2u] = lo.z;
    tile_x[to + 3u] = lo.w;
    tile_x[to + 4u] = hi.x;
    tile_x[to + 5u] = hi.y;
    tile_x[to + 6u] = hi.z;
    tile_x[to + 7u] = hi.w;
}

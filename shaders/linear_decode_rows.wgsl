// Matrix times vector for GPUs: QKV, out, FFN and head products of a single token.
//     y[t] = W x[t]           W: [rows, K], x: [tokens, K], y: [tokens, rows]
// COLUMNS of a workgroup's 64 lanes stride over K together for two row pairs, so weight reads are coalesced and each activation is
// loaded once for four rows; the other lanes do the same for the next pairs. Their sums meet in workgroup memory or lane to
// lane (lib/sums_*.wgsl). Workgroup y is the token.
#import lib/linear_shape.wgsl
#import <source>
#import <format>
#import <output>

alias Sum = f32;
#import lib/rows.wgsl

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, invocation: Invocation) {
    let lane = lane_of(invocation);
    let column = lane % COLUMNS;
    let rows = lane_rows(workgroup.x, lane);
    let input_start = workgroup.y * shape.in_stride;
    var sum_a = Sum();
    var sum_b = Sum();
    var sum_c = Sum();
    var sum_d = Sum();
    var squares = Sum();
    // All lanes do as many steps, so that they are together where their sums meet.
    let whole = shape.blocks - shape.blocks % COLUMNS;
    for (var start = 0u; start < whole; start += COLUMNS) {
        let block = start + column;
        let raw = load_block_at(input_start + 2u * block);
        let x = weighed(raw, block);
        squares += squares_of(raw);
        sum_a += dot_row(load_row(rows.x, block), x);
        sum_b += dot_row(load_row(rows.y, block), x);
        sum_c += dot_row(load_row(rows.z, block), x);
        sum_d += dot_row(load_row(rows.w, block), x);
    }
    if whole < shape.blocks {
        let is_there = whole + column < shape.blocks;
        let block = min(whole + column, shape.blocks - 1u);
        let raw = load_block_at(input_start + 2u * block);
        let x = weighed(raw, block);
        squares = select(squares, squares + squares_of(raw), is_there);
        sum_a = select(sum_a, sum_a + dot_row(load_row(rows.x, block), x), is_there);
        sum_b = select(sum_b, sum_b + dot_row(load_row(rows.y, block), x), is_there);
        sum_c = select(sum_c, sum_c + dot_row(load_row(rows.z, block), x), is_there);
        sum_d = select(sum_d, sum_d + dot_row(load_row(rows.w, block), x), is_there);
    }
    var sums = meet(lane, sum_a, sum_b, sum_c, sum_d);
    if NORMED {
        let scale = norm_scale(meet_squares(lane, squares));
        sums.first *= scale;
        sums.second *= scale;
    }
    let pair = workgroup.x * PAIRS + sums.index;
    if sums.is_here && pair < shape.pairs {
        emit(workgroup.y, pair, sums.first, sums.second);
    }
}

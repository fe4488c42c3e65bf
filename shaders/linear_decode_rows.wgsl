// Matrix times vector for GPUs: QKV, out, FFN and head products of a single token.
//     y[t] = W x[t]           W: [rows, K], x: [tokens, K], y: [tokens, rows]
// COLUMNS of a workgroup's lanes stride over K together for one or two row pairs, so weight reads are coalesced and each activation is
// loaded once for all their rows; the other lanes do the same for the next pairs. Their sums meet in workgroup memory or lane to
// lane (lib/sums_*.wgsl). Workgroup y is the token.
#import lib/linear_shape.wgsl
#import <source>
#import <format>
#import <output>

alias Sum = f32;
#import lib/rows.wgsl

alias Sums = TokenSums;

fn add_step(sums: Sums, rows: PackedRows, at: Walk, first: u32) -> Sums {
    return add_token(sums, unpack_rows(rows, at.column), at.input, first + at.column);
}

#import lib/rows_walk.wgsl

fn run(workgroup: vec3<u32>, lane: u32) {
    let all = walk_rows(Walk(lane_rows(workgroup.x, lane), workgroup.y * shape.in_stride, lane % COLUMNS));
    var sums = meet(lane, all.a, all.b, all.c, all.d);
    if NORMED {
        let scale = norm_scale(meet_squares(lane, all.squares));
        sums.first *= scale;
        sums.second *= scale;
    }
    let pair = first_pair(workgroup.x, sums.group) + sums.index;
    if sums.is_here && pair < shape.pairs {
        emit(workgroup.y, pair, sums.first, sums.second);
    }
}

// Matrix times a few vectors for GPUs: the products of linear_decode_rows.wgsl for up to sixteen tokens, to the bit.
//     y[t] = W x[t]           W: [rows, K], x: [tokens, K], y: [tokens, rows]
// Lanes stride over K as for a single token, but a lane multiplies each weight with the inputs of four tokens. QUADS groups of a workgroup
// walk along the same rows side by side, each for another four, so weights come from memory once for up to sixteen tokens. Workgroup y is
// a quad of tokens, or as many quads; those beyond the step's last are computed into padding that nobody reads.
#import lib/linear_shape.wgsl
#import <source>
#import <format>
#import <output>

alias Sum = vec4<f32>;
#import lib/rows.wgsl

struct Sums {
    x: TokenSums,
    y: TokenSums,
    z: TokenSums,
    w: TokenSums,
}

fn add_step(sums: Sums, rows: PackedRows, at: Walk, first: u32) -> Sums {
    let w = unpack_rows(rows, at.column);
    let block = first + at.column;
    let step = shape.in_stride;
    return Sums(
        add_token(sums.x, w, at.input, block),
        add_token(sums.y, w, at.input + step, block),
        add_token(sums.z, w, at.input + 2u * step, block),
        add_token(sums.w, w, at.input + 3u * step, block),
    );
}

#import lib/rows_walk.wgsl

fn run(workgroup: vec3<u32>, lane: u32) {
    let first_token = workgroup.y * 4u * QUADS;
    let own_token = first_token + 4u * ((lane / COLUMNS) % QUADS);
    let all = walk_rows(Walk(lane_rows(workgroup.x, lane), own_token * shape.in_stride, lane % COLUMNS));
    var sums = meet(
        lane,
        vec4<f32>(all.x.a, all.y.a, all.z.a, all.w.a),
        vec4<f32>(all.x.b, all.y.b, all.z.b, all.w.b),
        vec4<f32>(all.x.c, all.y.c, all.z.c, all.w.c),
        vec4<f32>(all.x.d, all.y.d, all.z.d, all.w.d),
    );
    if NORMED {
        let squares = meet_squares(lane, vec4<f32>(all.x.squares, all.y.squares, all.z.squares, all.w.squares));
        let scale = vec4<f32>(norm_scale(squares.x), norm_scale(squares.y), norm_scale(squares.z), norm_scale(squares.w));
        sums.first *= scale;
        sums.second *= scale;
    }
    let pair = first_pair(workgroup.x, sums.group) + sums.index;
    if sums.is_here && pair < shape.pairs {
        let token = first_token + 4u * (sums.group % QUADS);
        emit(token, pair, sums.first.x, sums.second.x);
        emit(token + 1u, pair, sums.first.y, sums.second.y);
        emit(token + 2u, pair, sums.first.z, sums.second.z);
        emit(token + 3u, pair, sums.first.w, sums.second.w);
    }
}

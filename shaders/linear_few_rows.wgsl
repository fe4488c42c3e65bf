// Matrix times a few vectors for GPUs: the products of linear_decode_rows.wgsl for up to sixteen tokens, to the bit.
//     y[t] = W x[t]           W: [rows, K], x: [tokens, K], y: [tokens, rows]
// Lanes stride over K as for a single token, but each weight is read once for four tokens. Sums are vec4s over the tokens. Workgroup y
// is the quad of tokens; those beyond the step's last are computed into padding that nobody reads.
#import lib/linear_shape.wgsl
#import lib/block_dot.wgsl
#import <source>
#import <format>
#import <output>
@group(0) @binding(3) var<storage, read> input: array<vec4<f32>>;

alias Sum = vec4<f32>;
#import lib/rows.wgsl

// The same block of four tokens' activations.
struct Inputs {
    lo_0: vec4<f32>,
    hi_0: vec4<f32>,
    lo_1: vec4<f32>,
    hi_1: vec4<f32>,
    lo_2: vec4<f32>,
    hi_2: vec4<f32>,
    lo_3: vec4<f32>,
    hi_3: vec4<f32>,
}

fn load_inputs(start: u32, block: u32) -> Inputs {
    let at = start + 2u * block;
    let step = shape.in_stride;
    return Inputs(
        input[at],
        input[at + 1u],
        input[at + step],
        input[at + step + 1u],
        input[at + 2u * step],
        input[at + 2u * step + 1u],
        input[at + 3u * step],
        input[at + 3u * step + 1u],
    );
}

fn block_dots(w: Block, x: Inputs) -> vec4<f32> {
    return vec4<f32>(
        block_dot(w, x.lo_0, x.hi_0),
        block_dot(w, x.lo_1, x.hi_1),
        block_dot(w, x.lo_2, x.hi_2),
        block_dot(w, x.lo_3, x.hi_3),
    );
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, place: Place) {
    let lane = lane_of(place);
    let column = lane % COLUMNS;
    let rows = lane_rows(workgroup.x, lane);
    let input_start = workgroup.y * 4u * shape.in_stride;
    var sum_a = Sum();
    var sum_b = Sum();
    var sum_c = Sum();
    var sum_d = Sum();
    for (var block = column; block < shape.blocks; block += COLUMNS) {
        let x = load_inputs(input_start, block);
        sum_a += block_dots(load_weights(rows.x, block), x);
        sum_b += block_dots(load_weights(rows.y, block), x);
        sum_c += block_dots(load_weights(rows.z, block), x);
        sum_d += block_dots(load_weights(rows.w, block), x);
    }
    let sums = meet(lane, sum_a, sum_b, sum_c, sum_d);
    let pair = workgroup.x * PAIRS + sums.index;
    if sums.is_here && pair < shape.pairs {
        let token = workgroup.y * 4u;
        emit(token, pair, sums.first.x, sums.second.x);
        emit(token + 1u, pair, sums.first.y, sums.second.y);
        emit(token + 2u, pair, sums.first.z, sums.second.z);
        emit(token + 3u, pair, sums.first.w, sums.second.w);
    }
}

// Matrix times a few vectors for GPUs: the products of linear_decode_rows.wgsl for up to sixteen tokens, to the bit.
//     y[t] = W x[t]           W: [rows, K], x: [tokens, K], y: [tokens, rows]
// Lanes stride over K as for a single token, but each weight is read once for four tokens. Sums are vec4s over the tokens. Workgroup y
// is the quad of tokens; those beyond the step's last are computed into padding that nobody reads.
#import lib/linear_shape.wgsl
#import <source>
#import <format>
#import <output>
@group(0) @binding(3) var<storage, read> input: array<vec4<f32>>;

#import <arithmetic>

alias Sum = vec4<f32>;
#import lib/rows.wgsl

// The same block of four tokens' inputs.
struct Inputs {
    x: Input,
    y: Input,
    z: Input,
    w: Input,
}

fn load_inputs(start: u32, block: u32) -> Inputs {
    let at = start + 2u * block;
    let step = shape.in_stride;
    return Inputs(load_input(at), load_input(at + step), load_input(at + 2u * step), load_input(at + 3u * step));
}

fn dots(w: Weights, inputs: Inputs) -> vec4<f32> {
    return vec4<f32>(dot_row(w, inputs.x), dot_row(w, inputs.y), dot_row(w, inputs.z), dot_row(w, inputs.w));
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
        let inputs = load_inputs(input_start, block);
        sum_a += dots(load_row(rows.x, block), inputs);
        sum_b += dots(load_row(rows.y, block), inputs);
        sum_c += dots(load_row(rows.z, block), inputs);
        sum_d += dots(load_row(rows.w, block), inputs);
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

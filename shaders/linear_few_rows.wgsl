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

#import lib/rows.wgsl

// [4 rows of a lane, 64 lanes], and a quarter as many sums of four neighbours.
var<workgroup> partial: array<vec4<f32>, 256>;
var<workgroup> quarters: array<vec4<f32>, 64>;

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
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let column = lane % COLUMNS;
    let rows = lane_rows(workgroup.x, lane);
    let input_start = workgroup.y * 4u * shape.in_stride;
    var sum_a = vec4<f32>();
    var sum_b = vec4<f32>();
    var sum_c = vec4<f32>();
    var sum_d = vec4<f32>();
    for (var block = column; block < shape.blocks; block += COLUMNS) {
        let x = load_inputs(input_start, block);
        sum_a += block_dots(load_weights(rows.x, block), x);
        sum_b += block_dots(load_weights(rows.y, block), x);
        sum_c += block_dots(load_weights(rows.z, block), x);
        sum_d += block_dots(load_weights(rows.w, block), x);
    }
    partial[lane] = sum_a;
    partial[lane + 64u] = sum_b;
    partial[lane + 128u] = sum_c;
    partial[lane + 192u] = sum_d;
    workgroupBarrier();
    let quad = 4u * lane;
    quarters[lane] = (partial[quad] + partial[quad + 1u]) + (partial[quad + 2u] + partial[quad + 3u]);
    workgroupBarrier();
    let pair = workgroup.x * PAIRS + lane;
    if lane >= PAIRS || pair >= shape.pairs {
        return;
    }
    let at = quarters_start(lane);
    var first = vec4<f32>();
    var second = vec4<f32>();
    for (var i = 0u; i < COLUMNS / 4u; i += 1u) {
        first += quarters[at + i];
        second += quarters[at + 32u + i];
    }
    let token = workgroup.y * 4u;
    emit(token, pair, first.x, second.x);
    emit(token + 1u, pair, first.y, second.y);
    emit(token + 2u, pair, first.z, second.z);
    emit(token + 3u, pair, first.w, second.w);
}

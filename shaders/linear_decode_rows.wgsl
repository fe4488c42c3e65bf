// Matrix times vector for GPUs: QKV, out, FFN and head products of a single token.
//     y[t] = W x[t]           W: [rows, K], x: [tokens, K], y: [tokens, rows]
// COLUMNS of a workgroup's 64 lanes stride over K together for two row pairs, so weight reads are coalesced and each activation is
// loaded once for four rows; the other lanes do the same for the next pairs. Partial sums meet in workgroup memory
// (lib/rows.wgsl). Workgroup y is the token.
#import lib/linear_shape.wgsl
#import lib/block_dot.wgsl
#import <source>
#import <format>
#import <output>
@group(0) @binding(3) var<storage, read> input: array<vec4<f32>>;

#import lib/rows.wgsl

// [4 rows of a lane, 64 lanes], and a quarter as many sums of four neighbours.
var<workgroup> partial: array<f32, 256>;
var<workgroup> quarters: array<f32, 64>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let column = lane % COLUMNS;
    let rows = lane_rows(workgroup.x, lane);
    let input_start = workgroup.y * shape.in_stride;
    var sum_a = 0.0;
    var sum_b = 0.0;
    var sum_c = 0.0;
    var sum_d = 0.0;
    for (var block = column; block < shape.blocks; block += COLUMNS) {
        let x_lo = input[input_start + 2u * block];
        let x_hi = input[input_start + 2u * block + 1u];
        sum_a += block_dot(load_weights(rows.x, block), x_lo, x_hi);
        sum_b += block_dot(load_weights(rows.y, block), x_lo, x_hi);
        sum_c += block_dot(load_weights(rows.z, block), x_lo, x_hi);
        sum_d += block_dot(load_weights(rows.w, block), x_lo, x_hi);
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
    var first = 0.0;
    var second = 0.0;
    for (var i = 0u; i < COLUMNS / 4u; i += 1u) {
        first += quarters[at + i];
        second += quarters[at + 32u + i];
    }
    emit(workgroup.y, pair, first, second);
}

// Matrix times vector for GPUs: QKV, out, FFN and head products of a single token.
//     y[t] = W x[t]           W: [rows, K], x: [tokens, K], y: [tokens, rows]
// A workgroup covers four row pairs: 32 lanes stride over K together for two pairs, so weight reads are coalesced (512 bytes a
// step) and each activation is loaded once for four rows. Partial sums meet in workgroup memory. Workgroup y is the token.
#import lib/linear_shape.wgsl
#import lib/block_dot.wgsl
#import <source>
#import <format>
#import <output>
@group(0) @binding(3) var<storage, read> input: array<vec4<f32>>;

// [8 rows, 32 lanes]: rows first of pair 0 to 3, then second of pair 0 to 3.
var<workgroup> partial: array<f32, 256>;
var<workgroup> eighths: array<f32, 64>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let half = lane / 32u;
    let column = lane % 32u;
    let pair = workgroup.x * 4u + half * 2u;
    let last = shape.rows - 1u;
    let row_a = weight_row(min(pair, last));
    let row_b = weight_row(min(pair + 1u, last));
    let row_c = weight_row(min(pair + shape.second, last));
    let row_d = weight_row(min(pair + shape.second + 1u, last));
    let input_start = workgroup.y * shape.in_stride;
    var sum_a = 0.0;
    var sum_b = 0.0;
    var sum_c = 0.0;
    var sum_d = 0.0;
    for (var block = column; block < shape.blocks; block += 32u) {
        let x_lo = input[input_start + 2u * block];
        let x_hi = input[input_start + 2u * block + 1u];
        sum_a += block_dot(load_weights(row_a, block), x_lo, x_hi);
        sum_b += block_dot(load_weights(row_b, block), x_lo, x_hi);
        sum_c += block_dot(load_weights(row_c, block), x_lo, x_hi);
        sum_d += block_dot(load_weights(row_d, block), x_lo, x_hi);
    }
    let at = half * 64u + column;
    partial[at] = sum_a;
    partial[at + 32u] = sum_b;
    partial[128u + at] = sum_c;
    partial[128u + at + 32u] = sum_d;
    workgroupBarrier();
    let quad = 4u * lane;
    eighths[lane] = (partial[quad] + partial[quad + 1u]) + (partial[quad + 2u] + partial[quad + 3u]);
    workgroupBarrier();
    if lane >= 4u || workgroup.x * 4u + lane >= shape.pairs {
        return;
    }
    var first = 0.0;
    var second = 0.0;
    for (var i = 0u; i < 8u; i += 1u) {
        first += eighths[lane * 8u + i];
        second += eighths[32u + lane * 8u + i];
    }
    emit(workgroup.y, workgroup.x * 4u + lane, first, second);
}

// Matrix times vector for GPUs: as linear_prefill_tiles.wgsl, to the bit, for one token of a prompt, which is what the head has of most.
//     y[t] = W x[t]           W: [rows, K], x: [tokens, K], y: [tokens, rows]
// A lane walks along one row pair alone and adds up in the tiles' order, one k after the other. Lanes read apart from each other, but
// each reads all of its cache line in the end. Workgroup y is the token.
#import lib/linear_shape.wgsl
#import lib/first_row.wgsl
#import <source>
#import <format>
#import <output>
@group(0) @binding(3) var<storage, read> input: array<vec4<f32>>;
@group(0) @binding(4) var<uniform> class_rows: FirstRow;

fn add(sum: f32, w: vec4<f32>, x: vec4<f32>) -> f32 {
    return (((sum + w.x * x.x) + w.y * x.y) + w.z * x.z) + w.w * x.w;
}

@compute @workgroup_size(32)
fn main(@builtin(global_invocation_id) lane: vec3<u32>) {
    let token = class_rows.first + lane.y;
    let pair = lane.x;
    let first_row = weight_row(min(pair, shape.rows - 1u));
    let second_row = weight_row(min(pair + shape.second, shape.rows - 1u));
    var first = 0.0;
    var second = 0.0;
    for (var block = 0u; block < shape.blocks; block += 1u) {
        let at = token * shape.in_stride + 2u * block;
        let lo = input[at];
        let hi = input[at + 1u];
        let a = load_weights(first_row, block);
        let b = load_weights(second_row, block);
        first = add(add(first, a.lo, lo), a.hi, hi);
        second = add(add(second, b.lo, lo), b.hi, hi);
    }
    if pair < shape.pairs {
        emit(token, pair, first, second);
    }
}

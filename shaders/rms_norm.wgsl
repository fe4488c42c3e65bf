// RMSNorm, before attention, before the FFN and before the output head.
//     out[t] = x[s] * rsqrt(mean(x[s]^2) + epsilon) * weight         x, out: [tokens, width], weight: [width]
// s is t, or for the output head the token that row t of the logits is wanted for. One workgroup a token.
#import lib/tokens.wgsl
#import lib/first_row.wgsl

struct Shape {
    width: u32,
    vectors: u32,  // ceil(width / 4); what lies beyond width is zero
    stride: u32,   // vec4s from one token to the next, in and out
    gather: u32,   // 1: s = tokens[t].logits_from
    epsilon: f32,
}
@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> weight: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> output: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> input: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> tokens: array<Token>;
@group(0) @binding(5) var<uniform> rows: FirstRow;

// Each is written by its lane once, before a barrier, and read only behind it.
var<workgroup> partial: array<f32, 64>;
var<workgroup> eighths: array<f32, 64>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let row = rows.first + workgroup.y;
    let source = select(row, tokens[row].logits_from, shape.gather == 1u);
    let from_start = source * shape.stride;
    let to_start = row * shape.stride;

    var squares = vec4<f32>();
    for (var i = lane; i < shape.vectors; i += 64u) {
        let x = input[from_start + i];
        squares += x * x;
    }
    partial[lane] = squares.x + squares.y + squares.z + squares.w;
    workgroupBarrier();
    // In two steps: each lane adds up eight, then eight of those. Workgroup memory is slow on software adapters.
    var eight = 0.0;
    for (var i = 0u; i < 8u; i += 1u) {
        eight += partial[(lane % 8u) * 8u + i];
    }
    eighths[lane] = eight;
    workgroupBarrier();
    var total = 0.0;
    for (var i = 0u; i < 8u; i += 1u) {
        total += eighths[i];
    }
    let scale = inverseSqrt(total / f32(shape.width) + shape.epsilon);

    for (var i = lane; i < shape.vectors; i += 64u) {
        output[to_start + i] = input[from_start + i] * scale * weight[i];
    }
}

// Matrix times four vectors for software adapters: the products of linear_decode_lanes.wgsl for four tokens at once.
//     y[t] = W x[t]           W: [rows, K], x: [4, K], y: [4, rows]
// A lane computes four pairs of rows for the four tokens: each weight is unpacked once and used four times, each activation is
// loaded once for eight rows of all lanes. Sums are vec4s over the pairs.
#import lib/linear_shape.wgsl
#import lib/block_dot.wgsl
#import <source>
#import <format>
#import <output>
#import lib/lanes.wgsl
@group(0) @binding(3) var<uniform> input_0: array<vec4<f32>, 4096>;
@group(0) @binding(4) var<uniform> input_1: array<vec4<f32>, 4096>;
@group(0) @binding(5) var<uniform> input_2: array<vec4<f32>, 4096>;
@group(0) @binding(6) var<uniform> input_3: array<vec4<f32>, 4096>;

const LANES = 16u;

// One block of four rows.
struct Blocks {
    x: Block,
    y: Block,
    z: Block,
    w: Block,
}

fn load_rows(rows: vec4<u32>, block: u32) -> Blocks {
    return Blocks(
        load_weights(rows.x, block),
        load_weights(rows.y, block),
        load_weights(rows.z, block),
        load_weights(rows.w, block),
    );
}

fn block_dots(w: Blocks, x_lo: vec4<f32>, x_hi: vec4<f32>) -> vec4<f32> {
    return vec4<f32>(
        block_dot(w.x, x_lo, x_hi),
        block_dot(w.y, x_lo, x_hi),
        block_dot(w.z, x_lo, x_hi),
        block_dot(w.w, x_lo, x_hi),
    );
}

@compute @workgroup_size(16)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let start = workgroup.x * 4u * LANES + lane;
    let pairs = start + LANES * vec4<u32>(0u, 1u, 2u, 3u);
    let first = weight_rows(pairs);
    let second = weight_rows(pairs + shape.second);
    var first_0 = vec4<f32>();
    var first_1 = vec4<f32>();
    var first_2 = vec4<f32>();
    var first_3 = vec4<f32>();
    var second_0 = vec4<f32>();
    var second_1 = vec4<f32>();
    var second_2 = vec4<f32>();
    var second_3 = vec4<f32>();
    let end = shape.blocks + hidden_zero(workgroup);
    for (var block = 0u; block < end; block += 1u) {
        let a = load_rows(first, block);
        let b = load_rows(second, block);
        let i = 2u * block;
        first_0 += block_dots(a, input_0[i], input_0[i + 1u]);
        second_0 += block_dots(b, input_0[i], input_0[i + 1u]);
        first_1 += block_dots(a, input_1[i], input_1[i + 1u]);
        second_1 += block_dots(b, input_1[i], input_1[i + 1u]);
        first_2 += block_dots(a, input_2[i], input_2[i + 1u]);
        second_2 += block_dots(b, input_2[i], input_2[i + 1u]);
        first_3 += block_dots(a, input_3[i], input_3[i + 1u]);
        second_3 += block_dots(b, input_3[i], input_3[i + 1u]);
    }
    emit_pairs(0u, pairs, first_0, second_0);
    emit_pairs(1u, pairs, first_1, second_1);
    emit_pairs(2u, pairs, first_2, second_2);
    emit_pairs(3u, pairs, first_3, second_3);
}

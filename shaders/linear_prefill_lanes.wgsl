// Matrix times four vectors for software adapters: the products of linear_decode_lanes.wgsl for four tokens at once.
//     y[t] = W x[t]           W: [rows, K], x: [4, K], y: [4, rows]
// A lane computes two pairs of rows for the four tokens: each weight is unpacked once and used four times, each activation is
// loaded once for all lanes. Sums are vec4s over the tokens.
#import lib/linear_shape.wgsl
#import <source>
#import <format>
#import <output>
@group(0) @binding(3) var<uniform> input_0: array<vec4<f32>, 4096>;
@group(0) @binding(4) var<uniform> input_1: array<vec4<f32>, 4096>;
@group(0) @binding(5) var<uniform> input_2: array<vec4<f32>, 4096>;
@group(0) @binding(6) var<uniform> input_3: array<vec4<f32>, 4096>;

fn emit_tokens(pair: u32, first: vec4<f32>, second: vec4<f32>) {
    emit(0u, pair, first.x, second.x);
    emit(1u, pair, first.y, second.y);
    emit(2u, pair, first.z, second.z);
    emit(3u, pair, first.w, second.w);
}

// Each component: a block of weights times one token's block.
fn products(w: vec4<f32>, x_0: vec4<f32>, x_1: vec4<f32>, x_2: vec4<f32>, x_3: vec4<f32>) -> vec4<f32> {
    return vec4<f32>(dot(w, x_0), dot(w, x_1), dot(w, x_2), dot(w, x_3));
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let lanes = (shape.pairs + 1u) / 2u;
    let pair_a = id.x;
    if pair_a >= lanes {
        return;
    }
    let pair_b = pair_a + lanes;
    let last = shape.rows - 1u;
    let row_a = weight_row(pair_a);
    let row_b = weight_row(min(pair_b, last));
    let row_c = weight_row(min(pair_a + shape.second, last));
    let row_d = weight_row(min(pair_b + shape.second, last));
    var sum_a = vec4<f32>();
    var sum_b = vec4<f32>();
    var sum_c = vec4<f32>();
    var sum_d = vec4<f32>();
    for (var block = 0u; block < shape.blocks; block += 1u) {
        let a = load_weights(row_a, block);
        let b = load_weights(row_b, block);
        let c = load_weights(row_c, block);
        let d = load_weights(row_d, block);
        let i = 2u * block;
        var x_0 = input_0[i];
        var x_1 = input_1[i];
        var x_2 = input_2[i];
        var x_3 = input_3[i];
        sum_a += products(a.lo, x_0, x_1, x_2, x_3);
        sum_b += products(b.lo, x_0, x_1, x_2, x_3);
        sum_c += products(c.lo, x_0, x_1, x_2, x_3);
        sum_d += products(d.lo, x_0, x_1, x_2, x_3);
        x_0 = input_0[i + 1u];
        x_1 = input_1[i + 1u];
        x_2 = input_2[i + 1u];
        x_3 = input_3[i + 1u];
        sum_a += products(a.hi, x_0, x_1, x_2, x_3);
        sum_b += products(b.hi, x_0, x_1, x_2, x_3);
        sum_c += products(c.hi, x_0, x_1, x_2, x_3);
        sum_d += products(d.hi, x_0, x_1, x_2, x_3);
    }
    emit_tokens(pair_a, sum_a, sum_c);
    if pair_b < shape.pairs {
        emit_tokens(pair_b, sum_b, sum_d);
    }
}

// Matrix times vector for software adapters: QKV, out, FFN and head products of a single token.
//     y = W x           W: [rows, K], x: [K], y: [rows]
// A lane computes one pair of rows on its own. x is read from uniform memory at an index that all lanes share, which costs one
// load for the whole vector of lanes; weights come from a texture (performance: ARCHITECTURE.md).
#import lib/linear_shape.wgsl
#import <source>
#import <format>
#import <output>
@group(0) @binding(3) var<uniform> input: array<vec4<f32>, 4096>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let pair = id.x;
    if pair >= shape.pairs {
        return;
    }
    let first = weight_row(pair);
    let second = weight_row(min(pair + shape.second, shape.rows - 1u));
    var sum_first = vec4<f32>();
    var sum_second = vec4<f32>();
    for (var block = 0u; block < shape.blocks; block += 1u) {
        let x_lo = input[2u * block];
        let x_hi = input[2u * block + 1u];
        let a = load_weights(first, block);
        let b = load_weights(second, block);
        sum_first += a.lo * x_lo + a.hi * x_hi;
        sum_second += b.lo * x_lo + b.hi * x_hi;
    }
    emit(
        0u,
        pair,
        (sum_first.x + sum_first.y) + (sum_first.z + sum_first.w),
        (sum_second.x + sum_second.y) + (sum_second.z + sum_second.w),
    );
}

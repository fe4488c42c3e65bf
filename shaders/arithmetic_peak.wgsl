// How fast the adapter multiplies and adds at best: every lane takes twelve numbers through so many rounds of x * factor + offset,
// each independent of the others, and reads or writes nothing else.
struct Shape {
    rounds: u32,  // a multiple of 8
    factor: f32,
    offset: f32,
}
@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read_write> results: array<f32>;
#import lib/hidden_zero.wgsl

// A lane's twelve numbers.
struct Numbers {
    a: vec4<f32>,
    b: vec4<f32>,
    c: vec4<f32>,
}

fn one_round(x: Numbers) -> Numbers {
    return Numbers(
        x.a * shape.factor + shape.offset,
        x.b * shape.factor + shape.offset,
        x.c * shape.factor + shape.offset,
    );
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    // Not the same number twice, or a compiler could do with one.
    let start = vec4<f32>(0.0, 1.0, 2.0, 3.0) + f32(lane);
    var x = Numbers(start, start + 4.0, start + 8.0);
    let end = shape.rounds + hidden_zero(workgroup);
    // Eight rounds at a time: the loop itself should cost nothing.
    for (var i = 0u; i < end; i += 8u) {
        x = one_round(one_round(one_round(one_round(x))));
        x = one_round(one_round(one_round(one_round(x))));
    }
    let sum = x.a + x.b + x.c;
    results[workgroup.x * 64u + lane] = (sum.x + sum.y) + (sum.z + sum.w);
}

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

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    // Not the same number twice, or a compiler could do with one.
    var a = vec4<f32>(0.0, 1.0, 2.0, 3.0) + f32(lane);
    var b = a + 4.0;
    var c = a + 8.0;
    let end = shape.rounds + hidden_zero(workgroup);
    let factor = shape.factor;
    let offset = shape.offset;
    // Eight rounds at a time: the loop itself should cost nothing.
    for (var i = 0u; i < end; i += 8u) {
        a = a * factor + offset;
        b = b * factor + offset;
        c = c * factor + offset;
        a = a * factor + offset;
        b = b * factor + offset;
        c = c * factor + offset;
        a = a * factor + offset;
        b = b * factor + offset;
        c = c * factor + offset;
        a = a * factor + offset;
        b = b * factor + offset;
        c = c * factor + offset;
        a = a * factor + offset;
        b = b * factor + offset;
        c = c * factor + offset;
        a = a * factor + offset;
        b = b * factor + offset;
        c = c * factor + offset;
        a = a * factor + offset;
        b = b * factor + offset;
        c = c * factor + offset;
        a = a * factor + offset;
        b = b * factor + offset;
        c = c * factor + offset;
    }
    let sum = a + b + c;
    results[workgroup.x * 64u + lane] = (sum.x + sum.y) + (sum.z + sum.w);
}

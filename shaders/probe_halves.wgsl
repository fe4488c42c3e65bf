// Whether the adapter's own instructions keep what an f16 holds, also below its normal range, where scales of weights may lie.
//     values[i] = the f16 in the low half of words[i], for i below count
#import <half>

struct Shape {
    count: u32,
}
@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> words: array<u32>;
@group(0) @binding(2) var<storage, read_write> values: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = workgroup.x * 64u + lane;
    if i >= shape.count {
        return;
    }
    // Both ways that weights are read; -1 where they differ.
    let alone = unpack_half(words[i]);
    let among = unpack_halves(vec4<u32>(words[i])).lo.x;
    values[i] = select(-1.0, alone, alone == among);
}

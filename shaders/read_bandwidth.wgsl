// How fast weights can be read at best: every lane folds 16-byte units into one word, and does nothing else.
// Units lie as in a matrix of that source: in a buffer lanes of a workgroup read side by side, in a texture eight lanes do.
struct Shape {
    units: u32,  // units a row; a multiple of 8
}
@group(0) @binding(0) var<uniform> shape: Shape;
#import <source>
@group(0) @binding(2) var<storage, read_write> folded: array<vec4<u32>>;
#import lib/hidden_zero.wgsl
#import <walk>

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let start = walk_start(workgroup.x, lane);
    var fold = vec4<u32>();
    let end = shape.units + hidden_zero(workgroup);
    for (var i = 0u; i < end; i += 8u) {
        let at = start + i * WALK_STRIDE;
        fold ^= fetch(at) ^ fetch(at + WALK_STRIDE) ^ fetch(at + 2u * WALK_STRIDE) ^ fetch(at + 3u * WALK_STRIDE);
        fold ^= fetch(at + 4u * WALK_STRIDE) ^ fetch(at + 5u * WALK_STRIDE) ^ fetch(at + 6u * WALK_STRIDE) ^ fetch(at + 7u * WALK_STRIDE);
    }
    folded[workgroup.x * 64u + lane] = fold;
}

// The input of a `lanes` product, shared by lanes.
#import lib/share.wgsl
@group(0) @binding(3) var<uniform> input_0: array<vec4<f32>, 4096>;

// The block of eight that begins at vec4 `at`.
fn block_0(own: Reader, at: u32) -> Block {
    return share(input_0[at + own.x][own.y]);
}

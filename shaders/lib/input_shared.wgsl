// The input of a `lanes` product, shared by lanes.
#import lib/share.wgsl
@group(0) @binding(3) var<uniform> input_0: array<vec4<f32>, 4096>;

// The step that begins at vec4 `at`.
fn step_0(own: Reader, at: u32) -> Input {
    return Input(share(input_0[at + own.x][own.y]), share(input_0[at + 2u + own.x][own.y]));
}

// The input of a `lanes` product: every lane reads all of it from uniform memory, at an index that is the same for all.
#import lib/each.wgsl
@group(0) @binding(3) var<uniform> input_0: array<vec4<f32>, 4096>;

// The step that begins at vec4 `at`.
fn step_0(own: Reader, at: u32) -> Input {
    return Input(Block(input_0[at], input_0[at + 1u]), Block(input_0[at + 2u], input_0[at + 3u]));
}

// Inputs of three more tokens, as lib/input_each.wgsl.
@group(0) @binding(4) var<uniform> input_1: array<vec4<f32>, 4096>;
@group(0) @binding(5) var<uniform> input_2: array<vec4<f32>, 4096>;
@group(0) @binding(6) var<uniform> input_3: array<vec4<f32>, 4096>;

fn block_1(own: Reader, at: u32) -> Block {
    return Block(input_1[at], input_1[at + 1u]);
}

fn block_2(own: Reader, at: u32) -> Block {
    return Block(input_2[at], input_2[at + 1u]);
}

fn block_3(own: Reader, at: u32) -> Block {
    return Block(input_3[at], input_3[at + 1u]);
}

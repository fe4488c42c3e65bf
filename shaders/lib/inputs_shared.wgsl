// Inputs of three more tokens, as lib/input_shared.wgsl.
@group(0) @binding(4) var<uniform> input_1: array<vec4<f32>, 4096>;
@group(0) @binding(5) var<uniform> input_2: array<vec4<f32>, 4096>;
@group(0) @binding(6) var<uniform> input_3: array<vec4<f32>, 4096>;

fn block_1(own: Reader, at: u32) -> Block {
    return share(input_1[at + own.x][own.y]);
}

fn block_2(own: Reader, at: u32) -> Block {
    return share(input_2[at + own.x][own.y]);
}

fn block_3(own: Reader, at: u32) -> Block {
    return share(input_3[at + own.x][own.y]);
}

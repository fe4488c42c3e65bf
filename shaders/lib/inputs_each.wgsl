// Inputs of three more tokens, as lib/input_each.wgsl.
@group(0) @binding(5) var<uniform> input_1: array<vec4<f32>, 4096>;
@group(0) @binding(6) var<uniform> input_2: array<vec4<f32>, 4096>;
@group(0) @binding(7) var<uniform> input_3: array<vec4<f32>, 4096>;

fn raw_1(own: Reader, at: u32) -> Raw {
    return Raw(Block(input_1[at], input_1[at + 1u]), Block(input_1[at + 2u], input_1[at + 3u]));
}

fn raw_2(own: Reader, at: u32) -> Raw {
    return Raw(Block(input_2[at], input_2[at + 1u]), Block(input_2[at + 2u], input_2[at + 3u]));
}

fn raw_3(own: Reader, at: u32) -> Raw {
    return Raw(Block(input_3[at], input_3[at + 1u]), Block(input_3[at + 2u], input_3[at + 3u]));
}

// Inputs of three more tokens, as lib/input_int8.wgsl.
@group(0) @binding(4) var<uniform> input_1: array<vec4<f32>, 4096>;
@group(0) @binding(5) var<uniform> input_2: array<vec4<f32>, 4096>;
@group(0) @binding(6) var<uniform> input_3: array<vec4<f32>, 4096>;

fn step_1(own: Reader, at: u32) -> Input {
    return quantize(input_1[at + own]);
}

fn step_2(own: Reader, at: u32) -> Input {
    return quantize(input_2[at + own]);
}

fn step_3(own: Reader, at: u32) -> Input {
    return quantize(input_3[at + own]);
}

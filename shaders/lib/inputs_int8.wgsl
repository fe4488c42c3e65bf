// Inputs of three more tokens, as lib/input_int8.wgsl.
@group(0) @binding(5) var<uniform> input_1: array<vec4<f32>, 4096>;
@group(0) @binding(6) var<uniform> input_2: array<vec4<f32>, 4096>;
@group(0) @binding(7) var<uniform> input_3: array<vec4<f32>, 4096>;

fn raw_1(own: Reader, at: u32) -> Raw {
    return input_1[at + lane_vector(own)];
}

fn raw_2(own: Reader, at: u32) -> Raw {
    return input_2[at + lane_vector(own)];
}

fn raw_3(own: Reader, at: u32) -> Raw {
    return input_3[at + lane_vector(own)];
}

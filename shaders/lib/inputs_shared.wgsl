// Inputs of three more tokens, as lib/input_shared.wgsl.
@group(0) @binding(5) var<uniform> input_1: array<vec4<f32>, 4096>;
@group(0) @binding(6) var<uniform> input_2: array<vec4<f32>, 4096>;
@group(0) @binding(7) var<uniform> input_3: array<vec4<f32>, 4096>;

fn raw_1(own: Reader, at: u32) -> Raw {
    return Raw(input_1[at + own.x][own.y], input_1[at + 2u + own.x][own.y]);
}

fn raw_2(own: Reader, at: u32) -> Raw {
    return Raw(input_2[at + own.x][own.y], input_2[at + 2u + own.x][own.y]);
}

fn raw_3(own: Reader, at: u32) -> Raw {
    return Raw(input_3[at + own.x][own.y], input_3[at + 2u + own.x][own.y]);
}

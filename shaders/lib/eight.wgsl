// Eight dimensions of four heads.
struct Eight {
    d0: vec4<f32>,
    d1: vec4<f32>,
    d2: vec4<f32>,
    d3: vec4<f32>,
    d4: vec4<f32>,
    d5: vec4<f32>,
    d6: vec4<f32>,
    d7: vec4<f32>,
}

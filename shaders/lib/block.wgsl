// Eight consecutive values of a row: the unit in which weights, activations and cache entries travel.
struct Block {
    lo: vec4<f32>,
    hi: vec4<f32>,
}

// How a lane of the `rows` products multiplies q8 weights and inputs of eight bits, without unpacking them: a block of eight
// at a time, with a scale of its own. Sums of a block are exact.
#import lib/whole.wgsl

struct Weights {
    numbers: vec2<u32>,
    scale: f32,
}

fn weights_of(packed: Packed, column: u32) -> Weights {
    return Weights(packed.numbers, block_scale(packed.scale, column));
}

struct Input {
    numbers: vec2<u32>,
    scale: f32,
}

// Four numbers, as dot4I8Packed wants them.
fn pack(x: vec4<f32>) -> u32 {
    let bytes = vec4<u32>(vec4<i32>(whole(x.x), whole(x.y), whole(x.z), whole(x.w))) & vec4<u32>(255u);
    return bytes.x | (bytes.y << 8u) | (bytes.z << 16u) | (bytes.w << 24u);
}

fn take(x: Block) -> Input {
    let most = bitcast<f32>(max(magnitude(x.lo), magnitude(x.hi)));
    let factor = 127.0 / most;
    return Input(vec2<u32>(pack(x.lo * factor), pack(x.hi * factor)), most / 127.0);
}

fn add_row(sum: f32, w: Weights, x: Input) -> f32 {
    let dot = dot4I8Packed(w.numbers.x, x.numbers.x) + dot4I8Packed(w.numbers.y, x.numbers.y);
    return fma(f32(dot), w.scale * x.scale, sum);
}

// Output: activate(gate) * linear, one value a pair (the gated FFN; the first half of proj_1 is the gate).
#import lib/activation.wgsl

fn emit(token: u32, pair: u32, first: f32, second: f32) {
    output[token * shape.out_stride + shape.out_offset + pair] = activate(first) * second;
}

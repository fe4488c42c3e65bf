// Output: the activation of each product (the plain FFN).
#import lib/activation.wgsl

fn emit(token: u32, pair: u32, first: f32, second: f32) {
    let at = token * shape.out_stride + shape.out_offset + pair;
    output[at] = activate(first);
    if pair + shape.second < shape.rows {
        output[at + shape.second] = activate(second);
    }
}

// A block of weights times a block of activations. Every matrix product adds these up in the same order, whatever the number of
// tokens it computes at once, so that a token's logits do not depend on its company (tests/inside/consistency.rs).
#import lib/block.wgsl

fn block_dot(w: Block, x_lo: vec4<f32>, x_hi: vec4<f32>) -> f32 {
    return dot(w.lo, x_lo) + dot(w.hi, x_hi);
}

// A block of weights times a block of activations, added to a sum: one chain, which leaves compilers nothing to reorder or to contract
// differently from kernel to kernel.
#import lib/block.wgsl

fn add_quad(sum: f32, w: vec4<f32>, x: vec4<f32>) -> f32 {
    return fma(w.w, x.w, fma(w.z, x.z, fma(w.y, x.y, fma(w.x, x.x, sum))));
}

fn add_block(sum: f32, w: Block, x: Block) -> f32 {
    return add_quad(add_quad(sum, w.lo, x.lo), w.hi, x.hi);
}

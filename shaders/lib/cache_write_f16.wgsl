// Keys and values in f16: a block of eight is one 16-byte unit.
#import <half>

// Whether none of the eight rounds to f16's infinity. What is no number stays none, and says nothing about the others.
fn fits_cache(x: Block) -> bool {
    return !(any(abs(x.lo) >= vec4<f32>(65520.0)) || any(abs(x.hi) >= vec4<f32>(65520.0)));
}

fn write_key(block: u32, x: Block) {
    store_key(block, vec4<u32>(pack_halves(x.lo), pack_halves(x.hi)));
}

fn write_value(block: u32, x: Block) {
    store_value(block, vec4<u32>(pack_halves(x.lo), pack_halves(x.hi)));
}

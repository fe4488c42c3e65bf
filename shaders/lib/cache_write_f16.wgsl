// Keys and values in f16: a block of eight is one 16-byte unit.
#import <half>

// Whether none of the eight rounds to f16's infinity, or is no number: NaN would come back as a large number (lib/half_integer.wgsl), and
// in f32 it stays what it is and can be noticed.
fn fits_cache(x: Block) -> bool {
    return all(abs(x.lo) < vec4<f32>(65520.0)) && all(abs(x.hi) < vec4<f32>(65520.0));
}

fn write_key(block: u32, x: Block) {
    store_key(block, vec4<u32>(pack_halves(x.lo), pack_halves(x.hi)));
}

fn write_value(block: u32, x: Block) {
    store_value(block, vec4<u32>(pack_halves(x.lo), pack_halves(x.hi)));
}

// A block as it comes back.
fn as_cached(x: Block) -> Block {
    return unpack_halves(vec4<u32>(pack_halves(x.lo), pack_halves(x.hi)));
}

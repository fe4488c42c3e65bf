// Keys and values in f32, exact: a block of eight is two 16-byte units.
#import lib/block.wgsl

fn fits_cache(x: Block) -> bool {
    return true;
}

fn write_key(block: u32, x: Block) {
    store_key(2u * block, bitcast<vec4<u32>>(x.lo));
    store_key(2u * block + 1u, bitcast<vec4<u32>>(x.hi));
}

fn write_value(block: u32, x: Block) {
    store_value(2u * block, bitcast<vec4<u32>>(x.lo));
    store_value(2u * block + 1u, bitcast<vec4<u32>>(x.hi));
}

// A block as it comes back.
fn as_cached(x: Block) -> Block {
    return x;
}

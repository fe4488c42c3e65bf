// Keys and values in f32, exact: a block of eight is two 16-byte units.
#import lib/block.wgsl

fn load_key(block: u32) -> Block {
    return Block(bitcast<vec4<f32>>(fetch_key(2u * block)), bitcast<vec4<f32>>(fetch_key(2u * block + 1u)));
}

fn load_value(block: u32) -> Block {
    return Block(bitcast<vec4<f32>>(fetch_value(2u * block)), bitcast<vec4<f32>>(fetch_value(2u * block + 1u)));
}

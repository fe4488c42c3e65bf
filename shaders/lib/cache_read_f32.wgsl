// Keys and values in f32, exact: a block of eight is two 16-byte units.
#import lib/block.wgsl

fn load_key(block: u32) -> Block {
    return Block(bitcast<vec4<f32>>(fetch_key(2u * block)), bitcast<vec4<f32>>(fetch_key(2u * block + 1u)));
}

fn load_value(block: u32) -> Block {
    return Block(bitcast<vec4<f32>>(fetch_value(2u * block)), bitcast<vec4<f32>>(fetch_value(2u * block + 1u)));
}

// A key on its way: fetched in the end, since unpacked as it is it would take registers that there are not.
alias KeyEntry = u32;

fn begin_key(block: u32) -> KeyEntry {
    return block;
}

fn end_key(entry: KeyEntry) -> Block {
    return load_key(entry);
}

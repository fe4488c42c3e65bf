// Keys and values in f32, exact: a block of eight is two 16-byte units.
#import lib/block.wgsl

fn load_key(block: u32) -> Block {
    return Block(bitcast<vec4<f32>>(fetch_key(2u * block)), bitcast<vec4<f32>>(fetch_key(2u * block + 1u)));
}

fn load_value(block: u32) -> Block {
    return Block(bitcast<vec4<f32>>(fetch_value(2u * block)), bitcast<vec4<f32>>(fetch_value(2u * block + 1u)));
}

// Blocks on their way. For values too there would not be registers enough: they are fetched in the end.
alias KeyEntry = Block;
alias ValueEntry = u32;

fn begin_key(block: u32) -> KeyEntry {
    return load_key(block);
}

fn begin_value(block: u32) -> ValueEntry {
    return block;
}

fn end_key(entry: KeyEntry) -> Block {
    return entry;
}

fn end_value(entry: ValueEntry) -> Block {
    return load_value(entry);
}

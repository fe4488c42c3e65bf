// Keys and values in f16: a block of eight is one 16-byte unit.
#import <half>

fn load_key(block: u32) -> Block {
    return unpack_halves(fetch_key(block));
}

fn load_value(block: u32) -> Block {
    return unpack_halves(fetch_value(block));
}

// Blocks on their way, as they lie in the cache.
alias KeyEntry = vec4<u32>;
alias ValueEntry = vec4<u32>;

fn begin_key(block: u32) -> KeyEntry {
    return fetch_key(block);
}

fn begin_value(block: u32) -> ValueEntry {
    return fetch_value(block);
}

fn end_key(entry: KeyEntry) -> Block {
    return unpack_halves(entry);
}

fn end_value(entry: ValueEntry) -> Block {
    return unpack_halves(entry);
}

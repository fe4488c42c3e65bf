// Keys and values in f16: a block of eight is one 16-byte unit.
#import <half>

fn load_key(block: u32) -> Block {
    return unpack_halves(fetch_key(block));
}

fn load_value(block: u32) -> Block {
    return unpack_halves(fetch_value(block));
}

// A key on its way, as it lies in the cache: who unpacks it waits for it.
alias KeyEntry = vec4<u32>;

fn begin_key(block: u32) -> KeyEntry {
    return fetch_key(block);
}

fn end_key(entry: KeyEntry) -> Block {
    return unpack_halves(entry);
}

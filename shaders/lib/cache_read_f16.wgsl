// Keys and values in f16: a block of eight is one 16-byte unit.
#import <half>

fn load_key(block: u32) -> Block {
    return unpack_halves(fetch_key(block));
}

fn load_value(block: u32) -> Block {
    return unpack_halves(fetch_value(block));
}

// Keys and values in f32, eight to 32 bytes: exact.
#import lib/block.wgsl

alias CacheBlock = Block;

fn pack_cache(block: Block) -> CacheBlock {
    return block;
}

fn unpack_cache(packed: CacheBlock) -> Block {
    return packed;
}

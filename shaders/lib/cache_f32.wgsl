// Keys and values in f32, eight to 32 bytes: exact. Written by quads, read by blocks.
#import lib/block.wgsl

alias CacheQuad = vec4<f32>;
alias CacheBlock = Block;

fn pack_cache(quad: vec4<f32>) -> CacheQuad {
    return quad;
}

fn unpack_cache(packed: CacheBlock) -> Block {
    return packed;
}

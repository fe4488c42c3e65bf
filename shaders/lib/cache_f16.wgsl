// Keys and values in f16, eight to 16 bytes. Written by quads, read by blocks.
#import <half>

alias CacheQuad = vec2<u32>;
alias CacheBlock = vec4<u32>;

fn pack_cache(quad: vec4<f32>) -> CacheQuad {
    return pack_halves(quad);
}

fn unpack_cache(packed: CacheBlock) -> Block {
    return unpack_halves(packed);
}

// Keys and values in f16, eight to 16 bytes.
#import lib/block.wgsl

alias CacheBlock = vec4<u32>;

fn pack_cache(block: Block) -> CacheBlock {
    return vec4<u32>(
        pack2x16float(block.lo.xy),
        pack2x16float(block.lo.zw),
        pack2x16float(block.hi.xy),
        pack2x16float(block.hi.zw),
    );
}

fn unpack_cache(packed: CacheBlock) -> Block {
    return Block(
        vec4<f32>(unpack2x16float(packed.x), unpack2x16float(packed.y)),
        vec4<f32>(unpack2x16float(packed.z), unpack2x16float(packed.w)),
    );
}

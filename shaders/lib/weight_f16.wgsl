// f16 weights: a block of 8 is one 16-byte unit. Unpacked from integers, so no f16 feature is needed.
#import <half>
#import lib/pair_of_blocks.wgsl

fn load_weights(row_start: u32, block: u32) -> Block {
    return unpack_halves(fetch(row_start + block * UNIT_STRIDE));
}

// f16 weights: a block of 8 is one 16-byte unit. Unpacked from integers, so no f16 feature is needed.
#import <half>
#import lib/pair_of_blocks.wgsl

// A block as it lies in memory.
alias Packed = vec4<u32>;

fn load_packed(row_start: u32, first: u32, column: u32) -> Packed {
    return fetch(row_start + (first + column) * UNIT_STRIDE);
}

fn unpack(packed: Packed) -> Block {
    return unpack_halves(packed);
}

fn load_weights(row_start: u32, block: u32) -> Block {
    return unpack(load_packed(row_start, block, 0u));
}

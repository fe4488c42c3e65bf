// bf16 weights: a block of 8 is one 16-byte unit. A bf16 is the upper half of the f32 of the same value.
#import lib/block.wgsl
#import lib/pair_of_blocks.wgsl

// A block as it lies in memory.
alias Packed = vec4<u32>;

fn load_packed(row_start: u32, first: u32, column: u32) -> Packed {
    return fetch(row_start + (first + column) * UNIT_STRIDE);
}

fn unpack(packed: Packed) -> Block {
    let even = bitcast<vec4<f32>>(packed << vec4<u32>(16u));
    let odd = bitcast<vec4<f32>>(packed & vec4<u32>(0xffff0000u));
    return Block(
        vec4<f32>(even.x, odd.x, even.y, odd.y),
        vec4<f32>(even.z, odd.z, even.w, odd.w),
    );
}

fn load_weights(row_start: u32, block: u32) -> Block {
    return unpack(load_packed(row_start, block, 0u));
}

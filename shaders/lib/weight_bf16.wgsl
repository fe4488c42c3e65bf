// bf16 weights: a block of 8 is one 16-byte unit. A bf16 is the upper half of the f32 of the same value.
#import lib/block.wgsl
#import lib/pair_of_blocks.wgsl

fn load_weights(row_start: u32, block: u32) -> Block {
    let unit = fetch(row_start + block * UNIT_STRIDE);
    let even = bitcast<vec4<f32>>(unit << vec4<u32>(16u));
    let odd = bitcast<vec4<f32>>(unit & vec4<u32>(0xffff0000u));
    return Block(
        vec4<f32>(even.x, odd.x, even.y, odd.y),
        vec4<f32>(even.z, odd.z, even.w, odd.w),
    );
}

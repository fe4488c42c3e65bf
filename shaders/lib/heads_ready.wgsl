// Attention of prompts: queries are ready and all keys and values lie in the cache (qk_norm_rope.wgsl).
//     queries: [tokens, q_heads, blocks * 8]
#import lib/first_row.wgsl
@group(0) @binding(1) var<storage, read> tokens: array<Token>;
@group(0) @binding(2) var<storage, read> queries: array<vec4<f32>>;
#import lib/cache_read_buffer.wgsl
#import <cache>
@group(0) @binding(6) var<uniform> class_rows: FirstRow;

// Of a token's positions, how many are not taken from the cache.
const HELD = 0u;

fn first_row() -> u32 {
    return class_rows.first;
}

// What a lane begins with. Heads that are not there repeat the last.
fn begin(work: Work, token: Token, quad: u32, lane: u32) -> Own {
    let block = lane % BLOCK_LANES;
    let head = work.first_head + min(vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(work.heads - 1u));
    let at = work.row * (shape.q_stride / 4u) + 2u * (head * shape.blocks + min(block, shape.blocks - 1u));
    let factor = select(0.0, shape.scale * LOG2_E, block < shape.blocks);
    let lo = transpose(mat4x4<f32>(queries[at.x], queries[at.y], queries[at.z], queries[at.w])) * factor;
    let hi = transpose(mat4x4<f32>(queries[at.x + 1u], queries[at.y + 1u], queries[at.z + 1u], queries[at.w + 1u])) * factor;
    let queries = Eight(lo[0], lo[1], lo[2], lo[3], hi[0], hi[1], hi[2], hi[3]);
    return Own(queries, vec4<f32>(LOWEST), vec4<f32>(), Eight());
}

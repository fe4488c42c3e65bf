// Queries for attention_lanes.wgsl: every lane reads them from uniform memory, at an index that is the same for all.
#import lib/each.wgsl
@group(0) @binding(2) var<uniform> queries: array<vec4<f32>, 4096>;

// The block of eight that begins at vec4 `at`.
fn load_query(own: Reader, at: u32) -> Block {
    return Block(queries[at], queries[at + 1u]);
}

// Queries for attention_lanes.wgsl, shared by lanes.
#import lib/share.wgsl
@group(0) @binding(2) var<uniform> queries: array<vec4<f32>, 4096>;

// The block of eight that begins at vec4 `at`.
fn load_query(own: Reader, at: u32) -> Block {
    return share(queries[at + own.x][own.y]);
}

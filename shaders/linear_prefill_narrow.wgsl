// Matrix times matrix for GPUs: as linear_prefill_tiles.wgsl, to the bit, for prompts of a few tokens: tiles of 32 row pairs by 8 tokens.
//     y[t] = W x[t]           W: [rows, K], x: [tokens, K], y: [tokens, rows]
// A lane computes four pairs for one token, which a long prompt's tile would mostly compute in vain.
#import lib/linear_shape.wgsl
#import lib/first_row.wgsl
#import <source>
#import <format>
#import <output>
@group(0) @binding(3) var<storage, read> input: array<vec4<f32>>;
@group(0) @binding(4) var<uniform> class_rows: FirstRow;

const TOKEN_QUADS = 2u;
#import lib/stage_small.wgsl
#import lib/tiles.wgsl

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let first_pair = workgroup.x * 32u;
    let first_token = class_rows.first + workgroup.y * 8u;
    let row_quad = lane % 8u;
    let token = lane / 8u;
    var sum_first = vec4<f32>();
    var sum_second = vec4<f32>();
    for (var block = 0u; block < shape.blocks; block += 4u) {
        stage(first_pair, first_token, block, lane);
        workgroupBarrier();
        for (var k = 0u; k < 32u; k += 1u) {
            let x = tile_x[x_at(k, token / 4u)][token % 4u];
            let at = w_at(k, row_quad);
            sum_first += tile_w[at] * x;
            sum_second += tile_w[at + 8u] * x;
        }
        workgroupBarrier();
    }
    let pair = first_pair + row_quad * 4u;
    emit_pair(first_token + token, pair, sum_first.x, sum_second.x);
    emit_pair(first_token + token, pair + 1u, sum_first.y, sum_second.y);
    emit_pair(first_token + token, pair + 2u, sum_first.z, sum_second.z);
    emit_pair(first_token + token, pair + 3u, sum_first.w, sum_second.w);
}

// Matrix times matrix for GPUs: the products of linear_decode_rows.wgsl for many tokens.
//     y[t] = W x[t]           W: [rows, K], x: [tokens, K], y: [tokens, rows]
// A workgroup covers a tile of 32 row pairs by 32 tokens and walks along K in steps of 32 through workgroup memory. A lane
// computes four pairs for four tokens: per k it loads three vec4s and does 32 multiply-adds. Tokens beyond the step's last
// are computed into padding that nobody reads.
#import lib/linear_shape.wgsl
#import lib/first_row.wgsl
#import <source>
#import <format>
#import <output>
@group(0) @binding(3) var<storage, read> input: array<vec4<f32>>;
@group(0) @binding(4) var<uniform> class_rows: FirstRow;

const TOKEN_QUADS = 8u;
#import lib/stage_small.wgsl
#import lib/tiles.wgsl

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let first_pair = workgroup.x * 32u;
    let first_token = class_rows.first + workgroup.y * 32u;
    let row_quad = lane % 8u;
    let token_quad = lane / 8u;
    var first_0 = vec4<f32>();
    var first_1 = vec4<f32>();
    var first_2 = vec4<f32>();
    var first_3 = vec4<f32>();
    var second_0 = vec4<f32>();
    var second_1 = vec4<f32>();
    var second_2 = vec4<f32>();
    var second_3 = vec4<f32>();

    for (var block = 0u; block < shape.blocks; block += 4u) {
        stage(first_pair, first_token, block, lane);
        workgroupBarrier();
        for (var k = 0u; k < 32u; k += 1u) {
            let x = tile_x[x_at(k, token_quad)];
            let at = w_at(k, row_quad);
            let first = tile_w[at];
            let second = tile_w[at + 8u];
            first_0 += first.x * x;
            first_1 += first.y * x;
            first_2 += first.z * x;
            first_3 += first.w * x;
            second_0 += second.x * x;
            second_1 += second.y * x;
            second_2 += second.z * x;
            second_3 += second.w * x;
        }
        workgroupBarrier();
    }
    let pair = first_pair + row_quad * 4u;
    let token = first_token + token_quad * 4u;
    emit_tokens(token, pair, first_0, second_0);
    emit_tokens(token, pair + 1u, first_1, second_1);
    emit_tokens(token, pair + 2u, first_2, second_2);
    emit_tokens(token, pair + 3u, first_3, second_3);
}

// Matrix times matrix for GPUs: as linear_prefill_tiles.wgsl, to the bit, in tiles of 32 or 64 row pairs by 64 tokens.
//     y[t] = W x[t]           W: [rows, K], x: [tokens, K], y: [tokens, rows]
// A lane computes four pairs for four tokens of each half: per k it loads four vec4s and does 64 multiply-adds, at the price of 64
// registers for sums.
#import lib/linear_shape.wgsl
#import lib/first_row.wgsl
#import <source>
#import <format>
#import <output>
@group(0) @binding(3) var<storage, read> input: array<vec4<f32>>;
@group(0) @binding(4) var<uniform> class_rows: FirstRow;

const TOKEN_QUADS = 16u;
#import <stage>
#import lib/tiles.wgsl

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let first_pair = workgroup.x * PAIR_QUADS * 4u;
    let first_token = class_rows.first + workgroup.y * 64u;
    let row_quad = lane % PAIR_QUADS;
    let token_quad = lane / PAIR_QUADS;
    // Named by row of the pair's quad, and by half of the tokens.
    var first_0a = vec4<f32>();
    var first_1a = vec4<f32>();
    var first_2a = vec4<f32>();
    var first_3a = vec4<f32>();
    var second_0a = vec4<f32>();
    var second_1a = vec4<f32>();
    var second_2a = vec4<f32>();
    var second_3a = vec4<f32>();
    var first_0b = vec4<f32>();
    var first_1b = vec4<f32>();
    var first_2b = vec4<f32>();
    var first_3b = vec4<f32>();
    var second_0b = vec4<f32>();
    var second_1b = vec4<f32>();
    var second_2b = vec4<f32>();
    var second_3b = vec4<f32>();

    for (var block = 0u; block < shape.blocks; block += STEP / 8u) {
        stage(first_pair, first_token, block, lane);
        workgroupBarrier();
        for (var k = 0u; k < STEP; k += 1u) {
            let x_start = x_at(k, token_quad);
            let x_a = tile_x[x_start];
            let x_b = tile_x[x_start + 8u];
            let at = w_at(k, row_quad);
            let first = tile_w[at];
            let second = tile_w[at + PAIR_QUADS];
            first_0a += first.x * x_a;
            first_1a += first.y * x_a;
            first_2a += first.z * x_a;
            first_3a += first.w * x_a;
            second_0a += second.x * x_a;
            second_1a += second.y * x_a;
            second_2a += second.z * x_a;
            second_3a += second.w * x_a;
            first_0b += first.x * x_b;
            first_1b += first.y * x_b;
            first_2b += first.z * x_b;
            first_3b += first.w * x_b;
            second_0b += second.x * x_b;
            second_1b += second.y * x_b;
            second_2b += second.z * x_b;
            second_3b += second.w * x_b;
        }
        workgroupBarrier();
    }
    let pair = first_pair + row_quad * 4u;
    let token = first_token + token_quad * 4u;
    emit_tokens(token, pair, first_0a, second_0a);
    emit_tokens(token, pair + 1u, first_1a, second_1a);
    emit_tokens(token, pair + 2u, first_2a, second_2a);
    emit_tokens(token, pair + 3u, first_3a, second_3a);
    emit_tokens(token + 32u, pair, first_0b, second_0b);
    emit_tokens(token + 32u, pair + 1u, first_1b, second_1b);
    emit_tokens(token + 32u, pair + 2u, first_2b, second_2b);
    emit_tokens(token + 32u, pair + 3u, first_3b, second_3b);
}

// Matrix times matrix for GPUs: the products of linear_decode_rows.wgsl for many tokens.
//     y[t] = W x[t]           W: [rows, K], x: [tokens, K], y: [tokens, rows]
// A workgroup covers a tile of 32 row pairs by 32 tokens and walks along K in steps of 32 through workgroup memory. A lane
// computes four pairs for four tokens: per k it loads three vec4s and does 32 multiply-adds. Tokens beyond the step's last
// are computed into padding that nobody reads.
#import lib/linear_shape.wgsl
#import <source>
#import <format>
#import <output>
@group(0) @binding(3) var<storage, read> input: array<vec4<f32>>;

// [32 k, 16 quads of rows]: quads 0 to 7 are the pairs' first rows, 8 to 15 their second.
var<workgroup> tile_w: array<vec4<f32>, 512>;
// [32 k, 8 quads of tokens]
var<workgroup> tile_x: array<vec4<f32>, 256>;

fn row_block(row: u32, block: u32) -> Block {
    if block >= shape.blocks {
        return Block(vec4<f32>(), vec4<f32>());
    }
    return load_weights(weight_row(min(row, shape.rows - 1u)), block);
}

// Four rows' block of weights, turned so that a vec4 holds one k of the four rows.
fn stage_weights(row: u32, block: u32, to_start: u32) {
    let a = row_block(row, block);
    let b = row_block(row + 1u, block);
    let c = row_block(row + 2u, block);
    let d = row_block(row + 3u, block);
    tile_w[to_start] = vec4<f32>(a.lo.x, b.lo.x, c.lo.x, d.lo.x);
    tile_w[to_start + 16u] = vec4<f32>(a.lo.y, b.lo.y, c.lo.y, d.lo.y);
    tile_w[to_start + 32u] = vec4<f32>(a.lo.z, b.lo.z, c.lo.z, d.lo.z);
    tile_w[to_start + 48u] = vec4<f32>(a.lo.w, b.lo.w, c.lo.w, d.lo.w);
    tile_w[to_start + 64u] = vec4<f32>(a.hi.x, b.hi.x, c.hi.x, d.hi.x);
    tile_w[to_start + 80u] = vec4<f32>(a.hi.y, b.hi.y, c.hi.y, d.hi.y);
    tile_w[to_start + 96u] = vec4<f32>(a.hi.z, b.hi.z, c.hi.z, d.hi.z);
    tile_w[to_start + 112u] = vec4<f32>(a.hi.w, b.hi.w, c.hi.w, d.hi.w);
}

// Four tokens' vec4 of activations, turned likewise.
fn stage_input(token: u32, vector: u32, to_start: u32) {
    var a = vec4<f32>();
    var b = vec4<f32>();
    var c = vec4<f32>();
    var d = vec4<f32>();
    if vector < 2u * shape.blocks {
        let at = token * shape.in_stride + vector;
        a = input[at];
        b = input[at + shape.in_stride];
        c = input[at + 2u * shape.in_stride];
        d = input[at + 3u * shape.in_stride];
    }
    tile_x[to_start] = vec4<f32>(a.x, b.x, c.x, d.x);
    tile_x[to_start + 8u] = vec4<f32>(a.y, b.y, c.y, d.y);
    tile_x[to_start + 16u] = vec4<f32>(a.z, b.z, c.z, d.z);
    tile_x[to_start + 24u] = vec4<f32>(a.w, b.w, c.w, d.w);
}

fn emit_tokens(token: u32, pair: u32, first: vec4<f32>, second: vec4<f32>) {
    if pair >= shape.pairs {
        return;
    }
    emit(token, pair, first.x, second.x);
    emit(token + 1u, pair, first.y, second.y);
    emit(token + 2u, pair, first.z, second.z);
    emit(token + 3u, pair, first.w, second.w);
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let first_pair = workgroup.x * 32u;
    let first_token = workgroup.y * 32u;
    // For staging: which quad of rows or tokens, and which part of the 32 k.
    let stage_quad = lane / 4u;
    let stage_block = lane % 4u;
    let stage_row = select(shape.second, 0u, stage_quad < 8u) + first_pair + (stage_quad % 8u) * 4u;
    let stage_token = first_token + (lane / 8u) * 4u;
    // For computing: a quad of pairs and a quad of tokens.
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
        stage_weights(stage_row, block + stage_block, stage_block * 128u + stage_quad);
        stage_input(stage_token, 2u * block + lane % 8u, (lane % 8u) * 32u + lane / 8u);
        workgroupBarrier();
        for (var k = 0u; k < 32u; k += 1u) {
            let x = tile_x[k * 8u + token_quad];
            let first = tile_w[k * 16u + row_quad];
            let second = tile_w[k * 16u + 8u + row_quad];
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

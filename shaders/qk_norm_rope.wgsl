// Between the QKV product and attention: q and k are normalised per head, then rotated (RoPE, pairs d and d + head_dim / 2);
// k and v go to the cache.
//     q' = rope(rms_norm(q) * q_weight, position)          qkv: [tokens, (q_heads + 2 kv_heads) * head_dim], rows q, k, v
//     keys[h][row] = rope(rms_norm(k) * k_weight, position),  values[h][row] = v       cache: [kv_heads, rows, head_dim]
// One workgroup a head and token.
#import lib/tokens.wgsl
#import <cache>

struct Shape {
    head_dim: u32,
    blocks: u32,      // ceil(head_dim / 8); cache entries are padded with zeros
    q_heads: u32,
    kv_heads: u32,
    cache_rows: u32,  // rows of the cache, all sequences together
    normalize: u32,   // 1: with q and k norms
    qkv_stride: u32,  // floats from one token to the next
    q_stride: u32,    // floats from one token's queries to the next
    epsilon: f32,
}
@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> tokens: array<Token>;
@group(0) @binding(2) var<storage, read> qkv: array<f32>;
// [2, head_dim]: q's weights, then k's
@group(0) @binding(3) var<storage, read> norms: array<f32>;
// [positions, head_dim / 2]: cosine and sine
@group(0) @binding(4) var<storage, read> rotations: array<vec2<f32>>;
@group(0) @binding(5) var<storage, read_write> queries: array<f32>;
@group(0) @binding(6) var<storage, read_write> keys: array<CacheBlock>;
@group(0) @binding(7) var<storage, read_write> values: array<CacheBlock>;

const LANES = 64u;

// The head, normalised; zero from head_dim on.
var<workgroup> head: array<f32, 256>;

fn rotated(d: u32, position: u32) -> f32 {
    if d >= shape.head_dim {
        return 0.0;
    }
    let half = shape.head_dim / 2u;
    if d < half {
        let r = rotations[position * half + d];
        return head[d] * r.x - head[d + half] * r.y;
    }
    let r = rotations[position * half + d - half];
    return head[d] * r.x + head[d - half] * r.y;
}

fn rotated_quad(d: u32, position: u32) -> vec4<f32> {
    return vec4<f32>(
        rotated(d, position),
        rotated(d + 1u, position),
        rotated(d + 2u, position),
        rotated(d + 3u, position),
    );
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let which = workgroup.x;
    let token = tokens[workgroup.y];
    let is_query = which < shape.q_heads;
    let is_value = which >= shape.q_heads + shape.kv_heads;
    let from_start = workgroup.y * shape.qkv_stride + which * shape.head_dim;
    for (var d = lane; d < shape.blocks * 8u; d += LANES) {
        var x = 0.0;
        if d < shape.head_dim {
            x = qkv[from_start + d];
        }
        head[d] = x;
    }
    workgroupBarrier();

    if shape.normalize == 1u && !is_value {
        var squares = 0.0;
        for (var d = 0u; d < shape.head_dim; d += 1u) {
            squares += head[d] * head[d];
        }
        let scale = inverseSqrt(squares / f32(shape.head_dim) + shape.epsilon);
        let weight_start = select(shape.head_dim, 0u, is_query);
        workgroupBarrier();
        for (var d = lane; d < shape.head_dim; d += LANES) {
            head[d] *= scale * norms[weight_start + d];
        }
        workgroupBarrier();
    }

    if is_query {
        for (var d = lane; d < shape.head_dim; d += LANES) {
            queries[workgroup.y * shape.q_stride + which * shape.head_dim + d] = rotated(d, token.position);
        }
        return;
    }
    if lane >= shape.blocks {
        return;
    }
    let d = lane * 8u;
    let row = token.cache_start + token.position;
    if is_value {
        let kv_head = which - shape.q_heads - shape.kv_heads;
        let at = (kv_head * shape.cache_rows + row) * shape.blocks + lane;
        values[at] = pack_cache(Block(
            vec4<f32>(head[d], head[d + 1u], head[d + 2u], head[d + 3u]),
            vec4<f32>(head[d + 4u], head[d + 5u], head[d + 6u], head[d + 7u]),
        ));
    } else {
        let kv_head = which - shape.q_heads;
        let at = (kv_head * shape.cache_rows + row) * shape.blocks + lane;
        keys[at] = pack_cache(Block(rotated_quad(d, token.position), rotated_quad(d + 4u, token.position)));
    }
}

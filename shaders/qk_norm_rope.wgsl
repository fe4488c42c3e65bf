// Between the QKV product and attention: q and k are normalised per head, then rotated (RoPE, pairs d and d + head_dim / 2);
// k and v go to the cache.
//     q' = rope(rms_norm(q) * q_weight, position)          qkv: [tokens, (q_heads + 2 kv_heads) * head_dim], rows q, k, v
//     keys[h][row] = rope(rms_norm(k) * k_weight, position),  values[h][row] = v       cache: [kv_heads, rows, head_dim]
// One workgroup a head and token; a lane has four consecutive dimensions. There are no loops under a condition on purpose: software
// drivers run them to a limit of iterations even where no lane takes part.
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
@group(0) @binding(6) var<storage, read_write> keys: array<CacheQuad>;
@group(0) @binding(7) var<storage, read_write> values: array<CacheQuad>;

// The normalised head, four dimensions a lane; zero from head_dim on.
var<workgroup> head: array<f32, 256>;
var<workgroup> squares: array<f32, 64>;

// Dimension d after rotation; 0 from head_dim on.
fn rotated(d: u32, position: u32) -> f32 {
    let half = shape.head_dim / 2u;
    let is_first = d < half;
    let pair = select(d - half, d, is_first) % half;
    let r = rotations[position * half + pair];
    let partner = head[select(pair, pair + half, is_first)];
    let turned = head[d] * r.x + select(partner, -partner, is_first) * r.y;
    return select(0.0, turned, d < shape.head_dim);
}

fn or_zero(values: vec4<f32>, d: u32) -> vec4<f32> {
    return select(vec4<f32>(), values, vec4<u32>(d, d + 1u, d + 2u, d + 3u) < vec4<u32>(shape.head_dim));
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let which = workgroup.x;
    let token = tokens[workgroup.y];
    let is_query = which < shape.q_heads;
    let is_value = which >= shape.q_heads + shape.kv_heads;
    let d = 4u * lane;
    // Reads beyond the head are of the next one, or of the padding behind the last.
    let source = workgroup.y * shape.qkv_stride + which * shape.head_dim + d;
    var x = vec4<f32>();
    if d < shape.head_dim {
        x = or_zero(vec4<f32>(qkv[source], qkv[source + 1u], qkv[source + 2u], qkv[source + 3u]), d);
    }
    squares[lane] = dot(x, x);
    workgroupBarrier();
    var total = 0.0;
    for (var i = 0u; i < 64u; i += 1u) {
        total += squares[i];
    }
    if shape.normalize == 1u && !is_value && d < shape.head_dim {
        let at = select(shape.head_dim, 0u, is_query) + d;
        let weight = vec4<f32>(norms[at], norms[at + 1u], norms[at + 2u], norms[at + 3u]);
        x = or_zero(x * inverseSqrt(total / f32(shape.head_dim) + shape.epsilon) * weight, d);
    }
    head[d] = x.x;
    head[d + 1u] = x.y;
    head[d + 2u] = x.z;
    head[d + 3u] = x.w;
    workgroupBarrier();

    if d >= shape.blocks * 8u {
        return;
    }
    if !is_value {
        x = vec4<f32>(
            rotated(d, token.position),
            rotated(d + 1u, token.position),
            rotated(d + 2u, token.position),
            rotated(d + 3u, token.position),
        );
    }
    if is_query {
        let to = workgroup.y * shape.q_stride + which * shape.head_dim + d;
        if d < shape.head_dim {
            queries[to] = x.x;
            queries[to + 1u] = x.y;
        }
        if d + 2u < shape.head_dim {
            queries[to + 2u] = x.z;
            queries[to + 3u] = x.w;
        }
        return;
    }
    let row = token.cache_start + token.position;
    if is_value {
        let kv_head = which - shape.q_heads - shape.kv_heads;
        values[((kv_head * shape.cache_rows + row) * shape.blocks) * 2u + lane] = pack_cache(x);
    } else {
        let kv_head = which - shape.q_heads;
        keys[((kv_head * shape.cache_rows + row) * shape.blocks) * 2u + lane] = pack_cache(x);
    }
}

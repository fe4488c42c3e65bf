// Between the QKV product and attention: q and k are normalised per head, then rotated (RoPE, pairs d and d + head_dim / 2);
// k and v go to the cache.
//     q' = rope(rms_norm(q) * q_weight, position)          qkv: [tokens, (q_heads + 2 kv_heads) * head_dim], rows q, k, v
//     keys[h][row] = rope(rms_norm(k) * k_weight, position),  values[h][row] = v
//     queries: [tokens, q_heads, blocks * 8], cache: [rows, kv_heads, blocks * 8], padded with zeros
// One workgroup a head and token; a lane has a block of eight dimensions. There are no loops under a condition on purpose: software
// drivers run them to a limit of iterations even where no lane takes part.
#import lib/tokens.wgsl
#import lib/first_row.wgsl
#import lib/hidden_zero.wgsl
#import <place>
#import <cache>

struct Shape {
    head_dim: u32,
    blocks: u32,      // ceil(head_dim / 8); cache entries are padded with zeros
    q_heads: u32,
    kv_heads: u32,
    normalize: u32,   // 1: with q and k norms
    qkv_stride: u32,  // floats from one token to the next
    q_stride: u32,    // vec4s from one token's queries to the next
    epsilon: f32,
}
@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> tokens: array<Token>;
#import lib/head.wgsl
// [2, head_dim]: q's weights, then k's
@group(0) @binding(3) var<storage, read> norms: array<f32>;
// [positions, head_dim / 2]: cosine and sine
@group(0) @binding(4) var<storage, read> rotations: array<vec2<f32>>;
@group(0) @binding(5) var<storage, read_write> queries: array<vec4<f32>>;
// Not 0 once a key or value was too large for the cache's format.
@group(0) @binding(8) var<storage, read_write> overflow: atomic<u32>;
@group(0) @binding(9) var<uniform> class_rows: FirstRow;

// Each place is written by one lane once, before a barrier, and read only behind it.
// The normalised head; zero from head_dim on.
var<workgroup> head: array<f32, 256>;
var<workgroup> squares: array<f32, 32>;

// Dimension d after rotation; 0 from head_dim on.
fn rotated(d: u32, position: u32) -> f32 {
    let turn = turn_of(d);
    let rotation = rotations[position * (shape.head_dim / 2u) + turn.pair];
    return select(0.0, turned(head[d], head[turn.partner], rotation, turn.is_first), d < shape.head_dim);
}

fn quad_at(d: u32, position: u32, is_value: bool) -> vec4<f32> {
    let turned = vec4<f32>(
        rotated(d, position),
        rotated(d + 1u, position),
        rotated(d + 2u, position),
        rotated(d + 3u, position),
    );
    let plain = vec4<f32>(head[d], head[d + 1u], head[d + 2u], head[d + 3u]);
    return select(turned, plain, is_value);
}

// Eight dimensions from d on as they leave: rotated, but for values.
fn block_at(d: u32, position: u32, is_value: bool) -> Block {
    return Block(quad_at(d, position, is_value), quad_at(d + 4u, position, is_value));
}

fn weight_of(start: u32, d: u32) -> vec4<f32> {
    let at = start + d;
    return vec4<f32>(norms[at], norms[at + 1u], norms[at + 2u], norms[at + 3u]);
}

fn keep(d: u32, x: vec4<f32>) {
    head[d] = x.x;
    head[d + 1u] = x.y;
    head[d + 2u] = x.z;
    head[d + 3u] = x.w;
}

// At least a lane a block. Software drivers run those that have none, too.
override LANES: u32 = 32u;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let which = workgroup.x;
    let row = class_rows.first + workgroup.y;
    let token = tokens[row];
    let is_query = which < shape.q_heads;
    let is_value = which >= shape.q_heads + shape.kv_heads;
    let d = 8u * lane;
    let is_there = lane < shape.blocks;
    var lo = vec4<f32>();
    var hi = vec4<f32>();
    if is_there {
        let source = row * shape.qkv_stride + which * shape.head_dim;
        lo = quad_of(source, d);
        hi = quad_of(source, d + 4u);
    }
    squares[lane] = squares_of(Block(lo, hi));
    workgroupBarrier();
    var total = 0.0;
    let lanes = shape.blocks + hidden_zero(workgroup);
    for (var i = 0u; i < lanes; i += 1u) {
        total += squares[i];
    }
    if is_there {
        if shape.normalize == 1u && !is_value {
            let start = select(shape.head_dim, 0u, is_query);
            let scale = head_scale(total);
            lo = or_zero(lo * scale * weight_of(start, d), d);
            hi = or_zero(hi * scale * weight_of(start, d + 4u), d + 4u);
        }
        keep(d, lo);
        keep(d + 4u, hi);
    }
    workgroupBarrier();

    if !is_there {
        return;
    }
    let block = block_at(8u * lane, token.position, is_value);
    if is_query {
        let to = row * shape.q_stride + 2u * (which * shape.blocks + lane);
        queries[to] = block.lo;
        queries[to + 1u] = block.hi;
        return;
    }
    if !fits_cache(block) {
        atomicStore(&overflow, 1u);
    }
    let first = token.cache_row * shape.kv_heads;
    if is_value {
        let kv_head = which - shape.q_heads - shape.kv_heads;
        write_value((first + kv_head) * shape.blocks + lane, block);
    } else {
        let kv_head = which - shape.q_heads;
        write_key((first + kv_head) * shape.blocks + lane, block);
    }
}

// Causal grouped-query attention over the cache for software adapters, for decode and for prefill.
//     out[t, h] = softmax(q[t, h] . K[h / group] * scale, positions 0..=position[t]) . V[h / group]
//     queries: [tokens, q_heads, blocks * 8], out: [tokens, q_heads * head_dim], cache: [rows, kv_heads, blocks * 8]
// One workgroup covers a token, up to four query heads that share a kv head (the components of every vec4), and four or eight blocks of
// the output's dimensions. Scores are computed anew for all of these, so four are for a single token, whose few heads they spread over the
// cores, eight for several tokens. A lane has
// every eighth position, with a running maximum and sums of its own (online softmax), so lanes meet only at the end: memory
// of a workgroup is slow here. Queries are read through a window of uniform memory, once for four positions of each lane; `token_index` is the row of the step that the
// window begins at.
#import lib/tokens.wgsl
#import lib/hidden_zero.wgsl
#import lib/attention_shape.wgsl
@group(0) @binding(1) var<storage, read> tokens: array<Token>;
#import lib/cache_read_texture.wgsl
#import <cache>
#import <queries>
@group(0) @binding(5) var<storage, read_write> output: array<f32>;
#import lib/store_heads.wgsl
@group(0) @binding(6) var<uniform> token_index: vec4<u32>;
// [sequences, positions]: the cache row of each position.
@group(0) @binding(7) var<storage, read> rows: array<u32>;

const LANES = 8u;
// Blocks of the output that a workgroup covers: 4 or 8.
override COVERED: u32 = 4u;
const LOWEST = -3.0e38;

// Lanes write their own places once, before a barrier, and read others' only behind it: highest first, then, behind another, the rest.
// [LANES]
var<workgroup> lane_highest: array<vec4<f32>, 8>;
var<workgroup> lane_total: array<vec4<f32>, 8>;
// [64 dimensions, LANES]
var<workgroup> partial: array<vec4<f32>, 512>;

#import lib/eight.wgsl

fn rescaled(sums: Eight, scale: vec4<f32>) -> Eight {
    return Eight(
        sums.d0 * scale,
        sums.d1 * scale,
        sums.d2 * scale,
        sums.d3 * scale,
        sums.d4 * scale,
        sums.d5 * scale,
        sums.d6 * scale,
        sums.d7 * scale,
    );
}

fn add(sums: Eight, weight: vec4<f32>, value: Block) -> Eight {
    return Eight(
        sums.d0 + weight * value.lo.x,
        sums.d1 + weight * value.lo.y,
        sums.d2 + weight * value.lo.z,
        sums.d3 + weight * value.lo.w,
        sums.d4 + weight * value.hi.x,
        sums.d5 + weight * value.hi.y,
        sums.d6 + weight * value.hi.z,
        sums.d7 + weight * value.hi.w,
    );
}

// Weights of four heads at a lane's four positions.
struct Weights {
    p0: vec4<f32>,
    p1: vec4<f32>,
    p2: vec4<f32>,
    p3: vec4<f32>,
}

// A block of values at a lane's four positions, weighted and added.
fn add_four(sums: Eight, scale: vec4<f32>, weights: Weights, at: vec4<u32>) -> Eight {
    var all = rescaled(sums, scale);
    all = add(all, weights.p0, load_value(at.x));
    all = add(all, weights.p1, load_value(at.y));
    all = add(all, weights.p2, load_value(at.z));
    return add(all, weights.p3, load_value(at.w));
}

fn hand_over(block: u32, lane: u32, sums: Eight, scale: vec4<f32>) {
    let at = block * 8u * LANES + lane;
    partial[at] = sums.d0 * scale;
    partial[at + LANES] = sums.d1 * scale;
    partial[at + 2u * LANES] = sums.d2 * scale;
    partial[at + 3u * LANES] = sums.d3 * scale;
    partial[at + 4u * LANES] = sums.d4 * scale;
    partial[at + 5u * LANES] = sums.d5 * scale;
    partial[at + 6u * LANES] = sums.d6 * scale;
    partial[at + 7u * LANES] = sums.d7 * scale;
}

// The same block of four heads' queries.
struct Queries {
    q0: Block,
    q1: Block,
    q2: Block,
    q3: Block,
}

fn load_queries(own: Reader, at: vec4<u32>) -> Queries {
    return Queries(load_query(own, at.x), load_query(own, at.y), load_query(own, at.z), load_query(own, at.w));
}

// A block's part of four heads' scores against one key.
fn block_scores(query: Queries, key: Block) -> vec4<f32> {
    return vec4<f32>(
        dot(key.lo, query.q0.lo) + dot(key.hi, query.q0.hi),
        dot(key.lo, query.q1.lo) + dot(key.hi, query.q1.hi),
        dot(key.lo, query.q2.lo) + dot(key.hi, query.q2.hi),
        dot(key.lo, query.q3.lo) + dot(key.hi, query.q3.hi),
    );
}

fn run(workgroup: vec3<u32>, workgroups: vec3<u32>, lane: u32, own: Reader) {
    let chunks = (shape.blocks + COVERED - 1u) / COVERED;
    let chunk = workgroup.x % chunks;
    let quad_index = workgroup.x / chunks;
    let kv_head = quad_index / shape.quads;
    let quad = quad_index % shape.quads;
    let first_head = kv_head * shape.group + quad * 4u;
    let heads = min(4u, shape.group - quad * 4u);
    let row = token_index.x + workgroup.y;
    let token = tokens[row];
    let positions = token.position + 1u;
    // Heads that are not there repeat the last, blocks likewise.
    let head = first_head + min(vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(heads - 1u));
    let query_start = workgroup.y * (shape.q_stride / 4u) + 2u * shape.blocks * head;
    let first_block = COVERED * chunk + vec4<u32>(0u, 1u, 2u, 3u);
    let block = min(first_block, vec4<u32>(shape.blocks - 1u));
    let further = min(first_block + 4u, vec4<u32>(shape.blocks - 1u));

    var highest = vec4<f32>(LOWEST);
    var total = vec4<f32>();
    var a = Eight();
    var b = Eight();
    var c = Eight();
    var d = Eight();
    var e = Eight();
    var f = Eight();
    var g = Eight();
    var h = Eight();
    let blocks = shape.blocks + hidden_zero(workgroup);
    for (var start = 0u; start < positions; start += 4u * LANES) {
        let position = start + lane + LANES * vec4<u32>(0u, 1u, 2u, 3u);
        let is_there = position < vec4<u32>(positions);
        let at = token.table + min(position, vec4<u32>(positions - 1u));
        let cache_row = vec4<u32>(rows[at.x], rows[at.y], rows[at.z], rows[at.w]);
        let entry = (cache_row * shape.kv_heads + kv_head) * shape.blocks;
        var score_0 = vec4<f32>();
        var score_1 = vec4<f32>();
        var score_2 = vec4<f32>();
        var score_3 = vec4<f32>();
        for (var i = 0u; i < blocks; i += 1u) {
            let query = load_queries(own, query_start + 2u * i);
            score_0 += block_scores(query, load_key(entry.x + i));
            score_1 += block_scores(query, load_key(entry.y + i));
            score_2 += block_scores(query, load_key(entry.z + i));
            score_3 += block_scores(query, load_key(entry.w + i));
        }
        score_0 = select(vec4<f32>(LOWEST), score_0 * shape.scale, is_there.x);
        score_1 = select(vec4<f32>(LOWEST), score_1 * shape.scale, is_there.y);
        score_2 = select(vec4<f32>(LOWEST), score_2 * shape.scale, is_there.z);
        score_3 = select(vec4<f32>(LOWEST), score_3 * shape.scale, is_there.w);
        let new_highest = max(highest, max(max(score_0, score_1), max(score_2, score_3)));
        let scale = exp(highest - new_highest);
        highest = new_highest;
        let weights = Weights(
            select(vec4<f32>(), exp(score_0 - highest), is_there.x),
            select(vec4<f32>(), exp(score_1 - highest), is_there.y),
            select(vec4<f32>(), exp(score_2 - highest), is_there.z),
            select(vec4<f32>(), exp(score_3 - highest), is_there.w),
        );
        total = total * scale + (weights.p0 + weights.p1) + (weights.p2 + weights.p3);
        a = add_four(a, scale, weights, entry + block.x);
        b = add_four(b, scale, weights, entry + block.y);
        c = add_four(c, scale, weights, entry + block.z);
        d = add_four(d, scale, weights, entry + block.w);
        if COVERED == 8u {
            e = add_four(e, scale, weights, entry + further.x);
            f = add_four(f, scale, weights, entry + further.y);
            g = add_four(g, scale, weights, entry + further.z);
            h = add_four(h, scale, weights, entry + further.w);
        }
    }

    lane_highest[lane] = highest;
    workgroupBarrier();
    var all_highest = highest;
    for (var i = 0u; i < LANES; i += 1u) {
        all_highest = max(all_highest, lane_highest[i]);
    }
    let scale = exp(highest - all_highest);
    lane_total[lane] = total * scale;
    hand_over(0u, lane, a, scale);
    hand_over(1u, lane, b, scale);
    hand_over(2u, lane, c, scale);
    hand_over(3u, lane, d, scale);
    if COVERED == 8u {
        hand_over(4u, lane, e, scale);
        hand_over(5u, lane, f, scale);
        hand_over(6u, lane, g, scale);
        hand_over(7u, lane, h, scale);
    }
    workgroupBarrier();
    var all_total = vec4<f32>();
    for (var i = 0u; i < LANES; i += 1u) {
        all_total += lane_total[i];
    }
    for (var dimension = lane; dimension < 8u * COVERED; dimension += LANES) {
        var sum = vec4<f32>();
        for (var i = 0u; i < LANES; i += 1u) {
            sum += partial[dimension * LANES + i];
        }
        let result = sum / all_total;
        let d = 8u * COVERED * chunk + dimension;
        if d < shape.head_dim {
            store_heads(row * shape.stride + first_head * shape.head_dim + d, heads, result);
        }
    }
}

// Causal grouped-query attention over the cache for GPUs, for decode and for prefill.
//     out[t, h] = softmax(q[t, h] . K[h / group] * scale, positions 0..=position[t]) . V[h / group]
//     queries: [tokens, q_heads, blocks * 8], out: [tokens, q_heads * head_dim], cache: [rows, kv_heads, blocks * 8]
// One workgroup covers a token and up to four query heads that share a kv head: they are the components of every vec4, so a
// cache entry is read once for the four. Positions pass in tiles of 64 with a running maximum and sum (online softmax), so
// memory does not grow with the context. When few tokens are computed, workgroups z share a token's positions, so that a long
// context keeps a whole GPU busy; attention_merge.wgsl adds up their partial results. A token within the first split is done
// here at once, whatever its company. Scores: a lane a position. Values: a lane a block of 8 dimensions and a slice of
// the tile's positions; slices are added up at the end. No loop stands under a condition: lanes without work repeat a
// neighbour's and are not counted (software drivers run a loop that no lane entered to a limit of iterations).
#import lib/tokens.wgsl
#import lib/first_row.wgsl
#import lib/attention_shape.wgsl
@group(0) @binding(1) var<storage, read> tokens: array<Token>;
@group(0) @binding(2) var<storage, read> queries: array<f32>;
#import lib/cache_read_buffer.wgsl
#import <cache>
@group(0) @binding(5) var<storage, read_write> output: array<f32>;
#import lib/store_heads.wgsl
#import lib/attention_partials.wgsl
@group(0) @binding(6) var<storage, read_write> partials: array<vec4<f32>>;
// [sequences, positions]: the cache row of each position.
@group(0) @binding(7) var<storage, read> rows: array<u32>;
@group(0) @binding(8) var<uniform> class_rows: FirstRow;

const TILE = 64u;
const LOWEST = -3.0e38;

// [blocks * 8], four heads a vector.
var<workgroup> query: array<vec4<f32>, 256>;
// [TILE]: scores, then their exponentials.
var<workgroup> weight: array<vec4<f32>, 64>;
// [TILE]: where the positions' entries begin in the cache.
var<workgroup> entry_of: array<u32, 64>;
// [8 dimensions of a block, lanes]
var<workgroup> partial: array<vec4<f32>, 512>;

// Takes the queries of `heads` heads from `first_head` on; heads that are not there repeat the last. Ends with a barrier.
fn stage_queries(token: u32, first_head: u32, heads: u32, lane: u32) {
    let dims = shape.blocks * 8u;
    let start = token * shape.q_stride + first_head * dims;
    let head = dims * min(vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(heads - 1u));
    for (var tile = 0u; tile < dims; tile += TILE) {
        let d = tile + min(lane, dims - tile - 1u);
        query[d] = vec4<f32>(
            queries[start + head.x + d],
            queries[start + head.y + d],
            queries[start + head.z + d],
            queries[start + head.w + d],
        );
    }
    workgroupBarrier();
}

// A block's part of the four heads' scores against one key.
fn block_scores(block: u32, key: Block) -> vec4<f32> {
    let d = 8u * block;
    return key.lo.x * query[d] + key.lo.y * query[d + 1u] + key.lo.z * query[d + 2u] + key.lo.w * query[d + 3u]
        + key.hi.x * query[d + 4u] + key.hi.y * query[d + 5u] + key.hi.z * query[d + 6u] + key.hi.w * query[d + 7u];
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let kv_head = workgroup.x / shape.quads;
    let quad = workgroup.x % shape.quads;
    let first_head = kv_head * shape.group + quad * 4u;
    let heads = min(4u, shape.group - quad * 4u);
    let row = class_rows.first + workgroup.y;
    let token = tokens[row];
    let all = token.position + 1u;
    // A split without positions repeats the last one, and nobody looks at it.
    let first_position = min(workgroup.z * shape.split, all - 1u);
    let positions = first_position + min(shape.split, all - first_position);
    stage_queries(row, first_head, heads, lane);

    let slices = TILE / shape.blocks;
    let slice = lane / shape.blocks;
    let block = lane % shape.blocks;
    var highest = vec4<f32>(LOWEST);
    var total = vec4<f32>();
    var sum_0 = vec4<f32>();
    var sum_1 = vec4<f32>();
    var sum_2 = vec4<f32>();
    var sum_3 = vec4<f32>();
    var sum_4 = vec4<f32>();
    var sum_5 = vec4<f32>();
    var sum_6 = vec4<f32>();
    var sum_7 = vec4<f32>();

    for (var start = first_position; start < positions; start += TILE) {
        let count = min(TILE, positions - start);
        var score = vec4<f32>();
        let cache_row = rows[token.table + start + min(lane, count - 1u)];
        let entry = (cache_row * shape.kv_heads + kv_head) * shape.blocks;
        entry_of[lane] = entry;
        for (var b = 0u; b < shape.blocks; b += 1u) {
            score += block_scores(b, load_key(entry + b));
        }
        score *= shape.scale;
        weight[lane] = score;
        workgroupBarrier();
        var tile_highest = highest;
        for (var i = 0u; i < count; i += 1u) {
            tile_highest = max(tile_highest, weight[i]);
        }
        workgroupBarrier();
        weight[lane] = select(vec4<f32>(), exp(score - tile_highest), lane < count);
        workgroupBarrier();

        let rescale = exp(highest - tile_highest);
        highest = tile_highest;
        total *= rescale;
        for (var i = 0u; i < count; i += 1u) {
            total += weight[i];
        }
        sum_0 *= rescale;
        sum_1 *= rescale;
        sum_2 *= rescale;
        sum_3 *= rescale;
        sum_4 *= rescale;
        sum_5 *= rescale;
        sum_6 *= rescale;
        sum_7 *= rescale;
        for (var first = 0u; first < count; first += slices) {
            let i = min(first + slice, count - 1u);
            let is_mine = slice < slices && first + slice < count;
            let value = load_value(entry_of[i] + block);
            let w = select(vec4<f32>(), weight[i], is_mine);
            sum_0 += value.lo.x * w;
            sum_1 += value.lo.y * w;
            sum_2 += value.lo.z * w;
            sum_3 += value.lo.w * w;
            sum_4 += value.hi.x * w;
            sum_5 += value.hi.y * w;
            sum_6 += value.hi.z * w;
            sum_7 += value.hi.w * w;
        }
        workgroupBarrier();
    }

    partial[lane] = sum_0;
    partial[TILE + lane] = sum_1;
    partial[2u * TILE + lane] = sum_2;
    partial[3u * TILE + lane] = sum_3;
    partial[4u * TILE + lane] = sum_4;
    partial[5u * TILE + lane] = sum_5;
    partial[6u * TILE + lane] = sum_6;
    partial[7u * TILE + lane] = sum_7;
    workgroupBarrier();
    let dims = shape.blocks * 8u;
    let is_whole = all <= shape.split;
    let to_partial = partial_start(row, workgroup.z, workgroup.x, workgroups.x);
    if !is_whole && lane == 0u {
        partials[to_partial] = highest;
        partials[to_partial + 1u] = total;
    }
    let heads_start = row * shape.stride + first_head * shape.head_dim;
    for (var start = 0u; start < shape.head_dim; start += TILE) {
        let d = start + lane;
        let at = min(d, dims - 1u);
        var sum = vec4<f32>();
        for (var s = 0u; s < slices; s += 1u) {
            sum += partial[(at % 8u) * TILE + s * shape.blocks + at / 8u];
        }
        let result = sum / total;
        if !is_whole && d < dims {
            partials[to_partial + 2u + d] = sum;
        }
        if is_whole && workgroup.z == 0u && d < shape.head_dim {
            store_heads(heads_start + d, heads, result);
        }
    }
}

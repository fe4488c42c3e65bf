// Causal grouped-query attention over the cache for GPUs, for decode and for prefill.
//     out[t, h] = softmax(q[t, h] . K[h / group] * scale, positions 0..=position[t]) . V[h / group]
//     cache: [rows, kv_heads, blocks * 8]; queries and output: as <heads> and <output> have them
// One workgroup covers a token and up to four query heads that share a kv head: they are the components of every vec4, so a
// cache entry is read once for the four. BLOCK_LANES lanes have a position, a block of its key and of its value each, so that
// they read whole lines; the workgroup has two positions a group of lanes in flight. A group has a running maximum and sums of
// its own (online softmax), so memory does not grow with the context, and groups meet only at the end. Where few tokens are
// computed, workgroups z share a token's positions (<output>), so that a long context keeps a whole GPU busy.
#import lib/tokens.wgsl
#import lib/attention_shape.wgsl
#import lib/attention_group.wgsl
// [sequences, positions]: the cache row of each position.
@group(0) @binding(7) var<storage, read> rows: array<u32>;
#import <heads>
#import <output>

// A block of keys times the queries of four heads.
fn dot_block(queries: Eight, key: Block) -> vec4<f32> {
    var sum = queries.d0 * key.lo.x;
    sum = fma(queries.d1, vec4<f32>(key.lo.y), sum);
    sum = fma(queries.d2, vec4<f32>(key.lo.z), sum);
    sum = fma(queries.d3, vec4<f32>(key.lo.w), sum);
    sum = fma(queries.d4, vec4<f32>(key.hi.x), sum);
    sum = fma(queries.d5, vec4<f32>(key.hi.y), sum);
    sum = fma(queries.d6, vec4<f32>(key.hi.z), sum);
    return fma(queries.d7, vec4<f32>(key.hi.w), sum);
}

// Where a row of the cache has a block.
fn entry_of(row: u32, kv_head: u32, block: u32) -> u32 {
    return (row * shape.kv_heads + kv_head) * shape.blocks + block;
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, invocation: Invocation) {
    let lane = lane_of(invocation);
    let group = lane / BLOCK_LANES;
    let kv_head = workgroup.x / shape.quads;
    let quad = workgroup.x % shape.quads;
    let row = first_row() + workgroup.y;
    let token = tokens[row];
    // Positions of this split that lie in the cache; none in one that nobody looks at.
    let cached = token.position + 1u - HELD;
    let first = min(workgroup.z * shape.split, cached);
    let end = first + min(shape.split, cached - first);
    let work = Work(row, kv_head, kv_head * shape.group + quad * 4u, min(4u, shape.group - quad * 4u), workgroup.z);
    var own = begin(work, token, quad, lane);

    // Lanes without a block repeat the last, with queries of 0; groups beyond the last position repeat it, and do not count.
    let block = min(lane % BLOCK_LANES, shape.blocks - 1u);
    let last = token.table + max(end, 1u) - 1u;
    var at = token.table + first + group;
    var entry_a = entry_of(rows[min(at, last)], kv_head, block);
    var entry_b = entry_of(rows[min(at + GROUPS, last)], kv_head, block);
    var key_a = begin_key(entry_a);
    var key_b = begin_key(entry_b);
    var value_a = begin_value(entry_a);
    var value_b = begin_value(entry_b);
    at += 2u * GROUPS;
    var row_a = rows[min(at, last)];
    var row_b = rows[min(at + GROUPS, last)];
    // As many steps for all lanes. Each reads what the next one needs as soon as there is room for it, and looks up where the one after that
    // finds it.
    for (var start = first; start < end; start += 2u * GROUPS) {
        let part_a = dot_block(own.queries, end_key(key_a));
        let part_b = dot_block(own.queries, end_key(key_b));
        entry_a = entry_of(row_a, kv_head, block);
        entry_b = entry_of(row_b, kv_head, block);
        key_a = begin_key(entry_a);
        key_b = begin_key(entry_b);
        at += 2u * GROUPS;
        row_a = rows[min(at, last)];
        row_b = rows[min(at + GROUPS, last)];
        let scores = group_sums(lane, part_a, part_b);
        let score_a = select(vec4<f32>(LOWEST), scores.a, start + group < end);
        let score_b = select(vec4<f32>(LOWEST), scores.b, start + group + GROUPS < end);
        let highest = max(own.highest, max(score_a, score_b));
        let rescale = exp2(own.highest - highest);
        let weight_a = exp2(score_a - highest);
        let weight_b = exp2(score_b - highest);
        own.highest = highest;
        own.total = own.total * rescale + (weight_a + weight_b);
        own.sums = weighed(own.sums, rescale, weight_a, end_value(value_a), weight_b, end_value(value_b));
        value_a = begin_value(entry_a);
        value_b = begin_value(entry_b);
    }
    meet(lane, own);
    if lane < DIMS {
        finish_at(lane, work, token);
    }
    // Apart, so that compilers see where there is no more.
    if DIMS > LANES {
        for (var d = LANES + lane; d < DIMS; d += LANES) {
            finish_at(d, work, token);
        }
    }
}

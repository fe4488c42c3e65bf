// Causal grouped-query attention over the cache for GPUs, for decode and for prefill.
//     out[t, h] = softmax(q[t, h] . K[h / group] * scale, positions 0..=position[t]) . V[h / group]
//     cache: [rows, kv_heads, blocks * 8]; queries and output: as <heads> and <output> have them
// One workgroup covers a token and up to four query heads that share a kv head: they are the components of every vec4, so a
// cache entry is read once for the four. BLOCK_LANES lanes have a position, a block of its key and of its value each, so that
// they read whole lines. A group of them has a running maximum and sums of its own (online softmax), so memory does not grow with
// the context, and groups meet only at the end. Where few tokens are computed, workgroups z share a token's positions
// (<output>), so that a long context keeps a whole GPU busy.
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

fn run(workgroup: vec3<u32>, lane: u32) {
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
    // Where there is nothing to read, of nobody's row: the token's own may just be written.
    var entry = entry_of(select(0u, rows[min(at, last)], end > 0u), kv_head, block);
    var next_key = begin_key(entry);
    at += GROUPS;
    var next_row = rows[min(at, last)];
    // As many steps for all lanes. The key that the next one needs is on its way, and where the one after that lies is looked up.
    for (var start = first; start < end; start += GROUPS) {
        let value = load_value(entry);
        let part = dot_block(own.queries, end_key(next_key));
        entry = entry_of(next_row, kv_head, block);
        next_key = begin_key(entry);
        at += GROUPS;
        next_row = rows[min(at, last)];
        let score = select(vec4<f32>(LOWEST), group_sum(lane, part), start + group < end);
        let highest = max(own.highest, score);
        let rescale = exp2(own.highest - highest);
        let weight = exp2(score - highest);
        own.highest = highest;
        own.total = fma(own.total, rescale, weight);
        own.sums = weighed(own.sums, rescale, weight, value);
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

// Attention of generated rows: queries are made here of the QKV product (q norm and rotary embedding), as the token's own key and value are, which
// go to the cache on the way. Every workgroup makes what it needs itself, which costs less than a dispatch before it.
#import lib/cache_keep_buffer.wgsl
#import <cache>
#import <kept>
#import lib/head.wgsl
@group(0) @binding(1) var<uniform> tokens: array<Token, 64>;
// Not 0 once a key or value was too large for the cache's format.
@group(0) @binding(6) var<storage, read_write> overflow: atomic<u32>;
// [2, head_dim]: q's weights, then k's
@group(0) @binding(8) var<storage, read> norms: array<f32>;
// [positions, head_dim / 2]: cosine and sine
@group(0) @binding(9) var<storage, read> rotations: array<vec2<f32>>;

// Of a token's positions, how many are not taken from the cache: its own, whose row other workgroups may be writing.
const HELD = 1u;

// A workgroup's heads: up to four queries, and the key.
const HEADS = 5u;

// [HEADS, 32 blocks]
var<workgroup> squares: array<f32, 160>;
// [256 dimensions, 4 queries], then [256 dimensions] of the key.
var<workgroup> made: array<f32, 1280>;

fn first_row() -> u32 {
    return 0u;
}

fn weight_of(start: u32, d: u32) -> vec4<f32> {
    let at = start + d;
    return vec4<f32>(norms[at], norms[at + 1u], norms[at + 2u], norms[at + 3u]);
}

// A head's dimension after its rotation, from the normalised ones in `slot_sums`: [HEADS, 64 quads].
fn turned_at(head: u32, d: u32, own: f32, position: u32) -> f32 {
    let turn = turn_of(d);
    let partner = slot_sums[64u * head + turn.partner / 4u][turn.partner % 4u];
    let rotation = rotations[position * (shape.head_dim / 2u) + turn.pair];
    return select(0.0, turned(own, partner, rotation, turn.is_first), d < shape.head_dim);
}

fn keep(head: u32, d: u32, x: f32) {
    made[select(4u * d + head, 1024u + d, head == HEADS - 1u)] = x;
}

// Makes as many of the workgroup's heads as there are groups, a block a lane. Heads that are not there repeat the last. What lanes tell each other
// is written by one lane each before a barrier and read behind it, in places that no other round writes.
fn make_heads(work: Work, token: Token, lane: u32, first: u32) {
    let block = lane % BLOCK_LANES;
    let is_there = block < shape.blocks;
    let d = 8u * min(block, shape.blocks - 1u);
    let head = min(first + lane / BLOCK_LANES, HEADS - 1u);
    let is_mine = first + lane / BLOCK_LANES < HEADS;
    let is_key = head == HEADS - 1u;
    let query = work.first_head + min(head, work.heads - 1u);
    let which = select(query, shape.group * shape.kv_heads + work.kv_head, is_key);
    let source = work.row * shape.q_stride + which * shape.head_dim;
    var lo = quad_of(source, d);
    var hi = quad_of(source, d + 4u);
    let start = select(0u, shape.head_dim, is_key);
    let weight_lo = weight_of(start, d);
    let weight_hi = weight_of(start, d + 4u);
    if is_mine {
        squares[32u * head + block] = select(0.0, squares_of(Block(lo, hi)), is_there);
    }
    workgroupBarrier();
    var total = 0.0;
    for (var i = 0u; i < BLOCK_LANES; i += 1u) {
        total += squares[32u * head + i];
    }
    if shape.normalize == 1u {
        let scale = head_scale(total);
        lo = or_zero(lo * scale * weight_lo, d);
        hi = or_zero(hi * scale * weight_hi, d + 4u);
    }
    if is_mine && is_there {
        slot_sums[64u * head + d / 4u] = lo;
        slot_sums[64u * head + d / 4u + 1u] = hi;
    }
    workgroupBarrier();
    let x0 = turned_at(head, d, lo.x, token.position);
    let x1 = turned_at(head, d + 1u, lo.y, token.position);
    let x2 = turned_at(head, d + 2u, lo.z, token.position);
    let x3 = turned_at(head, d + 3u, lo.w, token.position);
    let x4 = turned_at(head, d + 4u, hi.x, token.position);
    let x5 = turned_at(head, d + 5u, hi.y, token.position);
    let x6 = turned_at(head, d + 6u, hi.z, token.position);
    let x7 = turned_at(head, d + 7u, hi.w, token.position);
    if is_mine && is_there {
        keep(head, d, x0);
        keep(head, d + 1u, x1);
        keep(head, d + 2u, x2);
        keep(head, d + 3u, x3);
        keep(head, d + 4u, x4);
        keep(head, d + 5u, x5);
        keep(head, d + 6u, x6);
        keep(head, d + 7u, x7);
    }
}

// A dimension of the four queries.
fn queries_at(d: u32) -> vec4<f32> {
    return vec4<f32>(made[4u * d], made[4u * d + 1u], made[4u * d + 2u], made[4u * d + 3u]);
}

fn key_at(d: u32) -> vec4<f32> {
    let at = 1024u + d;
    return vec4<f32>(made[at], made[at + 1u], made[at + 2u], made[at + 3u]);
}

// What a lane begins with. Where a split has the token's own position, its first group begins with that.
fn begin(work: Work, token: Token, quad: u32, lane: u32) -> Own {
    let block = lane % BLOCK_LANES;
    let is_there = block < shape.blocks;
    let d = 8u * min(block, shape.blocks - 1u);
    // Read early: it is far away.
    let value_head = shape.group * shape.kv_heads + shape.kv_heads + work.kv_head;
    let source = work.row * shape.q_stride + value_head * shape.head_dim;
    let exact_value = Block(quad_of(source, d), quad_of(source, d + 4u));
    // Not a loop: compilers do not unroll one with barriers, even of a single round.
    make_heads(work, token, lane, 0u);
    if GROUPS < HEADS {
        make_heads(work, token, lane, GROUPS);
    }
    if 2u * GROUPS < HEADS {
        make_heads(work, token, lane, 2u * GROUPS);
    }
    workgroupBarrier();
    let factor = select(0.0, shape.scale * LOG2_E, is_there);
    let queries = Eight(
        queries_at(d) * factor,
        queries_at(d + 1u) * factor,
        queries_at(d + 2u) * factor,
        queries_at(d + 3u) * factor,
        queries_at(d + 4u) * factor,
        queries_at(d + 5u) * factor,
        queries_at(d + 6u) * factor,
        queries_at(d + 7u) * factor,
    );
    let exact_key = Block(key_at(d), key_at(d + 4u));

    let is_first_group = lane / BLOCK_LANES == 0u;
    let has_own = work.split == token.position / shape.split;
    if token.writes_cache == 1u && has_own && is_first_group && is_there && quad == 0u {
        let to = (token.cache_row * shape.kv_heads + work.kv_head) * shape.blocks + block;
        write_key(to, exact_key);
        write_value(to, exact_value);
        if !fits_cache(exact_key) || !fits_cache(exact_value) {
            atomicStore(&overflow, 1u);
        }
    }
    // What others will read of them.
    let key = as_cached(exact_key);
    let value = as_cached(exact_value);
    let score = group_sum(lane, dot_block(queries, key));
    let begins = has_own && is_first_group;
    let one = select(vec4<f32>(), vec4<f32>(1.0), begins);
    return Own(
        queries,
        select(vec4<f32>(LOWEST), score, begins),
        one,
        weighed(Eight(), one, one, value),
    );
}

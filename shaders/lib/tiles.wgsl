// What the `tiles` products share: a workgroup has PAIR_QUADS * 4 row pairs by TOKEN_QUADS * 4 tokens, and goes along K in steps of STEP through
// workgroup memory, where a vec4 holds one k of four rows or tokens.

// A step's tiles are written between two barriers, each place by one lane, and read between the second and the next step's first.
// [STEP k, ROW_QUADS quads of rows]: the first half are the pairs' first rows, the others their second.
const ROW_QUADS = 2u * PAIR_QUADS;
var<workgroup> tile_w: array<vec4<f32>, STEP * ROW_QUADS>;
// [STEP k, TOKEN_QUADS quads of tokens]
var<workgroup> tile_x: array<vec4<f32>, STEP * TOKEN_QUADS>;

// Where quads lie. They are permuted within eight, otherwise for every k that another lane stores at the same time, so that such
// lanes hit different banks.
fn w_at(k: u32, quad: u32) -> u32 {
    return k * ROW_QUADS + (quad ^ ((k / 8u) * 2u));
}

fn x_at(k: u32, quad: u32) -> u32 {
    return k * TOKEN_QUADS + (quad ^ ((k / 4u) & (min(TOKEN_QUADS, 8u) - 1u)));
}

fn row_block(row: u32, block: u32) -> Block {
    if block >= shape.blocks {
        return Block(vec4<f32>(), vec4<f32>());
    }
    return load_weights(weight_row(min(row, shape.rows - 1u)), block);
}

// Four rows' block of weights, for the tile's k from `k` on.
fn stage_weights(row: u32, block: u32, k: u32, quad: u32) {
    let a = row_block(row, block);
    let b = row_block(row + 1u, block);
    let c = row_block(row + 2u, block);
    let d = row_block(row + 3u, block);
    let to = w_at(k, quad);
    tile_w[to] = vec4<f32>(a.lo.x, b.lo.x, c.lo.x, d.lo.x);
    tile_w[to + ROW_QUADS] = vec4<f32>(a.lo.y, b.lo.y, c.lo.y, d.lo.y);
    tile_w[to + 2u * ROW_QUADS] = vec4<f32>(a.lo.z, b.lo.z, c.lo.z, d.lo.z);
    tile_w[to + 3u * ROW_QUADS] = vec4<f32>(a.lo.w, b.lo.w, c.lo.w, d.lo.w);
    tile_w[to + 4u * ROW_QUADS] = vec4<f32>(a.hi.x, b.hi.x, c.hi.x, d.hi.x);
    tile_w[to + 5u * ROW_QUADS] = vec4<f32>(a.hi.y, b.hi.y, c.hi.y, d.hi.y);
    tile_w[to + 6u * ROW_QUADS] = vec4<f32>(a.hi.z, b.hi.z, c.hi.z, d.hi.z);
    tile_w[to + 7u * ROW_QUADS] = vec4<f32>(a.hi.w, b.hi.w, c.hi.w, d.hi.w);
}

// Four tokens' vec4 of activations likewise.
fn stage_input(token: u32, vector: u32, k: u32, quad: u32) {
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
    let to = x_at(k, quad);
    tile_x[to] = vec4<f32>(a.x, b.x, c.x, d.x);
    tile_x[to + TOKEN_QUADS] = vec4<f32>(a.y, b.y, c.y, d.y);
    tile_x[to + 2u * TOKEN_QUADS] = vec4<f32>(a.z, b.z, c.z, d.z);
    tile_x[to + 3u * TOKEN_QUADS] = vec4<f32>(a.w, b.w, c.w, d.w);
}

// The first row of a tile's quad.
fn row_of_quad(first_pair: u32, quad: u32) -> u32 {
    return select(shape.second, 0u, quad < PAIR_QUADS) + first_pair + (quad % PAIR_QUADS) * 4u;
}

fn emit_pair(token: u32, pair: u32, first: f32, second: f32) {
    if pair < shape.pairs {
        emit(token, pair, first, second);
    }
}

fn emit_tokens(token: u32, pair: u32, first: vec4<f32>, second: vec4<f32>) {
    emit_pair(token, pair, first.x, second.x);
    emit_pair(token + 1u, pair, first.y, second.y);
    emit_pair(token + 2u, pair, first.z, second.z);
    emit_pair(token + 3u, pair, first.w, second.w);
}

// Tiles of 32 row pairs, staged by 64 lanes in steps of 32 along K.
const PAIR_QUADS = 8u;
const STEP = 32u;
const LANES = 64u;

// Stages the tile's step of K that begins at `block`, all lanes together.
fn stage(first_pair: u32, first_token: u32, block: u32, lane: u32) {
    let row_quad = lane / 4u;
    stage_weights(row_of_quad(first_pair, row_quad), block + lane % 4u, (lane % 4u) * 8u, row_quad);
    for (var quad = lane / 8u; quad < TOKEN_QUADS; quad += 8u) {
        stage_input(first_token + quad * 4u, 2u * block + lane % 8u, (lane % 8u) * 4u, quad);
    }
}

// Tiles of 64 row pairs by 64 tokens, staged by 128 lanes in steps of 16 along K, which is what fits the least workgroup memory: half of the
// lanes have four rows' block each, the others four tokens' vec4.
const PAIR_QUADS = 16u;
const STEP = 16u;
const LANES = 128u;

// Stages the tile's step of K that begins at `block`, all lanes together.
fn stage(first_pair: u32, first_token: u32, block: u32, lane: u32) {
    if lane < 64u {
        let quad = lane / 2u;
        stage_weights(row_of_quad(first_pair, quad), block + lane % 2u, (lane % 2u) * 8u, quad);
    } else {
        let quad = (lane - 64u) / 4u;
        stage_input(first_token + quad * 4u, 2u * block + lane % 4u, (lane % 4u) * 4u, quad);
    }
}

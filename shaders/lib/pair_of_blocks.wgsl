// For formats whose blocks have units of their own: a pair is simply two.
fn load_pair(row_start: u32, pair: u32) -> BlockPair {
    return BlockPair(load_weights(row_start, 2u * pair), load_weights(row_start, 2u * pair + 1u));
}

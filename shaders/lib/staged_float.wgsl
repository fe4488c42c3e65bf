// Weights on their way to a tile: as they lie in memory, then as they are.

fn load_staged(row_start: u32, block: u32) -> Packed {
    return load_packed(row_start, block, 0u);
}

fn staged(packed: Packed, block: u32) -> Block {
    return unpack(packed);
}

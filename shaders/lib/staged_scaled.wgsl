// As staged_float.wgsl, for quantised weights. Unpacked numbers are too large by `EXCESS`. A scale is for four blocks, so all of a step that
// begins at a multiple of four have theirs in the same half of its word.

fn load_staged(row_start: u32, block: u32) -> Packed {
    return load_packed(row_start, block & ~7u, block & 7u);
}

fn staged(packed: Packed, block: u32) -> Block {
    let numbers = unpack(packed);
    let scale = block_scale(packed.scale, block);
    return Block((numbers.lo - EXCESS) * scale, (numbers.hi - EXCESS) * scale);
}

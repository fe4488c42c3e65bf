// The rows of a step, as `kernels::TokenInput`.
struct Token {
    id: u32,           // 0xffffffff: the one that the device chose for this sequence
    position: u32,     // in its sequence, from 0
    cache_row: u32,    // where its keys and values go
    table: u32,        // where its sequence's cache rows begin in the table of rows
    logits_from: u32,  // for row t of the logits: the row of this step that they are computed from
    slot: u32,         // its sequence's place among chosen ids
    writes_cache: u32, // 1: its attention writes its key and value; 0: they are there before
    padding: u32,
}
